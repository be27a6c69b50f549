//! `commonweal cancel`: ends a run on the server.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::Remote;

/// The arguments.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The run, such as digits-1
    pub run: String,
}

impl Cancel {
    /// Ends the run; its committed rounds stay, and `commonweal resume` goes on from them.
    ///
    /// # Errors
    /// A run that does not exist, is over or is another's; a server that cannot be reached.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let info = Remote::open()?.cancel(&self.run)?;
        let console = &context.console;
        console.event("cancelled", &info);
        console.line(format_args!(
            "{} is cancelled after round {}; go on with: commonweal resume {}",
            info.id, info.round, info.id
        ));
        Ok(Exit::Success)
    }
}
