//! One measured number, beside the least that the machine would allow.

use serde::Serialize;

use super::machine::Machine;

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Such as `step-2nn`.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit; what it counts is in the description of the benchmark.
    pub unit: &'static str,
    /// What the measured peak of this machine would make of the same work, in the same unit; none
    /// where no such bound makes sense.
    pub limit: Option<f64>,
    /// The share of the limit that is reached: 1 is all of it, whether more or less is better.
    pub ratio: Option<f64>,
}

impl Figure {
    /// A time, whose limit is that of `flops` operations on `threads` cores at the machine's peak.
    pub fn time(
        name: &'static str,
        unit: TimeUnit,
        seconds: f64,
        flops: f64,
        threads: usize,
        machine: &Machine,
    ) -> Self {
        let limit = flops / (machine.flops_per_second() * threads as f64);
        Self {
            name,
            value: seconds * unit.in_a_second(),
            unit: unit.name(),
            limit: Some(limit * unit.in_a_second()),
            ratio: Some(limit / seconds),
        }
    }

    /// A rate of bytes, whose limit is the machine's bandwidth.
    pub fn bandwidth(name: &'static str, bytes_per_second: f64, machine: &Machine) -> Self {
        let limit = machine.bytes_per_second();
        Self {
            name,
            value: bytes_per_second / 1e9,
            unit: "GB/s",
            limit: Some(limit / 1e9),
            ratio: Some(bytes_per_second / limit),
        }
    }

    /// A number without a limit.
    pub fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value,
            unit,
            limit: None,
            ratio: None,
        }
    }
}

/// The unit that a time is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// 10⁻⁶ s.
    Microseconds,
    /// 10⁻³ s.
    Milliseconds,
    /// s.
    Seconds,
}

impl TimeUnit {
    fn in_a_second(self) -> f64 {
        match self {
            Self::Microseconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Seconds => 1.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }
}
