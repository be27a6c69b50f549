//! Pictures as SVG text: line charts, histograms, interval charts and heat maps, without a script or a font file.
//!
//! Every picture scales with its width, follows a page's light or dark scheme through CSS variables, and stands alone
//! with [`Picture::standalone`].

mod heat_map;
mod histogram;
mod interval_chart;
mod line_chart;
mod palette;
mod scale;
mod svg;

pub use heat_map::HeatMap;
pub use histogram::Histogram;
pub use interval_chart::{Interval, IntervalChart};
pub use line_chart::{Line, LineChart, Mark};
pub use palette::STYLE;
pub use svg::{Picture, escape};
