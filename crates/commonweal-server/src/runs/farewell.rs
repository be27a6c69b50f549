//! Nodes that were away when a run ended hear of it from the next process too: mailboxes do not outlive one.

use commonweal_core::Digest;
use commonweal_core::job::Job;
use commonweal_wire::control::RunState;
use commonweal_wire::proto::{Ending, RunOver, instruction};

use super::files;
use super::shared::Shared;
use crate::store::{Node, NodeState, Run as Record, StoreError};

/// What a node may have missed is said again if it was last seen no longer than this after the run's end: the store
/// notes only now and then when a node was seen.
const SLACK_MS: u64 = 3_600_000;
/// Ends that are said again at most this long after.
const LONGEST_MS: u64 = 30 * 86_400_000;

/// Puts into the mailbox of each enrolled node what it may not have heard of.
pub(super) async fn say_again(shared: &Shared) -> Result<(), StoreError> {
    let nodes = shared.store.nodes().list().await?;
    let now_ms = shared.exchange.now_ms();
    for record in shared.store.runs().list().await? {
        let Some(ended_at_ms) = record.ended_at_ms else {
            continue;
        };
        if now_ms.saturating_sub(ended_at_ms) > LONGEST_MS {
            continue;
        }
        let may_have_missed = |node: &&Node| {
            node.state == NodeState::Enrolled
                && node.seen_at_ms.unwrap_or(0) <= ended_at_ms.saturating_add(SLACK_MS)
        };
        let missed: Vec<&Node> = nodes.iter().filter(may_have_missed).collect();
        if !missed.is_empty() {
            say(shared, &record, &missed).await?;
        }
    }
    Ok(())
}

async fn say(shared: &Shared, record: &Record, nodes: &[&Node]) -> Result<(), StoreError> {
    let members = shared.store.runs().members(&record.id).await?;
    let (model, input) = shared_model(shared, record).await?;
    for node in nodes {
        let is_member = members.binary_search(&node.name).is_ok();
        let for_member = |digest: Option<Digest>| digest.filter(|_| is_member);
        let over = run_over(record, for_member(model), for_member(input));
        shared
            .exchange
            .send(&node.name, instruction::Kind::RunOver(over));
    }
    Ok(())
}

/// The final model and what it takes in, as blobs, if the job lets nodes have them.
async fn shared_model(
    shared: &Shared,
    record: &Record,
) -> Result<(Option<Digest>, Option<Digest>), StoreError> {
    let shares = Job::parse(&record.job).is_ok_and(|job| job.deployment.share_model);
    if record.state != RunState::Finished || !shares {
        return Ok((None, None));
    }
    let last = shared.store.commits().last(&record.id).await?;
    let input = shared.store.files().find(&record.id, files::INPUT).await?;
    Ok((last.and_then(|commit| commit.model), input))
}

/// The instruction that tells a run's end.
pub(super) fn run_over(record: &Record, model: Option<Digest>, input: Option<Digest>) -> RunOver {
    let ending = match record.state {
        RunState::Finished => Ending::Finished,
        RunState::Cancelled => Ending::Cancelled,
        _ => Ending::Failed,
    };
    let bytes = |digest: Option<Digest>| digest.map(|digest| digest.as_bytes().to_vec());
    RunOver {
        run: record.id.clone(),
        ending: ending.into(),
        reason: record.reason.clone().unwrap_or_default(),
        model: bytes(model),
        input: bytes(input),
    }
}
