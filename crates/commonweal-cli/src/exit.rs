//! How the program ended, as a number that scripts can rely on.

use std::process::ExitCode;

/// The exit codes; they are part of the interface and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// A failure that has no number of its own: a file, a disk, data that cannot be read.
    Failed = 1,
    /// Wrong arguments or a wrong job file.
    Usage = 2,
    /// The training was abandoned: no round reached its minimum of clients.
    Abandoned = 3,
    /// What was asked is refused: another job's checkpoint, a model of another shape, a key that is none.
    Refused = 4,
    /// The other side cannot be reached.
    Unreachable = 5,
    /// Ctrl-C; what was done is on disk.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table that `--help` ends with.
pub(crate) const HELP: &str = "\
Exit codes:
  0    all went well
  1    a failure without a number of its own (a file, a disk, unreadable data)
  2    wrong arguments or a wrong job file
  3    the training was abandoned: no round had enough clients
  4    refused: another job's checkpoint, a model of another shape, a key or an invitation that is none
  5    the other side cannot be reached
  130  interrupted by Ctrl-C; `commonweal resume` goes on (a run on a server goes on by itself)

Results go to stdout, progress and diagnostics to stderr. With --json, stdout has
one JSON object a line, each with \"v\":1 and \"event\".";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_help() {
        let codes = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::Abandoned,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Interrupted,
        ];
        for exit in codes {
            let line = format!("\n  {:<4} ", exit.code());
            assert!(HELP.contains(&line), "{exit:?}");
        }
    }
}
