//! Many rounds with nodes that fail: memory, files and connections stay as they were.
//!
//! `COMMONWEAL_SOAK=200x50` makes it the long one, and its figures are in `target/soak.csv` and `target/soak.svg`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use commonweal_wire::control::RunState;
use commonweal_wire::path;
use commonweal_wire::proto::instruction::Kind;
use commonweal_wire::proto::{FailureCode, TaskFailure};
use prost::Message as _;

use crate::federation::of_kind;
use crate::hand::{Given, Hand, JOB};
use crate::proxy::mix;
use crate::server::Server;

/// Rounds and nodes of the short one.
const SHORT: (u64, usize) = (30, 10);

/// What the server holds after a round.
#[derive(Debug, Clone, Copy)]
struct Held {
    round: u64,
    memory_kb: u64,
    files: usize,
}

#[test]
fn rounds_in_which_a_tenth_of_the_nodes_fails_leave_nothing_behind() {
    let (rounds, nodes) = size();
    let server = Server::start();
    let job = JOB
        .replace("rounds = 3", &format!("rounds = {rounds}"))
        .replace("clients = 2", &format!("clients = {nodes}"))
        .replace("minimum = 2", &format!("minimum = {}", nodes / 2))
        .replace("every = 3", &format!("every = {rounds}"))
        .replace("reproducible = true", "");
    let hands: Vec<Hand> = (0..nodes)
        .map(|number| Hand::enrolled(&server, &format!("node-{number:02}"), number as u8))
        .collect();
    let run = server.submit(&job).id;
    let (ended, ends) = mpsc::channel();
    for (number, hand) in hands.into_iter().enumerate() {
        let ended = ended.clone();
        thread::spawn(move || {
            work(hand, number as u64);
            let _ = ended.send(());
        });
    }
    let mut held = Vec::new();
    let events = server.follow(&run, |event| {
        if event.event["event"] == "round" {
            held.push(Held {
                round: event.event["round"].as_u64().unwrap(),
                memory_kb: server.status("VmRSS"),
                files: server.open_files(),
            });
        }
        false
    });
    let info = server.info(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    (0..nodes).for_each(|_| ends.recv().unwrap());
    write(&held);
    assert!(!of_kind(&events, "refused").is_empty());
    assert_flat(&held);
}

/// Rounds and nodes.
fn size() -> (u64, usize) {
    let Ok(text) = std::env::var("COMMONWEAL_SOAK") else {
        return SHORT;
    };
    let (rounds, nodes) = text.split_once('x').unwrap();
    (rounds.parse().unwrap(), nodes.parse().unwrap())
}

/// Works until the run is over, and fails a tenth of its tasks: it says so, or hangs up and comes back.
fn work(mut hand: Hand, number: u64) {
    hand.approve();
    loop {
        let given = hand.next(|kind| match kind {
            Kind::Work(work) => Some(Some(Given::of(work))),
            Kind::RunOver(_) => Some(None),
            _ => None,
        });
        let Some(given) = given else {
            return;
        };
        let drawn = mix(number * 10_000 + given.task.id.round) % 20;
        match drawn {
            0 => {
                let failure = TaskFailure {
                    code: FailureCode::Diverged.into(),
                    ..TaskFailure::default()
                };
                let target = path::failure(&given.run, given.task.id);
                hand.peer.ask("POST", &target, &failure.encode_to_vec());
            }
            1 => {
                let bytes = given.honest_report();
                let letter = hand
                    .peer
                    .letter("PUT", &given.target(bytes.len() as u64), &bytes);
                // Half of it, and then the line goes dead; the task is given up, too.
                if let Ok(mut line) = hand.peer.dial() {
                    let _ = line.write(&letter.bytes()[..letter.bytes().len() - bytes.len() / 2]);
                }
                let failure = TaskFailure {
                    code: FailureCode::Trainer.into(),
                    ..TaskFailure::default()
                };
                let target = path::failure(&given.run, given.task.id);
                hand.peer.ask("POST", &target, &failure.encode_to_vec());
            }
            _ => {
                let bytes = given.honest_report();
                // A round may close without it.
                hand.report(&given, &bytes);
            }
        }
    }
}

/// Between the first third, when everything has been used once, and the end, nothing grows with the rounds.
fn assert_flat(held: &[Held]) {
    let from = held.len() / 3;
    let most = |held: &[Held]| held.iter().map(|held| held.memory_kb).max().unwrap();
    let (before, after) = (most(&held[..from]), most(&held[from..]));
    assert!(
        after < before + before / 5 + 4096,
        "from {before} KiB to {after} KiB"
    );
    let files = |held: &[Held]| held.iter().map(|held| held.files).max().unwrap();
    let (before, after) = (files(&held[..from]), files(&held[from..]));
    assert!(after <= before + 16, "from {before} open files to {after}");
}

fn write(held: &[Held]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("..");
    let mut table = "round,memory_kb,files\n".to_owned();
    for held in held {
        let _ = writeln!(table, "{},{},{}", held.round, held.memory_kb, held.files);
    }
    fs::write(folder.join("soak.csv"), table).unwrap();
    fs::write(folder.join("soak.svg"), plot(held)).unwrap();
}

/// Memory over rounds, from zero.
fn plot(held: &[Held]) -> String {
    let by_round: BTreeMap<u64, u64> = held
        .iter()
        .map(|held| (held.round, held.memory_kb))
        .collect();
    let last = by_round.keys().last().copied().unwrap_or(1).max(1) as f64;
    let most = by_round.values().max().copied().unwrap_or(1).max(1) as f64;
    let place = |(round, memory): (&u64, &u64)| {
        let (x, y) = (*round as f64 / last, *memory as f64 / most);
        format!("{:.1},{:.1}", 40.0 + 540.0 * x, 280.0 - 250.0 * y)
    };
    let points: Vec<String> = by_round.iter().map(place).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 310\" font-family=\"sans-serif\" font-size=\"12\">\
         <path d=\"M40 30V280H580\" fill=\"none\" stroke=\"#888\"/>\
         <text x=\"40\" y=\"20\">{:.1} MB resident</text><text x=\"500\" y=\"300\">round {last:.0}</text>\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"1.5\"/></svg>\n",
        most / 1024.0,
        points.join(" ")
    )
}
