//! What a job may make it necessary to ask of data that nobody has opened yet: what an owner reads before agreeing.

use std::collections::BTreeSet;

use commonweal_core::job::{
    ClassWeights, Column, Data, DataTask, Format, Missing, Scale, Training,
};

/// The most that the `prepare` task of a job asks of any data that fit it. A [`Preparation`](super::Preparation) for
/// the data themselves asks for this or less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Columns whose count, sum and sum of squares are asked for.
    pub moments: Columns,
    /// Columns whose distinct texts are asked for, with how often each occurs.
    pub levels: Columns,
    /// Whether the classes are asked for, with the training rows of each.
    pub classes: bool,
    /// Whether the characters of a text are asked for, with how often each occurs.
    pub characters: bool,
}

/// Columns of data that are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Those that the job names.
    pub named: BTreeSet<String>,
    /// Whether others may be among them, or the channels of images and series.
    pub others: bool,
}

impl Columns {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.others
    }

    fn add(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.named.insert(name.to_owned());
            }
            None => self.others = true,
        }
    }
}

impl Foreseen {
    /// What a job with these sections may ask. `data` is the job's section with what a known data set adds to it.
    pub fn new(data: &Data, training: &Training) -> Self {
        let mut foreseen = Self {
            moments: Columns::default(),
            levels: Columns::default(),
            classes: asks_classes(data)
                || matches!(training.class_weights, Some(ClassWeights::Balanced)),
            characters: (data.text.as_ref()).is_some_and(|text| text.vocabulary.is_none()),
        };
        if matches!(data.format, None | Some(Format::Csv)) {
            foreseen.foresee_table(data);
        }
        foreseen.foresee_channels(data);
        foreseen
    }

    fn foresee_table(&mut self, data: &Data) {
        let undeclared = data.features.is_none().then_some(None);
        let named: BTreeSet<&str> = match &data.features {
            Some(features) => features.iter().map(String::as_str).collect(),
            None => data.columns.keys().map(String::as_str).collect(),
        };
        for name in named.into_iter().map(Some).chain(undeclared) {
            let is_left_out = name.is_some_and(|name| {
                data.label.as_deref() == Some(name) || data.drop.iter().any(|one| one == name)
            });
            if !is_left_out {
                self.foresee_column(data, name);
            }
        }
    }

    /// One column, or any that the job does not name.
    fn foresee_column(&mut self, data: &Data, name: Option<&str>) {
        let is_scaled = matches!(data.scale, None | Some(Scale::Global));
        let fills = |own: &Option<Missing>| {
            matches!(
                own.unwrap_or(data.missing),
                Missing::Mean | Missing::Indicator
            )
        };
        let (moments, levels) = match name.and_then(|name| data.columns.get(name)) {
            Some(Column::Numeric { missing, .. }) => (is_scaled || fills(missing), false),
            Some(Column::Categorical {
                levels, missing, ..
            }) => (false, levels.is_none() || fills(missing)),
            Some(Column::Drop) => (false, false),
            None => (is_scaled || fills(&None), true),
        };
        if moments {
            self.moments.add(name);
        }
        if levels {
            self.levels.add(name);
        }
    }

    /// Images are scaled where the job says so, series unless it says otherwise.
    fn foresee_channels(&mut self, data: &Data) {
        let is_scaled = match data.format {
            Some(Format::Csv | Format::Text) => false,
            Some(Format::Idx | Format::Cifar) => data.scale == Some(Scale::Global),
            None | Some(Format::Leaf | Format::Series) => {
                matches!(data.scale, None | Some(Scale::Global))
            }
        };
        if is_scaled {
            match (&data.features, data.format) {
                (Some(features), Some(Format::Series)) => {
                    self.moments.named.extend(features.iter().cloned());
                }
                _ => self.moments.others = true,
            }
        }
    }
}

fn asks_classes(data: &Data) -> bool {
    let is_table = matches!(data.format, Some(Format::Csv | Format::Series));
    let has_labels = data.label.is_some() || !is_table && data.format != Some(Format::Text);
    let has_classes = !matches!(data.task, Some(DataTask::Regression | DataTask::NextToken));
    data.classes.is_none() && data.positive_above.is_none() && has_labels && has_classes
}

#[cfg(test)]
mod tests {
    use commonweal_core::Statistic;
    use commonweal_core::job::Job;

    use super::*;
    use crate::table::{self, Schema};
    use crate::{Bytes, Categories, Dataset, Features, Preparation, Roster, Source};

    fn job(lines: &str, training: &str) -> Job {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\n{lines}\n[training]\n{training}\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).expect("a sound job")
    }

    fn foreseen(lines: &str) -> Foreseen {
        let job = job(lines, "");
        Foreseen::new(&job.data, &job.training)
    }

    fn named(columns: &Columns) -> Vec<&str> {
        columns.named.iter().map(String::as_str).collect()
    }

    #[test]
    fn nothing_is_asked_that_was_not_foreseen() {
        let file = "x,c,y\n1,u,b\n3,v,a\n4,u,a\n100,w,a\n";
        let bytes = Bytes::new(vec![0, 0, 4, 4], vec![1, 1, 2], 1.0).expect("whole rows");
        let roster = Roster::new(2).with_labels(Categories::of(["a", "b"]));
        let images = Dataset::classified(Features::Bytes(bytes), roster).expect("fits");
        for scale in [
            "",
            "scale = \"none\"",
            "scale = \"global\"",
            "scale = \"per_client\"",
        ] {
            for missing in ["refuse", "mean", "indicator", "zero"] {
                for classes in ["", "classes = [\"a\", \"b\"]"] {
                    for columns in [
                        "",
                        "features = [\"x\", \"c\"]",
                        "drop = [\"c\"]",
                        "columns = { c = { kind = \"categorical\", levels = [\"u\", \"v\", \"w\"] } }",
                        "columns = { c = { kind = \"categorical\", missing = \"mean\" }, x = { kind = \"numeric\" } }",
                    ] {
                        for weights in ["", "class_weights = \"balanced\""] {
                            let lines = format!(
                                "label = \"y\"\nmissing = \"{missing}\"\n{scale}\n{classes}\n{columns}"
                            );
                            let job = job(&lines, weights);
                            let schema = Schema::of(&job.data, file.as_bytes()).expect("is there");
                            let table = table::read(file.as_bytes(), &schema).expect("is sound");
                            for source in [Source::from(table), Source::from(images.clone())] {
                                assert_foreseen(&job, &source, &lines);
                            }
                        }
                    }
                }
            }
        }
    }

    fn assert_foreseen(job: &Job, source: &Source, lines: &str) {
        let foreseen = Foreseen::new(&job.data, &job.training);
        let asked = Preparation::of_job(job, source, &job.data).expect("no vocabulary");
        for column in &asked.spec().columns {
            let holds = |columns: &Columns| columns.others || columns.named.contains(&column.name);
            let is_foreseen = match column.statistic {
                Statistic::Moments => holds(&foreseen.moments),
                Statistic::Levels if column.name == "y" || column.name == "classes" => {
                    foreseen.classes
                }
                Statistic::Levels => holds(&foreseen.levels),
            };
            assert!(is_foreseen, "{} of\n{lines}\nin {foreseen:?}", column.name);
        }
    }

    #[test]
    fn a_job_that_declares_everything_asks_for_nothing() {
        let all = foreseen(
            "format = \"csv\"\nlabel = \"y\"\nclasses = [\"a\", \"b\"]\nscale = \"none\"\nfeatures = [\"x\", \"c\"]\n\
             columns = { c = { kind = \"categorical\", levels = [\"u\"] }, x = { kind = \"numeric\" } }",
        );
        assert!(all.moments.is_empty() && all.levels.is_empty(), "{all:?}");
        assert!(!all.classes && !all.characters, "{all:?}");
    }

    #[test]
    fn what_is_asked_is_named_where_the_job_names_it() {
        let some = foreseen(
            "format = \"csv\"\nlabel = \"y\"\nclasses = [\"a\", \"b\"]\nscale = \"none\"\nfeatures = [\"x\", \"c\", \"z\"]\n\
             columns = { c = { kind = \"categorical\" }, x = { kind = \"numeric\", missing = \"mean\" } }",
        );
        assert_eq!(named(&some.moments), ["x"]);
        assert_eq!(named(&some.levels), ["c", "z"]);
        assert!(!some.moments.others && !some.levels.others);
        let images = foreseen("format = \"idx\"\nclasses = [\"a\", \"b\"]");
        assert!(images.moments.is_empty() && images.levels.is_empty());
    }
}
