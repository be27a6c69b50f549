//! The `prepare` task on the client's side: sum up what the job asks for, and apply what all clients
//! found together.

mod contribution;
mod foreseen;
mod undeclared;

pub use foreseen::{Columns, Foreseen};
pub use undeclared::UndeclaredKind;

use std::borrow::Cow;

use commonweal_core::job::{ClassWeights, Data, Job, Missing, Scale};
use commonweal_core::{ColumnSpec, Found, PrepareSpec, Prepared, Statistic};

use crate::table::{Agreed, EncodeError, Encoding, FeatureKind, Table};
use crate::{
    Dataset, DatasetError, Features, FeaturesError, Partition, Source, Target, Vocabulary,
};

/// What is asked of a source, and what is done with the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    asked: Vec<Asked>,
    spec: PrepareSpec,
    scale: Scale,
    classes: Option<Vec<String>>,
    vocabulary: Option<Vocabulary>,
}

/// One column of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Moments of a feature: a numeric column, a channel of images or windows.
    Moments(usize),
    /// Levels of a categorical column.
    Levels(usize),
    /// The classes.
    Classes,
    /// The characters of a text.
    Characters,
}

/// Why what was found cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The record answers other questions.
    #[error("what prepare found is not what this data asks for: {what}; prepare again")]
    OtherQuestions {
        /// What differs.
        what: String,
    },
    /// The table does not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The data set does not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The features do not fit.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// Images are scaled when a batch is filled, by one rule for all.
    #[error(
        "images and text cannot be scaled per client; set data.scale to \"global\" or \"none\""
    )]
    PerClientImages,
    /// Two clients hold one row, which cannot be scaled for both.
    #[error(
        "clients that share rows cannot each scale them; set data.scale to \"global\", or another \
         simulation.partition"
    )]
    SharedRow,
    /// A label that nobody agreed on.
    #[error("row {row} has a label that is not among the known classes")]
    UnknownClass {
        /// First such row, from 0.
        row: usize,
    },
}

impl Preparation {
    /// What `data` makes it necessary to ask of `source`.
    ///
    /// Declared classes, levels and vocabularies are not asked for. Without `data.scale`, columns and
    /// series are scaled over all clients and images are not.
    ///
    /// # Errors
    /// [`FeaturesError`] if the declared vocabulary is too large.
    pub fn new(source: &Source, data: &Data) -> Result<Self, FeaturesError> {
        let is_image = matches!(
            source,
            Source::Numbers(dataset) if matches!(dataset.features(), Features::Bytes(_))
        );
        let scale = data
            .scale
            .unwrap_or(if is_image { Scale::None } else { Scale::Global });
        let declared = data.text.as_ref().and_then(|text| text.vocabulary.as_ref());
        let vocabulary = declared
            .map(|text| Vocabulary::new(text.chars()))
            .transpose()?;
        let classes = match source {
            Source::Table(table) => table.schema().declared_classes(),
            Source::Numbers(_) => data.classes.clone(),
        };
        let mut preparation = Self {
            asked: Vec::new(),
            spec: PrepareSpec::default(),
            scale,
            classes,
            vocabulary,
        };
        match source {
            Source::Table(table) => preparation.ask_table(table),
            Source::Numbers(dataset) => preparation.ask_numbers(dataset),
        }
        if preparation.classes.is_none() {
            preparation.ask_classes(source);
        }
        Ok(preparation)
    }

    /// What `job` makes it necessary to ask of `source`, which `data` describes: the job's section with what a
    /// known data set adds to it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_job(job: &Job, source: &Source, data: &Data) -> Result<Self, FeaturesError> {
        let preparation = Self::new(source, data)?;
        Ok(match job.training.class_weights {
            Some(ClassWeights::Balanced) => preparation.counting_classes(source),
            Some(ClassWeights::Each(_)) | None => preparation,
        })
    }

    /// Asks for the training rows of each class also where the job declares the classes.
    #[must_use]
    pub fn counting_classes(mut self, source: &Source) -> Self {
        if !self.asked.contains(&Asked::Classes) {
            self.ask_classes(source);
        }
        self
    }

    /// Training rows of each class over all clients, in the order of the classes; `None` if they were not
    /// asked for.
    pub fn class_rows(&self, found: &Prepared) -> Option<Vec<u64>> {
        let counts = self.answer(Asked::Classes, found)?;
        let rows = |class: &String| {
            let at = counts.binary_search_by(|(level, _)| level.cmp(class));
            at.map_or(0, |at| counts[at].1)
        };
        Some(self.classes(found)?.iter().map(rows).collect())
    }

    /// As [`Self::class_rows`] for a model of this `target`: zeros where they were not asked for, and none where
    /// a value is predicted.
    pub fn class_rows_of(&self, found: &Prepared, target: Target) -> Vec<u64> {
        match target {
            Target::Value => Vec::new(),
            Target::NextTokens(classes) | Target::Classes(classes) => {
                self.class_rows(found).unwrap_or_else(|| vec![0; classes])
            }
        }
    }

    /// The columns to sum up.
    pub fn spec(&self) -> &PrepareSpec {
        &self.spec
    }

    /// Whether each client's features are to be scaled by its own moments, with
    /// [`Self::scale_clients`].
    pub fn scales_per_client(&self) -> bool {
        self.scale == Scale::PerClient
    }

    /// The encoding that all clients agreed on, for a table; also for rows to predict.
    ///
    /// # Errors
    /// [`ApplyError::OtherQuestions`] if `found` answers another spec.
    pub fn encoding(&self, table: &Table, found: &Prepared) -> Result<Encoding, ApplyError> {
        self.expect_answers(found)?;
        let mut agreed = vec![Agreed::Nothing; table.columns.len()];
        for (&asked, column) in self.asked.iter().zip(&found.columns) {
            match (asked, &column.found) {
                (
                    Asked::Moments(index),
                    Found::Moments {
                        mean, deviation, ..
                    },
                ) => {
                    let (mean, deviation) = (*mean as f32, *deviation as f32);
                    agreed[index] = Agreed::Moments { mean, deviation };
                }
                (Asked::Levels(index), Found::Levels(counts)) => {
                    agreed[index] = Agreed::Levels {
                        levels: counts.iter().map(|(level, _)| level.clone()).collect(),
                        most_frequent: most_frequent(counts),
                    };
                }
                _ => {}
            }
        }
        let is_scaled = self.scale == Scale::Global;
        Ok(Encoding::new(
            table.schema(),
            agreed,
            is_scaled,
            self.classes(found),
        ))
    }

    /// The data set that `source` is, given what all clients found.
    ///
    /// With a scale per client the features are still unscaled: see [`Self::scales_per_client`].
    ///
    /// # Errors
    /// [`ApplyError`] if `found` answers another spec, or a row has a level or a class that it lacks.
    pub fn apply(&self, source: &Source, found: &Prepared) -> Result<Dataset, ApplyError> {
        self.apply_where(source, found, |_| true)
    }

    /// As [`Self::apply`], where only the rows `used` belong to a client: the classes of the others were
    /// not asked for, so one that is not known is no fault.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_to(
        &self,
        source: &Source,
        found: &Prepared,
        used: impl IntoIterator<Item = u32>,
    ) -> Result<Dataset, ApplyError> {
        let mut is_used = vec![false; source.roster().rows() as usize];
        used.into_iter()
            .for_each(|row| is_used[row as usize] = true);
        self.apply_where(source, found, |row| is_used[row])
    }

    /// The data set of the clients of `partition`, ready for training: applied, and scaled by each client's
    /// own rows where the job says so. Rows of nobody may have a class that is not known.
    ///
    /// # Errors
    /// As [`Self::apply`] and [`Self::scale_clients`].
    pub fn dataset(
        &self,
        source: &Source,
        found: &Prepared,
        partition: &Partition,
    ) -> Result<Dataset, ApplyError> {
        let clients = || partition.population().indices();
        let held_out = clients().flat_map(|client| partition.held_out(client).into_owned());
        let used = partition.all_train().into_iter().chain(held_out);
        let dataset = self.apply_to(source, found, used)?;
        if !self.scales_per_client() {
            return Ok(dataset);
        }
        let rows = clients().map(|client| (partition.train(client), partition.held_out(client)));
        self.scale_clients(source, found, dataset, rows)
    }

    fn apply_where(
        &self,
        source: &Source,
        found: &Prepared,
        is_used: impl Fn(usize) -> bool,
    ) -> Result<Dataset, ApplyError> {
        match source {
            Source::Table(table) => {
                Ok(self.encoding(table, found)?.dataset_where(table, is_used)?)
            }
            Source::Numbers(dataset) => self.apply_numbers(dataset.clone(), found, is_used),
        }
    }

    /// Scales the numeric features of each client's rows by the mean and deviation of its training rows,
    /// summed in `f64` in their order. A client is given by its training rows and those held out.
    ///
    /// # Errors
    /// [`ApplyError::PerClientImages`] for images and text, [`ApplyError::SharedRow`] for a row of two
    /// clients; [`ApplyError`] as [`Self::apply`].
    pub fn scale_clients<'a>(
        &self,
        source: &Source,
        found: &Prepared,
        dataset: Dataset,
        clients: impl IntoIterator<Item = (Cow<'a, [u32]>, Cow<'a, [u32]>)>,
    ) -> Result<Dataset, ApplyError> {
        let numeric = match source {
            Source::Table(table) => Some(self.encoding(table, found)?.numeric()),
            Source::Numbers(_) => None,
        };
        let mut floats = match dataset.features() {
            Features::Floats(floats) => floats.clone(),
            Features::Bytes(_) | Features::Tokens(_) => return Err(ApplyError::PerClientImages),
        };
        let mut is_scaled = vec![false; floats.rows()];
        for (train, held_out) in clients {
            let rows = || train.iter().chain(&*held_out).copied();
            for row in rows() {
                if std::mem::replace(&mut is_scaled[row as usize], true) {
                    return Err(ApplyError::SharedRow);
                }
            }
            let mut moments = floats.moments(&train);
            for (feature, moments) in moments.iter_mut().enumerate() {
                if numeric.as_ref().is_some_and(|numeric| !numeric[feature]) {
                    *moments = (0.0, 1.0);
                }
            }
            floats.standardise(rows(), &moments);
        }
        Ok(dataset.map_features(|_| Features::Floats(floats))?)
    }

    /// Mean and deviation of each channel or feature, by which numbers that are no table are scaled; none
    /// where they are not scaled over all clients.
    pub fn moments(found: &Prepared) -> Vec<(f32, f32)> {
        let moments = found
            .columns
            .iter()
            .filter_map(|column| match column.found {
                Found::Moments {
                    mean, deviation, ..
                } => Some((mean as f32, deviation as f32)),
                Found::Levels(_) => None,
            });
        moments.collect()
    }

    fn apply_numbers(
        &self,
        dataset: Dataset,
        found: &Prepared,
        is_used: impl Fn(usize) -> bool,
    ) -> Result<Dataset, ApplyError> {
        self.expect_answers(found)?;
        let dataset = match self.classes(found) {
            Some(classes) => dataset
                .with_classes(&classes, is_used)
                .map_err(|row| ApplyError::UnknownClass { row })?,
            None => dataset,
        };
        let moments = Self::moments(found);
        let vocabulary = match (&self.vocabulary, self.answer(Asked::Characters, found)) {
            (Some(declared), _) => Some(declared.clone()),
            (None, Some(counts)) => {
                let characters = counts.iter().flat_map(|(level, _)| level.chars());
                Some(Vocabulary::of(characters)?)
            }
            (None, None) => None,
        };
        let rows = dataset.rows();
        Ok(dataset.map_features(|features| match features {
            Features::Bytes(bytes) if !moments.is_empty() => {
                Features::Bytes(bytes.standardised(&moments))
            }
            Features::Floats(mut floats) if !moments.is_empty() => {
                floats.standardise(0..rows, &moments);
                Features::Floats(floats)
            }
            Features::Tokens(tokens) => Features::Tokens(match vocabulary {
                Some(vocabulary) => tokens.with_vocabulary(vocabulary),
                None => tokens,
            }),
            other => other,
        })?)
    }

    fn ask(&mut self, asked: Asked, name: String, statistic: Statistic) {
        self.asked.push(asked);
        self.spec.columns.push(ColumnSpec { name, statistic });
    }

    fn ask_classes(&mut self, source: &Source) {
        if source.roster().labels().is_none() {
            return;
        }
        let column = match source {
            Source::Table(table) => table.schema().label.as_ref().map(|one| one.column.clone()),
            Source::Numbers(_) => None,
        };
        let name = column.unwrap_or_else(|| "classes".to_owned());
        self.ask(Asked::Classes, name, Statistic::Levels);
    }

    fn ask_table(&mut self, table: &Table) {
        for (index, feature) in table.schema().features.iter().enumerate() {
            let fills = matches!(feature.missing, Missing::Mean | Missing::Indicator);
            match &feature.kind {
                FeatureKind::Numeric => {
                    if fills || self.scale == Scale::Global {
                        self.ask(
                            Asked::Moments(index),
                            feature.name.clone(),
                            Statistic::Moments,
                        );
                    }
                }
                FeatureKind::Categorical { levels, .. } => {
                    if fills || levels.is_none() {
                        self.ask(
                            Asked::Levels(index),
                            feature.name.clone(),
                            Statistic::Levels,
                        );
                    }
                }
            }
        }
    }

    fn ask_numbers(&mut self, dataset: &Dataset) {
        let channels = match dataset.features() {
            Features::Bytes(bytes) => bytes.channels(),
            Features::Floats(floats) => floats.features(),
            Features::Tokens(_) => 0,
        };
        if self.scale == Scale::Global {
            for channel in 0..channels {
                let name = match dataset.features() {
                    Features::Floats(floats) => floats.names().get(channel).cloned(),
                    _ => None,
                };
                let name = name.unwrap_or_else(|| format!("channel {channel}"));
                self.ask(Asked::Moments(channel), name, Statistic::Moments);
            }
        }
        if matches!(dataset.features(), Features::Tokens(_)) && self.vocabulary.is_none() {
            self.ask(
                Asked::Characters,
                "characters".to_owned(),
                Statistic::Levels,
            );
        }
    }

    fn expect_answers(&self, found: &Prepared) -> Result<(), ApplyError> {
        let other = |what: String| ApplyError::OtherQuestions { what };
        if found.columns.len() != self.spec.columns.len() {
            let (expected, found) = (self.spec.columns.len(), found.columns.len());
            return Err(other(format!("expected {expected} columns, found {found}")));
        }
        for (expected, found) in self.spec.columns.iter().zip(&found.columns) {
            let statistic = match found.found {
                Found::Moments { .. } => Statistic::Moments,
                Found::Levels(_) => Statistic::Levels,
            };
            if expected.name != found.name || expected.statistic != statistic {
                return Err(other(format!("column `{}` is missing", expected.name)));
            }
        }
        Ok(())
    }

    fn classes(&self, found: &Prepared) -> Option<Vec<String>> {
        let answered = || {
            let counts = self.answer(Asked::Classes, found)?;
            Some(counts.iter().map(|(class, _)| class.clone()).collect())
        };
        self.classes.clone().or_else(answered)
    }

    fn answer<'a>(&self, question: Asked, found: &'a Prepared) -> Option<&'a [(String, u64)]> {
        let index = self.asked.iter().position(|&asked| asked == question)?;
        match &found.columns.get(index)?.found {
            Found::Levels(counts) => Some(counts),
            Found::Moments { .. } => None,
        }
    }
}

/// The level with the highest count, the first of equals.
fn most_frequent(counts: &[(String, u64)]) -> Option<String> {
    let mut best: Option<&(String, u64)> = None;
    for level in counts {
        if best.is_none_or(|best| level.1 > best.1) {
            best = Some(level);
        }
    }
    best.map(|(level, _)| level.clone())
}

#[cfg(test)]
mod tests {
    use commonweal_core::{Digest, PrepareSums};

    use super::*;
    use crate::table::{self, Schema};
    use crate::{Bytes, Categories, Roster};

    /// The `[data]` of a job with these lines in it.
    fn data(lines: &str) -> Data {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\n{lines}\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).expect("a sound job").data
    }

    fn table(file: &str, data: &Data) -> Source {
        let schema = Schema::of(data, file.as_bytes()).expect("the columns are there");
        table::read(file.as_bytes(), &schema)
            .expect("a sound file")
            .into()
    }

    fn found(preparation: &Preparation, source: &Source, clients: &[&[u32]]) -> Prepared {
        let mut sums = PrepareSums::zero(preparation.spec());
        for rows in clients {
            let own = preparation
                .contribution(source, rows, &[])
                .expect("can be summed up");
            sums.merge(preparation.spec(), &own).expect("one spec");
        }
        sums.finish(preparation.spec(), Digest::of(b"job"))
            .expect("there are rows")
    }

    fn rows(dataset: &Dataset) -> Vec<Vec<f32>> {
        let width = dataset.shape().input.width();
        let mut out = vec![0.0; width * dataset.rows() as usize];
        dataset.fill(&(0..dataset.rows()).collect::<Vec<_>>(), &mut out);
        out.chunks(width).map(<[f32]>::to_vec).collect()
    }

    const FILE: &str = "x,c,y\n1,u,b\n3,v,a\n,u,a\n100,w,a\n";

    #[test]
    fn columns_are_scaled_and_levels_known_by_what_the_training_rows_of_all_clients_say() {
        let data = data("label = \"y\"\nmissing = \"mean\"");
        let source = table(FILE, &data);
        let preparation = Preparation::new(&source, &data).expect("no vocabulary");
        let all = found(&preparation, &source, &[&[0], &[1, 2], &[3]]);
        let otherwise = found(&preparation, &source, &[&[3, 0, 1], &[2]]);
        assert_eq!(all.columns, otherwise.columns);
        let dataset = preparation.apply(&source, &all).expect("one spec");
        assert_eq!(dataset.shape().input.width(), 4);
        assert_eq!(rows(&dataset)[2], [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn test_rows_move_no_mean_and_add_no_level_but_their_class_is_known() {
        let data = data("label = \"y\"\nmissing = \"mean\"");
        let source = table("x,c,y\n1,u,a\n3,v,a\n100,w,b\n", &data);
        let preparation = Preparation::new(&source, &data).expect("no vocabulary");
        let own = preparation
            .contribution(&source, &[0, 1], &[2])
            .expect("can be summed up");
        let found = own
            .finish(preparation.spec(), Digest::of(b"job"))
            .expect("there are rows");
        let dataset = preparation.apply(&source, &found).expect("one spec");
        assert_eq!(rows(&dataset)[2], [98.0, 0.0, 0.0]);
        // The class that only the test row has is known and has no training rows.
        assert_eq!(preparation.class_rows(&found), Some(vec![2, 0]));
        assert_eq!(dataset.shape().target, crate::Target::Classes(2));
    }

    #[test]
    fn a_class_that_only_rows_of_nobody_have_is_no_fault() {
        let data = data("label = \"y\"");
        let table = table("x,y\n1,a\n2,rare\n3,b\n", &data);
        let images = Bytes::new(vec![0, 1, 2], vec![1, 1, 1], 1.0).expect("whole rows");
        let roster = Roster::new(3).with_labels(Categories::of(["a", "rare", "b"]));
        let images = Dataset::classified(Features::Bytes(images), roster).expect("fits");
        for source in [table, images.into()] {
            let preparation = Preparation::new(&source, &data).expect("no vocabulary");
            let found = found(&preparation, &source, &[&[0], &[2]]);
            let dataset = preparation.apply_to(&source, &found, [0, 2]);
            let shape = dataset.expect("row 1 is nobody's").shape();
            assert_eq!(shape.target, crate::Target::Classes(2));
            assert!(preparation.apply(&source, &found).is_err());
            assert!(preparation.apply_to(&source, &found, [1]).is_err());
        }
    }

    #[test]
    fn training_rows_of_declared_classes_are_summed_over_clients_when_asked_for() {
        let data = data("label = \"y\"\nclasses = [\"b\", \"never\", \"a\"]\nmissing = \"mean\"");
        let source = table(FILE, &data);
        let silent = Preparation::new(&source, &data).expect("no vocabulary");
        let without = found(&silent, &source, &[&[0], &[1, 2, 3]]);
        assert_eq!(silent.class_rows(&without), None);
        let counting = silent.counting_classes(&source);
        let counts: Vec<_> = [[&[0][..], &[1, 2, 3]], [&[3, 1], &[2, 0]]]
            .iter()
            .map(|clients| counting.class_rows(&found(&counting, &source, clients)))
            .collect();
        let labels = FILE
            .lines()
            .skip(1)
            .filter_map(|line| line.rsplit(',').next());
        let rows = |class| labels.clone().filter(|&label| label == class).count() as u64;
        let expected = Some(vec![rows("b"), 0, rows("a")]);
        assert_eq!(counts, [expected.clone(), expected]);
    }

    #[test]
    fn a_scale_per_client_uses_the_clients_own_training_rows() {
        let data = data("label = \"y\"\nscale = \"per_client\"\ndrop = [\"c\"]");
        let source = table("x,c,y\n1,u,b\n3,v,a\n10,u,a\n30,w,a\n50,w,a\n", &data);
        let preparation = Preparation::new(&source, &data).expect("no vocabulary");
        let found = found(&preparation, &source, &[&[0, 1], &[2, 3]]);
        let scaled = |clients: [(&[u32], &'static [u32]); 2]| {
            let dataset = preparation.apply(&source, &found).expect("fits");
            let clients =
                clients.map(|(train, test)| (Cow::Owned(train.to_vec()), Cow::Borrowed(test)));
            preparation.scale_clients(&source, &found, dataset, clients)
        };
        let dataset = scaled([(&[0, 1], &[]), (&[2, 3], &[4])]).expect("disjoint");
        assert_eq!(
            scaled([(&[0, 1], &[]), (&[1, 3], &[])]),
            Err(ApplyError::SharedRow)
        );
        assert_eq!(rows(&dataset), [[-1.0], [1.0], [-1.0], [1.0], [3.0]]);
    }

    #[test]
    fn images_are_left_as_they_are_unless_asked_and_then_scaled_by_channel() {
        let bytes = Bytes::new(vec![0, 0, 4, 4], vec![1, 1, 2], 1.0).expect("whole rows");
        let roster = Roster::new(2).with_labels(Categories::of(["a", "b"]));
        let images = Dataset::classified(Features::Bytes(bytes), roster).expect("fits");
        let source = Source::from(images.clone());
        for (lines, expected) in [
            ("", [[0.0, 0.0], [4.0, 4.0]]),
            ("scale = \"global\"", [[-1.0, -1.0], [1.0, 1.0]]),
        ] {
            let data = data(&format!("classes = [\"b\", \"a\"]\n{lines}"));
            let preparation = Preparation::new(&source, &data).expect("no vocabulary");
            let found = found(&preparation, &source, &[&[0], &[1]]);
            let dataset = preparation.apply(&source, &found).expect("fits");
            assert_eq!(rows(&dataset), expected);
            assert_eq!(
                dataset
                    .roster()
                    .labels()
                    .map(|labels| labels.codes().to_vec()),
                Some(vec![1, 0])
            );
        }
    }

    #[test]
    fn what_was_found_for_other_questions_is_refused() {
        let (of_x, of_y) = (
            data("label = \"y\"\ndrop = [\"c\"]\nmissing = \"mean\""),
            data("label = \"y\"\ndrop = [\"x\"]"),
        );
        let (source, other) = (table(FILE, &of_x), table(FILE, &of_y));
        let preparation = Preparation::new(&source, &of_x).expect("no vocabulary");
        let questions = Preparation::new(&other, &of_y).expect("no vocabulary");
        let refused = preparation.apply(&source, &found(&questions, &other, &[&[0]]));
        assert!(
            matches!(refused, Err(ApplyError::OtherQuestions { .. })),
            "{refused:?}"
        );
    }
}
