//! Questions on a terminal, and answers from standard input where there is none.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on stderr and reads a line. Empty where standard input has no more.
///
/// # Errors
/// Standard input's.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    let mut err = io::stderr().lock();
    write!(err, "{question} ")?;
    err.flush()?;
    line()
}

/// As [`ask`], for an answer that is not to be seen.
///
/// # Errors
/// Standard input's.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    let hidden = echo("-echo");
    let answer = ask(question);
    if hidden {
        echo("echo");
        eprintln!();
    }
    answer
}

/// One line of standard input, without blanks at its ends.
///
/// # Errors
/// Standard input's.
pub(crate) fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Lets the terminal show what is typed, or not; false where it cannot be told.
fn echo(setting: &str) -> bool {
    let status = Command::new("stty")
        .arg(setting)
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
