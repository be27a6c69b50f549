//! SVG text: escaped, with two digits of a pixel.

use std::fmt::Write;

use super::palette::STYLE;

/// An SVG element under construction, and when finished.
#[derive(Clone, Debug)]
pub struct Picture {
    width: f64,
    height: f64,
    body: String,
}

impl Picture {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        self.push(format_args!(
            r#"<text x="{x:.2}" y="{y:.2}" text-anchor="{anchor}" class="{class}">{}</text>"#,
            escape(text)
        ));
    }

    /// A text that reads upwards, centred on the point.
    pub(super) fn upward_text(&mut self, x: f64, y: f64, text: &str) {
        self.push(format_args!(
            r#"<text transform="translate({x:.2} {y:.2}) rotate(-90)" text-anchor="middle" class="faint">{}</text>"#,
            escape(text)
        ));
    }

    pub(super) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        class: &str,
        colour: Option<&str>,
    ) {
        let stroke = colour.map_or(String::new(), |colour| format!(r#" stroke="{colour}""#));
        self.push(format_args!(
            r#"<line x1="{:.2}" y1="{:.2}" x2="{:.2}" y2="{:.2}" class="{class}"{stroke}/>"#,
            from.0, from.1, to.0, to.1
        ));
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], colour: &str, dash: &str) {
        let mut path = String::new();
        for (x, y) in points {
            // A `String` takes every write.
            let _ = write!(path, "{x:.2},{y:.2} ");
        }
        let dash = if dash.is_empty() {
            String::new()
        } else {
            format!(r#" stroke-dasharray="{dash}""#)
        };
        self.push(format_args!(
            r#"<polyline points="{}" class="line" stroke="{colour}"{dash}/>"#,
            path.trim_end()
        ));
    }

    pub(super) fn circle(&mut self, x: f64, y: f64, radius: f64, colour: &str) {
        self.push(format_args!(
            r#"<circle cx="{x:.2}" cy="{y:.2}" r="{radius}" fill="{colour}"/>"#
        ));
    }

    /// A rectangle with its corner at `at`; `hover` is shown when the pointer rests on it.
    pub(super) fn rectangle(&mut self, at: (f64, f64), size: (f64, f64), fill: &str, hover: &str) {
        self.push(format_args!(
            r#"<rect x="{:.2}" y="{:.2}" width="{:.2}" height="{:.2}" style="fill:{fill}"><title>{}</title></rect>"#,
            at.0, at.1, size.0, size.1, escape(hover)
        ));
    }

    /// The element for use inside an HTML page that carries [`STYLE`].
    #[must_use]
    pub fn inline(&self) -> String {
        format!(
            r#"<svg class="picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img">{}</svg>"#,
            self.width, self.height, self.body
        )
    }

    /// A whole SVG file with its own style and background.
    #[must_use]
    pub fn standalone(&self) -> String {
        format!(
            "<svg class=\"picture\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">\
             <style>{STYLE}</style><rect width=\"{w}\" height=\"{h}\" style=\"fill:var(--paper)\"/>{body}</svg>\n",
            w = self.width,
            h = self.height,
            body = self.body
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }
}

/// `text` with the characters that SVG and HTML give a meaning replaced.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML 1.0 has no way to write these.
            control if control.is_control() && !matches!(control, '\n' | '\t') => {
                escaped.push('\u{fffd}')
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_called_script_stays_text() {
        let mut picture = Picture::new(10.0, 10.0);
        picture.text(0.0, 0.0, "start", "", "<script>alert('x')</script>\u{1}");
        let text = picture.inline();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{text}");
        assert!(!text.contains('\u{1}'));
    }
}
