//! Rounds of many small updates: from commit to commit.

use std::sync::Arc;
use std::time::Instant;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use super::fleet::Fleet;
use super::jobs::{self, SOFTMAX_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::Hold;

const ROUNDS: u64 = 7;

/// Measures with all the nodes of the bed.
pub(super) async fn measure(bed: &Bed, say: Say<'_>) -> Result<(), LoadError> {
    let nodes = bed.nodes;
    let script = Arc::new(Bed::script(SOFTMAX_PARAMETERS, Hold::Nowhere));
    let mut fleet = bed.start(&script);
    let polling = |seen: &Seen| seen.what == Sight::Polling;
    fleet
        .journal
        .wait("polled", nodes, PATIENCE, polling)
        .await?;
    bed.server.rest().await?;

    let control = bed.control();
    let run = control.submit(jobs::softmax(nodes, ROUNDS)).await?;
    let before = bed.spent()?;
    let commits = commits(&mut fleet, nodes).await;
    let commits = control.explained(&run, commits).await?;
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
    let errors = fleet.journal.troubles();
    let words = fleet.journal.trouble_in_words();
    say(ServerFigure::errors("round-errors", errors, words));
    spent.into_iter().for_each(say);
    Ok(())
}

/// When the first node had a task, and when the first saw each commit.
async fn commits(fleet: &mut Fleet, nodes: usize) -> Result<Vec<Instant>, LoadError> {
    let journal = &mut fleet.journal;
    let begun = |seen: &Seen| seen.is_in(1, |what| matches!(what, Sight::Task(_)));
    let first = journal.wait("had a task", nodes, PATIENCE, begun).await?;
    let mut commits: Vec<Instant> = first.first().copied().into_iter().collect();
    for round in 1..=ROUNDS {
        let is_counted = |what: &Sight| matches!(what, Sight::Settled(_, true));
        let counted = |seen: &Seen| seen.is_in(round, is_counted);
        let times = journal
            .wait("were counted", nodes, PATIENCE, counted)
            .await?;
        commits.extend(times.first());
    }
    Ok(commits)
}
