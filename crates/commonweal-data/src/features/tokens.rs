//! Windows into one text of character tokens, so that overlapping rows share their characters.

use super::FeaturesError;

/// The distinct characters of a text; a character's token is its position.
///
/// Token 0 stands for every character that is not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary(Vec<char>);

impl Vocabulary {
    /// The vocabulary of `characters`, in code point order and each once, after token 0.
    ///
    /// # Errors
    /// [`FeaturesError::VocabularyTooLarge`] beyond 65,534 characters.
    pub fn new(characters: impl IntoIterator<Item = char>) -> Result<Self, FeaturesError> {
        let distinct: std::collections::BTreeSet<char> = characters.into_iter().collect();
        if distinct.len() >= usize::from(u16::MAX) {
            return Err(FeaturesError::VocabularyTooLarge {
                found: distinct.len(),
            });
        }
        Ok(Self(distinct.into_iter().collect()))
    }

    /// Number of tokens, that of unlisted characters included.
    #[expect(clippy::len_without_is_empty, reason = "token 0 always exists")]
    pub fn len(&self) -> usize {
        self.0.len() + 1
    }

    /// The listed characters in token order, from token 1.
    pub fn characters(&self) -> &[char] {
        &self.0
    }

    /// The token of `character`; 0 if it is not listed.
    pub fn token(&self, character: char) -> u16 {
        self.0
            .binary_search(&character)
            .map_or(0, |position| position as u16 + 1)
    }

    /// The character of `token`; none for 0 and beyond the end.
    pub fn character(&self, token: u32) -> Option<char> {
        self.0.get((token as usize).checked_sub(1)?).copied()
    }
}

/// Rows that are windows of `length` tokens, each followed by at least one more token of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    text: Vec<u16>,
    starts: Vec<u32>,
    length: usize,
    vocabulary: Vocabulary,
}

impl Tokens {
    /// Windows of `length` tokens of `text` at `starts`.
    ///
    /// # Errors
    /// [`FeaturesError`] if a window and its next token reach beyond the text, `length` is 0, or a
    /// token is not in the vocabulary.
    pub fn new(
        text: Vec<u16>,
        starts: Vec<u32>,
        length: usize,
        vocabulary: Vocabulary,
    ) -> Result<Self, FeaturesError> {
        if length == 0 {
            return Err(FeaturesError::Shape { shape: vec![0] });
        }
        let beyond = |&start: &u32| (start as usize).saturating_add(length) >= text.len();
        if let Some(row) = starts.iter().position(beyond) {
            return Err(FeaturesError::WindowBeyondText { row });
        }
        let unknown = |&token: &u16| usize::from(token) >= vocabulary.len();
        if let Some(position) = text.iter().position(unknown) {
            return Err(FeaturesError::TokenOutOfRange { position });
        }
        Ok(Self {
            text,
            starts,
            length,
            vocabulary,
        })
    }

    /// The same windows of the same characters under another vocabulary.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        let renumbered: Vec<u16> = std::iter::once(0)
            .chain(
                self.vocabulary
                    .0
                    .iter()
                    .map(|&character| vocabulary.token(character)),
            )
            .collect();
        for token in &mut self.text {
            *token = renumbered[usize::from(*token)];
        }
        self.vocabulary = vocabulary;
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Tokens a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The characters behind the tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The tokens of one row and the one after them: `length + 1` in all.
    pub fn window(&self, row: u32) -> &[u16] {
        let start = self.starts[row as usize] as usize;
        &self.text[start..=start + self.length]
    }

    /// Writes the windows of `rows`, moved on by `shift`, which is 0 or 1.
    pub(crate) fn fill(&self, rows: &[u32], shift: usize, out: &mut [u32]) {
        assert_eq!(
            out.len(),
            rows.len() * self.length,
            "one window of the batch a row number"
        );
        for (out, &row) in out.chunks_exact_mut(self.length).zip(rows) {
            for (out, &token) in out.iter_mut().zip(&self.window(row)[shift..]) {
                *out = u32::from(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, starts: Vec<u32>, length: usize) -> Result<Tokens, FeaturesError> {
        let vocabulary = Vocabulary::new(text.chars())?;
        let codes = text
            .chars()
            .map(|character| vocabulary.token(character))
            .collect();
        Tokens::new(codes, starts, length, vocabulary)
    }

    #[test]
    fn the_targets_are_the_window_moved_on_by_one() {
        let tokens = tokens("abcab", vec![0, 1], 3).expect("windows fit");
        let (mut inputs, mut targets) = ([0; 6], [0; 6]);
        tokens.fill(&[0, 1], 0, &mut inputs);
        tokens.fill(&[0, 1], 1, &mut targets);
        assert_eq!(inputs, [1, 2, 3, 2, 3, 1]);
        assert_eq!(targets, [2, 3, 1, 3, 1, 2]);
    }

    #[test]
    fn a_window_needs_a_next_token() {
        assert_eq!(
            tokens("abc", vec![0], 3),
            Err(FeaturesError::WindowBeyondText { row: 0 })
        );
    }

    #[test]
    fn a_character_that_the_new_vocabulary_lacks_becomes_token_0() {
        let tokens = tokens("abc", vec![0], 2).expect("windows fit");
        let renumbered = tokens.with_vocabulary(Vocabulary::new("cbz".chars()).expect("small"));
        assert_eq!(renumbered.window(0), [0, 1, 2]);
    }
}
