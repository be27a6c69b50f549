//! One measured number of a server, beside what it must reach.

use serde::Serialize;

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerFigure {
    /// Such as `node-memory`.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What the number must reach; none for one that only explains others.
    pub target: Option<Target>,
    /// Whether it is reached.
    pub is_met: Option<bool>,
    /// What the number is made of, where that is not plain.
    pub remark: Option<String>,
}

/// What a number must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl ServerFigure {
    /// A number that has a target.
    #[must_use]
    pub fn held_to(name: &'static str, value: f64, unit: &'static str, target: Target) -> Self {
        Self {
            name,
            value,
            unit,
            target: Some(target),
            is_met: Some(target.is_met_by(value)),
            remark: None,
        }
    }

    /// The number of refusals and broken connections, of which there shall be none.
    #[must_use]
    pub fn errors(name: &'static str, count: usize, words: String) -> Self {
        let remark = (count > 0).then_some(words);
        let figure = Self::held_to(name, count as f64, "", Target::AtMost(0.0));
        Self { remark, ..figure }
    }

    /// A number that explains others.
    #[must_use]
    pub fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value,
            unit,
            target: None,
            is_met: None,
            remark: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_what_lies_on_its_side_of_it() {
        let is_met = |value, target| ServerFigure::held_to("f", value, "s", target).is_met;
        assert_eq!(is_met(3.0, Target::AtMost(3.0)), Some(true));
        assert_eq!(is_met(3.1, Target::AtMost(3.0)), Some(false));
        assert_eq!(is_met(0.7, Target::AtLeast(0.7)), Some(true));
        assert_eq!(is_met(0.6, Target::AtLeast(0.7)), Some(false));
        assert_eq!(is_met(f64::NAN, Target::AtLeast(0.7)), Some(false));
    }
}
