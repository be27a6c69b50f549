//! How one number is spread over clients, with the worst tenth set apart.

use super::scale::Scale;
use super::svg::Picture;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 58.0;
const BINS: usize = 24;

/// A histogram over clients.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Above the chart.
    pub title: String,
    /// What is counted, such as `accuracy`.
    pub label: String,
    /// One value a client; those that are not finite are left out.
    pub values: Vec<f64>,
    /// Whether the worst tenth are the smallest values.
    pub higher_is_better: bool,
}

impl Histogram {
    /// Mean of the worst tenth of the clients (at least one); none without a finite value.
    #[must_use]
    pub fn worst_tenth(&self) -> Option<f64> {
        let worst_first = self.worst_first();
        let worst = worst_first.get(..worst_first.len().div_ceil(10))?;
        (!worst.is_empty()).then(|| worst.iter().sum::<f64>() / worst.len() as f64)
    }

    /// The value that half of the clients reach; none without a finite value.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let sorted = self.worst_first();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
        }
    }

    /// The chart as a picture.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let sorted = self.worst_first();
        let x = Scale::covering(sorted.iter().copied(), LEFT, WIDTH - RIGHT);
        let width = (WIDTH - LEFT - RIGHT) / BINS as f64;
        let bin_of = |value: f64| (((x.pixel(value) - LEFT) / width) as usize).min(BINS - 1);
        let worst = sorted.len().div_ceil(10);
        let mut bins = [(0usize, 0usize); BINS];
        for (rank, &value) in sorted.iter().enumerate() {
            let (all, bad) = &mut bins[bin_of(value)];
            *all += 1;
            *bad += usize::from(rank < worst);
        }
        let most = bins.iter().map(|(all, _)| *all).max().unwrap_or(0).max(1);
        let floor = HEIGHT - BOTTOM;
        let y = Scale::covering([0.0, most as f64], floor, TOP);

        let mut picture = Picture::new(WIDTH, HEIGHT);
        picture.text(LEFT, 20.0, "start", "title", &self.title);
        for (value, text) in y
            .ticks(4)
            .into_iter()
            .filter(|(value, _)| value.fract() == 0.0)
        {
            picture.line(
                (LEFT, y.pixel(value)),
                (WIDTH - RIGHT, y.pixel(value)),
                "grid",
                None,
            );
            picture.text(LEFT - 6.0, y.pixel(value) + 4.0, "end", "faint", &text);
        }
        for (index, (all, bad)) in bins
            .into_iter()
            .enumerate()
            .filter(|(_, (all, _))| *all > 0)
        {
            let left = LEFT + index as f64 * width + 1.0;
            let mut bar = |from: usize, to: usize, fill: &str| {
                let (top, bottom) = (y.pixel(to as f64), y.pixel(from as f64));
                let hover = format!("{all} clients, {bad} of them in the worst tenth");
                picture.rectangle((left, top), (width - 2.0, bottom - top), fill, &hover);
            };
            if bad > 0 {
                bar(0, bad, "var(--worst)");
            }
            if all > bad {
                bar(bad, all, "var(--bar)");
            }
        }
        picture.line((LEFT, floor), (WIDTH - RIGHT, floor), "axis", None);
        for (value, text) in x.ticks(8) {
            picture.text(x.pixel(value), floor + 16.0, "middle", "faint", &text);
        }
        picture.text(
            (LEFT + WIDTH - RIGHT) / 2.0,
            floor + 34.0,
            "middle",
            "faint",
            &self.label,
        );
        picture.upward_text(14.0, (TOP + floor) / 2.0, "clients");
        picture.rectangle((LEFT, HEIGHT - 14.0), (10.0, 10.0), "var(--worst)", "");
        picture.text(
            LEFT + 16.0,
            HEIGHT - 5.0,
            "start",
            "",
            "worst tenth of the clients",
        );
        picture
    }

    fn worst_first(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self
            .values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        if !self.higher_is_better {
            values.reverse();
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f64], higher_is_better: bool) -> Histogram {
        Histogram {
            title: String::new(),
            label: "accuracy".to_owned(),
            values: values.to_vec(),
            higher_is_better,
        }
    }

    #[test]
    fn the_worst_tenth_is_the_smallest_accuracy_and_the_largest_loss() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(histogram(&values, true).worst_tenth(), Some(1.5));
        assert_eq!(histogram(&values, false).worst_tenth(), Some(19.5));
        assert_eq!(histogram(&values, true).median(), Some(10.5));
    }

    #[test]
    fn no_client_and_clients_without_a_value_make_an_empty_picture() {
        assert_eq!(histogram(&[], true).worst_tenth(), None);
        assert_eq!(histogram(&[f64::NAN], true).median(), None);
        assert!(
            !histogram(&[f64::NAN], true)
                .picture()
                .inline()
                .contains("NaN")
        );
    }

    #[test]
    fn every_client_is_in_one_bar() {
        let text = histogram(&[0.0, 0.5, 0.5, 1.0], true).picture().inline();
        assert_eq!(text.matches("clients, ").count(), 3);
    }
}
