//! Where words go: results and events to stdout, progress and diagnostics to stderr.
//!
//! A reader that goes away is no error: what is written after that is dropped, and whoever holds an
//! [`Interrupt`](crate::interrupt::Interrupt) stops at the next round.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

/// Version of the events on stdout: `"v":1`.
const EVENT_VERSION: u8 = 1;

/// The two streams, and how much is said on them. Clones share what they know of the reader.
#[derive(Clone, Debug, Default)]
pub struct Console {
    json: bool,
    quiet: bool,
    closed: Arc<OnceLock<io::Error>>,
}

/// An event that has a name beside its body.
#[derive(Serialize)]
struct Named<'a, T> {
    event: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

/// Anything with the version of the interface in front.
#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u8,
    #[serde(flatten)]
    body: &'a T,
}

impl Console {
    /// `json` puts events instead of text on stdout; `quiet` drops notes and progress.
    #[must_use]
    pub fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            closed: Arc::default(),
        }
    }

    /// Whether stdout has events instead of text.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only results and errors are said.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether stdout takes no more: its reader went away, or its disk is full.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// Why stdout takes no more, unless its reader went away.
    #[must_use]
    pub fn lost(&self) -> Option<&io::Error> {
        self.closed
            .get()
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Whether progress can be drawn in place.
    #[must_use]
    pub fn draws(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// One line of text on stdout; nothing with `--json`.
    pub fn line(&self, text: impl Display) {
        if !self.json {
            self.write(&format!("{text}\n"));
        }
    }

    /// One event on stdout with `--json`: an object with `"v"`, `"event"` and the fields of `body`.
    pub fn event<T: Serialize>(&self, name: &str, body: &T) {
        self.tagged(&Named { event: name, body });
    }

    /// As [`Console::event`], for a `body` that has its own `"event"`.
    pub fn tagged<T: Serialize>(&self, body: &T) {
        if !self.json {
            return;
        }
        let versioned = Versioned {
            v: EVENT_VERSION,
            body,
        };
        match serde_json::to_string(&versioned) {
            Ok(text) => self.write(&format!("{text}\n")),
            Err(error) => self.warn(format_args!("an event cannot be written: {error}")),
        }
    }

    /// Bytes of a result, such as an SVG or a completion script, as they are.
    pub fn raw(&self, text: &str) {
        self.write(text);
    }

    /// One line on stderr that `--quiet` and `--json` drop.
    pub fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Why the command failed, and what to do next, on stderr.
    pub fn error(&self, message: &str, next: Option<&str>) {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "error: {}", message.replace('\n', "\n       "));
        if let Some(next) = next {
            let _ = writeln!(err, "next:  {}", next.replace('\n', "\n       "));
        }
    }

    /// One line on stderr, unless stdout has an event that says the same.
    pub fn always(&self, text: impl Display) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A warning on stderr; it is always said.
    pub fn warn(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "warning: {text}");
    }

    fn write(&self, text: &str) {
        if self.is_closed() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            let _ = self.closed.set(error);
        }
    }
}
