//! Means with their intervals, one a row: a federated model beside its baselines.

use super::line_chart::shortened;
use super::palette::colour;
use super::scale::Scale;
use super::svg::Picture;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 40.0;
const ROW: f64 = 34.0;
const BOTTOM: f64 = 30.0;

/// A chart of intervals over a common axis.
#[derive(Clone, Debug)]
pub struct IntervalChart {
    /// Above the chart.
    pub title: String,
    /// The rows, from above.
    pub rows: Vec<Interval>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Interval {
    /// At its left.
    pub name: String,
    /// Where its point stands.
    pub mean: f64,
    /// Half the width of its bar; none for a single value.
    pub half_width: Option<f64>,
}

impl IntervalChart {
    /// The chart as a picture.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let floor = TOP + self.rows.len() as f64 * ROW;
        let mut picture = Picture::new(WIDTH, floor + BOTTOM);
        let ends = self.rows.iter().flat_map(|row| {
            let half = row.half_width.unwrap_or(0.0);
            [row.mean - half, row.mean + half]
        });
        let x = Scale::covering(ends, LEFT, WIDTH - RIGHT).rounded_out();

        picture.text(12.0, 20.0, "start", "title", &self.title);
        for (value, text) in x.ticks(6) {
            let across = x.pixel(value);
            picture.line((across, TOP - 6.0), (across, floor), "grid", None);
            picture.text(across, floor + 18.0, "middle", "faint", &text);
        }
        for (index, row) in self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.mean.is_finite())
        {
            let height = TOP + (index as f64 + 0.4) * ROW;
            picture.text(
                LEFT - 12.0,
                height + 4.0,
                "end",
                "",
                &shortened(&row.name, 26),
            );
            let half = row.half_width.unwrap_or(0.0);
            let bar = [
                (x.pixel(row.mean - half), height),
                (x.pixel(row.mean + half), height),
            ];
            picture.polyline(&bar, colour(index), "");
            picture.circle(x.pixel(row.mean), height, 5.0, colour(index));
            let text = match row.half_width {
                Some(half) => format!("{:.4} ± {half:.4}", row.mean),
                None => format!("{:.4}", row.mean),
            };
            picture.text(WIDTH - RIGHT + 10.0, height + 4.0, "start", "", &text);
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_says_its_mean_and_its_interval() {
        let row = |name: &str, mean, half_width| Interval {
            name: name.to_owned(),
            mean,
            half_width,
        };
        let chart = IntervalChart {
            title: "accuracy".to_owned(),
            rows: vec![row("federated", 0.75, Some(0.01)), row("pooled", 0.8, None)],
        };
        let text = chart.picture().inline();
        assert!(text.contains("0.7500 ± 0.0100"));
        assert!(text.contains(">0.8000<"));
    }
}
