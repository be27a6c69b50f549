//! One slot's conversation: starts its process when needed, asks one request at a time, gives up on a broken process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commonweal_core::{Flow, Progress};
use serde::Serialize;

use crate::error::WorkerError;
use crate::frame::Frame;
use crate::liveness::patience;
use crate::message::{PROTOCOL, Reply, Request};
use crate::pool::Workers;
use crate::process::{Fault, Message, Process};

/// A slot, with its process or without.
#[derive(Debug)]
pub(crate) struct Worker {
    workers: Arc<Workers>,
    slot: u32,
    running: Option<Running>,
    /// Bodies larger than this go through a file.
    map_above_bytes: u64,
}

#[derive(Debug)]
struct Running {
    process: Process,
    /// What its `hello` said; `None` until then.
    hello: Option<Hello>,
    /// Requests that it was sent: their ids count from 1.
    requests: u64,
}

#[derive(Debug)]
struct Hello {
    heartbeat_ms: Option<u64>,
    capabilities: Vec<String>,
}

/// What is asked, and what an answer may look like.
pub(crate) struct Question<'a> {
    /// The capability that it needs, which is also the request's type.
    pub(crate) capability: &'static str,
    /// For errors: `training client-017`.
    pub(crate) doing: String,
    /// The request of this id.
    pub(crate) request: &'a dyn Fn(u64) -> Request<'a>,
    /// The request's body.
    pub(crate) body: Vec<u8>,
    /// Bytes of the largest acceptable answer.
    pub(crate) answer_limit_bytes: u64,
}

/// An answer: the reply and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) body: Vec<u8>,
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(flatten)]
    request: &'a Request<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
}

/// How often a waiting slot asks whether to go on.
const TICK: Duration = Duration::from_millis(50);

/// Bodies up to this size fit through the pipe in a few milliseconds.
const MAP_ABOVE_BYTES: u64 = 4 << 20;

const HEARTBEATS_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

impl Worker {
    /// Starts a process, which loads while others do; what it says is read with the first question.
    pub(crate) fn start(workers: Arc<Workers>, slot: u32) -> Result<Self, WorkerError> {
        let mut worker = Self {
            workers,
            slot,
            running: None,
            map_above_bytes: MAP_ABOVE_BYTES,
        };
        worker.ensure_started()?;
        Ok(worker)
    }

    /// Asks `question` and waits for its answer, as long as the process keeps the protocol and `progress`
    /// lets it go on. A process that does not is killed; the next question starts another.
    ///
    /// # Errors
    /// [`WorkerError`]: no answer.
    pub(crate) fn ask(
        &mut self,
        question: Question<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Answer, WorkerError> {
        let result = self.converse(question, progress);
        let error = match result {
            Err(error) if error.breaks_the_process() => error,
            other => return other,
        };
        let Some(Running { process, .. }) = self.running.take() else {
            return Err(error);
        };
        Err(match error {
            WorkerError::Fault { place, fault, .. } => {
                let (status, stderr) = match fault {
                    Fault::Closed => process.end(),
                    _ => (None, process.kill()),
                };
                WorkerError::Fault {
                    place,
                    fault,
                    status,
                    stderr,
                }
            }
            other => other,
        })
    }

    fn converse(
        &mut self,
        mut question: Question<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Answer, WorkerError> {
        self.ensure_started()?;
        self.ensure_ready(&question.doing, progress)?;
        if !self.can(question.capability) {
            return Err(WorkerError::Unable {
                place: self.place(&question.doing),
                what: format!("its code defines no `{}`", question.capability),
            });
        }
        let id = self.next_id();
        self.expect_body(question.answer_limit_bytes);
        let body = mem::take(&mut question.body);
        self.send(&(question.request)(id), body)?;
        let mut cancelled_at: Option<Instant> = None;
        let (mut done, mut total) = (0, 0);
        loop {
            match self.receive(&question.doing)? {
                Some(Message { header, body }) if header.reply.answers() == Some(id) => {
                    let body = self.body(body, header.file, &question)?;
                    return match cancelled_at {
                        Some(_) => Err(WorkerError::Cancelled),
                        None => self.answer(header.reply, body, &question),
                    };
                }
                Some(Message { header, .. }) => match header.reply {
                    Reply::Progress {
                        id: about,
                        done: now,
                        total: all,
                    } if about == id => {
                        (done, total) = (now, all);
                    }
                    Reply::Data => self.send_data()?,
                    Reply::Progress { id: about, .. } if about < id => {}
                    reply => return Err(self.unexpected(&reply, &question.doing)),
                },
                None => {}
            }
            match cancelled_at {
                None if progress.step(done, total) == Flow::Cancel => {
                    cancelled_at = Some(Instant::now());
                    self.send(&Request::Cancel { id }, Vec::new())?;
                }
                Some(at) if at.elapsed() > patience(self.heartbeat_ms()) => {
                    if let Some(running) = self.running.take() {
                        running.process.kill();
                    }
                    return Err(WorkerError::Cancelled);
                }
                _ => {}
            }
        }
    }

    fn ensure_started(&mut self) -> Result<(), WorkerError> {
        if self.running.is_some() {
            return Ok(());
        }
        let workers = &*self.workers;
        let name = format!("{} {}", workers.trainer, self.slot);
        let process = Process::start(workers.command(self.slot)?, name, &workers.sink)
            .map_err(|why| workers.cannot_start(why))?;
        self.running = Some(Running {
            process,
            hello: None,
            requests: 0,
        });
        let workers = Arc::clone(&self.workers);
        let request = Request::Hello {
            protocol: PROTOCOL,
            trainer: &workers.trainer,
            slot: self.slot,
            device: workers.device(self.slot),
            directory: &workers.directory().to_string_lossy(),
            map_above_bytes: self.map_above_bytes,
        };
        self.send(&request, Vec::new())
    }

    /// Waits for the worker's `hello`, for as long as it takes to load.
    fn ensure_ready(
        &mut self,
        doing: &str,
        progress: &mut dyn Progress,
    ) -> Result<(), WorkerError> {
        while self
            .running
            .as_ref()
            .is_some_and(|running| running.hello.is_none())
        {
            if progress.step(0, 0) == Flow::Cancel {
                return Err(WorkerError::Cancelled);
            }
            let Some(Message { header, .. }) = self.receive(doing)? else {
                continue;
            };
            let hello = match header.reply {
                Reply::Loading => continue,
                Reply::Data => {
                    self.send_data()?;
                    continue;
                }
                Reply::Hello { protocol, .. } if protocol != PROTOCOL => {
                    return Err(WorkerError::Protocol {
                        place: self.place(doing),
                        found: protocol,
                    });
                }
                Reply::Hello {
                    heartbeat_ms: Some(found),
                    ..
                } if !HEARTBEATS_MS.contains(&found) => {
                    return Err(WorkerError::Heartbeat {
                        place: self.place(doing),
                        found,
                    });
                }
                Reply::Hello {
                    heartbeat_ms,
                    capabilities,
                    ..
                } => Hello {
                    heartbeat_ms,
                    capabilities,
                },
                reply => return Err(self.unexpected(&reply, doing)),
            };
            if let Some(running) = &mut self.running {
                running.hello = Some(hello);
            }
        }
        Ok(())
    }

    fn next_id(&mut self) -> u64 {
        self.running.as_mut().map_or(0, |running| {
            running.requests += 1;
            running.requests
        })
    }

    fn answer(
        &self,
        reply: Reply,
        body: Vec<u8>,
        question: &Question<'_>,
    ) -> Result<Answer, WorkerError> {
        match reply {
            Reply::Error {
                code, text, step, ..
            } => {
                let place = self.place(&question.doing);
                Err(WorkerError::reported(place, code, text, step))
            }
            reply => Ok(Answer { reply, body }),
        }
    }

    fn send(&self, request: &Request<'_>, body: Vec<u8>) -> Result<(), WorkerError> {
        let Some(Running { process, .. }) = &self.running else {
            return Ok(());
        };
        let name = format!("request-{}", self.slot);
        let mapped = body.len() as u64 > self.map_above_bytes;
        if mapped {
            let path = self.workers.directory().join(&name);
            replace(&path, &body).map_err(|why| WorkerError::File {
                what: format!("write {}", path.display()),
                why,
            })?;
        }
        let header = Header {
            request,
            file: mapped.then_some(&*name),
        };
        // Unwrap safety: strings and finite numbers are always JSON; a number that is not becomes null.
        #[expect(clippy::unwrap_used)]
        let header = serde_json::to_vec(&header).unwrap();
        let body = if mapped { Vec::new() } else { body };
        process.send(Frame { header, body });
        Ok(())
    }

    fn send_data(&self) -> Result<(), WorkerError> {
        let file = self.workers.data_file()?;
        self.send(&Request::Data { file }, Vec::new())
    }

    fn expect_body(&self, limit_bytes: u64) {
        if let Some(Running { process, .. }) = &self.running {
            process.expect_body(limit_bytes);
        }
    }

    fn receive(&self, doing: &str) -> Result<Option<Message>, WorkerError> {
        let Some(Running { process, .. }) = &self.running else {
            return Ok(None);
        };
        process
            .receive(TICK, self.heartbeat_ms())
            .map_err(|fault| WorkerError::Fault {
                place: self.place(doing),
                fault,
                status: None,
                stderr: String::new(),
            })
    }

    /// The answer's body, which a file may hold.
    fn body(
        &self,
        body: Vec<u8>,
        file: Option<String>,
        question: &Question<'_>,
    ) -> Result<Vec<u8>, WorkerError> {
        let Some(name) = file else {
            return Ok(body);
        };
        // A bare name: nothing outside the directory is ever opened.
        if Path::new(&name).file_name() != Some(OsStr::new(&name)) {
            let doing = &question.doing;
            return Err(WorkerError::Unexpected {
                place: self.place(doing),
                found: format!("file {name:?}"),
            });
        }
        let path = self.workers.directory().join(name);
        take(&path, question.answer_limit_bytes).map_err(|why| WorkerError::File {
            what: format!("read {}", path.display()),
            why,
        })
    }

    fn can(&self, capability: &str) -> bool {
        let hello = self
            .running
            .as_ref()
            .and_then(|running| running.hello.as_ref());
        hello.is_some_and(|hello| hello.capabilities.iter().any(|can| can == capability))
    }

    fn heartbeat_ms(&self) -> Option<u64> {
        self.running.as_ref()?.hello.as_ref()?.heartbeat_ms
    }

    /// Which worker, and what it was doing.
    pub(crate) fn place(&self, doing: &str) -> String {
        let Workers { trainer, .. } = &*self.workers;
        format!(
            "worker {} of {trainer} ({}), {doing},",
            self.slot,
            self.workers.command_line()
        )
    }

    fn unexpected(&self, reply: &Reply, doing: &str) -> WorkerError {
        WorkerError::unexpected(self.place(doing), reply)
    }
}

/// Writes a new file in place of an old one, which whoever has mapped it still sees unchanged.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    remove(path)?;
    File::create_new(path)?.write_all(bytes)
}

/// Reads and removes a file of at most `limit_bytes`.
fn take(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let count = File::open(path)?
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)?;
    remove(path)?;
    match count as u64 > limit_bytes {
        true => Err(io::Error::other(format!(
            "it is larger than {limit_bytes} bytes"
        ))),
        false => Ok(bytes),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Whether it heeds this or not, its standard input ends next.
        let _ = self.send(&Request::Shutdown, Vec::new());
    }
}
