//! What a worker prints: passed on line by line, its last lines kept for errors.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// Receives each line that a worker prints, with the slot's name before it.
pub type LineSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The last lines of a worker's standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    /// Lines kept.
    const LINES: usize = 20;
    /// Longer lines are cut into pieces of so many bytes, so that memory stays bounded.
    const LINE_BYTES: u64 = 4096;

    /// Reads `source` to its end, keeping the last lines and handing each to `sink` after `prefix`.
    pub(crate) fn follow(&self, source: impl Read, prefix: &str, sink: &LineSink) {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        loop {
            line.clear();
            match source
                .by_ref()
                .take(Self::LINE_BYTES)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            sink(&format!("[{prefix}] {text}"));
            self.push(text);
        }
    }

    /// The lines kept, indented, each after a line break; empty if nothing was printed.
    pub(crate) fn quote(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("\n    {line}")).collect()
    }

    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == Self::LINES {
            lines.pop_front();
        }
        lines.push_back(line.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &[u8]) -> (Tail, Vec<String>) {
        let tail = Tail::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let sink: LineSink = Arc::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        tail.follow(text, "torch 0", &sink);
        let seen = seen.lock().unwrap().clone();
        (tail, seen)
    }

    #[test]
    fn each_line_is_passed_on_under_the_slots_name() {
        let (tail, seen) = follow(b"loading\r\nhalf a line");
        assert_eq!(seen, ["[torch 0] loading", "[torch 0] half a line"]);
        assert_eq!(tail.quote(), "\n    loading\n    half a line");
    }

    #[test]
    fn only_the_last_lines_are_kept_and_none_is_endless() {
        let text: String = (0..30).map(|line| format!("{line}\n")).collect();
        let (tail, _) = follow(text.as_bytes());
        assert!(tail.quote().starts_with("\n    10\n    11"));
        let (_, seen) = follow(&vec![b'x'; 10_000]);
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn bytes_that_are_no_utf_8_do_not_end_the_reading() {
        let (_, seen) = follow(b"\xff\nok\n");
        assert_eq!(seen, ["[torch 0] \u{fffd}", "[torch 0] ok"]);
    }
}
