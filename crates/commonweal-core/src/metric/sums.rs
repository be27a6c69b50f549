//! Integer sums from which metrics are computed: merged in any order with the same result.

use alloc::vec;
use alloc::vec::Vec;

use super::spec::{EXAMPLES, LOSS};
use super::{MetricError, MetricSpec};
use crate::wide::{MAX_NUMBERS, split};

/// Sums over examples under a [`MetricSpec`]. Each is a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSums(Vec<i64>);

/// One prediction to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The loss of the example.
    pub loss: f64,
    /// What was predicted and what was true.
    pub outcome: Outcome,
}

/// What was predicted and what was true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// A class.
    Class {
        /// The true class.
        label: u32,
        /// The predicted class.
        predicted: u32,
        /// The predicted probability of class 1, from 0 to 1. Used by ROC-AUC alone.
        score: f64,
    },
    /// A number.
    Value {
        /// The true number.
        target: f64,
        /// The predicted number.
        predicted: f64,
    },
}

impl MetricSums {
    pub(super) fn zero(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// Number of examples.
    pub fn examples(&self) -> u64 {
        self.0[EXAMPLES] as u64
    }

    /// The sums.
    pub fn values(&self) -> &[i64] {
        &self.0
    }

    /// Sums that came from elsewhere, refused unless predictions could have given them.
    ///
    /// # Errors
    /// Another length than the spec's, or numbers that contradict each other.
    pub fn admit(spec: &MetricSpec, values: Vec<i64>) -> Result<Self, MetricError> {
        if values.len() != spec.sums() {
            return Err(MetricError::Length {
                expected: spec.sums(),
                found: values.len(),
            });
        }
        let examples = values[EXAMPLES];
        if !(0..=MAX_NUMBERS).contains(&examples) {
            return Err(MetricError::Inconsistent { at: EXAMPLES });
        }
        match first_impossible(spec, &values, examples) {
            Some(at) => Err(MetricError::Inconsistent { at }),
            None => Ok(Self(values)),
        }
    }

    /// Refuses sums over more than `most` examples.
    pub(crate) fn within(self, most: i64) -> Result<Self, MetricError> {
        match self.0[EXAMPLES] <= most {
            true => Ok(self),
            false => Err(MetricError::Share { most: most as u64 }),
        }
    }

    /// Counts one prediction. On an error nothing was counted.
    ///
    /// # Errors
    /// A number that is not finite or too large, a class that does not exist, or the other kind of target.
    pub fn observe(
        &mut self,
        spec: &MetricSpec,
        prediction: Prediction,
    ) -> Result<(), MetricError> {
        if self.0[EXAMPLES] >= MAX_NUMBERS {
            return Err(MetricError::TooMany);
        }
        let loss = fixed(prediction.loss, "loss")?;
        match prediction.outcome {
            Outcome::Class {
                label,
                predicted,
                score,
            } => {
                self.observe_class(spec, label, predicted, score)?;
            }
            Outcome::Value { target, predicted } => {
                self.observe_value(spec, predicted - target)?;
            }
        }
        self.0[EXAMPLES] += 1;
        self.add(LOSS, loss);
        Ok(())
    }

    /// Counts `examples` examples whose losses sum to `loss`: for whoever measures a batch at once.
    ///
    /// Only for a spec of nothing but the loss. On an error nothing was counted.
    ///
    /// # Errors
    /// The sum is not finite or too large, or the spec wants more than the loss.
    pub fn observe_losses(
        &mut self,
        spec: &MetricSpec,
        examples: u32,
        loss: f64,
    ) -> Result<(), MetricError> {
        if *spec != MetricSpec::loss() {
            return Err(MetricError::OtherTarget {
                expected: "measured by more than the loss",
            });
        }
        if self.0[EXAMPLES] + i64::from(examples) > MAX_NUMBERS {
            return Err(MetricError::TooMany);
        }
        if examples == 0 {
            return Ok(());
        }
        let loss = fixed(loss, "loss")?;
        self.0[EXAMPLES] += i64::from(examples);
        self.add(LOSS, loss);
        Ok(())
    }

    /// Adds the examples of `other`, whose spec must be the same. On an error nothing was added.
    ///
    /// # Errors
    /// Another length, or too many examples.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        if self.0.len() != other.0.len() {
            return Err(MetricError::Length {
                expected: self.0.len(),
                found: other.0.len(),
            });
        }
        // Every other sum is at most 2^32 an example, so none overflows if the examples do not.
        if self.0[EXAMPLES] + other.0[EXAMPLES] > MAX_NUMBERS {
            return Err(MetricError::TooMany);
        }
        for (sum, other) in self.0.iter_mut().zip(&other.0) {
            *sum += other;
        }
        Ok(())
    }

    fn observe_class(
        &mut self,
        spec: &MetricSpec,
        label: u32,
        predicted: u32,
        score: f64,
    ) -> Result<(), MetricError> {
        let classes = spec.classes();
        let places = spec.places;
        if classes == 0 && (places.squares.is_some() || places.absolutes.is_some()) {
            return Err(MetricError::OtherTarget {
                expected: "a number",
            });
        }
        // A spec of the loss alone knows no classes.
        if let Some(&found) = [label, predicted]
            .iter()
            .find(|&&class| classes > 0 && class >= classes)
        {
            return Err(MetricError::NoSuchClass { classes, found });
        }
        if let Some(at) = places.scores {
            let bin = score_bin(score)?;
            self.0[at + label as usize * MetricSpec::SCORE_BINS + bin] += 1;
        }
        if let Some(at) = places.correct {
            self.0[at] += i64::from(label == predicted);
        }
        if let Some(at) = places.confusion {
            let [label, predicted] = [label, predicted].map(|class| at + 3 * class as usize);
            if label == predicted {
                self.0[label] += 1;
            } else {
                self.0[predicted + 1] += 1;
                self.0[label + 2] += 1;
            }
        }
        Ok(())
    }

    fn observe_value(&mut self, spec: &MetricSpec, error: f64) -> Result<(), MetricError> {
        if spec.classes() > 0 {
            return Err(MetricError::OtherTarget {
                expected: "a class",
            });
        }
        let square = fixed(error * error, "squared error")?;
        let absolute = fixed(error.abs(), "absolute error")?;
        if let Some(at) = spec.places.squares {
            self.add(at, square);
        }
        if let Some(at) = spec.places.absolutes {
            self.add(at, absolute);
        }
        Ok(())
    }

    fn add(&mut self, at: usize, fixed: i64) {
        let [low, high] = split(fixed);
        self.0[at] += low;
        self.0[at + 1] += high;
    }
}

fn fixed(value: f64, what: &'static str) -> Result<i64, MetricError> {
    let scaled = libm::rint(libm::ldexp(value, MetricSpec::FRACTION_BITS as i32));
    // A NaN fails the comparison too.
    match scaled.abs() < libm::ldexp(1.0, 63) {
        true => Ok(scaled as i64),
        false => Err(MetricError::OutOfRange { what }),
    }
}

/// The bin of a probability: equally wide in its logit, since the scores of a confident model crowd at 0 and 1.
fn score_bin(score: f64) -> Result<usize, MetricError> {
    if !(0.0..=1.0).contains(&score) {
        return Err(MetricError::OutOfRange {
            what: "score (a probability from 0 to 1)",
        });
    }
    let logit = libm::log(score / (1.0 - score)).clamp(-16.0, 16.0);
    let bin = ((logit + 16.0) / 32.0 * MetricSpec::SCORE_BINS as f64) as usize;
    Ok(bin.min(MetricSpec::SCORE_BINS - 1))
}

/// The first sum that no `examples` predictions could have given.
fn first_impossible(spec: &MetricSpec, values: &[i64], examples: i64) -> Option<usize> {
    let places = spec.places;
    let limbs = |at: usize, signed: bool| {
        let high = match signed {
            true => -(examples << 31)..=examples << 31,
            false => 0..=examples << 31,
        };
        let low = 0..=examples.saturating_mul(0xffff_ffff);
        (!low.contains(&values[at]))
            .then_some(at)
            .or((!high.contains(&values[at + 1])).then_some(at + 1))
    };
    let counts = |at: usize, len: usize| {
        let counts = &values[at..at + len];
        counts
            .iter()
            .position(|count| !(0..=examples).contains(count))
            .map(|found| at + found)
    };
    limbs(LOSS, true)
        .or_else(|| places.correct.and_then(|at| counts(at, 1)))
        .or_else(|| {
            let at = places.confusion?;
            let len = 3 * spec.classes() as usize;
            let of = |kind| {
                values[at..at + len]
                    .iter()
                    .skip(kind)
                    .step_by(3)
                    .sum::<i64>()
            };
            counts(at, len).or_else(|| {
                let whole = of(0) + of(1) == examples && of(0) + of(2) == examples;
                (!whole).then_some(at)
            })
        })
        .or_else(|| {
            let at = places.scores?;
            let len = 2 * MetricSpec::SCORE_BINS;
            counts(at, len)
                .or_else(|| (values[at..at + len].iter().sum::<i64>() != examples).then_some(at))
        })
        .or_else(|| places.squares.and_then(|at| limbs(at, false)))
        .or_else(|| places.absolutes.and_then(|at| limbs(at, false)))
}
