//! A recorded conversation as a text: `docs/protocol/transcripts/README.md` describes the form.

use std::fmt::Write as _;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    /// Lines before the first step: what it is about.
    pub(crate) title: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// Why, in a sentence or more.
    pub(crate) comment: Vec<String>,
    /// `!` and something that happens at the server, or `>` and a request: method, target, name of the body.
    pub(crate) head: String,
    /// How the request is spoiled.
    pub(crate) changes: Vec<String>,
    /// The request's body, or what `!` takes in.
    pub(crate) text: Vec<String>,
    /// The request as it was sent: request line, headers, body in hexadecimal digits.
    pub(crate) sent: Vec<String>,
    pub(crate) answer: Option<Reply>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reply {
    /// Status and name of the body.
    pub(crate) head: String,
    pub(crate) text: Vec<String>,
    /// The body as it came, in hexadecimal digits.
    pub(crate) came: Vec<String>,
}

impl Transcript {
    /// Reads a transcript, or tells the line that is none of its form.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut transcript = Self {
            title: Vec::new(),
            steps: Vec::new(),
        };
        let mut comment = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let wrong = || format!("line {}: {line:?} has no place here", at + 1);
            if line.is_empty() && transcript.steps.is_empty() && transcript.title.is_empty() {
                transcript.title = std::mem::take(&mut comment);
            } else if line.is_empty() {
            } else if let Some(words) = line.strip_prefix("# ") {
                comment.push(words.to_owned());
            } else if line.starts_with("! ") || line.starts_with("> ") {
                transcript.steps.push(Step {
                    comment: std::mem::take(&mut comment),
                    head: line.to_owned(),
                    ..Step::default()
                });
            } else {
                let step = transcript.steps.last_mut().ok_or_else(wrong)?;
                step.add(line).ok_or_else(wrong)?;
            }
        }
        Ok(transcript)
    }

    /// The text that is read as this transcript.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut write = |prefix: &str, lines: &[String]| {
            for line in lines {
                let _ = writeln!(text, "{prefix}{line}");
            }
        };
        write("# ", &self.title);
        for step in &self.steps {
            write("", &[String::new()]);
            write("# ", &step.comment);
            write("", std::slice::from_ref(&step.head));
            write("~ ", &step.changes);
            write("  ", &step.text);
            write("| ", &step.sent);
            if let Some(answer) = &step.answer {
                write("< ", std::slice::from_ref(&answer.head));
                write("  ", &answer.text);
                write("| ", &answer.came);
            }
        }
        text
    }
}

impl Step {
    fn add(&mut self, line: &str) -> Option<()> {
        let (prefix, rest) = line.split_at_checked(2)?;
        let rest = rest.to_owned();
        match (prefix, &mut self.answer) {
            ("~ ", None) => self.changes.push(rest),
            ("  ", None) => self.text.push(rest),
            ("| ", None) => self.sent.push(rest),
            ("< ", None) => {
                self.answer = Some(Reply {
                    head: rest,
                    ..Reply::default()
                });
            }
            ("  ", Some(answer)) => answer.text.push(rest),
            ("| ", Some(answer)) => answer.came.push(rest),
            _ => return None,
        }
        Some(())
    }
}

/// Bytes as lines of hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> Vec<String> {
    let line = |piece: &[u8]| piece.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.chunks(48).map(line).collect()
}

/// The bytes of such lines.
pub(crate) fn from_hex(lines: &[String]) -> Option<Vec<u8>> {
    let digits: String = lines.concat().split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[test]
fn a_transcript_survives_its_text() {
    let text = "# Why.\n\n# A step.\n! invite a\n\n> POST /v1/join JoinRequest\n~ clock +600000\n  name: \"a\"\n\
                | POST /v1/join\n| 0a01\n< 200 JoinAnswer\n  name: \"a\"\n| 0a0161\n\n> POST /v1/leave\n< 200\n";
    let transcript = Transcript::parse(text).unwrap();
    assert_eq!(transcript.title, ["Why."]);
    assert_eq!(transcript.steps.len(), 3);
    assert_eq!(transcript.steps[1].changes, ["clock +600000"]);
    assert_eq!(transcript.to_text(), text);
}

#[test]
fn a_line_without_a_place_is_told() {
    for (text, line) in [
        ("# Why.\n\n  name: 1\n", "line 3"),
        ("# Why.\n\n! a\n? b\n", "line 4"),
    ] {
        assert!(Transcript::parse(text).unwrap_err().contains(line));
    }
}

#[test]
fn bytes_survive_their_digits() {
    let bytes: Vec<u8> = (0..100).collect();
    assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
    assert_eq!(from_hex(&["0g".to_owned()]), None);
}
