//! A server in a folder of its own, with nodes, keys and a run.

use std::time::Duration;

use commonweal_core::{ClientName, Digest, Payload, Task, TaskKind, Time};
use commonweal_data::{DataSchema, Source};
use commonweal_server::config::ServerConfig;
use commonweal_server::store::{ApiKey, Invitation, Role};
use commonweal_server::{Running, Server};
use commonweal_wire::proto::{self, instruction::Kind};
use commonweal_wire::{Token, control, path};
use tempfile::TempDir;

use crate::client::{Node, now_ms};

/// A running server.
pub(crate) struct House {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        let running = Server::start(config).await.unwrap();
        Self { running, folder }
    }

    /// Ends the server and starts it again over the same folder.
    pub(crate) async fn reopen(self) -> Self {
        let Self { running, folder } = self;
        running.shutdown().await;
        let running = Server::start(config(&folder)).await.unwrap();
        Self { running, folder }
    }

    /// An invitation whose token is 32 times `secret`.
    pub(crate) async fn invite(&self, secret: u8, name: Option<&str>, valid: Duration) {
        let now_ms = now_ms();
        let valid_ms = u64::try_from(valid.as_millis()).unwrap();
        let invitation = Invitation {
            token: Token::from_bytes([secret; 32]).digest(),
            name: name.map(|name| ClientName::try_from(name).unwrap()),
            created_at_ms: now_ms,
            expires_at_ms: now_ms + valid_ms,
            used: None,
        };
        self.running
            .store()
            .invitations()
            .add(&[invitation])
            .await
            .unwrap();
    }

    /// A node that has joined.
    pub(crate) async fn enrol(&self, secret: u8) -> Node {
        let node = Node::new(self, secret);
        self.invite(secret, Some(&node.name), Duration::from_secs(60))
            .await;
        let joined = node.post(path::JOIN, &join_request(&node, secret)).await;
        let joined: proto::JoinAnswer = joined.message();
        assert_eq!(joined.name, node.name);
        node
    }

    /// A key to the control API, known to the server once it has looked again.
    pub(crate) async fn key(&self, name: &str, role: Role) -> String {
        let secret = format!("secret of {name}");
        let key = ApiKey {
            name: name.to_owned(),
            role,
            digest: Digest::of(secret.as_bytes()),
            created_at_ms: now_ms(),
            revoked_at_ms: None,
        };
        self.beside().await.keys().add(&key).await.unwrap();
        secret
    }

    /// The same store, as another process has it.
    pub(crate) async fn beside(&self) -> commonweal_server::store::Store {
        commonweal_server::store::Store::open(self.folder.path())
            .await
            .unwrap()
    }

    /// Submits a job of one round for so many nodes with the embedded digits, and names the run.
    pub(crate) async fn submit(&self, nodes: usize, hidden: usize) -> String {
        let submission = control::Submission {
            job: job(nodes, hidden),
            initial: None,
        };
        let submitted = self.running.runs().submit(&submission, "ada").await;
        submitted.unwrap().id
    }

    /// Submits such a job; each node approves, and gets its task.
    pub(crate) async fn begin_round(&self, nodes: &[&Node], hidden: usize) -> Vec<Work> {
        let run = self.submit(nodes.len(), hidden).await;
        for node in nodes {
            let Kind::Offer(offer) = next(node).await else {
                panic!("no offer");
            };
            assert_eq!(offer.run, run);
            let verdict = proto::Verdict {
                run: run.clone(),
                manifest: offer.manifest,
                kind: Some(proto::verdict::Kind::Approved(proto::Approved {
                    schema: schema(),
                })),
            };
            assert_eq!(node.post(path::VERDICT, &verdict).await.status, 200);
        }
        let mut works = Vec::new();
        for node in nodes {
            loop {
                if let Kind::Work(work) = next(node).await {
                    let task = commonweal_wire::to_task(work.task.as_ref().unwrap(), Time::START);
                    works.push(Work {
                        run: work.run,
                        task: task.unwrap(),
                        model: Digest::from_bytes(work.model.unwrap().try_into().unwrap()),
                        accumulator: work.accumulator,
                    });
                    break;
                }
            }
        }
        works
    }
}

/// A task, as a node got it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) run: String,
    pub(crate) task: Task,
    pub(crate) model: Digest,
    pub(crate) accumulator: String,
}

impl Work {
    /// A report that changes nothing, of so many parameters.
    pub(crate) fn report(&self, parameters: usize) -> Payload {
        let TaskKind::Train(plan) = &self.task.kind else {
            panic!("no training");
        };
        let sums = plan.metrics.sums();
        let mut bytes = b"CWu1".to_vec();
        bytes.extend(self.task.base.0.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(u32::try_from(parameters).unwrap().to_le_bytes());
        bytes.extend(u32::try_from(sums).unwrap().to_le_bytes());
        bytes.resize(bytes.len() + 8 * sums + 4 * parameters, 0);
        Payload::from(bytes)
    }
}

/// Parameters of the digits' network with one hidden layer.
pub(crate) fn parameters(hidden: usize) -> usize {
    64 * hidden + hidden + hidden * 10 + 10
}

pub(crate) fn join_request(node: &Node, secret: u8) -> proto::JoinRequest {
    proto::JoinRequest {
        token: vec![secret; 32],
        public_key: node.key.public().to_bytes().to_vec(),
        name: node.name.clone(),
        statement: Some(statement()),
    }
}

fn statement() -> proto::Statement {
    proto::Statement {
        version: "test".to_owned(),
        memory_mb: 1_000,
        threads: 1,
        data_sets: vec!["digits".to_owned()],
        ..proto::Statement::default()
    }
}

/// One poll.
pub(crate) async fn poll(node: &Node, mailbox: &str, taken: u64) -> proto::PollAnswer {
    let request = proto::PollRequest {
        mailbox: mailbox.to_owned(),
        taken,
        ..proto::PollRequest::default()
    };
    node.post(path::POLL, &request).await.message()
}

/// The next instruction. The next poll says that it is taken.
async fn next(node: &Node) -> Kind {
    loop {
        let (mailbox, taken) = node.taken.lock().unwrap().clone();
        let answer = poll(node, &mailbox, taken).await;
        if let Some(first) = answer.instructions.into_iter().next() {
            *node.taken.lock().unwrap() = (answer.mailbox, first.number);
            return first.kind.unwrap();
        }
    }
}

fn config(folder: &TempDir) -> ServerConfig {
    ServerConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..ServerConfig::of(folder.path())
    }
}

pub(crate) fn job(clients: usize, hidden: usize) -> String {
    format!(
        "name = \"door\"\nrounds = 1\nseed = 1\n\
        [data]\nname = \"digits\"\n\
        [deployment]\nclients = {clients}\n\
        [model]\nkind = \"mlp\"\nhidden = [{hidden}]\n\
        [training]\nepochs = 1\nbatch_size = 10\noptimizer = {{ kind = \"sgd\", learning_rate = 0.1 }}\n\
        [cohort]\nminimum = {clients}\n\
        [strategy]\nkind = \"fed_avg\"\n"
    )
}

/// The schema of the embedded digits, as a node sends it.
fn schema() -> Vec<u8> {
    let digits = commonweal_data::embedded::digits().unwrap();
    DataSchema::of(&Source::Numbers(digits))
        .encode()
        .into_bytes()
}
