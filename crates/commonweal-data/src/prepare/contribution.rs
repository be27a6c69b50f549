//! What one client adds to the sums: its rows, column by column.

use std::collections::BTreeSet;

use commonweal_core::{PrepareError, PrepareSpec, PrepareSums};

use super::{Asked, Preparation};
use crate::table::Cells;
use crate::{Features, Source};

impl Preparation {
    /// The sums of one client: of its training rows, and the classes of its test rows too, so that a class
    /// is known that no client trains on.
    ///
    /// # Errors
    /// [`PrepareError`] for a value, a level or a number of levels beyond what can be summed.
    pub fn contribution(
        &self,
        source: &Source,
        train: &[u32],
        test: &[u32],
    ) -> Result<PrepareSums, PrepareError> {
        let mut sums = PrepareSums::of_client(&self.spec, train.len() as u32);
        for (index, &asked) in self.asked.iter().enumerate() {
            let mut observe = Observer {
                sums: &mut sums,
                spec: &self.spec,
                index,
            };
            match (asked, source) {
                (Asked::Classes, _) => observe.classes(source, train, test)?,
                (Asked::Moments(column) | Asked::Levels(column), Source::Table(table)) => {
                    observe.cells(&table.columns[column], train)?;
                }
                (Asked::Moments(channel), Source::Numbers(dataset)) => {
                    observe.channel(dataset.features(), channel, train)?;
                }
                (Asked::Characters, Source::Numbers(dataset)) => {
                    observe.characters(dataset.features(), train)?;
                }
                (Asked::Levels(_) | Asked::Characters, _) => {
                    return Err(PrepareError::OtherColumns);
                }
            }
        }
        Ok(sums)
    }
}

/// Feeds one column of the spec.
struct Observer<'a> {
    sums: &'a mut PrepareSums,
    spec: &'a PrepareSpec,
    index: usize,
}

impl Observer<'_> {
    fn number(&mut self, value: f32) -> Result<(), PrepareError> {
        self.sums.observe_number(self.spec, self.index, value)
    }

    /// Counts each name as often as its code occurs; a code without a name stands for a missing cell.
    fn levels<S: AsRef<str>>(
        &mut self,
        names: &[S],
        codes: impl Iterator<Item = u32>,
    ) -> Result<(), PrepareError> {
        let mut counts = vec![0_u32; names.len()];
        for code in codes {
            if let Some(count) = counts.get_mut(code as usize) {
                *count += 1;
            }
        }
        let found = names.iter().zip(counts).filter(|&(_, count)| count > 0);
        for (name, count) in found {
            self.sums
                .observe_levels(self.spec, self.index, name.as_ref(), count)?;
        }
        Ok(())
    }

    /// Counts the classes of training rows; those of test rows are known and count for nothing.
    fn classes(
        &mut self,
        source: &Source,
        train: &[u32],
        test: &[u32],
    ) -> Result<(), PrepareError> {
        let Some(labels) = source.roster().labels() else {
            return Err(PrepareError::OtherColumns);
        };
        let code = |&row: &u32| labels.codes()[row as usize];
        self.levels(labels.names(), train.iter().map(code))?;
        let known: BTreeSet<u32> = test.iter().map(code).collect();
        for name in known
            .into_iter()
            .filter_map(|code| labels.names().get(code as usize))
        {
            self.sums
                .observe_levels(self.spec, self.index, name.as_ref(), 0)?;
        }
        Ok(())
    }

    fn cells(&mut self, cells: &Cells, rows: &[u32]) -> Result<(), PrepareError> {
        match cells {
            Cells::Numeric(values) => {
                let known = rows
                    .iter()
                    .map(|&row| values[row as usize])
                    .filter(|value| !value.is_nan());
                for value in known {
                    self.number(value)?;
                }
                Ok(())
            }
            Cells::Categorical { levels, codes } => {
                self.levels(levels, rows.iter().map(|&row| codes[row as usize]))
            }
        }
    }

    fn channel(
        &mut self,
        features: &Features,
        channel: usize,
        rows: &[u32],
    ) -> Result<(), PrepareError> {
        for &row in rows {
            match features {
                Features::Bytes(bytes) => {
                    let (scale, offset) = bytes.affine(channel);
                    let plane = bytes.row(row).len() / bytes.channels();
                    for &byte in &bytes.row(row)[channel * plane..(channel + 1) * plane] {
                        self.number(f32::from(byte) * scale + offset)?;
                    }
                }
                Features::Floats(floats) => {
                    for &value in floats.row(row)[channel..].iter().step_by(floats.features()) {
                        self.number(value)?;
                    }
                }
                Features::Tokens(_) => return Err(PrepareError::OtherColumns),
            }
        }
        Ok(())
    }

    fn characters(&mut self, features: &Features, rows: &[u32]) -> Result<(), PrepareError> {
        let Features::Tokens(tokens) = features else {
            return Err(PrepareError::OtherColumns);
        };
        let characters: Vec<String> = tokens
            .vocabulary()
            .characters()
            .iter()
            .map(char::to_string)
            .collect();
        let codes = rows
            .iter()
            .flat_map(|&row| tokens.window(row))
            .map(|&token| u32::from(token));
        self.levels(&characters, codes)
    }
}
