//! A schema as the lines of a job file that declare it.

use std::fmt::Write as _;

use commonweal_core::job::Missing;

use super::{Feature, FeatureKind, LabelKind, Schema};

impl Schema {
    /// The keys of a job's `[data]` and `[data.columns]` that declare this schema, as TOML.
    ///
    /// Without the heading `[data]` and the source, which go before it.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            // A write to a `String` does not fail.
            let _ = writeln!(text, "{key} = {value}");
        };
        if let Some(label) = &self.label {
            line("label", quoted(&label.column));
            match &label.kind {
                LabelKind::Class(None) => line("task", quoted("classification")),
                LabelKind::Class(Some(classes)) => line("classes", quoted_list(classes)),
                LabelKind::Above(threshold) => line("positive_above", format!("{threshold:?}")),
                LabelKind::Value => line("task", quoted("regression")),
            }
        }
        for (key, column) in [("client", &self.client), ("group", &self.group)] {
            if let Some(column) = column {
                line(key, quoted(column));
            }
        }
        if self.delimiter != ',' {
            line("delimiter", quoted(&self.delimiter.to_string()));
        }
        if self.keyless != Missing::Refuse {
            line("missing", quoted(policy(self.keyless)));
        }
        if !self.missing_values.is_empty() {
            line("missing_values", quoted_list(&self.missing_values));
        }
        let names: Vec<String> = self
            .features
            .iter()
            .map(|feature| feature.name.clone())
            .collect();
        line("features", quoted_list(&names));
        text.push_str("\n[data.columns]\n");
        for feature in &self.features {
            let _ = writeln!(
                text,
                "{} = {}",
                quoted(&feature.name),
                self.column_toml(feature)
            );
        }
        text
    }

    fn column_toml(&self, feature: &Feature) -> String {
        let mut fields = match &feature.kind {
            FeatureKind::Numeric => vec!["kind = \"numeric\"".to_owned()],
            FeatureKind::Categorical { levels, drop_first } => {
                let mut fields = vec!["kind = \"categorical\"".to_owned()];
                if let Some(levels) = levels {
                    fields.push(format!("levels = {}", quoted_list(levels)));
                }
                if *drop_first {
                    fields.push("drop_first = true".to_owned());
                }
                fields
            }
        };
        if feature.missing != self.keyless {
            fields.push(format!("missing = {}", quoted(policy(feature.missing))));
        }
        let own: Vec<String> = feature
            .missing_values
            .iter()
            .filter(|value| !self.missing_values.contains(value))
            .cloned()
            .collect();
        if !own.is_empty() {
            fields.push(format!("missing_values = {}", quoted_list(&own)));
        }
        format!("{{ {} }}", fields.join(", "))
    }
}

fn policy(missing: Missing) -> &'static str {
    match missing {
        Missing::Refuse => "refuse",
        Missing::DropRow => "drop_row",
        Missing::Mean => "mean",
        Missing::Zero => "zero",
        Missing::Indicator => "indicator",
    }
}

/// `text` as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

fn quoted_list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_controls_in_a_name_are_escaped() {
        assert_eq!(quoted("a\"b\\c\u{7f}"), "\"a\\\"b\\\\c\\u007F\"");
    }
}
