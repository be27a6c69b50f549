//! Rounds of many small updates: from commit to commit.

use std::sync::Arc;
use std::time::Instant;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use super::jobs::{self, SOFTMAX_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::Hold;

const ROUNDS: u64 = 7;

/// Measures with all the nodes of the bed.
pub(super) async fn measure(bed: &Bed, say: Say<'_>) -> Result<(), LoadError> {
    let nodes = bed.nodes;
    let script = Arc::new(Bed::script(SOFTMAX_PARAMETERS, Hold::Nowhere));
    let mut fleet = bed.start(&script);
    let journal = &mut fleet.journal;
    let polling = |seen: &Seen| seen.what == Sight::Polling;
    journal.wait("polled", nodes, PATIENCE, polling).await?;
    bed.server.rest().await?;

    let mut control = bed.control().await?;
    let run = control.submit(jobs::softmax(nodes, ROUNDS)).await?;
    let begun = |seen: &Seen| seen.is_in(1, |what| matches!(what, Sight::Task(_)));
    let first = journal.wait("had a task", nodes, PATIENCE, begun).await?;
    let before = bed.spent()?;
    let mut commits: Vec<Instant> = first.first().copied().into_iter().collect();
    for round in 1..=ROUNDS {
        let counted =
            |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Settled(_, true)));
        let times = journal
            .wait("were counted", nodes, PATIENCE, counted)
            .await?;
        commits.extend(times.first());
    }
    let spent = bed
        .spent()?
        .since(before, ["round-server-cpu", "round-load-cpu"]);
    control.finished(&run, PATIENCE).await?;
    let mut seconds: Vec<f64> = commits
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    // The first round has the second connection of every node in it.
    say(ServerFigure::plain("round-first", seconds.remove(0), "s"));
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    say(ServerFigure::held_to(
        "round",
        median,
        "s",
        Target::AtMost(1.5),
    ));
    let errors = journal.troubles() as f64;
    say(ServerFigure::held_to(
        "round-errors",
        errors,
        "",
        Target::AtMost(0.0),
    ));
    spent.into_iter().for_each(say);
    Ok(())
}
