//! Who holds what: rows by class and client, the darker the more.

use super::line_chart::shortened;
use super::palette::heat;
use super::svg::Picture;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const TALLEST_ROW: f64 = 22.0;
/// More columns than this are thinner than a reader can tell apart.
const MOST_COLUMNS: usize = 120;
const MOST_ROWS: usize = 60;

/// Counts by row (class) and column (client).
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// Above the chart.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// `counts[column * rows.len() + row]`.
    pub counts: Vec<u64>,
}

impl HeatMap {
    /// The chart as a picture. Of more than 120 columns it shows 120, evenly over their order by size, and says so.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let shown = self.shown_columns();
        let rows = self.rows.len().min(MOST_ROWS);
        let height = (420.0 / rows.max(1) as f64).clamp(8.0, TALLEST_ROW);
        let width = (WIDTH - LEFT - RIGHT) / shown.len().max(1) as f64;
        let floor = TOP + rows as f64 * height;
        let mut picture = Picture::new(WIDTH, floor + BOTTOM);
        picture.text(12.0, 20.0, "start", "title", &self.title);

        let most = self.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        for (position, &column) in shown.iter().enumerate() {
            for row in 0..rows {
                let count = self.count(column, row);
                if count == 0 {
                    continue;
                }
                // The root keeps small holdings visible beside large ones.
                let fill = heat((count as f64 / most).sqrt());
                let at = (LEFT + position as f64 * width, TOP + row as f64 * height);
                let size = ((width - 1.0).max(0.5), (height - 1.0).max(0.5));
                let hover = format!("{}, {}: {count} rows", self.columns[column], self.rows[row]);
                picture.rectangle(at, size, &fill, &hover);
            }
        }
        for (row, name) in self.rows.iter().enumerate().take(rows) {
            let middle = TOP + (row as f64 + 0.5) * height + 4.0;
            picture.text(LEFT - 8.0, middle, "end", "faint", &shortened(name, 14));
        }
        self.draw_caption(&mut picture, &shown, floor, width);
        picture
    }

    fn draw_caption(&self, picture: &mut Picture, shown: &[usize], floor: f64, width: f64) {
        if shown.len() <= 12 {
            for (position, &column) in shown.iter().enumerate() {
                let middle = LEFT + (position as f64 + 0.5) * width;
                let most = (width / 7.0) as usize;
                picture.text(
                    middle,
                    floor + 14.0,
                    "middle",
                    "faint",
                    &shortened(&self.columns[column], most.max(3)),
                );
            }
        }
        let caption = if shown.len() < self.columns.len() {
            format!(
                "{} of {} clients, evenly from the largest to the smallest",
                shown.len(),
                self.columns.len()
            )
        } else {
            format!("{} clients", shown.len())
        };
        picture.text(
            (LEFT + WIDTH - RIGHT) / 2.0,
            floor + 32.0,
            "middle",
            "faint",
            &caption,
        );
    }

    /// All columns in their order, or an even choice of them by falling size where there are too many.
    fn shown_columns(&self) -> Vec<usize> {
        if self.columns.len() <= MOST_COLUMNS {
            return (0..self.columns.len()).collect();
        }
        let size = |column: usize| -> u64 {
            (0..self.rows.len())
                .map(|row| self.count(column, row))
                .sum()
        };
        let mut by_size: Vec<usize> = (0..self.columns.len()).collect();
        by_size.sort_by_cached_key(|&column| (std::cmp::Reverse(size(column)), column));
        let last = by_size.len() - 1;
        (0..MOST_COLUMNS)
            .map(|step| by_size[step * last / (MOST_COLUMNS - 1)])
            .collect()
    }

    fn count(&self, column: usize, row: usize) -> u64 {
        self.counts
            .get(column * self.rows.len() + row)
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(clients: usize) -> HeatMap {
        HeatMap {
            title: "rows".to_owned(),
            columns: (0..clients)
                .map(|client| format!("client-{client}"))
                .collect(),
            rows: vec!["0".to_owned(), "1".to_owned()],
            counts: (0..clients).flat_map(|client| [client as u64, 0]).collect(),
        }
    }

    #[test]
    fn a_cell_tells_its_client_its_class_and_its_rows() {
        let text = map(3).picture().inline();
        assert!(text.contains("client-2, 0: 2 rows"));
        assert!(!text.contains("client-0, 0"), "an empty cell is left blank");
    }

    #[test]
    fn of_a_thousand_clients_the_largest_and_the_smallest_are_shown() {
        let shown = map(1000).shown_columns();
        assert_eq!(shown.len(), MOST_COLUMNS);
        assert_eq!((shown[0], shown[MOST_COLUMNS - 1]), (999, 0));
        assert!(map(1000).picture().inline().contains("120 of 1000 clients"));
    }
}
