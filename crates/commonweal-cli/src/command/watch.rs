//! `commonweal watch`: a run on the server as it happens.

use clap::Args;
use commonweal_wire::control::RunState;
use serde::Serialize;

use crate::context::Context;
use crate::download;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::following::{Following, Watched};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::remote::Remote;
use crate::result_lines;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Ctrl-C leaves the run going. After 30 seconds without progress, it says what the run waits for;
`commonweal explain RUN` says so at once.")]
pub struct Watch {
    /// The run, such as digits-1
    pub run: String,
}

/// The `left` event: the run goes on without a watcher.
#[derive(Serialize)]
struct Left<'a> {
    run: &'a str,
}

impl Watch {
    /// Shows a run from its beginning to its end.
    ///
    /// # Errors
    /// A run that does not exist or that fails; a server that stays away.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        to_its_end(context, &Remote::open()?, &self.run)
    }
}

/// Shows a run to its end, and what it came to.
///
/// # Errors
/// As [`Watch::run`].
pub(super) fn to_its_end(context: &Context, remote: &Remote, run: &str) -> Result<Exit, Failure> {
    let console = &context.console;
    // A server that is away now is no server that went away: only that one is waited for.
    remote.run(run)?;
    let interrupt = Interrupt::listen().map_err(Failure::Signal)?;
    let mut progress = Progress::new(console, interrupt.clone());
    let following = Following {
        remote,
        run,
        console,
        interrupt: &interrupt,
    };
    let watched = following.until_over(&mut progress, || Ok(()), Some)?;
    match watched {
        Watched::Left => {
            drop(progress);
            console.always(format_args!(
                "{run} goes on; watch it with: commonweal watch {run}"
            ));
            console.event("left", &Left { run });
            Ok(Exit::Interrupted)
        }
        Watched::Over(RunState::Finished) => {
            let summary = download::summary(remote, run)?;
            progress.conclude();
            if let Some(summary) = summary {
                result_lines::print(console, &summary, None, None);
            }
            console.line(format_args!(
                "\nTry next:\n  commonweal download {run}   # model, history and report"
            ));
            Ok(Exit::Success)
        }
        Watched::Over(state) => {
            drop(progress);
            Err(ended(remote, run, state))
        }
    }
}

/// Why a run ended otherwise than well.
pub(super) fn ended(remote: &Remote, run: &str, state: RunState) -> Failure {
    let reason = remote.run(run).ok().and_then(|info| info.reason);
    let run = run.to_owned();
    match state {
        RunState::Cancelled => Failure::RunCancelled { run, reason },
        _ => Failure::RunFailed { run, reason },
    }
}
