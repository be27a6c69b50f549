//! A linear scale from values to pixels, with ticks at round numbers.

/// Maps `[low, high]` of values to `[from, to]` of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale that covers all finite `values`, with some room where they are all equal.
    pub(super) fn covering(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low == high {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - room, high + room);
        }
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// The same scale, its ends moved outwards to ticks.
    pub(super) fn rounded_out(self) -> Self {
        let step = self.step(5);
        Self {
            low: (self.low / step).floor() * step,
            high: (self.high / step).ceil() * step,
            ..self
        }
    }

    /// Pixel of `value`.
    pub(super) fn pixel(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `wanted` round values within the scale, in ascending order, each with its text.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let step = self.step(wanted);
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|index| {
                let value = index as f64 * step;
                (value, tick_text(value, decimals))
            })
            .collect()
    }

    /// The smallest of 1, 2, 5 × a power of ten that gives at most `wanted` + 1 ticks.
    fn step(&self, wanted: usize) -> f64 {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|factor| factor * power >= rough * (1.0 - 1e-9))
            .unwrap_or(10.0);
        factor * power
    }
}

fn tick_text(value: f64, decimals: usize) -> String {
    let size = value.abs();
    if size >= 1e9 {
        format!("{}G", value / 1e9)
    } else if size >= 1e6 {
        format!("{}M", value / 1e6)
    } else if size >= 1e4 {
        format!("{}k", value / 1e3)
    } else {
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_scale() {
        let texts = |low, high| -> Vec<String> {
            Scale::covering([low, high], 0.0, 1.0)
                .ticks(5)
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        };
        assert_eq!(texts(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(1.0, 50.0), ["10", "20", "30", "40", "50"]);
        assert_eq!(texts(0.0, 2e6), ["0", "500k", "1M", "1.5M", "2M"]);
    }

    #[test]
    fn one_value_and_no_value_still_make_a_scale() {
        for values in [vec![], vec![3.0], vec![0.0], vec![f64::NAN]] {
            let scale = Scale::covering(values, 10.0, 20.0).rounded_out();
            assert!(scale.low < scale.high, "{scale:?}");
            assert!(!scale.ticks(4).is_empty());
        }
    }

    #[test]
    fn a_downward_axis_maps_the_larger_value_to_the_smaller_pixel() {
        let scale = Scale::covering([0.0, 10.0], 100.0, 0.0);
        assert_eq!((scale.pixel(0.0), scale.pixel(10.0)), (100.0, 0.0));
    }
}
