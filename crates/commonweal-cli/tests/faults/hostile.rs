//! Bytes from a peer who means no good: each gets its refusal, costs little memory, and the round goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use commonweal_core::{Digest, ModelVersion, Step, TaskId};
use commonweal_wire::control::RunState;
use commonweal_wire::proto::{JoinRequest, PollRequest, RefusalCode, Verdict, verdict};
use commonweal_wire::{JoinString, NodeKey, Token, header, path};
use prost::Message as _;

use crate::federation::{committed, of_kind};
use crate::hand::{Given, Hand, JOB, SCHEMA, VALUES, nothing, update};
use crate::peer::{Letter, Peer};
use crate::proxy::mix;
use crate::server::Server;

/// What a server may need more while it is attacked, in KiB.
const MORE_MEMORY_KB: u64 = 64 * 1024;

/// How many there are.
const BAD_REPORTS: u64 = 20;

/// A round that waits for the second of its two nodes.
struct Scene {
    server: Server,
    run: String,
    honest: Hand,
    hostile: Hand,
    given: Given,
}

impl Scene {
    fn open() -> Self {
        let server = Server::start();
        let mut honest = Hand::enrolled(&server, "honest", 1);
        let mut hostile = Hand::enrolled(&server, "hostile", 2);
        let run = server.submit(JOB).id;
        honest.approve();
        hostile.approve();
        let given = honest.work();
        honest.do_honestly(&given);
        let given = hostile.work();
        Self {
            server,
            run,
            honest,
            hostile,
            given,
        }
    }

    /// The run ends well, and the server has not needed much more memory than at `before`.
    fn goes_on(mut self, before_kb: u64) {
        self.hostile.do_honestly(&self.given);
        Hand::do_the_rest(&mut [&mut self.honest, &mut self.hostile]);
        let info = self.server.end(&self.run);
        assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
        assert_eq!(info.round, 3);
        let more = self.server.status("VmHWM").saturating_sub(before_kb);
        assert!(more < MORE_MEMORY_KB, "{more} KiB more");
    }
}

/// A request, and the code of its refusal.
type Case = (&'static str, Letter, RefusalCode);

#[test]
fn every_bad_report_costs_its_node_the_round_and_nobody_else_anything() {
    let server = Server::start();
    let mut honest = Hand::enrolled(&server, "honest", 1);
    let mut hostile = Hand::enrolled(&server, "hostile", 2);
    let rounds = 2 * BAD_REPORTS;
    let job = JOB
        .replace("rounds = 3", &format!("rounds = {rounds}"))
        .replace("every = 3", &format!("every = {rounds}"))
        .replace("minimum = 2", "minimum = 1");
    let run = server.submit(&job).id;
    honest.approve();
    hostile.approve();
    let before = server.status("VmHWM");
    for at in 0..rounds {
        let (given, other) = (hostile.work_of(at + 1), honest.work_of(at + 1));
        // Behaves every other time, so that it is not left alone for a while.
        match at % 2 {
            0 => {
                let (what, letter) =
                    bad_reports(&hostile.peer, &given).swap_remove(at as usize / 2);
                let refusal = hostile.peer.send(&letter).unwrap().refusal();
                assert_eq!(refusal.code(), RefusalCode::Report, "{what}: {refusal:?}");
            }
            _ => hostile.do_honestly(&given),
        }
        honest.do_honestly(&other);
    }
    Hand::do_the_rest(&mut [&mut honest, &mut hostile]);
    let events = server.follow(&run, |_| false);
    assert_eq!(committed(&events).len() as u64, rounds);
    let refused = of_kind(&events, "refused");
    assert_eq!(refused.len() as u64, rounds / 2);
    assert!(
        refused.iter().all(|event| event["client"] == "hostile"),
        "{refused:?}"
    );
    assert!(
        server.log().contains("hostile"),
        "the log names the culprit"
    );
    let more = server.status("VmHWM").saturating_sub(before);
    assert!(more < MORE_MEMORY_KB, "{more} KiB more");
}

/// Reports that are whole and wrong: sending them again would be no use.
fn bad_reports(peer: &Peer, given: &Given) -> Vec<(&'static str, Letter)> {
    let base = given.task.base;
    let metrics = given.metrics().zero().values().to_vec();
    let good = update(base, 1, &[0; VALUES], &metrics);
    let put = |bytes: &[u8]| peer.letter("PUT", &given.target(bytes.len() as u64), bytes);
    let mut lying = good.clone();
    lying[16..20].fill(0xff);
    let mut cases = vec![
        ("no report", put(b"CWx1")),
        ("nothing", put(b"")),
        ("truncated", put(&good[..good.len() - 1])),
        ("a lying number of values", put(&lying)),
        (
            "a value too few",
            put(&update(base, 1, &[0; VALUES - 1], &metrics)),
        ),
        (
            "a value out of range",
            put(&update(base, 1, &[i32::MIN, 0, 0], &metrics)),
        ),
        ("no weight", put(&update(base, 0, &[0; VALUES], &metrics))),
        (
            "too much weight",
            put(&update(base, 1 << 20, &[0; VALUES], &metrics)),
        ),
        (
            "another model's",
            put(&update(ModelVersion(99), 1, &[0; VALUES], &metrics)),
        ),
        (
            "impossible metrics",
            put(&update(base, 1, &[0; VALUES], &vec![-1; metrics.len()])),
        ),
    ];
    cases.extend((0..10).map(|seed| {
        let noise = (0..good.len()).map(|at| mix(seed * 1000 + at as u64) as u8);
        ("noise", put(&noise.collect::<Vec<_>>()))
    }));
    cases
}

#[test]
fn every_upload_that_is_no_report_of_the_task_is_refused_by_its_code_and_the_round_goes_on() {
    let mut scene = Scene::open();
    let before = scene.server.status("VmHWM");
    for (what, letter, code) in bad_uploads(&scene.hostile.peer, &scene.given) {
        let refusal = scene.hostile.peer.send(&letter).unwrap().refusal();
        assert_eq!(refusal.code(), code, "{what}: {refusal:?}");
    }
    scene.goes_on(before);
}

fn bad_uploads(peer: &Peer, given: &Given) -> Vec<Case> {
    let good = given.honest_report();
    let length = good.len() as u64;
    let put = |target: &str, bytes: &[u8]| peer.letter("PUT", target, bytes);
    let another =
        |run: &str, task: TaskId| put(&path::report_part(run, task, Step(0), 0, length), &good);
    let id = given.task.id;
    let later = TaskId { round: 9, ..id };
    let target = given.target(length);
    let wrong = |from: &str, to: &str, bytes: &[u8]| put(&target.replace(from, to), bytes);
    vec![
        (
            "a value too many",
            put(&given.target(length + 4), &[&good[..], &[0; 4]].concat()),
            RefusalCode::TooLarge,
        ),
        (
            "a length beyond everything",
            put(&given.target(u64::MAX), &good),
            RefusalCode::TooLarge,
        ),
        (
            "a length of no number",
            wrong("&length=", "&length=x", &good),
            RefusalCode::Malformed,
        ),
        (
            "a step of no number",
            wrong("/0?", "/x?", &good),
            RefusalCode::Malformed,
        ),
        (
            "a task of no form",
            wrong("train-1", "train", &good),
            RefusalCode::Malformed,
        ),
        (
            "more bytes than the length",
            put(&given.target(3), &good),
            RefusalCode::Malformed,
        ),
        (
            "another digest",
            peer.letter_of("PUT", &target, &good, nothing()),
            RefusalCode::Digest,
        ),
        (
            "the end alone",
            wrong("offset=0", "offset=7", &good[7..]),
            RefusalCode::Offset,
        ),
        (
            "another run's",
            another("other-1", id),
            RefusalCode::UnknownRun,
        ),
        (
            "a round's that is to come",
            another(&given.run, later),
            RefusalCode::Unavailable,
        ),
    ]
}

#[test]
fn every_bad_request_is_refused_by_its_code_and_the_round_goes_on() {
    let mut scene = Scene::open();
    let before = scene.server.status("VmHWM");
    for (what, letter, code) in bad_requests(&scene) {
        let answer = scene.hostile.peer.send(&letter).unwrap();
        assert_eq!(
            answer.refusal().code(),
            code,
            "{what}: {:?}",
            answer.refusal()
        );
    }
    scene.goes_on(before);
}

fn bad_requests(scene: &Scene) -> Vec<Case> {
    let (peer, given) = (&scene.hostile.peer, &scene.given);
    let poll = scene.hostile.poll_request().encode_to_vec();
    let asked = || peer.letter("POST", path::POLL, &poll);
    let post = |target: &str, body: &[u8]| peer.letter("POST", target, body);
    let honest = scene.honest.peer.key().public().id().to_header();
    let nobody = NodeKey::from_secret(&[77; 32]).public().id().to_header();
    let verdict = |run: &str, manifest: Digest, schema: &[u8]| {
        let verdict = Verdict {
            run: run.to_owned(),
            manifest: manifest.as_bytes().to_vec(),
            kind: Some(verdict::Kind::Approved(commonweal_wire::proto::Approved {
                schema: schema.to_vec(),
            })),
        };
        post(path::VERDICT, &verdict.encode_to_vec())
    };
    let failures = path::failure(&given.run, given.task.id);
    let fresh = |skew_ms: i64| {
        let mut other = scene.server.peer([2; 32]);
        other.skew_ms = skew_ms;
        other.letter("POST", path::POLL, &poll)
    };
    let mut cases = vec![
        (
            "another version",
            asked().with(header::PROTOCOL, "2"),
            RefusalCode::Protocol,
        ),
        (
            "somebody else's name",
            asked().with(header::NODE, &honest),
            RefusalCode::Signature,
        ),
        (
            "nobody's name",
            asked().with(header::NODE, &nobody),
            RefusalCode::UnknownNode,
        ),
        (
            "a name of no form",
            asked().with(header::NODE, "me"),
            RefusalCode::Malformed,
        ),
        (
            "a forged signature",
            asked().with(header::SIGNATURE, &"A".repeat(86)),
            RefusalCode::Signature,
        ),
        (
            "no signature",
            asked().with(header::SIGNATURE, ""),
            RefusalCode::Malformed,
        ),
        (
            "a clock ten minutes fast",
            fresh(600_000),
            RefusalCode::Clock,
        ),
        (
            "a clock ten minutes slow",
            fresh(-600_000),
            RefusalCode::Clock,
        ),
        (
            "an unsigned time",
            asked().with(header::TIME, "1"),
            RefusalCode::Clock,
        ),
        (
            "a poll of no form",
            post(path::POLL, &[0xff; 9]),
            RefusalCode::Malformed,
        ),
        (
            "a lying length within",
            post(path::POLL, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            RefusalCode::Malformed,
        ),
        (
            "a verdict of no form",
            post(path::VERDICT, &[0xff; 9]),
            RefusalCode::Malformed,
        ),
        (
            "a failure of no form",
            post(&failures, &[0xff; 9]),
            RefusalCode::Malformed,
        ),
        (
            "a verdict on another run",
            verdict("other-1", nothing(), SCHEMA),
            RefusalCode::UnknownRun,
        ),
        (
            "a verdict on another job",
            verdict(&given.run, nothing(), SCHEMA),
            RefusalCode::Malformed,
        ),
        (
            "an unknown blob",
            peer.letter("GET", &path::blob(&nothing()), b""),
            RefusalCode::UnknownBlob,
        ),
        (
            "a blob of no name",
            peer.letter("GET", "/v1/blobs/..%2Fca.key", b""),
            RefusalCode::Malformed,
        ),
        (
            "another body than signed",
            changed_body(asked()),
            RefusalCode::Digest,
        ),
    ];
    let honest_poll = asked();
    cases.push((
        "the first half of a pair",
        honest_poll.clone().with(header::PROTOCOL, "0"),
        RefusalCode::Protocol,
    ));
    cases
}

fn changed_body(mut letter: Letter) -> Letter {
    letter.body.push(0);
    letter
}

#[test]
fn a_request_and_a_report_that_are_sent_again_are_refused() {
    let mut scene = Scene::open();
    let before = scene.server.status("VmHWM");
    let old_report = scene.given.honest_report();
    let old = scene.given.clone();
    let letter =
        scene
            .hostile
            .peer
            .letter("PUT", &old.target(old_report.len() as u64), &old_report);
    assert_eq!(scene.hostile.peer.send(&letter).unwrap().status, 200);
    let again = scene.hostile.peer.send(&letter).unwrap();
    assert_eq!(again.refusal().code(), RefusalCode::Replayed);
    // The second round waits for this node, too: the first one's report is nothing to it.
    scene.given = scene.hostile.work_of(2);
    let late = scene.hostile.report(&old, &old_report);
    assert!(
        matches!(
            late.refusal().code(),
            RefusalCode::Late | RefusalCode::Duplicate
        ),
        "{late:?}"
    );
    let given = scene.honest.work_of(2);
    scene.honest.do_honestly(&given);
    scene.goes_on(before);
}

#[test]
fn a_token_works_once_and_guesses_are_slowed_down() {
    let server = Server::start();
    let invitation = server.invite("a");
    let mut first = Hand::stranger(&server, 1);
    assert_eq!(first.join(&invitation, "a").unwrap().name, "a");
    let mut second = Hand::stranger(&server, 2);
    assert_eq!(second.join(&invitation, "b"), Err(RefusalCode::Token));
    let guess = |number: u8| JoinString {
        token: Token::from_bytes([number; 32]),
        ..invitation.clone()
    };
    let codes: Vec<_> = (0..40)
        .map(|number| second.join(&guess(number), "b").unwrap_err())
        .collect();
    assert_eq!(codes[0], RefusalCode::Token);
    assert_eq!(codes.last(), Some(&RefusalCode::TooMany), "{codes:?}");
    // Who is enrolled is not slowed down by a guesser next door.
    assert_eq!(first.poll(), Ok(()));
}

#[test]
fn a_key_that_signs_for_another_joins_nothing() {
    let server = Server::start();
    let invitation = server.invite("a");
    let mut peer = server.peer([1; 32]);
    let request = JoinRequest {
        token: invitation.token.as_bytes().to_vec(),
        public_key: NodeKey::from_secret(&[2; 32]).public().to_bytes().to_vec(),
        name: "a".to_owned(),
        statement: None,
    };
    let answer = peer.ask("POST", path::JOIN, &request.encode_to_vec());
    assert!(
        matches!(
            answer.refusal().code(),
            RefusalCode::Signature | RefusalCode::Malformed
        ),
        "{:?}",
        answer.refusal()
    );
    let mut rightful = Hand::stranger(&server, 3);
    assert!(
        rightful.join(&invitation, "a").is_ok(),
        "the token is still good"
    );
}

#[test]
fn a_revoked_node_is_shut_out_and_a_run_that_can_goes_on() {
    let server = Server::start();
    let mut hands: Vec<Hand> = (1..=3)
        .map(|number| Hand::enrolled(&server, &format!("node-{number}"), number))
        .collect();
    let job = JOB
        .replace("clients = 2", "clients = 3")
        .replace("reproducible = true", "");
    let run = server.submit(&job).id;
    hands.iter_mut().for_each(Hand::approve);
    let given = hands[2].work();
    server.admin(&["revoke", "node-3"]);
    let mut revoked = hands.pop().unwrap();
    crate::server::until("the revoked node is refused", || {
        revoked.poll() == Err(RefusalCode::Revoked)
    });
    let report = revoked.report(&given, &given.honest_report());
    assert_eq!(report.refusal().code(), RefusalCode::Revoked);
    let [one, two] = &mut hands[..] else {
        unreachable!("two are left");
    };
    Hand::do_the_rest(&mut [one, two]);
    let info = server.end(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    assert!(server.log().contains("node-3"));
}

#[test]
fn five_hundred_connections_that_say_nothing_stop_nobody() {
    let scene = Scene::open();
    let before = scene.server.status("VmHWM");
    let address = scene.server.own_address();
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(address).unwrap();
        match number % 3 {
            // The first bytes of a TLS handshake that never goes on.
            0 => stream.write_all(&[22, 3, 1, 2, 0]).unwrap(),
            1 => stream.write_all(b"G").unwrap(),
            _ => (),
        }
        slow.push(stream);
    }
    // Behind TLS, too: a head that never ends.
    let mut lines: Vec<_> = (0..50)
        .map(|_| scene.hostile.peer.dial().unwrap())
        .collect();
    for line in &mut lines {
        line.write(b"POST /v1/poll HTTP/1.1\r\nhost: ").unwrap();
    }
    scene.goes_on(before);
    drop(slow);
}

#[test]
fn who_speaks_plain_http_or_noise_is_sent_away() {
    let scene = Scene::open();
    let before = scene.server.status("VmHWM");
    let noise: Vec<u8> = (0..10_000).map(|at| mix(at) as u8).collect();
    let hello = b"GET /v1/poll HTTP/1.1\r\nhost: commonweal\r\n\r\n";
    for bytes in [&hello[..], &noise[..], b"\x16\x03\x01\xff\xff", b""] {
        let mut stream = TcpStream::connect(scene.server.own_address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // It ends, by an answer or by a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 4096);
        if bytes == hello {
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains("400") && text.contains("https"), "{text:?}");
        }
    }
    scene.goes_on(before);
}

#[test]
fn a_body_that_never_comes_and_one_without_end_cost_little() {
    let scene = Scene::open();
    let before = scene.server.status("VmHWM");
    let peer = &scene.hostile.peer;
    let poll = PollRequest::default().encode_to_vec();
    let mut lines = Vec::new();
    for _ in 0..50 {
        let mut line = peer.dial().unwrap();
        let letter = peer.letter("PUT", &scene.given.target(40), &poll);
        line.write(&letter.head(40)).unwrap();
        lines.push(line);
    }
    let letter = peer.letter("POST", path::VERDICT, &[0; 100]);
    let mut line = peer.dial().unwrap();
    let _ = line.write(&letter.head(1 << 40));
    let piece = vec![0; 1 << 16];
    for _ in 0..1000 {
        if line.write(&piece).is_err() {
            break;
        }
    }
    if let Ok(answer) = line.answer() {
        assert_eq!(answer.refusal().code(), RefusalCode::TooLarge);
    }
    scene.goes_on(before);
}
