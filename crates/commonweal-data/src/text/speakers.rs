//! Who speaks in a text: a line of its own, first of its paragraph, that names the speaker.

/// A line that names a client, such as `{client}.` for `HAMLET.` or `Speaker: {client}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPattern {
    before: String,
    after: String,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `{client}` does not occur exactly once.
    #[error("data.text.client_pattern must have {{client}} in it once, where the name stands")]
    Placeholder,
    /// The pattern has a line end.
    #[error("data.text.client_pattern must be one line")]
    LineEnd,
}

/// Longest name that a pattern takes for one, in bytes.
const MAX_NAME_BYTES: usize = 40;

impl TryFrom<&str> for ClientPattern {
    type Error = PatternError;

    fn try_from(pattern: &str) -> Result<Self, PatternError> {
        if pattern.contains(['\n', '\r']) {
            return Err(PatternError::LineEnd);
        }
        let (before, after) = pattern
            .split_once("{client}")
            .ok_or(PatternError::Placeholder)?;
        if after.contains("{client}") {
            return Err(PatternError::Placeholder);
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

impl ClientPattern {
    /// The name in `line`, if the whole line is the pattern: letters, digits, blanks, apostrophes and
    /// hyphens, at most 40 bytes.
    fn name<'a>(&self, line: &'a str) -> Option<&'a str> {
        let name = line.trim().strip_prefix(self.before.trim_start())?;
        let name = name.strip_suffix(self.after.trim_end())?.trim();
        let fits = |character: char| character.is_alphanumeric() || " '’-".contains(character);
        let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(fits);
        is_name.then_some(name)
    }

    /// Who says what, in the order of the text.
    ///
    /// A speech is a paragraph whose first line, not its only one, names the speaker. A later
    /// paragraph of several lines goes on with it. Left out are paragraphs of one line
    /// (headings), those in square brackets (directions), and what stands before the first speaker.
    pub(super) fn speeches(&self, text: &str) -> Vec<(String, String)> {
        let mut speeches: Vec<(String, String)> = Vec::new();
        for paragraph in super::paragraphs(text) {
            let Some((first, rest)) = paragraph.split_once('\n') else {
                continue;
            };
            if paragraph.starts_with('[') {
                continue;
            }
            match (self.name(first), speeches.last_mut()) {
                (Some(name), _) => speeches.push((name.to_owned(), rest.to_owned())),
                (None, Some((_, speech))) => {
                    speech.push('\n');
                    speech.push_str(&paragraph);
                }
                (None, None) => {}
            }
        }
        speeches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeches_go_on_after_a_direction_and_end_with_the_next_speaker() {
        let pattern = ClientPattern::try_from("{client}.").expect("a pattern");
        let play = "ACT I.\n\nPersons\nof the play.\n\nFIRST WITCH.\nWhen shall we\nmeet again.\n\n\
            [Thunder.]\n\nIn rain,\nor not.\n\nScene II.\n\nAll's well.\nNot at all; no.\n\nHe said so, twice.\nI know.";
        let expected = [
            (
                "FIRST WITCH",
                "When shall we\nmeet again.\nIn rain,\nor not.",
            ),
            ("All's well", "Not at all; no.\nHe said so, twice.\nI know."),
        ];
        let found = pattern.speeches(play);
        let found: Vec<(&str, &str)> = found.iter().map(|(who, what)| (&**who, &**what)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_pattern_needs_its_placeholder_once() {
        assert_eq!(
            ClientPattern::try_from("client."),
            Err(PatternError::Placeholder)
        );
        assert_eq!(
            ClientPattern::try_from("{client} {client}"),
            Err(PatternError::Placeholder)
        );
        assert_eq!(
            ClientPattern::try_from("{client}\n"),
            Err(PatternError::LineEnd)
        );
    }
}
