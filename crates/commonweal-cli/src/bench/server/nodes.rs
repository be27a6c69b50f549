//! Many nodes that wait: what each costs the server's memory, and how soon all have a task.

use std::sync::Arc;
use std::time::Instant;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use super::jobs::{self, SOFTMAX_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::Hold;

const ROUNDS: u64 = 3;

/// Measures with all the nodes of the bed.
pub(super) async fn measure(bed: &Bed, say: Say<'_>) -> Result<(), LoadError> {
    let nodes = bed.nodes;
    bed.server.rest().await?;
    let empty = bed.server.usage()?.resident_bytes;
    let script = Arc::new(Bed::script(SOFTMAX_PARAMETERS, Hold::AtTask));
    let start = Instant::now();
    let mut fleet = bed.start(&script);
    let polling = |seen: &Seen| seen.what == Sight::Polling;
    let journal = &mut fleet.journal;
    let times = journal.wait("polled", nodes, PATIENCE, polling).await?;
    let connected = last(&times, start);
    bed.server.rest().await?;
    let parked = bed.server.usage()?.resident_bytes;
    let each = parked.saturating_sub(empty) as f64 / nodes as f64;
    let memory = Target::AtMost(30.0);
    say(ServerFigure::held_to(
        "node-memory",
        each / 1e3,
        "KB",
        memory,
    ));
    say(ServerFigure::plain("node-connect", connected, "s"));

    let before = bed.spent()?;
    let mut control = bed.control().await?;
    let run = control.submit(jobs::softmax(nodes, ROUNDS)).await?;
    // From the commit of the round before, which starts this one, until the last node has its task.
    let mut delivery: Vec<f64> = Vec::new();
    let mut started: Option<Instant> = None;
    for round in 1..=ROUNDS {
        let ready = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Ready(_)));
        let times = journal.wait("had a task", nodes, PATIENCE, ready).await?;
        delivery.push(last(&times, started.unwrap_or(times[0])));
        script.open(round);
        let over = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Settled(..)));
        let times = journal.wait("saw a commit", nodes, PATIENCE, over).await?;
        started = times.first().copied();
    }
    control.finished(&run, PATIENCE).await?;
    let slowest = delivery.iter().copied().fold(0.0, f64::max);
    let soon = Target::AtMost(3.0);
    say(ServerFigure::held_to("task-delivery", slowest, "s", soon));
    let errors = journal.troubles() as f64;
    say(ServerFigure::held_to(
        "node-errors",
        errors,
        "",
        Target::AtMost(0.0),
    ));
    bed.server.rest().await?;
    let after = bed.server.usage()?.resident_bytes;
    let each = after.saturating_sub(empty) as f64 / nodes as f64;
    say(ServerFigure::plain("node-memory-after", each / 1e3, "KB"));
    let spent = bed
        .spent()?
        .since(before, ["node-server-cpu", "node-load-cpu"]);
    spent.into_iter().for_each(say);
    Ok(())
}

/// Seconds from `start` to the latest.
fn last(times: &[Instant], start: Instant) -> f64 {
    let last = times.last().copied().unwrap_or(start);
    last.saturating_duration_since(start).as_secs_f64()
}
