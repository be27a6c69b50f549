//! A node's mailbox: numbered instructions, each kept until the node has taken it.

use std::collections::VecDeque;

use commonweal_wire::proto::{Instruction, TaskId, instruction::Kind};

/// Instructions that a node has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pending: VecDeque<Instruction>,
    last: u64,
}

/// Most instructions that wait for a node; beyond, the oldest goes. A node that is away for that long is out of
/// its rounds, and hears of each run's end.
const MOST: usize = 1024;

impl Mailbox {
    /// Adds an instruction, and takes out what it makes pointless.
    pub(super) fn put(&mut self, kind: Kind) {
        self.pending.retain(|earlier| {
            earlier
                .kind
                .as_ref()
                .is_some_and(|earlier| !overtakes(&kind, earlier))
        });
        if self.pending.len() == MOST {
            self.pending.pop_front();
        }
        self.last += 1;
        self.pending.push_back(Instruction {
            number: self.last,
            kind: Some(kind),
        });
    }

    /// The node has taken all instructions up to `number`.
    pub(super) fn take(&mut self, number: u64) {
        while self
            .pending
            .front()
            .is_some_and(|first| first.number <= number)
        {
            self.pending.pop_front();
        }
    }

    /// In the order in which they were sent.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Instruction> {
        self.pending.iter()
    }
}

/// Whether a node that is told `later` need not be told `earlier` any more.
fn overtakes(later: &Kind, earlier: &Kind) -> bool {
    let is_of = |run: &str, task: &Option<TaskId>| match earlier {
        Kind::Work(work) => {
            work.run == run && work.task.as_ref().and_then(|task| task.id.as_ref()) == task.as_ref()
        }
        Kind::Cancel(cancel) => cancel.run == run && cancel.task == *task,
        _ => false,
    };
    match later {
        Kind::Offer(offer) => matches!(earlier, Kind::Offer(first) if first.run == offer.run),
        Kind::Work(work) => {
            let task = work.task.as_ref().and_then(|task| task.id);
            is_of(&work.run, &task)
        }
        Kind::Cancel(cancel) => is_of(&cancel.run, &cancel.task),
        Kind::Settled(settled) => is_of(&settled.run, &settled.task),
        Kind::RunOver(over) => match earlier {
            Kind::Offer(offer) => offer.run == over.run,
            Kind::Work(work) => work.run == over.run,
            Kind::Cancel(cancel) => cancel.run == over.run,
            Kind::RunOver(first) => first.run == over.run,
            Kind::Settled(_) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use commonweal_wire::proto::{Cancel, Offer, RunOver, Settled, Task, Work};

    use super::*;

    fn id(round: u64) -> Option<TaskId> {
        Some(TaskId {
            round,
            stage: 2,
            attempt: 0,
        })
    }

    fn work(run: &str, round: u64) -> Kind {
        Kind::Work(Work {
            run: run.to_owned(),
            task: Some(Task {
                id: id(round),
                ..Task::default()
            }),
            ..Work::default()
        })
    }

    fn cancel(run: &str, round: u64) -> Kind {
        Kind::Cancel(Cancel {
            run: run.to_owned(),
            task: id(round),
            reason: String::new(),
        })
    }

    fn numbers(mailbox: &Mailbox) -> Vec<u64> {
        mailbox
            .pending()
            .map(|instruction| instruction.number)
            .collect()
    }

    #[test]
    fn an_instruction_is_kept_until_it_is_taken() {
        let mut mailbox = Mailbox::default();
        mailbox.put(work("a-1", 1));
        mailbox.put(work("a-1", 2));
        assert_eq!(numbers(&mailbox), [1, 2]);
        assert_eq!(numbers(&mailbox), [1, 2]);
        mailbox.take(1);
        assert_eq!(numbers(&mailbox), [2]);
        mailbox.take(u64::MAX);
        mailbox.put(work("a-1", 3));
        assert_eq!(numbers(&mailbox), [3]);
    }

    #[test]
    fn a_cancelled_task_is_not_given_out() {
        let mut mailbox = Mailbox::default();
        mailbox.put(work("a-1", 1));
        mailbox.put(work("b-1", 1));
        mailbox.put(cancel("a-1", 1));
        assert_eq!(numbers(&mailbox), [2, 3]);
        let run = "b-1".to_owned();
        mailbox.put(Kind::RunOver(RunOver {
            run,
            ..RunOver::default()
        }));
        assert_eq!(numbers(&mailbox), [3, 4]);
    }

    #[test]
    fn the_same_task_given_again_is_given_once() {
        let mut mailbox = Mailbox::default();
        mailbox.put(work("a-1", 1));
        mailbox.put(work("a-1", 1));
        assert_eq!(numbers(&mailbox), [2]);
    }

    #[test]
    fn a_settled_round_is_told_even_when_the_run_is_over() {
        let mut mailbox = Mailbox::default();
        let run = "a-1".to_owned();
        mailbox.put(Kind::Settled(Settled {
            run: run.clone(),
            task: id(1),
            counted: true,
        }));
        mailbox.put(Kind::RunOver(RunOver {
            run,
            ..RunOver::default()
        }));
        assert_eq!(numbers(&mailbox), [1, 2]);
    }

    #[test]
    fn a_mailbox_that_nobody_empties_stays_small() {
        let mut mailbox = Mailbox::default();
        for run in 0..5_000 {
            mailbox.put(Kind::Offer(Offer {
                run: format!("a-{run}"),
                ..Offer::default()
            }));
        }
        assert_eq!(mailbox.pending().count(), MOST);
        assert_eq!(numbers(&mailbox).last(), Some(&5_000));
    }
}
