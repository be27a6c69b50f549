//! Rows of real values: encoded tables, windows of sensor series.

use super::{FeaturesError, row_width};

/// Rows of finite `f32` values; the last dimension of the shape tells features (or channels) apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Floats {
    values: Vec<f32>,
    shape: Vec<usize>,
    width: usize,
    names: Vec<String>,
}

impl Floats {
    /// Rows of `shape`, last dimension fastest.
    ///
    /// # Errors
    /// [`FeaturesError`] if `values` are not whole rows, or one is NaN or infinite.
    pub fn new(values: Vec<f32>, shape: Vec<usize>) -> Result<Self, FeaturesError> {
        let width = row_width(&shape, values.len())?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(position) => Err(FeaturesError::NonFinite {
                row: position / width,
            }),
            None => Ok(Self {
                values,
                shape,
                width,
                names: Vec::new(),
            }),
        }
    }

    /// With a name for each feature, the last dimension.
    ///
    /// # Panics
    /// If there is not one name a feature.
    #[must_use]
    pub fn with_names(mut self, names: Vec<String>) -> Self {
        assert_eq!(names.len(), self.features(), "one name a feature");
        self.names = names;
        self
    }

    /// Names of the features, the last dimension; empty if they have none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `rows` scaled in place by the mean and deviation of each feature, `(x − mean) / deviation`; a
    /// deviation of 0 counts as 1.
    ///
    /// # Panics
    /// If there is not one pair a feature, or a row does not exist.
    pub fn standardise(&mut self, rows: impl IntoIterator<Item = u32>, moments: &[(f32, f32)]) {
        assert_eq!(
            moments.len(),
            self.features(),
            "one mean and deviation a feature"
        );
        for row in rows {
            let start = row as usize * self.width;
            for step in self.values[start..start + self.width].chunks_exact_mut(moments.len()) {
                for (value, &(mean, deviation)) in step.iter_mut().zip(moments) {
                    *value = (*value - mean) / if deviation > 0.0 { deviation } else { 1.0 };
                }
            }
        }
    }

    /// Mean and population deviation of each feature over `rows`, summed in `f64` in their order.
    ///
    /// # Panics
    /// If a row does not exist.
    pub fn moments(&self, rows: &[u32]) -> Vec<(f32, f32)> {
        let features = self.features();
        let count = (rows.len() * self.width / features).max(1) as f64;
        let over = |feature: usize, term: &dyn Fn(f64) -> f64| {
            let values = rows
                .iter()
                .flat_map(|&row| self.row(row)[feature..].iter().step_by(features));
            values.map(|&value| term(f64::from(value))).sum::<f64>() / count
        };
        (0..features)
            .map(|feature| {
                let mean = over(feature, &|value| value);
                let variance = over(feature, &|value| (value - mean) * (value - mean));
                (mean as f32, variance.sqrt() as f32)
            })
            .collect()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// The shape of one row.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of features that are told apart: the last dimension.
    pub fn features(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The values of one row.
    pub fn row(&self, row: u32) -> &[f32] {
        let start = row as usize * self.width;
        &self.values[start..start + self.width]
    }

    pub(crate) fn fill(&self, rows: &[u32], out: &mut [f32]) {
        assert_eq!(
            out.len(),
            rows.len() * self.width,
            "one row of the batch a row number"
        );
        for (out, &row) in out.chunks_exact_mut(self.width).zip(rows) {
            out.copy_from_slice(self.row(row));
        }
    }

    /// These rows only, in this order.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row)).copied();
        Self {
            values: values.collect(),
            shape: self.shape.clone(),
            width: self.width,
            names: self.names.clone(),
        }
    }

    pub(crate) fn then(mut self, other: Self) -> Option<Self> {
        if self.shape != other.shape {
            return None;
        }
        self.values.extend_from_slice(&other.values);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardising_tells_the_channels_of_a_window_apart() {
        let mut floats = Floats::new(vec![1.0, 10.0, 3.0, 30.0], vec![2, 2]).expect("whole rows");
        floats.standardise([0], &[(2.0, 1.0), (10.0, 20.0)]);
        assert_eq!(floats.row(0), [-1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_by_row() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(
                Floats::new(vec![0.0, 0.0, 0.0, bad], vec![2]),
                Err(FeaturesError::NonFinite { row: 1 })
            );
        }
    }
}
