//! Values over rounds: one line a series, with optional marks such as a baseline or a target.

use super::palette::{colour, dash};
use super::scale::Scale;
use super::svg::Picture;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
const LEGEND_ROW: f64 = 18.0;
const LEGEND_COLUMN: f64 = 220.0;
/// More points than pixels show nothing more.
const MOST_POINTS: usize = 1400;

/// A chart of lines over a common axis.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// Above the chart.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// The series.
    pub lines: Vec<Line>,
    /// Horizontal marks.
    pub marks: Vec<Mark>,
    /// Whether the vertical axis begins at zero, as it must for amounts.
    pub from_zero: bool,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// Points in ascending x; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// A horizontal line at a value that a reader compares with.
#[derive(Clone, Debug)]
pub struct Mark {
    /// In the legend.
    pub name: String,
    /// Where it stands.
    pub value: f64,
}

impl LineChart {
    /// The chart as a picture.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let entries = self.lines.len() + self.marks.len();
        let columns = ((WIDTH - LEFT - RIGHT) / LEGEND_COLUMN) as usize;
        let legend_rows = entries.div_ceil(columns);
        let mut picture = Picture::new(WIDTH, HEIGHT + legend_rows as f64 * LEGEND_ROW);
        let points = || self.lines.iter().flat_map(|line| finite(&line.points));
        let x = Scale::covering(points().map(|(x, _)| x), LEFT, WIDTH - RIGHT);
        let heights = points()
            .map(|(_, y)| y)
            .chain(self.marks.iter().map(|mark| mark.value))
            .chain(self.from_zero.then_some(0.0));
        let y = Scale::covering(heights, HEIGHT - BOTTOM, TOP).rounded_out();

        picture.text(LEFT, 20.0, "start", "title", &self.title);
        self.draw_axes(&mut picture, &x, &y);
        for (index, line) in self.lines.iter().enumerate() {
            draw_line(&mut picture, line, index, &x, &y);
        }
        for (index, mark) in self.marks.iter().enumerate() {
            let height = y.pixel(mark.value);
            let colour = colour(self.lines.len() + index);
            picture.line(
                (LEFT, height),
                (WIDTH - RIGHT, height),
                "mark",
                Some(colour),
            );
        }
        self.draw_legend(&mut picture, columns);
        picture
    }

    fn draw_axes(&self, picture: &mut Picture, x: &Scale, y: &Scale) {
        for (value, text) in y.ticks(5) {
            let height = y.pixel(value);
            picture.line((LEFT, height), (WIDTH - RIGHT, height), "grid", None);
            picture.text(LEFT - 6.0, height + 4.0, "end", "faint", &text);
        }
        let floor = HEIGHT - BOTTOM;
        picture.line((LEFT, floor), (WIDTH - RIGHT, floor), "axis", None);
        for (value, text) in x.ticks(8) {
            picture.text(x.pixel(value), floor + 16.0, "middle", "faint", &text);
        }
        picture.text(
            (LEFT + WIDTH - RIGHT) / 2.0,
            floor + 34.0,
            "middle",
            "faint",
            &self.x_label,
        );
        picture.upward_text(14.0, (TOP + floor) / 2.0, &self.y_label);
    }

    fn draw_legend(&self, picture: &mut Picture, columns: usize) {
        let lines = self.lines.iter().map(|line| (line.name.clone(), "line"));
        let marks = self
            .marks
            .iter()
            .map(|mark| (format!("{} {:.4}", mark.name, mark.value), "mark"));
        for (index, (name, class)) in lines.chain(marks).enumerate() {
            let left = LEFT + (index % columns) as f64 * LEGEND_COLUMN;
            let height = HEIGHT + (index / columns) as f64 * LEGEND_ROW + 4.0;
            let ends = [(left, height - 4.0), (left + 22.0, height - 4.0)];
            if class == "mark" {
                picture.line(ends[0], ends[1], class, Some(colour(index)));
            } else {
                picture.polyline(&ends, colour(index), dash(index));
            }
            picture.text(left + 28.0, height, "start", "", &shortened(&name, 30));
        }
    }
}

fn draw_line(picture: &mut Picture, line: &Line, index: usize, x: &Scale, y: &Scale) {
    let points: Vec<(f64, f64)> = finite(&line.points).collect();
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let pixels: Vec<(f64, f64)> = points
        .iter()
        .enumerate()
        .filter(|(position, _)| position % stride == 0 || *position == last)
        .map(|(_, &(across, up))| (x.pixel(across), y.pixel(up)))
        .collect();
    match pixels.as_slice() {
        [] => {}
        [(across, up)] => picture.circle(*across, *up, 3.0, colour(index)),
        _ => picture.polyline(&pixels, colour(index), dash(index)),
    }
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    points
        .iter()
        .copied()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// At most `most` characters of `text`, with an ellipsis for what was cut.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        LineChart {
            title: "accuracy".to_owned(),
            x_label: "round".to_owned(),
            y_label: "accuracy".to_owned(),
            lines: vec![Line {
                name: "digits-1".to_owned(),
                points,
            }],
            marks: vec![Mark {
                name: "pooled".to_owned(),
                value: 0.97,
            }],
            from_zero: false,
        }
    }

    #[test]
    fn the_first_and_the_last_point_of_a_long_run_are_drawn() {
        let points = (0..=100_000).map(|round| (f64::from(round), 0.5)).collect();
        let text = chart(points).picture().inline();
        assert!(
            text.contains(r#"points="62.00,"#),
            "starts at the left edge"
        );
        assert!(text.contains("706.00,"), "ends at the right edge");
        assert!(text.len() < 60_000, "{}", text.len());
    }

    #[test]
    fn values_that_are_not_finite_leave_a_chart() {
        let text = chart(vec![(1.0, f64::NAN), (2.0, f64::INFINITY)])
            .picture()
            .standalone();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.contains("pooled 0.9700"));
    }
}
