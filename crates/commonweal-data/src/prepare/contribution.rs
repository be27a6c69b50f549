//! What one client adds to the sums: its rows, column by column.

use commonweal_core::{PrepareError, PrepareSpec, PrepareSums};

use super::{Asked, Preparation};
use crate::table::{Cells, MISSING_LEVEL};
use crate::{Features, Source};

impl Preparation {
    /// The sums of one client that holds `rows`.
    ///
    /// # Errors
    /// [`PrepareError`] for a value, a level or a number of levels beyond what can be summed.
    pub fn contribution(&self, source: &Source, rows: &[u32]) -> Result<PrepareSums, PrepareError> {
        let mut sums = PrepareSums::of_client(&self.spec, rows.len() as u32);
        for (index, &asked) in self.asked.iter().enumerate() {
            let mut observe = Observer {
                sums: &mut sums,
                spec: &self.spec,
                index,
            };
            match (asked, source) {
                (Asked::Classes, _) => observe.classes(source, rows)?,
                (Asked::Moments(column) | Asked::Levels(column), Source::Table(table)) => {
                    observe.cells(&table.columns[column], rows)?;
                }
                (Asked::Moments(channel), Source::Numbers(dataset)) => {
                    observe.channel(dataset.features(), channel, rows)?;
                }
                (Asked::Characters, Source::Numbers(dataset)) => {
                    observe.characters(dataset.features(), rows)?;
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

    fn level(&mut self, level: &str) -> Result<(), PrepareError> {
        self.sums.observe_level(self.spec, self.index, level)
    }

    fn classes(&mut self, source: &Source, rows: &[u32]) -> Result<(), PrepareError> {
        let Some(labels) = source.roster().labels() else {
            return Err(PrepareError::OtherColumns);
        };
        rows.iter()
            .try_for_each(|&row| self.level(labels.name(row as usize)))
    }

    fn cells(&mut self, cells: &Cells, rows: &[u32]) -> Result<(), PrepareError> {
        for &row in rows {
            match cells {
                Cells::Numeric(values) if values[row as usize].is_nan() => {}
                Cells::Numeric(values) => self.number(values[row as usize])?,
                Cells::Categorical { codes, .. } if codes[row as usize] == MISSING_LEVEL => {}
                Cells::Categorical { levels, codes } => {
                    self.level(&levels[codes[row as usize] as usize])?;
                }
            }
        }
        Ok(())
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
        let mut buffer = [0; 4];
        for &row in rows {
            for &token in tokens.window(row) {
                if let Some(character) = tokens.vocabulary().character(u32::from(token)) {
                    self.level(character.encode_utf8(&mut buffer))?;
                }
            }
        }
        Ok(())
    }
}
