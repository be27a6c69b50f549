//! A server that is killed with many nodes connected and many runs behind it: how soon it serves again.

use std::sync::Arc;
use std::time::Instant;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use super::jobs::{self, SOFTMAX_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::Hold;

/// Runs that are over when the server is killed, each of two rounds with three nodes.
const PAST_RUNS: usize = 50;

/// Measures with all the nodes of the bed.
pub(super) async fn measure(bed: &mut Bed, say: Say<'_>) -> Result<(), LoadError> {
    let nodes = bed.nodes;
    let script = Arc::new(Bed::script(SOFTMAX_PARAMETERS, Hold::Nowhere));
    let mut fleet = bed.start(&script);
    let journal = &mut fleet.journal;
    let polling = |seen: &Seen| seen.what == Sight::Polling;
    journal.wait("polled", nodes, PATIENCE, polling).await?;
    let control = bed.control();
    for _ in 0..PAST_RUNS {
        let run = control.submit(jobs::softmax(nodes.min(3), 2)).await?;
        control.finished(&run, PATIENCE).await?;
    }
    bed.server.rest().await?;
    journal.forget();

    let killed = Instant::now();
    bed.server.crash()?;
    bed.server.ready().await?;
    let ready = killed.elapsed().as_secs_f64();
    let soon = Target::AtMost(1.0);
    say(ServerFigure::held_to("restart", ready, "s", soon));
    let times = journal
        .wait("polled again", nodes, PATIENCE, polling)
        .await?;
    let all = times
        .last()
        .map_or(0.0, |last| (*last - killed).as_secs_f64());
    say(ServerFigure::plain("restart-all-nodes", all, "s"));
    Ok(())
}
