//! A node played by hand: enrolled, asked and given work like any other, and free to answer with what it likes.

use std::collections::VecDeque;

use commonweal_core::{Digest, MetricSpec, ModelVersion, Payload, Step, Time};
use commonweal_core::{Task, TaskId, TaskKind};
use commonweal_wire::proto::instruction::Kind;
use commonweal_wire::proto::verdict;
use commonweal_wire::proto::{
    Approved, JoinAnswer, JoinRequest, PollAnswer, PollRequest, RefusalCode, ReportAnswer,
    Statement, Verdict, Work,
};
use commonweal_wire::{JoinString, path, to_task};
use prost::Message as _;

use crate::peer::{Answer, Peer};
use crate::server::Server;

/// A job that hands do: three rounds on a table of two numbers and a class, with nothing to prepare.
pub(crate) const JOB: &str = r#"
name = "hand"
rounds = 3
seed = 7
[data]
path = "table.csv"
label = "sick"
classes = ["no", "yes"]
scale = "none"
[model]
kind = "logistic"
[training]
epochs = 1
batch_size = 10
optimizer = { kind = "sgd", learning_rate = 0.1 }
[cohort]
fraction = 1.0
minimum = 2
[evaluation]
every = 3
metrics = ["loss"]
[deployment]
clients = 2
reproducible = true
"#;

/// The schema of such tables.
pub(crate) const SCHEMA: &[u8] = br#"{"kind":"table","columns":[{"name":"age","kind":"numeric"},{"name":"pressure","kind":"numeric"}],"label":{"name":"sick","kind":"class"}}"#;

/// Values of the model: two weights and a bias.
pub(crate) const VALUES: usize = 3;

/// A played node.
pub(crate) struct Hand {
    pub(crate) peer: Peer,
    mailbox: String,
    taken: u64,
    inbox: VecDeque<Kind>,
    /// The last task that was done, and the sum that counted it.
    done: Option<(TaskId, String)>,
}

impl Hand {
    /// Enrolled under this name, with a key of this number.
    pub(crate) fn enrolled(server: &Server, name: &str, number: u8) -> Self {
        let mut hand = Self::stranger(server, number);
        let answer: JoinAnswer = hand.join(&server.invite(name), name).unwrap();
        assert_eq!(answer.name, name);
        assert!(!answer.waits_for_approval);
        hand
    }

    /// Not enrolled.
    pub(crate) fn stranger(server: &Server, number: u8) -> Self {
        Self {
            peer: server.peer([number; 32]),
            mailbox: String::new(),
            taken: 0,
            inbox: VecDeque::new(),
            done: None,
        }
    }

    /// Asks to be enrolled.
    pub(crate) fn join(
        &mut self,
        invitation: &JoinString,
        name: &str,
    ) -> Result<JoinAnswer, RefusalCode> {
        let request = JoinRequest {
            token: invitation.token.as_bytes().to_vec(),
            public_key: self.peer.key().public().to_bytes().to_vec(),
            name: name.to_owned(),
            statement: Some(statement()),
        };
        self.peer.post(path::JOIN, &request)
    }

    /// What a poll says.
    pub(crate) fn poll_request(&self) -> PollRequest {
        PollRequest {
            mailbox: self.mailbox.clone(),
            taken: self.taken,
            statement: self.mailbox.is_empty().then(statement),
            working: None,
            is_leaving: false,
        }
    }

    /// Polls once.
    pub(crate) fn poll(&mut self) -> Result<(), RefusalCode> {
        let request = self.poll_request();
        let answer: PollAnswer = self.peer.post(path::POLL, &request)?;
        if answer.mailbox != self.mailbox {
            self.mailbox = answer.mailbox;
            self.taken = 0;
        }
        for instruction in answer.instructions {
            if instruction.number > self.taken {
                self.taken = instruction.number;
                self.inbox.extend(instruction.kind);
            }
        }
        Ok(())
    }

    /// The next instruction of which `wanted` makes something; others are passed over.
    pub(crate) fn next<T>(&mut self, wanted: impl Fn(Kind) -> Option<T>) -> T {
        for _ in 0..4 {
            while let Some(kind) = self.inbox.pop_front() {
                if let Some(found) = wanted(kind) {
                    return found;
                }
            }
            self.poll().unwrap();
        }
        panic!("the instruction never comes");
    }

    /// Agrees to the next run that asks.
    pub(crate) fn approve(&mut self) {
        let offer = self.next(|kind| match kind {
            Kind::Offer(offer) => Some(offer),
            _ => None,
        });
        let verdict = Verdict {
            run: offer.run,
            manifest: offer.manifest,
            kind: Some(verdict::Kind::Approved(Approved {
                schema: SCHEMA.to_vec(),
            })),
        };
        let body = verdict.encode_to_vec();
        let answer = self.peer.ask("POST", path::VERDICT, &body);
        assert!(
            (200..300).contains(&answer.status),
            "{:?}",
            answer.refusal()
        );
    }

    /// The next task.
    pub(crate) fn work(&mut self) -> Given {
        let work = self.next(|kind| match kind {
            Kind::Work(work) => Some(work),
            _ => None,
        });
        Given::of(work)
    }

    /// The next task of this round.
    pub(crate) fn work_of(&mut self, round: u64) -> Given {
        self.next(|kind| match kind {
            Kind::Work(work) => Some(Given::of(work)).filter(|given| given.task.id.round == round),
            _ => None,
        })
    }

    /// Sends these bytes as the report of the task.
    pub(crate) fn report(&mut self, given: &Given, bytes: &[u8]) -> Answer {
        let target = given.target(bytes.len() as u64);
        self.peer.ask("PUT", &target, bytes)
    }

    /// Does the task as if there were nothing to learn.
    pub(crate) fn do_honestly(&mut self, given: &Given) {
        let answer = self.report(given, &given.honest_report());
        let counted: Result<ReportAnswer, _> = answer.message();
        assert!(counted.is_ok(), "{:?}", answer.refusal());
        self.done = Some(given.place());
    }

    /// Does all tasks of the run until it is over.
    pub(crate) fn do_the_rest(hands: &mut [&mut Self]) {
        let mut is_over = vec![false; hands.len()];
        while is_over.contains(&false) {
            for (hand, is_over) in hands.iter_mut().zip(&mut is_over) {
                if *is_over {
                    continue;
                }
                let done = hand.done.clone();
                let given = hand.next(|kind| match kind {
                    // An instruction may come twice, as after a restart, and is nothing the second time.
                    Kind::Work(work) => {
                        let given = Some(Given::of(work));
                        let given = given.filter(|given| Some(given.place()) != done);
                        given.map(Some)
                    }
                    Kind::RunOver(_) => Some(None),
                    _ => None,
                });
                match given {
                    Some(given) => hand.do_honestly(&given),
                    None => *is_over = true,
                }
            }
        }
    }
}

/// A task in hand.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) run: String,
    pub(crate) task: Task,
    pub(crate) accumulator: String,
}

impl Given {
    pub(crate) fn of(work: Work) -> Self {
        Self {
            task: to_task(&work.task.unwrap(), Time { ms: 0 }).unwrap(),
            run: work.run,
            accumulator: work.accumulator,
        }
    }

    /// Which task it is, and the sum that its report belongs to.
    fn place(&self) -> (TaskId, String) {
        (self.task.id, self.accumulator.clone())
    }

    /// Where a report of so many bytes goes.
    pub(crate) fn target(&self, length: u64) -> String {
        path::report_part(&self.run, self.task.id, Step(0), 0, length)
    }

    /// A report with nothing in it.
    pub(crate) fn honest_report(&self) -> Vec<u8> {
        let payload = match &self.task.kind {
            TaskKind::Train(plan) => return self.update(&plan.metrics, &[0; VALUES]),
            TaskKind::Evaluate(plan) => Payload::metrics(self.task.base, &plan.metrics.zero()),
            TaskKind::Prepare(_) => panic!("the job has nothing to prepare"),
        };
        payload.into_bytes()
    }

    /// An update with these values, and what else belongs to it.
    pub(crate) fn update(&self, metrics: &MetricSpec, values: &[i32]) -> Vec<u8> {
        update(self.task.base, 1, values, metrics.zero().values())
    }

    /// The metrics that the train task asks for.
    pub(crate) fn metrics(&self) -> &MetricSpec {
        match &self.task.kind {
            TaskKind::Train(plan) => &plan.metrics,
            _ => panic!("{:?} trains nothing", self.task.id),
        }
    }
}

/// The bytes of an update, as the protocol's page lays them out.
pub(crate) fn update(base: ModelVersion, weight: u32, values: &[i32], metrics: &[i64]) -> Vec<u8> {
    let mut bytes = b"CWu1".to_vec();
    bytes.extend(base.0.to_le_bytes());
    bytes.extend(weight.to_le_bytes());
    bytes.extend((values.len() as u32).to_le_bytes());
    bytes.extend((metrics.len() as u32).to_le_bytes());
    metrics
        .iter()
        .for_each(|sum| bytes.extend(sum.to_le_bytes()));
    values
        .iter()
        .for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

fn statement() -> Statement {
    Statement {
        version: "0.1.0".to_owned(),
        instruction_set: commonweal_train::instruction_set().to_string(),
        memory_mb: 2000,
        threads: 1,
        data_sets: vec!["hand".to_owned()],
        ..Statement::default()
    }
}

/// The digest of nothing that exists.
pub(crate) fn nothing() -> Digest {
    Digest::of(b"nothing that exists")
}
