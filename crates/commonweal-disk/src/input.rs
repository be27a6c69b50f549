//! `input.json`: what a finished model takes in and what its outputs are called, for predictions without
//! the training data.

use std::sync::Arc;

use commonweal_core::Prepared;
use commonweal_data::table::{self, CsvError, EncodeError, Encoding, Schema};
use commonweal_data::{
    ApplyError, Dataset, DatasetError, ExampleShape, Features, FeaturesError, Floats, Input,
    Preparation, Roster, Source, Target, Targets, Tokens, Vocabulary,
};
use serde::{Deserialize, Serialize};

/// What a model takes in and says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    rows: RowsRecord,
    /// Whether each client's rows were scaled by that client's own moments, which no other row has.
    scaled_per_client: bool,
    /// Names of the classes or characters in the order of their numbers; none if a value is predicted.
    names: Option<Vec<String>>,
}

/// How a row becomes numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum RowsRecord {
    /// Columns of a table.
    Table { schema: Schema, encoding: Encoding },
    /// Pixels in this shape, times the factor plus the offset of their channel, the first dimension.
    Values {
        shape: Vec<usize>,
        channels: Vec<(f32, f32)>,
    },
    /// Numbers in this shape, scaled by the mean and deviation of their feature, the last dimension; as
    /// they are without.
    Floats {
        shape: Vec<usize>,
        moments: Vec<(f32, f32)>,
    },
    /// Characters.
    Text { length: usize },
}

/// Why rows cannot be predicted from.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A cell or a column does not fit.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// A level that the model does not know.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The features are faulty.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit together.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A line of numbers has another length.
    #[error("line {line} has {found} fields; the model takes {expected} numbers a line")]
    Width {
        /// Line, from 1.
        line: usize,
        /// Values of an example.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A field is no number.
    #[error("line {line}, column {column}: not a finite number")]
    Field {
        /// Line, from 1.
        line: usize,
        /// Field, from 1.
        column: usize,
    },
    /// Nobody has the moments of the rows.
    #[error(
        "the model was trained on rows scaled by each client's own means and deviations, which these rows \
         lack; to use it on other rows, train with data.scale = \"global\""
    )]
    ScaledPerClient,
    /// A text is none.
    #[error("line {line}: not UTF-8 text; save the file as UTF-8")]
    NotUtf8 {
        /// Line, from 1.
        line: u64,
    },
}

impl InputRecord {
    /// Of a data set and what was found about it.
    ///
    /// # Errors
    /// [`ApplyError`] if what was found does not fit a table's columns.
    pub fn of(
        source: &Source,
        preparation: &Preparation,
        prepared: &Prepared,
        data: &Dataset,
    ) -> Result<Self, ApplyError> {
        let rows = match (source, data.features()) {
            (Source::Table(table), _) => RowsRecord::Table {
                schema: table.schema().clone().without_keys(),
                encoding: preparation.encoding(table, prepared)?,
            },
            (_, Features::Bytes(bytes)) => RowsRecord::Values {
                shape: bytes.shape().to_vec(),
                channels: (0..bytes.channels())
                    .map(|channel| bytes.affine(channel))
                    .collect(),
            },
            (_, Features::Floats(floats)) => RowsRecord::Floats {
                shape: floats.shape().to_vec(),
                moments: Preparation::moments(prepared),
            },
            (_, Features::Tokens(tokens)) => RowsRecord::Text {
                length: tokens.length(),
            },
        };
        Ok(Self {
            rows,
            scaled_per_client: preparation.scales_per_client(),
            names: names(data),
        })
    }

    /// Names of the classes or characters in the order of their numbers; none if a value is predicted.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Name of the column that is predicted, where the rows are a table.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match &self.rows {
            RowsRecord::Table { schema, .. } => schema.label.as_ref().map(|label| &*label.column),
            _ => None,
        }
    }

    /// The shape of an example.
    #[must_use]
    pub fn example(&self) -> ExampleShape {
        let names = self.names.as_ref().map(Vec::len);
        let (input, target) = match &self.rows {
            RowsRecord::Text { length } => {
                let vocabulary = names.unwrap_or(0);
                (
                    Input::Tokens {
                        length: *length,
                        vocabulary,
                    },
                    Target::NextTokens(vocabulary),
                )
            }
            RowsRecord::Table { encoding, .. } => {
                (Input::Values(vec![encoding.names().len()]), target(names))
            }
            RowsRecord::Values { shape, .. } | RowsRecord::Floats { shape, .. } => {
                (Input::Values(shape.clone()), target(names))
            }
        };
        ExampleShape { input, target }
    }

    /// Character between the fields of a CSV file.
    #[must_use]
    pub fn delimiter(&self) -> char {
        match &self.rows {
            RowsRecord::Table { schema, .. } => schema.delimiter,
            _ => ',',
        }
    }

    /// A CSV file with labels as a data set to measure on; none if the rows are no table.
    ///
    /// # Errors
    /// [`InputError`], with line and column.
    pub fn labelled(&self, csv: &[u8]) -> Result<Option<Dataset>, InputError> {
        self.expect_common_scale()?;
        match &self.rows {
            RowsRecord::Table { schema, encoding } => {
                Ok(Some(encoding.dataset(&table::read(csv, schema)?)?))
            }
            _ => Ok(None),
        }
    }

    /// A CSV file without label as a data set for predictions, and the line of each row. A model of text
    /// takes the column `text`, or the first of a file without such a header.
    ///
    /// # Errors
    /// [`InputError`], with line and column.
    pub fn dataset(&self, csv: &[u8]) -> Result<(Dataset, Vec<u32>), InputError> {
        self.expect_common_scale()?;
        let (floats, lines) = match &self.rows {
            RowsRecord::Text { length } => return self.texts(csv, *length),
            RowsRecord::Table { schema, encoding } => {
                let table = table::read_features(csv, schema)?;
                (encoding.features(&table)?, table.lines().to_vec())
            }
            RowsRecord::Values { shape, channels } => {
                let (mut numbers, lines) = numbers(csv, shape)?;
                scale_pixels(&mut numbers, shape, channels);
                (Floats::new(numbers, shape.clone())?, lines)
            }
            RowsRecord::Floats { shape, moments } => {
                let (numbers, lines) = numbers(csv, shape)?;
                let mut floats = Floats::new(numbers, shape.clone())?;
                if moments.len() == floats.features() {
                    floats.standardise(0..floats.rows() as u32, moments);
                }
                (floats, lines)
            }
        };
        let rows = floats.rows();
        let targets = match &self.names {
            None => Targets::Values(vec![0.0; rows]),
            Some(names) => {
                let labels: Arc<[u32]> = vec![0; rows].into();
                Targets::Classes {
                    labels,
                    classes: names.len() as u32,
                }
            }
        };
        let roster = Roster::new(rows as u32);
        let dataset = Dataset::new(Features::Floats(floats), targets, roster)?;
        Ok((dataset, lines))
    }

    /// Texts to be continued, one a line of `csv`: of each the last `length` characters, behind line feeds
    /// where it is shorter.
    fn texts(&self, csv: &[u8], length: usize) -> Result<(Dataset, Vec<u32>), InputError> {
        let names = self.names.as_deref().unwrap_or_default();
        let listed = &names[..names.len().saturating_sub(1)];
        let vocabulary = Vocabulary::new(listed.iter().flat_map(|name| name.chars()))?;
        let (mut tokens, mut starts, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for (line, text) in texts(csv)? {
            starts.push(tokens.len() as u32);
            lines.push(line);
            let characters: Vec<char> = text.chars().collect();
            let kept = &characters[characters.len().saturating_sub(length)..];
            let padding = std::iter::repeat_n('\n', length - kept.len());
            tokens.extend(
                padding
                    .chain(kept.iter().copied())
                    .map(|character| vocabulary.token(character)),
            );
            // The place of the character that is asked for.
            tokens.push(vocabulary.token('\n'));
        }
        let roster = Roster::new(lines.len() as u32);
        let tokens = Tokens::new(tokens, starts, length, vocabulary)?;
        let dataset = Dataset::new(Features::Tokens(tokens), Targets::NextTokens, roster)?;
        Ok((dataset, lines))
    }

    fn expect_common_scale(&self) -> Result<(), InputError> {
        match self.scaled_per_client {
            true => Err(InputError::ScaledPerClient),
            false => Ok(()),
        }
    }
}

fn target(names: Option<usize>) -> Target {
    names.map_or(Target::Value, Target::Classes)
}

fn names(data: &Dataset) -> Option<Vec<String>> {
    match (data.targets(), data.features()) {
        (Targets::NextTokens, Features::Tokens(tokens)) => {
            // What is no character of the vocabulary has the last number.
            let characters = tokens.vocabulary().characters().iter().map(char::to_string);
            let mut names: Vec<String> = characters.collect();
            names.resize(tokens.vocabulary().len(), "\u{fffd}".to_owned());
            Some(names)
        }
        (Targets::Classes { classes, .. }, _) => {
            let labels = data.roster().labels();
            let named = labels.map(|labels| labels.names()).unwrap_or_default();
            let name = |class: usize| {
                named
                    .get(class)
                    .map_or(class.to_string(), ToString::to_string)
            };
            Some((0..*classes as usize).map(name).collect())
        }
        _ => None,
    }
}

/// The texts of a CSV file, each with its line.
fn texts(csv: &[u8]) -> Result<Vec<(u32, String)>, InputError> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(csv);
    let mut texts = Vec::new();
    let mut column = 0;
    for (index, record) in reader.byte_records().enumerate() {
        let line = |record: &::csv::ByteRecord| record.position().map_or(0, ::csv::Position::line);
        let record = record.map_err(|_| InputError::NotUtf8 {
            line: index as u64 + 1,
        })?;
        if index == 0
            && let Some(named) = record.iter().position(|field| field == b"text")
        {
            column = named;
            continue;
        }
        let field = record.get(column).unwrap_or_default();
        let text = std::str::from_utf8(field).map_err(|_| InputError::NotUtf8 {
            line: line(&record),
        })?;
        texts.push((line(&record) as u32, text.to_owned()));
    }
    Ok(texts)
}

/// Lines of numbers, and the line of each row; a first line that is none is a header.
fn numbers(csv: &[u8], shape: &[usize]) -> Result<(Vec<f32>, Vec<u32>), InputError> {
    let width: usize = shape.iter().product();
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(csv);
    for (index, record) in reader.byte_records().enumerate() {
        let line = index + 1;
        let record = record.map_err(|_| InputError::Field { line, column: 1 })?;
        let numbers = record.iter().map(number);
        if index == 0 && numbers.clone().any(|number| number.is_none()) {
            continue;
        }
        if record.len() != width {
            return Err(InputError::Width {
                line,
                expected: width,
                found: record.len(),
            });
        }
        lines.push(line as u32);
        for (at, number) in numbers.enumerate() {
            let number = number.ok_or(InputError::Field {
                line,
                column: at + 1,
            })?;
            values.push(number);
        }
    }
    Ok((values, lines))
}

/// Channel after channel, as images are laid out.
fn scale_pixels(values: &mut [f32], shape: &[usize], channels: &[(f32, f32)]) {
    let width: usize = shape.iter().product();
    let plane = width / channels.len().max(1);
    for (index, value) in values.iter_mut().enumerate() {
        let channel = channels.get(index % width / plane).copied();
        let (scale, offset) = channel.unwrap_or((1.0, 0.0));
        *value = *value * scale + offset;
    }
}

fn number(field: &[u8]) -> Option<f32> {
    let number: f32 = std::str::from_utf8(field).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::{Data, Job};
    use commonweal_core::{Digest, PrepareSums};
    use commonweal_data::Categories;

    use super::*;

    fn data(lines: &str) -> Data {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n{lines}\n\
             [model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).unwrap().data
    }

    /// Two windows of two instants and two features, and what is recorded of them.
    fn windows(lines: &str) -> (Dataset, InputRecord) {
        let floats = Floats::new(vec![1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 7.0, 70.0], vec![2, 2]);
        let roster = Roster::new(2).with_labels(Categories::of(["a", "b"]));
        let raw = Dataset::classified(Features::Floats(floats.unwrap()), roster).unwrap();
        let source = Source::from(raw);
        let preparation = Preparation::new(&source, &data(lines)).unwrap();
        let mut sums = PrepareSums::zero(preparation.spec());
        let own = preparation.contribution(&source, &[0, 1], &[]).unwrap();
        sums.merge(preparation.spec(), &own).unwrap();
        let prepared = sums.finish(preparation.spec(), Digest::of(b"job")).unwrap();
        let applied = preparation.apply(&source, &prepared).unwrap();
        let record = InputRecord::of(&source, &preparation, &prepared, &applied).unwrap();
        (applied, record)
    }

    fn filled(dataset: &Dataset) -> Vec<f32> {
        let rows: Vec<u32> = (0..dataset.rows()).collect();
        let mut out = vec![0.0; rows.len() * dataset.shape().input.width()];
        dataset.fill(&rows, &mut out);
        out
    }

    const WINDOWS: &[u8] = b"1,10,3,30\n5,50,7,70\n";

    #[test]
    fn windows_to_predict_are_scaled_as_those_trained_on() {
        for lines in ["", "scale = \"none\""] {
            let (trained_on, record) = windows(lines);
            let text = serde_json::to_string(&record).unwrap();
            let record: InputRecord = serde_json::from_str(&text).unwrap();
            let (predicted, _) = record.dataset(WINDOWS).unwrap();
            assert_eq!(filled(&predicted), filled(&trained_on), "{lines}");
        }
    }

    #[test]
    fn rows_scaled_by_their_clients_moments_are_refused_with_the_reason() {
        let (_, record) = windows("scale = \"per_client\"");
        let error = record.dataset(WINDOWS).unwrap_err().to_string();
        assert!(error.contains("data.scale"), "{error}");
    }

    #[test]
    fn a_text_is_continued_after_its_last_characters() {
        let record = InputRecord {
            rows: RowsRecord::Text { length: 3 },
            scaled_per_client: false,
            names: Some(["\n", "a", "b", "\u{fffd}"].map(str::to_owned).to_vec()),
        };
        let (data, lines) = record
            .dataset(b"id,text\n7,aabab\n8,b\n9,\"a,z\"\n")
            .unwrap();
        assert_eq!(lines, [2, 3, 4]);
        let mut tokens = [0; 9];
        data.fill_tokens(&[0, 1, 2], &mut tokens);
        assert_eq!(tokens, [2, 1, 2, 0, 0, 2, 1, 3, 3]);

        let (bare, lines) = record.dataset(b"aa\n").unwrap();
        assert_eq!((bare.rows(), lines), (1, vec![1]));
        let error = record.dataset(b"a\n\xff\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
