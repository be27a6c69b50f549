//! An enrolled node that asks without end: it is refused by its budget, and the others' rounds go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use commonweal_wire::control::RunState;
use commonweal_wire::path;
use commonweal_wire::proto::RefusalCode;

use crate::hand::{Hand, JOB, nothing};
use crate::peer::Peer;
use crate::server::{Server, until};

/// Connections of the flood.
const CONNECTIONS: usize = 4;

/// Requests of one key over several connections, one after the other on each, until it is dropped.
struct Flood {
    told: Arc<Told>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    /// Requests that were refused because there are too many.
    too_many: AtomicU64,
    is_over: AtomicBool,
}

impl Flood {
    fn begin(peer: impl Fn() -> Peer) -> Self {
        let told = Arc::new(Told::default());
        let threads = (0..CONNECTIONS).map(|_| {
            let (mut peer, told) = (peer(), Arc::clone(&told));
            std::thread::spawn(move || {
                while !told.is_over.load(Ordering::Relaxed) {
                    if asked(&mut peer) == RefusalCode::TooMany {
                        told.too_many.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        Self {
            threads: threads.collect(),
            told,
        }
    }

    fn refused(&self) -> u64 {
        self.told.too_many.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.told.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// Asks for a blob that does not exist.
fn asked(peer: &mut Peer) -> RefusalCode {
    let answer = peer.ask("GET", &path::blob(&nothing()), b"");
    answer.refusal().code()
}

#[test]
fn a_node_that_asks_without_end_is_refused_and_the_others_rounds_go_on() {
    let mut server = Server::start();
    server.restart_as(|mut command| {
        command.args(["--requests-per-second", "50"]);
        command
    });
    let mut one = Hand::enrolled(&server, "one", 1);
    let mut two = Hand::enrolled(&server, "two", 2);
    let hostile = Hand::enrolled(&server, "hostile", 3);
    drop(hostile);
    let hostile = || server.peer([3; 32]);
    let flood = Flood::begin(hostile);
    until("the flood is refused", || flood.refused() > 0);
    // It does not wait for the hostile one's word.
    let job = JOB.replace("reproducible = true", "join_seconds = 1.0");
    let run = server.submit(&job).id;
    one.approve();
    two.approve();
    Hand::do_the_rest(&mut [&mut one, &mut two]);
    let info = server.end(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    assert_eq!(info.round, 3);
    drop(flood);
    // Once it has rested, it is a node like any other.
    let mut rested = hostile();
    until("it is served again", || {
        asked(&mut rested) == RefusalCode::UnknownBlob
    });
    let metrics = rested.ask("GET", "/metrics", b"").body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("reason=\"too_many\""), "{metrics}");
    let log = server.log();
    let refusals = log.lines().filter(|line| line.contains("too_many"));
    assert!(
        refusals.clone().all(|line| line.contains("hostile")),
        "{log}"
    );
    assert!(refusals.count() > 0, "{log}");
}
