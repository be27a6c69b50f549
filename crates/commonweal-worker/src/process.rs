//! One worker process: three threads move bytes, so that a worker that neither reads nor writes blocks nobody.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::frame::{Frame, FrameError, Limits, Prefix};
use crate::liveness::{Activity, Hung};
use crate::message::{HeaderError, Reply, ReplyHeader};
use crate::stderr::{LineSink, Tail};

/// A running worker process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    outgoing: Option<Sender<Frame>>,
    incoming: Receiver<Result<Message, Fault>>,
    shared: Arc<Shared>,
    tail: Tail,
    stderr_ended: Receiver<()>,
}

/// A reply with its body, or the name of the file that holds it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: ReplyHeader,
    pub(crate) body: Vec<u8>,
}

/// Why a process can no longer be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its standard output ended.
    #[error("closed its standard output")]
    Closed,
    /// It wrote what is no frame.
    #[error("wrote {0}")]
    Frame(#[from] FrameError),
    /// It wrote a frame that is no message.
    #[error("wrote {0}")]
    Header(#[from] HeaderError),
    /// It runs but does not keep the protocol.
    #[error(transparent)]
    Hung(#[from] Hung),
}

#[derive(Debug)]
struct Shared {
    activity: Activity,
    /// Bytes of the largest body that the request under way can be answered with.
    body_limit: AtomicU64,
}

/// Bytes of a body that is no answer to a request.
const SMALL_BODY_BYTES: u64 = 1 << 20;

/// Bytes that a body's buffer grows by: memory follows what arrives, not what is announced.
const CHUNK_BYTES: usize = 1 << 20;

/// How long an exit status or the rest of standard error is waited for, once the pipe has ended.
const ENDING: Duration = Duration::from_secs(3);

impl Process {
    /// Starts `command`; `name` stands before each line that it prints.
    ///
    /// It has its own process group, so that Ctrl-C in the terminal reaches Commonweal alone, which then
    /// finishes the round. If Commonweal dies, the worker reads the end of its standard input.
    pub(crate) fn start(mut command: Command, name: String, sink: &LineSink) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let shared = Arc::new(Shared {
            activity: Activity::new(),
            body_limit: AtomicU64::new(SMALL_BODY_BYTES),
        });
        let tail = Tail::default();
        let (outgoing, writes) = mpsc::channel::<Frame>();
        // A worker that writes without being asked fills the pipe, not the memory.
        let (reads, incoming) = mpsc::sync_channel(4);
        let (stderr_end, stderr_ended) = mpsc::channel();
        if let Some(mut stdin) = child.stdin.take() {
            thread::spawn(move || {
                for frame in writes {
                    let head = stdin.write_all(&frame.head());
                    if head.and_then(|()| stdin.write_all(&frame.body)).is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(stdout) = child.stdout.take() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read_messages(stdout, &shared, &reads));
        }
        if let Some(stderr) = child.stderr.take() {
            let (tail, sink) = (tail.clone(), Arc::clone(sink));
            thread::spawn(move || {
                tail.follow(stderr, &name, &sink);
                drop(stderr_end);
            });
        }
        Ok(Self {
            child,
            outgoing: Some(outgoing),
            incoming,
            shared,
            tail,
            stderr_ended,
        })
    }

    /// Hands `frame` to the thread that writes. That a worker does not read shows in its missing answer.
    pub(crate) fn send(&self, frame: Frame) {
        self.shared.activity.touch();
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send(frame);
        }
    }

    /// Sets the size of the largest body from now on.
    pub(crate) fn expect_body(&self, limit_bytes: u64) {
        let limit_bytes = limit_bytes.max(SMALL_BODY_BYTES);
        self.shared.body_limit.store(limit_bytes, Ordering::Relaxed);
    }

    /// The next message, or `None` if none came within `wait`.
    ///
    /// # Errors
    /// [`Fault`]: the process is of no more use.
    pub(crate) fn receive(
        &self,
        wait: Duration,
        heartbeat_ms: Option<u64>,
    ) -> Result<Option<Message>, Fault> {
        match self.incoming.recv_timeout(wait) {
            Ok(message) => message.map(Some),
            Err(RecvTimeoutError::Disconnected) => Err(Fault::Closed),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.activity.check(heartbeat_ms)?;
                Ok(None)
            }
        }
    }

    /// Kills the process if it still runs; says how it ended by itself, and quotes its last lines.
    pub(crate) fn end(mut self) -> (Option<ExitStatus>, String) {
        self.outgoing = None;
        let status = self.wait(ENDING);
        let _ = self.child.kill();
        let _ = self.stderr_ended.recv_timeout(ENDING);
        (status, self.tail.quote())
    }

    /// Kills the process at once and quotes its last lines.
    pub(crate) fn kill(mut self) -> String {
        // What the process itself has started reads the end of its input, and lets go of standard error.
        self.outgoing = None;
        let _ = self.child.kill();
        let _ = self.stderr_ended.recv_timeout(ENDING);
        self.tail.quote()
    }

    /// The exit status, if the process ends within `patience`.
    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

impl Drop for Process {
    /// The end of standard input asks a worker to stop; one that does not is killed.
    fn drop(&mut self) {
        self.outgoing = None;
        if self.wait(ENDING).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_messages(source: impl Read, shared: &Shared, sink: &SyncSender<Result<Message, Fault>>) {
    let mut source = Watched { source, shared };
    loop {
        let message = match source.message() {
            Ok(Some(Message { header, .. })) if header.reply == Reply::Heartbeat => continue,
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Fault::Closed),
            Err(fault) => Err(fault),
        };
        let ended = message.is_err();
        if sink.send(message).is_err() || ended {
            return;
        }
    }
}

/// A pipe whose every byte is a sign of life.
struct Watched<'a, R> {
    source: R,
    shared: &'a Shared,
}

impl<R: Read> Watched<'_, R> {
    /// The next message, or `None` at the end of the pipe.
    fn message(&mut self) -> Result<Option<Message>, Fault> {
        let mut prefix = [0; Prefix::BYTES];
        let mut filled = 0;
        while filled < prefix.len() {
            match self.read(&mut prefix[filled..]) {
                0 => return Ok(None),
                count => filled += count,
            }
            // At once: what user code printed may be shorter than a prefix.
            Prefix::expect_magic(&prefix[..filled])?;
        }
        let limits = Limits::body(self.shared.body_limit.load(Ordering::Relaxed));
        let prefix = Prefix::parse(&prefix, limits)?;
        let Some(header) = self.take(prefix.header_bytes) else {
            return Ok(None);
        };
        let Some(body) = self.take(prefix.body_bytes) else {
            return Ok(None);
        };
        self.shared.activity.saw_bytes(false);
        let header = ReplyHeader::parse(&header)?;
        Ok(Some(Message { header, body }))
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + CHUNK_BYTES), 0);
            if !self.fill(&mut bytes[start..]) {
                return None;
            }
        }
        Some(bytes)
    }

    /// Whether the pipe had enough bytes.
    fn fill(&mut self, mut out: &mut [u8]) -> bool {
        while !out.is_empty() {
            match self.read(out) {
                0 => return false,
                count => out = &mut out[count..],
            }
        }
        true
    }

    /// Bytes read; 0 at the end of the pipe, or if it is broken.
    fn read(&mut self, out: &mut [u8]) -> usize {
        loop {
            match self.source.read(out) {
                Ok(count) => {
                    self.shared.activity.saw_bytes(count > 0);
                    return count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return 0,
            }
        }
    }
}
