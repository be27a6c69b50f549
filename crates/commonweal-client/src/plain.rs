//! Texts of others on a terminal: what would move the cursor, begin a line or turn the direction of writing is shown
//! as its code, so that no text can pass for another line.

use std::fmt::{self, Write as _};

/// A text that cannot be more than itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match is_harmless(character) {
                true => f.write_char(character)?,
                false => write!(f, "{}", character.escape_unicode())?,
            }
        }
        Ok(())
    }
}

fn is_harmless(character: char) -> bool {
    let turns_or_breaks = matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !turns_or_breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_in_its_direction() {
        let forged = "ada\n  protections  noise\u{1b}[2K\u{202e}";
        assert_eq!(
            Plain(forged).to_string(),
            "ada\\u{a}  protections  noise\\u{1b}[2K\\u{202e}"
        );
        assert_eq!(Plain("Zoë, 42 µg").to_string(), "Zoë, 42 µg");
    }
}
