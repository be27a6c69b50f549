//! Plain text cut into sequences of characters, by passage and, where a pattern finds speakers, by client.
//!
//! A sequence never leaves its passage, so a split by passage leaks nothing.

mod speakers;

use commonweal_core::job;

pub use speakers::{ClientPattern, PatternError};

use crate::archive::File;
use crate::dataset::rows_u32;
use crate::{
    Categories, Dataset, DatasetError, Features, FeaturesError, Roster, Targets, Tokens, Vocabulary,
};

/// A passage holds at least this many sequences' worth of characters, if its client says so much.
const SEQUENCES_A_PASSAGE: usize = 4;

/// Why text cannot be cut into sequences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The pattern is not one.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A file is not text.
    #[error("file {name}, line {line}: not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Name of the file.
        name: String,
        /// Line, from 1.
        line: usize,
    },
    /// A length or a stride of zero.
    #[error("data.text.{key} must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// No passage is long enough.
    #[error(
        "no client has a passage of {} characters; lower data.text.sequence_length, or check \
         data.text.client_pattern",
        length + 1
    )]
    TooShort {
        /// Characters a sequence.
        length: usize,
    },
    /// More text than a position can count.
    #[error("the text has more than {} characters", u32::MAX)]
    TooLong,
    /// The sequences do not fit.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// What one client says at a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Speech {
    pub(crate) client: Option<String>,
    pub(crate) text: String,
}

/// Cuts the text of `files` into sequences of `text.sequence_length` characters, `text.stride` apart, each
/// to be continued at every position.
///
/// With a client pattern a client is a speaker of one file; what nobody says is left out. Without one,
/// each of several files is a client. A client's speeches are joined to passages of at least
/// four sequences; what is left at the end of a passage is not used, nor a client without a sequence.
/// The vocabulary is that of the text until `prepare` replaces it.
///
/// # Errors
/// [`TextError`].
pub fn read(files: &[File], text: &job::Text) -> Result<Dataset, TextError> {
    let pattern = text
        .client_pattern
        .as_deref()
        .map(ClientPattern::try_from)
        .transpose()?;
    let mut speeches = Vec::new();
    for file in files {
        let content = content(file)?;
        let stem = file.name.split('.').next().unwrap_or_default();
        match &pattern {
            Some(pattern) => speeches.extend(pattern.speeches(&content).into_iter().map(
                |(speaker, text)| Speech {
                    client: Some(if files.len() > 1 {
                        format!("{stem}/{speaker}")
                    } else {
                        speaker
                    }),
                    text,
                },
            )),
            None => speeches.extend(paragraphs(&content).into_iter().map(|text| Speech {
                client: (files.len() > 1).then(|| stem.to_owned()),
                text,
            })),
        }
    }
    let length = text.sequence_length as usize;
    for (key, value) in [
        ("sequence_length", text.sequence_length),
        ("stride", text.stride),
    ] {
        if value == 0 {
            return Err(TextError::Zero { key });
        }
    }
    sequences(
        &passages(speeches, length * SEQUENCES_A_PASSAGE),
        length,
        text.stride as usize,
    )
}

/// The text of a file with line feeds only.
fn content(file: &File) -> Result<String, TextError> {
    let bytes = file
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&file.bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.replace("\r\n", "\n")),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Err(TextError::NotUtf8 {
                name: file.name.clone(),
                line,
            })
        }
    }
}

/// Runs of lines between blank lines.
pub(crate) fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim_end) {
        match paragraphs.last_mut() {
            Some(last) if !line.is_empty() => {
                if !last.is_empty() {
                    last.push('\n');
                }
                last.push_str(line);
            }
            Some(last) if last.is_empty() => {}
            _ => paragraphs.push(String::new()),
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// Each client's speeches in their order, joined until a passage has `least` characters.
pub(crate) fn passages(speeches: Vec<Speech>, least: usize) -> Vec<Speech> {
    let names = speeches
        .iter()
        .map(|speech| speech.client.as_deref().unwrap_or_default());
    let clients = Categories::of(names);
    let mut by_client = vec![Vec::new(); clients.names().len()];
    for (speech, &client) in speeches.into_iter().zip(clients.codes()) {
        by_client[client as usize].push(speech);
    }
    let mut passages: Vec<Speech> = Vec::new();
    for speeches in by_client {
        let mut open: Option<Speech> = None;
        for speech in speeches {
            let passage = match open.take() {
                Some(mut passage) => {
                    passage.text.push('\n');
                    passage.text.push_str(&speech.text);
                    passage
                }
                None => speech,
            };
            if passage.text.chars().count() >= least {
                passages.push(passage);
            } else {
                open = Some(passage);
            }
        }
        passages.extend(open);
    }
    passages
}

/// Sequences of `length` characters, `stride` apart, that do not leave their passage.
pub(crate) fn sequences(
    passages: &[Speech],
    length: usize,
    stride: usize,
) -> Result<Dataset, TextError> {
    let characters = || passages.iter().flat_map(|passage| passage.text.chars());
    let vocabulary = Vocabulary::of(characters())?;
    let (mut tokens, mut starts) = (Vec::new(), Vec::new());
    let (mut clients, mut groups) = (Vec::new(), Vec::new());
    for (index, passage) in passages.iter().enumerate() {
        let first = tokens.len();
        tokens.extend(
            passage
                .text
                .chars()
                .map(|character| vocabulary.token(character)),
        );
        // The last character of a sequence needs one more to be continued by.
        let own = (first..tokens.len().saturating_sub(length)).step_by(stride);
        for start in own {
            starts.push(u32::try_from(start).map_err(|_| TextError::TooLong)?);
            clients.push(passage.client.as_deref().unwrap_or_default());
            groups.push(index);
        }
    }
    if starts.is_empty() {
        return Err(TextError::TooShort { length });
    }
    let groups: Vec<String> = groups.iter().map(usize::to_string).collect();
    let mut roster = Roster::new(rows_u32(starts.len())?)
        .with_groups(Categories::of(groups.iter().map(String::as_str)));
    if passages.iter().any(|passage| passage.client.is_some()) {
        roster = roster.with_clients(Categories::of(clients));
    }
    let features = Features::Tokens(Tokens::new(tokens, starts, length, vocabulary)?);
    Ok(Dataset::new(features, Targets::NextTokens, roster)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> File {
        File {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn cut(sequence_length: u32, stride: u32, pattern: Option<&str>) -> job::Text {
        let client_pattern = pattern.map(str::to_owned);
        job::Text {
            sequence_length,
            stride,
            vocabulary: None,
            client_pattern,
        }
    }

    fn windows(data: &Dataset) -> Vec<String> {
        let Features::Tokens(tokens) = data.features() else {
            panic!("text is tokens")
        };
        let character = |token: &u16| tokens.vocabulary().character(u32::from(*token));
        (0..data.rows())
            .map(|row| tokens.window(row).iter().filter_map(character).collect())
            .collect()
    }

    #[test]
    fn sequences_overlap_by_stride_and_each_has_a_next_character() {
        let data = read(&[file("a.txt", "abcdef")], &cut(3, 2, None)).expect("long enough");
        assert_eq!(windows(&data), ["abcd", "cdef"]);
        assert!(data.roster().clients().is_none());
    }

    #[test]
    fn no_sequence_crosses_from_one_passage_to_the_next() {
        let text = "abcdefgh\n\nijklmnop\n\nqr";
        let data = read(&[file("a.txt", text)], &cut(2, 2, None)).expect("long enough");
        assert_eq!(windows(&data), ["abc", "cde", "efg", "ijk", "klm", "mno"]);
        let groups = data.roster().groups().map(|groups| groups.codes().to_vec());
        assert_eq!(groups, Some(vec![0, 0, 0, 1, 1, 1]));
    }

    #[test]
    fn short_speeches_of_one_client_are_joined() {
        let speech = |client: &str, text: &str| Speech {
            client: Some(client.to_owned()),
            text: text.to_owned(),
        };
        let joined = passages(
            vec![speech("b", "12"), speech("a", "x"), speech("b", "34")],
            4,
        );
        assert_eq!(joined, [speech("a", "x"), speech("b", "12\n34")]);
    }

    #[test]
    fn a_speaker_is_a_client_of_its_play() {
        let play = "Intro.\n\nROMEO.\nabcd\n\nJULIET.\nefgh\n\nROMEO.\nijkl\n";
        let files = [file("one.txt", play), file("two.txt", play)];
        let data = read(&files, &cut(2, 2, Some("{client}."))).expect("speakers");
        let clients = data.roster().clients().expect("speakers are clients");
        let names: Vec<&str> = clients.names().iter().map(|name| &**name).collect();
        assert_eq!(
            names,
            ["one/JULIET", "one/ROMEO", "two/JULIET", "two/ROMEO"]
        );
        assert_eq!(windows(&data)[1..4], ["abc", "cd\n", "\nij"]);
    }

    #[test]
    fn text_that_cannot_be_cut_says_why() {
        let refused = |bytes: &[u8], cut: job::Text| {
            read(
                &[File {
                    name: "a.txt".to_owned(),
                    bytes: bytes.to_vec(),
                }],
                &cut,
            )
        };
        assert_eq!(
            refused(b"abc", cut(3, 1, None)),
            Err(TextError::TooShort { length: 3 })
        );
        assert_eq!(
            refused(b"abc", cut(0, 1, None)),
            Err(TextError::Zero {
                key: "sequence_length"
            })
        );
        let not_text = TextError::NotUtf8 {
            name: "a.txt".to_owned(),
            line: 2,
        };
        assert_eq!(refused(b"abc\n\xff", cut(1, 1, None)), Err(not_text));
    }
}
