//! Which metrics a task measures, and where their sums lie.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{MetricError, MetricSums};
use crate::wide::join;

/// A metric. The list is closed: what may leave a client is known in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Mean loss of an example.
    Loss,
    /// Share of examples whose class is predicted.
    Accuracy,
    /// Mean over classes of the harmonic mean of precision and recall. A class that neither occurs nor is
    /// predicted is left out; one that is never predicted counts 0.
    MacroF1,
    /// Probability that a random positive example scores above a random negative one; ties count half.
    RocAuc,
    /// `exp` of the mean loss.
    Perplexity,
    /// Mean of (predicted − target)².
    MeanSquaredError,
    /// Mean of |predicted − target|.
    MeanAbsoluteError,
}

impl MetricKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Loss,
        Self::Accuracy,
        Self::MacroF1,
        Self::RocAuc,
        Self::Perplexity,
        Self::MeanSquaredError,
        Self::MeanAbsoluteError,
    ];

    /// The name in job files and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro_f1",
            Self::RocAuc => "roc_auc",
            Self::Perplexity => "perplexity",
            Self::MeanSquaredError => "mean_squared_error",
            Self::MeanAbsoluteError => "mean_absolute_error",
        }
    }

    /// Whether a larger value is a better model.
    pub const fn higher_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::MacroF1 | Self::RocAuc)
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The metrics of a task, for a target of so many classes.
///
/// Its sums are integers in one vector: examples and loss, then only what the named metrics need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSpec {
    kinds: Vec<MetricKind>,
    classes: u32,
    pub(super) places: Places,
}

/// Where each group of sums begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// Correct predictions: 1.
    pub(super) correct: Option<usize>,
    /// True positives, false positives and false negatives of each class: 3 a class.
    pub(super) confusion: Option<usize>,
    /// Histograms of the scores of negative, then positive examples: 2 × [`MetricSpec::SCORE_BINS`].
    pub(super) scores: Option<usize>,
    /// Squared errors: 2 limbs.
    pub(super) squares: Option<usize>,
    /// Absolute errors: 2 limbs.
    pub(super) absolutes: Option<usize>,
    pub(super) len: usize,
}

/// Examples, and the loss in 2 limbs.
pub(super) const EXAMPLES: usize = 0;
pub(super) const LOSS: usize = 1;

impl MetricSpec {
    /// Bins of a score histogram, equally wide in the score's logit from −16 to 16 (the outer ones open).
    pub const SCORE_BINS: usize = 4096;

    /// Bits after the point of summed losses and errors.
    pub const FRACTION_BITS: u32 = 20;

    /// The metrics `kinds` for a target of `classes` classes, or 0 if the target is a number.
    ///
    /// # Errors
    /// No metric, one named twice, or one that does not fit the target.
    pub fn new(kinds: Vec<MetricKind>, classes: u32) -> Result<Self, MetricError> {
        if kinds.is_empty() {
            return Err(MetricError::Nothing);
        }
        for (at, &kind) in kinds.iter().enumerate() {
            if kinds[..at].contains(&kind) {
                return Err(MetricError::Repeated { kind });
            }
            let (fits, expected) = match kind {
                MetricKind::Loss => (true, ""),
                MetricKind::Accuracy | MetricKind::MacroF1 | MetricKind::Perplexity => {
                    (classes > 0, "classes")
                }
                MetricKind::RocAuc => (classes == 2, "two classes"),
                MetricKind::MeanSquaredError | MetricKind::MeanAbsoluteError => {
                    (classes == 0, "a number as target")
                }
            };
            if !fits {
                return Err(MetricError::Classes {
                    kind,
                    expected,
                    found: classes,
                });
            }
        }
        let places = Places::of(&kinds, classes);
        Ok(Self {
            kinds,
            classes,
            places,
        })
    }

    /// The loss alone, as measured while training.
    pub fn loss() -> Self {
        let kinds = vec![MetricKind::Loss];
        let places = Places::of(&kinds, 0);
        Self {
            kinds,
            classes: 0,
            places,
        }
    }

    /// The metrics, in the order in which they were named.
    pub fn kinds(&self) -> &[MetricKind] {
        &self.kinds
    }

    /// Classes of the target; 0 if it is a number.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Number of sums.
    pub fn sums(&self) -> usize {
        self.places.len
    }

    /// Sums over no example.
    pub fn zero(&self) -> MetricSums {
        MetricSums::zero(self.places.len)
    }

    /// The metric's value, or `None` if the sums do not say: no examples, only one class present (ROC-AUC),
    /// or a metric that the spec does not name.
    pub fn value(&self, kind: MetricKind, sums: &MetricSums) -> Option<f64> {
        if !self.kinds.contains(&kind) || sums.examples() == 0 {
            return None;
        }
        let sums = sums.values();
        let examples = sums[EXAMPLES] as f64;
        let mean = |at: usize| fixed(&sums[at..]) / examples;
        match kind {
            MetricKind::Loss => Some(mean(LOSS)),
            MetricKind::Perplexity => Some(libm::exp(mean(LOSS))),
            MetricKind::Accuracy => Some(sums[self.places.correct?] as f64 / examples),
            MetricKind::MacroF1 => {
                let at = self.places.confusion?;
                macro_f1(&sums[at..at + 3 * self.classes as usize])
            }
            MetricKind::RocAuc => {
                let (negatives, positives) = sums[self.places.scores?..].split_at(Self::SCORE_BINS);
                roc_auc(negatives, &positives[..Self::SCORE_BINS])
            }
            MetricKind::MeanSquaredError => Some(mean(self.places.squares?)),
            MetricKind::MeanAbsoluteError => Some(mean(self.places.absolutes?)),
        }
    }

    /// All named metrics with their values.
    pub fn values<'a>(
        &'a self,
        sums: &'a MetricSums,
    ) -> impl Iterator<Item = (MetricKind, Option<f64>)> + 'a {
        self.kinds
            .iter()
            .map(|&kind| (kind, self.value(kind, sums)))
    }
}

impl Places {
    fn of(kinds: &[MetricKind], classes: u32) -> Self {
        let mut len = LOSS + 2;
        let mut place = |kind, size| {
            kinds.contains(&kind).then(|| {
                len += size;
                len - size
            })
        };
        let correct = place(MetricKind::Accuracy, 1);
        let confusion = place(MetricKind::MacroF1, 3 * classes as usize);
        let scores = place(MetricKind::RocAuc, 2 * MetricSpec::SCORE_BINS);
        let squares = place(MetricKind::MeanSquaredError, 2);
        let absolutes = place(MetricKind::MeanAbsoluteError, 2);
        Self {
            correct,
            confusion,
            scores,
            squares,
            absolutes,
            len,
        }
    }
}

fn fixed(limbs: &[i64]) -> f64 {
    libm::ldexp(
        join([limbs[0], limbs[1]]) as f64,
        -(MetricSpec::FRACTION_BITS as i32),
    )
}

fn macro_f1(confusion: &[i64]) -> Option<f64> {
    let scores = confusion.chunks_exact(3).filter_map(|counts| {
        let [hits, false_positives, false_negatives] = [counts[0], counts[1], counts[2]];
        let all = 2 * hits + false_positives + false_negatives;
        (all > 0).then(|| (2 * hits) as f64 / all as f64)
    });
    let (sum, present) = scores.fold((0.0, 0), |(sum, present), f1| (sum + f1, present + 1));
    (present > 0).then(|| sum / f64::from(present))
}

/// The Mann-Whitney statistic over bins: pairs in one bin count half.
fn roc_auc(negatives: &[i64], positives: &[i64]) -> Option<f64> {
    let mut below = 0_i128;
    let mut twice_won = 0_i128;
    for (&negative, &positive) in negatives.iter().zip(positives) {
        let (negative, positive) = (i128::from(negative), i128::from(positive));
        twice_won += positive * (2 * below + negative);
        below += negative;
    }
    let pairs = below
        * positives
            .iter()
            .map(|&count| i128::from(count))
            .sum::<i128>();
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}
