//! Many nodes that wait: what each costs the server's memory, and how soon all have a task.

use std::sync::Arc;
use std::time::Instant;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use super::fleet::Fleet;
use super::jobs::{self, SOFTMAX_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::{Hold, Script};

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
    let times = fleet
        .journal
        .wait("polled", nodes, PATIENCE, polling)
        .await?;
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
    let control = bed.control();
    let run = control.submit(jobs::softmax(nodes, ROUNDS)).await?;
    let slowest = delivery(&mut fleet, &script, nodes).await;
    let slowest = control.explained(&run, slowest).await?;
    control.finished(&run, PATIENCE).await?;
    let soon = Target::AtMost(3.0);
    say(ServerFigure::held_to("task-delivery", slowest, "s", soon));
    let errors = fleet.journal.troubles();
    let words = fleet.journal.trouble_in_words();
    say(ServerFigure::errors("node-errors", errors, words));
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

/// Runs the rounds; the longest time, in seconds, from the commit of the round before, which starts the next one, until
/// the last node has its task.
async fn delivery(fleet: &mut Fleet, script: &Script, nodes: usize) -> Result<f64, LoadError> {
    let journal = &mut fleet.journal;
    let mut slowest: f64 = 0.0;
    let mut started: Option<Instant> = None;
    for round in 1..=ROUNDS {
        let ready = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Ready(_)));
        let times = journal.wait("had a task", nodes, PATIENCE, ready).await?;
        slowest = slowest.max(last(&times, started.unwrap_or(times[0])));
        script.open(round);
        let over = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Settled(..)));
        let times = journal.wait("saw a commit", nodes, PATIENCE, over).await?;
        started = times.first().copied();
    }
    Ok(slowest)
}

/// Seconds from `start` to the latest.
fn last(times: &[Instant], start: Instant) -> f64 {
    let last = times.last().copied().unwrap_or(start);
    last.saturating_duration_since(start).as_secs_f64()
}
