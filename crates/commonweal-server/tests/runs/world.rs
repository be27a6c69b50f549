//! A server without its door: store, exchange and runs in this process, and sites that poll.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use commonweal_core::{ClientName, Digest, Payload, Prepared, Stage, Step, Task, TaskId, Time};
use commonweal_server::exchange::{Clock, Exchange, Hold};
use commonweal_server::runs::{Patience, Refused, Runs, RunsConfig};
use commonweal_server::store::{Enrolment, Invitation, NodeState, Store};
use commonweal_wire::control::{RunInfo, RunState, Submission};
use commonweal_wire::proto::{self, Instruction, PollRequest, instruction::Kind};
use commonweal_wire::{KeyId, NodeKey, to_task, to_task_id};

use crate::site::Site;

/// One process of a server. Dropping it is `kill -9`.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) exchange: Exchange,
    pub(crate) runs: Runs,
}

/// What a site does with a task, instead of working on it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// Its part.
    Work,
    /// Nothing, and it goes away.
    Vanish,
    /// Nothing, though it stays.
    Hang,
    /// Gives it back.
    Fail(proto::FailureCode),
    /// Reports these bytes instead.
    Forge(fn(&mut Vec<u8>)),
    /// Reports twice.
    Twice,
}

/// What a site heard, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Offer,
    Work {
        task: TaskId,
        accumulator: String,
        seed: [u8; 32],
    },
    Cancel(TaskId, String),
    Settled(TaskId, bool),
    Over(proto::Ending, String),
    Refused(TaskId, Refused),
    Counted(TaskId, String),
}

pub(crate) type Script = Arc<dyn Fn(TaskId) -> Deed + Send + Sync>;

/// A site's memory: it outlives the server.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) site: Site,
    pub(crate) verdict: Verdict,
    pub(crate) script: Script,
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    /// Reports that are kept until they are settled, as a node keeps them; and how often one was made.
    kept: Arc<Mutex<BTreeMap<(String, TaskId), Payload>>>,
    pub(crate) trained: Arc<Mutex<Vec<TaskId>>>,
    pub(crate) statement: proto::Statement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    Undecided,
}

impl Visitor {
    pub(crate) fn new(site: Site) -> Self {
        Self {
            site,
            verdict: Verdict::Yes,
            script: Arc::new(|_| Deed::Work),
            heard: Arc::default(),
            kept: Arc::default(),
            trained: Arc::default(),
            statement: statement(),
        }
    }

    pub(crate) fn that(mut self, script: impl Fn(TaskId) -> Deed + Send + Sync + 'static) -> Self {
        self.script = Arc::new(script);
        self
    }

    pub(crate) fn saying(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn hear(&self, heard: Heard) {
        self.heard.lock().unwrap().push(heard);
    }

    /// Polls and works until the server or the script ends it.
    pub(crate) async fn visit(self, world: Arc<World>) {
        let (mut mailbox, mut taken) = (String::new(), 0);
        loop {
            let request = PollRequest {
                mailbox: mailbox.clone(),
                taken,
                statement: Some(self.statement.clone()),
                ..PollRequest::default()
            };
            let Ok(answer) = world.exchange.poll(&self.site.name, request).await else {
                return;
            };
            mailbox = answer.mailbox;
            for Instruction { number, kind } in answer.instructions {
                taken = number;
                if let Some(kind) = kind
                    && !self.follow(&world, kind).await
                {
                    return;
                }
            }
        }
    }

    async fn follow(&self, world: &World, kind: Kind) -> bool {
        match kind {
            Kind::Offer(offer) => {
                self.hear(Heard::Offer);
                let verdict = |kind| proto::Verdict {
                    run: offer.run.clone(),
                    manifest: offer.manifest.clone(),
                    kind: Some(kind),
                };
                let schema = self.site.schema();
                let kind = match self.verdict {
                    Verdict::Undecided => return true,
                    Verdict::Yes => proto::verdict::Kind::Approved(proto::Approved { schema }),
                    Verdict::No => proto::verdict::Kind::Denied(proto::Denied {
                        reason: "not this quarter".to_owned(),
                    }),
                };
                let name = &self.site.name;
                let key = world.key(name).await;
                let _ = world.runs.verdict(name, key, verdict(kind)).await;
                true
            }
            Kind::Work(work) => self.work(world, work).await,
            Kind::Cancel(cancel) => {
                let task = to_task_id(cancel.task.as_ref()).unwrap();
                self.hear(Heard::Cancel(task, cancel.reason));
                true
            }
            Kind::Settled(settled) => {
                let task = to_task_id(settled.task.as_ref()).unwrap();
                self.kept.lock().unwrap().remove(&(settled.run, task));
                self.hear(Heard::Settled(task, settled.counted));
                true
            }
            Kind::RunOver(over) => {
                self.hear(Heard::Over(over.ending(), over.reason));
                true
            }
        }
    }

    async fn work(&self, world: &World, work: proto::Work) -> bool {
        let task = to_task(&work.task.unwrap(), Time::START).unwrap();
        self.hear(Heard::Work {
            task: task.id,
            accumulator: work.accumulator,
            seed: *task.seed.as_bytes(),
        });
        let deed = (self.script)(task.id);
        match deed {
            Deed::Vanish => return false,
            Deed::Hang => return true,
            Deed::Fail(code) => {
                let failure = proto::TaskFailure {
                    code: code.into(),
                    ..proto::TaskFailure::default()
                };
                let told = world
                    .runs
                    .failure(&self.site.name, &work.run, task.id, failure)
                    .await;
                if let Err(refused) = told {
                    self.hear(Heard::Refused(task.id, refused));
                }
                return true;
            }
            Deed::Work | Deed::Forge(_) | Deed::Twice => {}
        }
        let key = (work.run.clone(), task.id);
        let kept = self.kept.lock().unwrap().get(&key).cloned();
        let payload = match kept {
            Some(payload) => payload,
            None => {
                let blobs = [work.model.as_deref(), work.prepared.as_deref()];
                let payload = self.make(world, &task, blobs).await;
                self.kept.lock().unwrap().insert(key, payload.clone());
                self.trained.lock().unwrap().push(task.id);
                payload
            }
        };
        let payload = match deed {
            Deed::Forge(forge) => {
                let mut bytes = payload.clone().into_bytes();
                forge(&mut bytes);
                Payload::from(bytes)
            }
            _ => payload,
        };
        let times = if matches!(deed, Deed::Twice) { 2 } else { 1 };
        for _ in 0..times {
            self.report(world, &work.run, task.id, payload.clone())
                .await;
        }
        true
    }

    async fn report(&self, world: &World, run: &str, task: TaskId, payload: Payload) {
        let (runs, name) = (&world.runs, &self.site.name);
        let expected = runs.expects(name, run, task, Step(0)).await;
        let reported = match expected {
            Err(refused) => Err(refused),
            Ok(expected) => {
                assert!(
                    payload.as_bytes().len() as u64 <= expected.longest,
                    "{task}"
                );
                runs.report(name, run, task, Step(0), payload).await
            }
        };
        self.hear(match reported {
            Ok(accumulator) => Heard::Counted(task, accumulator),
            Err(refused) => Heard::Refused(task, refused),
        });
    }

    async fn make(
        &self,
        world: &World,
        task: &Task,
        [model, prepared]: [Option<&[u8]>; 2],
    ) -> Payload {
        let blobs = world.store.blobs();
        let prepared: Option<Prepared> = match prepared {
            None => None,
            Some(digest) => {
                let digest = Digest::from_bytes(digest.try_into().unwrap());
                let bytes = blobs.fetch(&digest).await.unwrap();
                Some(serde_json::from_slice(&bytes).unwrap())
            }
        };
        let found = prepared.as_ref().map(Prepared::digest);
        assert_eq!(found, task.prepared.filter(|_| prepared.is_some()));
        let model = match model {
            None => Default::default(),
            Some(digest) => {
                let digest = Digest::from_bytes(digest.try_into().unwrap());
                blobs.fetch(&digest).await.unwrap()
            }
        };
        let (site, task) = (self.site.clone(), task.clone());
        tokio::task::spawn_blocking(move || site.report(&task, prepared.as_ref(), &model))
            .await
            .unwrap()
    }
}

pub(crate) fn statement() -> proto::Statement {
    proto::Statement {
        data_sets: vec!["tiny".to_owned()],
        memory_mb: 1_000,
        threads: 1,
        ..proto::Statement::default()
    }
}

/// Waits so short that no test waits long, and none so short that it decides anything before it happens.
pub(crate) fn impatient() -> RunsConfig {
    RunsConfig {
        patience: Patience {
            grace_ms: 1,
            work_ms: 1,
            rest_ms: 3_600_000,
        },
        workers: 2,
        ..RunsConfig::default()
    }
}

impl World {
    pub(crate) async fn open(folder: &Path, config: RunsConfig) -> Arc<Self> {
        let store = Store::open(folder).await.unwrap();
        let hold = Hold {
            idle: Duration::from_secs(3_600),
            working: Duration::from_secs(3_600),
        };
        let mailbox = format!("{:?}", std::time::Instant::now());
        let exchange = Exchange::new(mailbox, Clock::start(), hold);
        let watching = exchange.clone();
        tokio::spawn(async move { watching.watch().await });
        let runs = Runs::start(store.clone(), exchange.clone(), config);
        let runs = runs.await.unwrap();
        Arc::new(Self {
            store,
            exchange,
            runs,
        })
    }

    pub(crate) async fn enrol(&self, visitors: &[Visitor]) {
        self.enrol_with_keys(1, visitors).await;
    }

    /// Enrols visitors with keys from `first` on, which nobody has used.
    pub(crate) async fn enrol_with_keys(&self, first: u8, visitors: &[Visitor]) {
        for (key, visitor) in (first..).zip(visitors) {
            let token = Digest::of(&[key]);
            let invitation = Invitation {
                token,
                name: None,
                created_at_ms: 0,
                expires_at_ms: u64::MAX >> 1,
                used: None,
            };
            self.store.invitations().add(&[invitation]).await.unwrap();
            let enrolment = Enrolment {
                token,
                key: NodeKey::from_secret(&[key; 32]).public(),
                name: visitor.site.name.clone(),
                statement: visitor.statement.clone(),
                waits_for_approval: false,
                at_ms: 1,
            };
            self.store.invitations().join(enrolment).await.unwrap();
        }
    }

    /// The key that has a name now.
    pub(crate) async fn key(&self, name: &ClientName) -> KeyId {
        let nodes = self.store.nodes().list().await.unwrap();
        let mut enrolled = nodes
            .iter()
            .filter(|node| node.state == NodeState::Enrolled);
        let node = enrolled.find(|node| node.name == *name).unwrap();
        node.key.id()
    }

    pub(crate) fn visit(
        self: &Arc<Self>,
        visitors: &[Visitor],
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let visits = visitors.iter();
        visits
            .map(|visitor| tokio::spawn(visitor.clone().visit(Arc::clone(self))))
            .collect()
    }

    pub(crate) async fn submit(&self, job: &str) -> RunInfo {
        let submission = Submission {
            job: job.to_owned(),
            initial: None,
        };
        self.runs.submit(&submission, "ada").await.unwrap()
    }

    /// Waits for a run's end.
    pub(crate) async fn ended(&self, id: &str) -> RunInfo {
        self.until(id, |info| info.state.is_over()).await
    }

    /// Waits until a run stands as `is` says.
    pub(crate) async fn until(&self, id: &str, is: impl Fn(&RunInfo) -> bool) -> RunInfo {
        let mut after = 0;
        loop {
            let info = self.runs.info(id).await.unwrap();
            if is(&info) || info.state.is_over() {
                return info;
            }
            let hold = Duration::from_millis(50);
            let events = self.runs.events(id, after, hold).await.unwrap();
            after = events.events.last().map_or(after, |event| event.number);
        }
    }

    /// The words of a run's events.
    pub(crate) async fn events(&self, id: &str) -> Vec<String> {
        let events = self.runs.events(id, 0, Duration::ZERO).await.unwrap();
        let word = |event: serde_json::Value| event["event"].as_str().unwrap().to_owned();
        events
            .events
            .into_iter()
            .map(|event| word(event.event))
            .collect()
    }

    pub(crate) async fn log(&self, id: &str) -> String {
        let lines = self.runs.logs(id, 0).await.unwrap().lines;
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    pub(crate) async fn expect_finished(&self, id: &str) -> RunInfo {
        let info = self.ended(id).await;
        assert_eq!(
            info.state,
            RunState::Finished,
            "{:?}\n{}",
            info.reason,
            self.log(id).await
        );
        info
    }
}

/// A run's tasks at one site that have this stage.
pub(crate) fn tasks(heard: &[Heard], stage: Stage) -> Vec<TaskId> {
    let works = heard.iter().filter_map(|heard| match heard {
        Heard::Work { task, .. } if task.stage == stage => Some(*task),
        _ => None,
    });
    works.collect()
}

pub(crate) fn name(text: &str) -> ClientName {
    ClientName::try_from(text).unwrap()
}
