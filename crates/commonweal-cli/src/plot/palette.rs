//! Colours that people with any colour vision tell apart (Okabe and Ito 2008), and the style that pictures share.

/// Colours of series, in their order of use.
const SERIES: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f",
];

/// Dashes that tell series apart once the colours repeat.
const DASHES: [&str; 3] = ["", "6 3", "2 3"];

/// CSS of all pictures: `--ink` and `--paper` follow the reader's light or dark scheme.
pub const STYLE: &str = "\
:root{--ink:#1c2024;--faint:#8b9096;--grid:#e3e6e9;--paper:#ffffff;--worst:#d55e00;--bar:#0072b2}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--faint:#9aa0a6;--grid:#33383d;--paper:#16191c}}\
svg.picture{font:12px system-ui,sans-serif;fill:var(--ink);width:100%;height:auto;max-width:760px}\
svg.picture .title{font-size:14px;font-weight:600}\
svg.picture .faint{fill:var(--faint)}\
svg.picture .grid{stroke:var(--grid);stroke-width:1}\
svg.picture .axis{stroke:var(--faint);stroke-width:1}\
svg.picture .line{fill:none;stroke-width:2;stroke-linejoin:round}\
svg.picture .mark{stroke-width:1.5;stroke-dasharray:4 4}";

/// Colour of the series at `index`.
pub(super) fn colour(index: usize) -> &'static str {
    SERIES[index % SERIES.len()]
}

/// Dash pattern of the series at `index`; empty for a solid line.
pub(super) fn dash(index: usize) -> &'static str {
    DASHES[index / SERIES.len() % DASHES.len()]
}

/// Colour of a heat map's cell: from nearly the paper to full strength, for `share` in [0, 1].
pub(super) fn heat(share: f64) -> String {
    format!("rgba(0,114,178,{:.3})", 0.06 + 0.94 * share.clamp(0.0, 1.0))
}
