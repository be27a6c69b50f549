//! Why a run is waiting, in words: who is done, who is at it, who is away and who will never be done.

use commonweal_core::ClientName;
use commonweal_wire::control::{Explanation, NodeStatus};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// Owners decide.
    Verdicts,
    /// Nodes come online.
    CheckIn,
    /// Nodes work.
    Reports,
}

/// How a node stands, from what matters most to what matters least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Its owner said no.
    Denied(String),
    /// It cannot serve.
    Unfit(String),
    /// It is not there, for so many milliseconds; `None`: never was.
    Offline(Option<u64>),
    /// It joined and has not said yet what it has; not there for so many milliseconds.
    Unstated(Option<u64>),
    /// Its connection broke, so many milliseconds ago.
    Silent(u64),
    /// It is left alone for so many milliseconds more.
    Resting(u64),
    /// Its part in this round is over.
    Out(String),
    /// Much slower than the others: steps done and steps in all, and milliseconds.
    Slow(u64, u64, u64),
    /// It works for another run.
    Busy,
    /// Its owner has not decided, for so many milliseconds.
    Undecided(u64),
    /// Steps done, steps in all, milliseconds.
    Working(u64, u64, u64),
    /// Its report is on its way.
    Uploading,
    /// It is there.
    Ready,
    /// It has done what is waited for.
    Done,
}

impl Status {
    fn word(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Unfit(_) => "unfit",
            Self::Offline(_) | Self::Unstated(_) => "offline",
            Self::Silent(_) => "silent",
            Self::Resting(_) => "resting",
            Self::Out(_) => "out",
            Self::Slow(..) => "slow",
            Self::Busy => "busy",
            Self::Undecided(_) => "undecided",
            Self::Working(..) => "working",
            Self::Uploading => "uploading",
            Self::Ready => "ready",
            Self::Done => "done",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Denied(words) | Self::Unfit(words) | Self::Out(words) => words.clone(),
            Self::Offline(None) => "never seen".to_owned(),
            Self::Offline(Some(ms)) => format!("offline for {}", duration(*ms)),
            Self::Unstated(away_ms) => format!(
                "{}, and has not said yet which data it has: it may fit",
                Self::Offline(*away_ms).text()
            ),
            Self::Silent(ms) => format!("silent for {}", duration(*ms)),
            Self::Resting(ms) => {
                format!("rests for {} after repeated failures", duration(*ms))
            }
            Self::Slow(done, total, ms) => format!("slow: {}", progress(*done, *total, *ms)),
            Self::Busy => "works for another run".to_owned(),
            Self::Undecided(ms) => format!("undecided for {}", duration(*ms)),
            Self::Working(done, total, ms) => format!("working: {}", progress(*done, *total, *ms)),
            Self::Uploading => "uploading".to_owned(),
            Self::Ready => "ready".to_owned(),
            Self::Done => "done".to_owned(),
        }
    }

    /// Whether somebody may have to do something about it.
    fn is_trouble(&self) -> bool {
        *self < Self::Working(0, 0, 0)
    }
}

/// The explanation of a run in which `nodes` are asked and at least `minimum` must do it.
pub(super) fn explanation(
    waits: Waits,
    minimum: u64,
    mut nodes: Vec<(ClientName, Status)>,
) -> Explanation {
    /// Nodes that the summary names.
    const MOST: usize = 12;
    let of = nodes.len() as u64;
    let done = nodes
        .iter()
        .filter(|(_, status)| *status == Status::Done)
        .count() as u64;
    nodes.retain(|(_, status)| *status != Status::Done);
    nodes.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    let troubles: Vec<String> = nodes
        .iter()
        .filter(|(_, status)| status.is_trouble())
        .map(|(node, status)| format!("{node} {}", status.text()))
        .collect();
    let mut parts = vec![format!("{done} of {of}")];
    parts.extend(troubles.iter().take(MOST).cloned());
    if troubles.len() > MOST {
        parts.push(format!("and {} more", troubles.len() - MOST));
    }
    let waits_for = match waits {
        Waits::Verdicts => "verdicts",
        Waits::CheckIn => "check_in",
        Waits::Reports => "reports",
    };
    let nodes = nodes.into_iter().map(|(node, status)| NodeStatus {
        node: node.to_string(),
        status: status.word().to_owned(),
        text: status.text(),
    });
    Explanation {
        summary: parts.join("; "),
        waits_for: Some(waits_for.to_owned()),
        done,
        of,
        minimum,
        nodes: nodes.collect(),
    }
}

fn progress(done: u64, total: u64, ms: u64) -> String {
    if total == 0 {
        return format!("for {}", duration(ms));
    }
    let percent = 100 * done / total;
    match done {
        0 => format!("0 of {total} steps for {}", duration(ms)),
        _ => format!(
            "{done} of {total} steps ({percent} %), {} a step",
            duration(ms / done)
        ),
    }
}

/// A time in its largest unit.
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ClientName {
        ClientName::try_from(text).unwrap()
    }

    #[test]
    fn the_summary_counts_and_names_who_is_in_the_way() {
        let mut nodes: Vec<_> = (0..31)
            .map(|node| (name(&format!("clinic-{node:02}")), Status::Done))
            .collect();
        let schema = "refused: schema (column age)".to_owned();
        nodes.push((name("hospital-k"), Status::Unfit(schema)));
        nodes.push((name("hospital-c"), Status::Offline(Some(11_000_000))));
        nodes.push((name("hospital-d"), Status::Working(3, 12, 6_000)));
        let explained = explanation(Waits::Reports, 20, nodes);
        assert_eq!(
            explained.summary,
            "31 of 34; hospital-k refused: schema (column age); hospital-c offline for 3 h"
        );
        assert_eq!((explained.done, explained.of), (31, 34));
        let words: Vec<_> = explained
            .nodes
            .iter()
            .map(|node| node.status.as_str())
            .collect();
        assert_eq!(words, ["unfit", "offline", "working"]);
        assert_eq!(
            explained.nodes[2].text,
            "working: 3 of 12 steps (25 %), 2 s a step"
        );
    }

    #[test]
    fn dead_and_slow_look_different() {
        let text = |status: Status| (status.word(), status.text());
        assert_eq!(
            text(Status::Silent(4_000)),
            ("silent", "silent for 4 s".to_owned())
        );
        assert_eq!(
            text(Status::Slow(1, 100, 90_000)),
            (
                "slow",
                "slow: 1 of 100 steps (1 %), 1 min a step".to_owned()
            )
        );
        assert_eq!(
            text(Status::Offline(None)),
            ("offline", "never seen".to_owned())
        );
    }

    #[test]
    fn a_long_list_of_troubles_is_cut() {
        let nodes = (0..20)
            .map(|node| (name(&format!("n-{node:02}")), Status::Busy))
            .collect();
        let explained = explanation(Waits::CheckIn, 1, nodes);
        assert!(explained.summary.ends_with("; and 8 more"));
        assert_eq!(explained.nodes.len(), 20);
    }
}
