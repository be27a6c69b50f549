//! A dry run as one HTML page, to be put into a data-protection assessment.

use std::fmt::{self, Write as _};

use crate::dry_run::{DryRun, Leaving};

impl DryRun {
    /// The page: everything in it, nothing loaded from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        let mut page = String::new();
        // Writing to a text does not fail.
        let _ = self.write_page(&mut page);
        page
    }

    fn write_page(&self, page: &mut String) -> fmt::Result {
        let title = format!("What leaves {} for {}", self.node, self.job);
        write!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
            escaped(&title)
        )?;
        writeln!(page, "<h1>{}</h1>", escaped(&title))?;
        writeln!(
            page,
            "<p>Each kind of task was done once on this node's own rows, with the program that a real run uses. \
             Nothing was sent. In a run, these are the messages that hold anything of the data; of some columns they hold the \
             distinct texts, which are listed below with how often each occurs.</p>"
        )?;
        self.write_facts(page)?;
        writeln!(
            page,
            "<h2>When the owner approves</h2>\n<p>The columns' names and kinds, to the letter:</p>"
        )?;
        writeln!(page, "<pre>{}</pre>", escaped(&self.schema))?;
        for report in &self.reports {
            write_report(page, report)?;
        }
        self.write_found(page)?;
        writeln!(
            page,
            "<h2>Protections</h2>\n<p>{}</p>",
            escaped(&self.protections)
        )?;
        writeln!(
            page,
            "<p>Every job that the node takes and every report that it sends is in its record, a chain that shows \
             whether it was changed: <code>commonweal node record --verify</code>.</p>\n</html>"
        )
    }

    fn write_facts(&self, page: &mut String) -> fmt::Result {
        let facts = [
            ("Job", self.job.clone()),
            ("Run or file", self.subject.clone()),
            ("Manifest", self.manifest.clone()),
            ("Node", self.node.clone()),
            ("Data set", self.data.clone()),
            ("Rows trained on", self.train_rows.to_string()),
            ("Rows held out", self.held_out_rows.to_string()),
            ("Rounds, at most", self.rounds.to_string()),
        ];
        writeln!(page, "<table>")?;
        for (name, value) in facts {
            writeln!(page, "<tr><th>{name}<td>{}", escaped(&value))?;
        }
        writeln!(page, "</table>")
    }

    fn write_found(&self, page: &mut String) -> fmt::Result {
        if !self.found.is_empty() {
            writeln!(page, "<h2>What the data are summed up to</h2>\n<table>")?;
            for line in &self.found {
                writeln!(
                    page,
                    "<tr><th>{}<td>{}",
                    escaped(&line.column),
                    escaped(&line.what)
                )?;
            }
            writeln!(page, "</table>")?;
        }
        writeln!(page, "<h2>Metrics</h2>\n<table>")?;
        for (name, value) in &self.metrics {
            let value = value.map_or_else(|| "no value".to_owned(), |value| format!("{value:.4}"));
            writeln!(
                page,
                "<tr><th>{}<td>{value}, here, after one round alone",
                escaped(name)
            )?;
        }
        writeln!(page, "</table>")
    }
}

fn write_report(page: &mut String, report: &Leaving) -> fmt::Result {
    writeln!(page, "<h2>Report: {}</h2>", escaped(&report.task))?;
    writeln!(
        page,
        "<p>{} bytes, of which the headers are no part.</p>",
        report.bytes
    )?;
    writeln!(page, "<table>\n<tr><th>Part<th>Type<th>Shape<th>Bytes")?;
    for part in &report.parts {
        writeln!(
            page,
            "<tr><td>{}<td>{}<td>{:?}<td>{}",
            escaped(&part.name),
            escaped(&part.element),
            part.shape,
            part.bytes
        )?;
    }
    writeln!(page, "</table>")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2em .6em;border-bottom:1px solid #ddd;\
vertical-align:top}pre{background:#f4f4f4;padding:.6em;white-space:pre-wrap;word-break:break-all}";

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_markup_stay_text() {
        assert_eq!(
            escaped("<script>\"a\" & b"),
            "&lt;script&gt;&quot;a&quot; &amp; b"
        );
    }
}
