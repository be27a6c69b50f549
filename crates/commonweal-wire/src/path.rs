//! The node API's paths.

use commonweal_core::{Digest, Stage, Step, TaskId};

/// Enrols a node.
pub const JOIN: &str = "/v1/join";
/// Waits for instructions.
pub const POLL: &str = "/v1/poll";
/// Answers an offer.
pub const VERDICT: &str = "/v1/verdict";
/// Takes the node's key back.
pub const LEAVE: &str = "/v1/leave";

/// A blob: a model, a manifest, what `prepare` found.
#[must_use]
pub fn blob(digest: &Digest) -> String {
    format!("/v1/blobs/{digest}")
}

/// The state of a report.
#[must_use]
pub fn report(run: &str, task: TaskId, step: Step) -> String {
    format!("/v1/runs/{run}/reports/{task}/{}", step.0)
}

/// A report of `length` bytes from `offset` on.
#[must_use]
pub fn report_part(run: &str, task: TaskId, step: Step, offset: u64, length: u64) -> String {
    format!(
        "{}?offset={offset}&length={length}",
        report(run, task, step)
    )
}

/// A task that a node could not do.
#[must_use]
pub fn failure(run: &str, task: TaskId) -> String {
    format!("/v1/runs/{run}/failures/{task}")
}

/// The task of a path's part, as `train-3` or, in a further attempt, `train-3-1`.
#[must_use]
pub fn read_task(text: &str) -> Option<TaskId> {
    let mut parts = text.split('-');
    let stage = match parts.next()? {
        "prepare" => Stage::Prepare,
        "train" => Stage::Train,
        "evaluate" => Stage::Evaluate,
        _ => return None,
    };
    let round = parts.next()?.parse().ok()?;
    let attempt = parts.next().map_or(Ok(0), str::parse).ok()?;
    let task = TaskId {
        round,
        stage,
        attempt,
    };
    (task.to_string() == text).then_some(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_its_path_and_has_no_other() {
        for (round, attempt) in [(0, 0), (7, 0), (u64::MAX, 3)] {
            for stage in [Stage::Prepare, Stage::Train, Stage::Evaluate] {
                let task = TaskId {
                    round,
                    stage,
                    attempt,
                };
                assert_eq!(read_task(&task.to_string()), Some(task));
            }
        }
        for text in [
            "",
            "train",
            "train-",
            "train-03",
            "train-3-0",
            "train-3-1-2",
            "sum-3",
            "train-+3",
        ] {
            assert_eq!(read_task(text), None, "{text:?}");
        }
    }
}
