//! `commonweal logs`: what a run on the server has to say.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::time_text::clock;

/// The arguments.
#[derive(Debug, Args)]
pub struct Logs {
    /// The run, such as digits-1
    pub run: String,
    /// Lines after this one only
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: u64,
}

impl Logs {
    /// Prints the lines.
    ///
    /// # Errors
    /// A run that does not exist; a server that cannot be reached.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let remote = Remote::open()?;
        let mut after = self.after;
        loop {
            let lines = remote.logs(&self.run, after)?.lines;
            let Some(last) = lines.last() else {
                return Ok(Exit::Success);
            };
            after = last.number;
            for line in &lines {
                context.console.event("log", line);
                context.console.line(format_args!(
                    "{} {:<5} {}",
                    clock(line.at_ms),
                    line.level,
                    line.text
                ));
            }
        }
    }
}
