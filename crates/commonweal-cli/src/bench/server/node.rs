//! A scripted node: polls, agrees to everything, and reports what it never trained.
//!
//! It says what a real node says, signs every request and keeps a poll open while it works, so that the server does
//! all of its work; it trains nothing and keeps no record, so that the load costs little beside the server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commonweal_core::{Digest, Stage, Step, TaskId, Time};
use commonweal_wire::{NodeKey, RefusalCode, Request, path, proto, read, to_task, to_task_id};
use prost::Message as _;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::connection::{Answer, Connection, Dialer, Pace};
use super::journal::{Pen, Sight};
use super::report::Report;
use super::script::{Hold, Oddity, Script};

/// Pause before a connection is tried again, and before a refused upload is.
const PAUSE: Duration = Duration::from_millis(20);
/// Time that a node takes until it connects again after its connection was cut.
const BACK: Duration = Duration::from_millis(250);
/// Attempts to do a task, and to send its report.
const ATTEMPTS: usize = 20;
/// The one step of plain reporting.
const PLAIN: Step = Step(0);

/// A node.
pub(super) struct Node {
    number: usize,
    key: NodeKey,
    dialer: Arc<Dialer>,
    script: Arc<Script>,
    pen: Pen,
    nonces: AtomicU64,
    /// The connection for everything but polls, as long as it lasts.
    spare: Mutex<Option<Connection>>,
}

/// The name of the node of this number.
pub(super) fn name(number: usize) -> String {
    format!("node-{number:05}")
}

/// The key of the node of this number: no secret, since its server ends with the measurement.
pub(super) fn key(number: usize) -> NodeKey {
    NodeKey::from_secret(Digest::of(name(number).as_bytes()).as_bytes())
}

/// What the mailbox said last.
#[derive(Default)]
struct Taken {
    mailbox: String,
    number: u64,
    has_stated: bool,
    working: Option<proto::Working>,
    /// The last task, by its run and the sum that its report is for.
    last: Option<(String, Option<proto::TaskId>, String)>,
}

impl Node {
    pub(super) fn new(number: usize, dialer: Arc<Dialer>, script: Arc<Script>, pen: Pen) -> Self {
        Self {
            number,
            key: key(number),
            dialer,
            script,
            pen,
            nonces: AtomicU64::new(0),
            spare: Mutex::new(None),
        }
    }

    /// Polls for ever. Broken connections are made again.
    pub(super) async fn run(self: Arc<Self>) {
        let mut taken = Taken::default();
        loop {
            match self.dialer.dial().await {
                Ok(connection) => {
                    let error = self.poll(connection, &mut taken).await;
                    self.broken("poll", &error);
                }
                Err(error) => self.broken("connect", &error),
            }
            sleep(PAUSE).await;
        }
    }

    /// Polls until the connection breaks.
    async fn poll(self: &Arc<Self>, mut connection: Connection, taken: &mut Taken) -> io::Error {
        let mut is_first = true;
        loop {
            let body = self.poll_request(taken).encode_to_vec();
            let head = self.head("POST", path::POLL, &Digest::of(&body), body.len());
            if is_first {
                self.pen.write(self.number, Sight::Polling);
                is_first = false;
            }
            let answer = match connection.exchange(head, &body).await {
                Ok(answer) => answer,
                Err(error) => return error,
            };
            let Some(answer) = self.accept::<proto::PollAnswer>(&answer) else {
                sleep(PAUSE).await;
                continue;
            };
            taken.has_stated = true;
            if taken.mailbox != answer.mailbox {
                taken.mailbox = answer.mailbox;
                taken.number = 0;
            }
            for instruction in answer.instructions {
                if instruction.number <= taken.number {
                    continue;
                }
                taken.number = instruction.number;
                let Some(kind) = instruction.kind else {
                    continue;
                };
                if let Err(error) = self.follow(kind, &mut connection, taken).await {
                    return error;
                }
            }
        }
    }

    fn poll_request(&self, taken: &Taken) -> proto::PollRequest {
        proto::PollRequest {
            mailbox: taken.mailbox.clone(),
            taken: taken.number,
            statement: (!taken.has_stated).then(|| statement(self.script.data)),
            working: taken.working.clone(),
            is_leaving: false,
        }
    }

    async fn follow(
        self: &Arc<Self>,
        kind: proto::instruction::Kind,
        connection: &mut Connection,
        taken: &mut Taken,
    ) -> io::Result<()> {
        use proto::instruction::Kind;
        match kind {
            Kind::Offer(offer) => self.agree(offer, connection).await?,
            Kind::Work(work) => {
                let id = work.task.as_ref().and_then(|task| task.id);
                let this = Some((work.run.clone(), id, work.accumulator.clone()));
                // What comes twice is done once.
                if taken.last == this {
                    return Ok(());
                }
                taken.last = this;
                taken.working = Some(proto::Working {
                    run: work.run.clone(),
                    task: id,
                    done: 0,
                    total: 1,
                });
                tokio::spawn(Arc::clone(self).work(work));
            }
            Kind::Settled(settled) => {
                taken.working = None;
                if let Ok(task) = to_task_id(settled.task.as_ref()) {
                    self.pen
                        .write(self.number, Sight::Settled(task, settled.counted));
                }
            }
            Kind::Cancel(cancel) => {
                taken.working = None;
                let reason = format!("cancelled: {}", cancel.reason);
                self.pen.write(self.number, Sight::Broken(reason));
            }
            Kind::RunOver(_) => {
                taken.working = None;
                self.pen.write(self.number, Sight::Over);
            }
        }
        Ok(())
    }

    /// Reads the manifest, as an owner would, and agrees.
    async fn agree(&self, offer: proto::Offer, connection: &mut Connection) -> io::Result<()> {
        let digest = digest(&offer.manifest)?;
        let head = self.head("GET", &path::blob(&digest), &Digest::of(&[]), 0);
        let answer = connection.exchange(head, &[]).await?;
        self.expect_success(&answer);
        let approved = proto::Approved {
            schema: self.script.schema.clone().into_bytes(),
        };
        let verdict = proto::Verdict {
            run: offer.run,
            manifest: offer.manifest,
            kind: Some(proto::verdict::Kind::Approved(approved)),
        };
        let body = verdict.encode_to_vec();
        let head = self.head("POST", path::VERDICT, &Digest::of(&body), body.len());
        let answer = connection.exchange(head, &body).await?;
        self.expect_success(&answer);
        Ok(())
    }

    async fn work(self: Arc<Self>, work: proto::Work) {
        for _ in 0..ATTEMPTS {
            match self.try_work(&work).await {
                Ok(()) => return,
                Err(error) => self.broken("work", &error),
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_work(&self, work: &proto::Work) -> io::Result<()> {
        let task = work.task.as_ref().ok_or_else(unreadable)?;
        let task = to_task(task, Time { ms: 0 }).map_err(io::Error::other)?;
        self.pen.write(self.number, Sight::Task(task.id));
        self.wait(task.id, Hold::AtTask).await;
        if let Some(model) = &work.model {
            self.fetch(&digest(model)?).await?;
        }
        let report = self
            .script
            .report(&work.run, &task)
            .map_err(io::Error::other)?;
        self.wait(task.id, Hold::AtReport).await;
        let sent = self.send(&work.run, task.id, &report).await?;
        self.pen.write(self.number, Sight::Reported(task.id, sent));
        Ok(())
    }

    async fn wait(&self, task: TaskId, hold: Hold) {
        if task.stage == Stage::Train && self.script.hold == hold {
            self.pen.write(self.number, Sight::Ready(task));
            self.script.opened(task.round).await;
        }
    }

    async fn fetch(&self, digest: &Digest) -> io::Result<()> {
        let head = self.head("GET", &path::blob(digest), &Digest::of(&[]), 0);
        let mut connection = self.spare().await?;
        let status = connection.download(&head, |_| {}).await?;
        self.keep(connection).await;
        match status {
            200 => Ok(()),
            _ => Err(io::Error::other(format!(
                "a model was refused with {status}"
            ))),
        }
    }

    /// Sends a report, again and again from where the server has it; tells how many bytes that took.
    async fn send(&self, run: &str, task: TaskId, report: &Report) -> io::Result<usize> {
        let mut pace = self.pace(task, report.bytes.len());
        let (mut sent, mut offset) = (0, 0);
        for _ in 0..ATTEMPTS {
            let length = report.bytes.len();
            let target = path::report_part(run, task, PLAIN, offset as u64, length as u64);
            let head = self.head("PUT", &target, &report.digest, length - offset);
            let mut connection = self.spare().await?;
            let part = &report.bytes[offset..];
            let (bytes, outcome) = connection.upload(&head, part, pace).await;
            sent += bytes;
            match outcome {
                Ok(Some(answer)) if answer.status == 200 => {
                    self.keep(connection).await;
                    return Ok(sent);
                }
                Ok(Some(answer)) => {
                    self.expect_success(&answer);
                    if refusal(&answer) == RefusalCode::Duplicate {
                        return Ok(sent);
                    }
                }
                Ok(None) => sleep(BACK).await,
                Err(error) => self.broken("upload", &error),
            }
            // A node whose connection was cut, and one that was refused, asks where to go on.
            pace = Pace::Full;
            sleep(PAUSE).await;
            offset = self.held(run, task, length).await?;
        }
        Err(io::Error::other("a report was not taken"))
    }

    fn pace(&self, task: TaskId, length: usize) -> Pace<'_> {
        let oddity = match task.stage {
            Stage::Train => self.script.oddities.get(&task.round),
            Stage::Prepare | Stage::Evaluate => None,
        };
        match oddity {
            Some(&Oddity::Slow {
                node,
                bytes_per_second,
            }) if node == self.number => Pace::Slow(bytes_per_second, &self.script.hurry),
            Some(&Oddity::Cut { node }) if node == self.number => Pace::Cut(length / 2),
            _ => Pace::Full,
        }
    }

    /// Bytes of the report that the server holds.
    async fn held(&self, run: &str, task: TaskId, length: usize) -> io::Result<usize> {
        let target = path::report(run, task, PLAIN);
        let head = self.head("GET", &target, &Digest::of(&[]), 0);
        let mut connection = self.spare().await?;
        let answer = connection.exchange(head, &[]).await?;
        self.keep(connection).await;
        let state = self.accept::<proto::ReportState>(&answer);
        let offset = state.map_or(0, |state| state.offset);
        Ok(usize::try_from(offset).unwrap_or(0).min(length))
    }

    /// The connection beside that of the poll.
    async fn spare(&self) -> io::Result<Connection> {
        match self.spare.lock().await.take() {
            Some(connection) => Ok(connection),
            None => self.dialer.dial().await,
        }
    }

    async fn keep(&self, connection: Connection) {
        *self.spare.lock().await = Some(connection);
    }

    /// The head of a signed request.
    fn head(&self, method: &str, target: &str, digest: &Digest, length: usize) -> String {
        let mut nonce = [0; 16];
        let count = self.nonces.fetch_add(1, Ordering::Relaxed);
        nonce[..8].copy_from_slice(&count.to_le_bytes());
        let request = Request {
            method,
            target,
            time_ms: now_ms(),
            nonce,
            digest: *digest,
        };
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n",
            commonweal_wire::FEDERATION_NAME
        );
        for (name, value) in request.sign(&self.key) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(&value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head
    }

    /// The message of a success; another answer is trouble.
    fn accept<M: prost::Message + Default>(&self, answer: &Answer) -> Option<M> {
        self.expect_success(answer);
        match answer.status {
            200 => read(&answer.body).ok(),
            _ => None,
        }
    }

    fn expect_success(&self, answer: &Answer) {
        if !(200..300).contains(&answer.status) {
            let code = refusal(answer);
            self.pen.write(self.number, Sight::Refused(code));
        }
    }

    fn broken(&self, what: &str, error: &io::Error) {
        let reason = format!("{what}: {error}");
        self.pen.write(self.number, Sight::Broken(reason));
    }
}

/// Why an answer is no success.
fn refusal(answer: &Answer) -> RefusalCode {
    let refusal = read::<proto::Refusal>(&answer.body).unwrap_or_default();
    refusal.code()
}

/// What every node says of itself.
pub(super) fn statement(data: &str) -> proto::Statement {
    proto::Statement {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        memory_mb: 2000,
        threads: 1,
        data_sets: vec![data.to_owned()],
        ..proto::Statement::default()
    }
}

fn digest(bytes: &[u8]) -> io::Result<Digest> {
    let bytes = bytes.try_into().map_err(|_| unreadable())?;
    Ok(Digest::from_bytes(bytes))
}

fn unreadable() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "an instruction that cannot be read",
    )
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
