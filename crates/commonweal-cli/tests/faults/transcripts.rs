//! Recorded conversations, replayed against a live server: what `docs/protocol/transcripts/` shows is what happens.
//!
//! `COMMONWEAL_RECORD=1` writes the files anew from their own requests.

use std::fs;
use std::path::{Path, PathBuf};

use commonweal_core::Digest;
use commonweal_wire::control::{self, RunInfo, Submission};
use commonweal_wire::proto::PollAnswer;
use commonweal_wire::{NodeKey, PublicKey, Request, Signed, read};

use crate::grammar::{self, Values};
use crate::peer::{Answer, Letter, Peer};
use crate::server::Server;
use crate::transcript::{Reply, Step, Transcript, from_hex, to_hex};

/// The secret of the node that speaks in the transcripts.
const SECRET: [u8; 32] = [9; 32];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/transcripts")
}

fn transcripts() -> Vec<(PathBuf, Transcript)> {
    let paths = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let transcript = Transcript::parse(&fs::read_to_string(&path).unwrap());
        let transcript = transcript.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, transcript)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_recorded_conversation_happens_again() {
    // At the same time: each has a poll that is answered after a while.
    std::thread::scope(|scope| {
        for (path, transcript) in transcripts() {
            scope.spawn(move || replay(&path, &transcript));
        }
    });
}

/// Says a conversation again and compares, or writes it down.
fn replay(path: &Path, transcript: &Transcript) {
    let mut replay = Replay::new();
    let mut recorded = transcript.clone();
    for step in &mut recorded.steps {
        let told = step.head.clone();
        *step = replay
            .perform(step)
            .unwrap_or_else(|error| panic!("{}: {told}: {error}", path.display()));
    }
    if std::env::var_os("COMMONWEAL_RECORD").is_some() {
        fs::write(path, recorded.to_text()).unwrap();
        return;
    }
    for (step, found) in transcript.steps.iter().zip(&recorded.steps) {
        let place = format!("{}: {}", path.display(), step.head);
        assert_eq!(compared(&step.answer), compared(&found.answer), "{place}");
    }
}

/// What of an answer must be the same every time: not its bytes, and not the words of a refusal.
fn compared(reply: &Option<Reply>) -> Option<(&str, Vec<&String>)> {
    let reply = reply.as_ref()?;
    let is_told = |line: &&String| !line.starts_with("message: ");
    Some((&reply.head, reply.text.iter().filter(is_told).collect()))
}

#[test]
fn every_recorded_request_is_signed_as_the_page_says() {
    let mut signed = 0;
    for (path, transcript) in transcripts() {
        for step in transcript.steps.iter().filter(|step| is_honest(step)) {
            let place = format!("{}: {}", path.display(), step.head);
            let (line, rest) = step.sent.split_first().expect(&place);
            let (method, target) = line.split_once(' ').expect(&place);
            let headers: Vec<_> = rest
                .iter()
                .filter_map(|line| line.split_once(": "))
                .collect();
            let value = |name: &'static str| {
                let found = headers.iter().find(|(key, _)| *key == name);
                found.map(|&(_, value)| value)
            };
            let request = Signed::read(value).expect(&place);
            let key = NodeKey::from_secret(&SECRET).public();
            assert!(request.is_by(&key, method, target), "{place}");
            let body = from_hex(&rest[headers.len()..]).expect(&place);
            if !step
                .changes
                .iter()
                .any(|change| change.starts_with("part "))
            {
                assert_eq!(request.digest, Digest::of(&body), "{place}");
            }
            signed += 1;
        }
    }
    assert!(signed > 10, "{signed}");
}

/// Whether a step is a request of the node that nobody has spoiled.
fn is_honest(step: &Step) -> bool {
    let spoils = |change: &String| !(change.starts_with("part ") || change.starts_with("until "));
    step.head.starts_with("> ") && step.head.contains(" /v1/") && !step.changes.iter().any(spoils)
}

#[test]
fn every_recorded_body_says_what_its_text_says() {
    for (path, transcript) in transcripts() {
        for step in &transcript.steps {
            let Some(reply) = &step.answer else {
                continue;
            };
            let name = reply.head.split(' ').nth(1).unwrap_or_default();
            if matches!(name, "" | "bytes" | "json") {
                continue;
            }
            let bytes = from_hex(&reply.came).unwrap();
            let text = grammar::describe(name, &bytes, &mut Values::new()).unwrap();
            let place = format!("{}: {}", path.display(), step.head);
            assert_eq!(masked(&text), masked(&reply.text.join("\n")), "{place}");
        }
    }
}

/// The text with all placeholders alike.
fn masked(text: &str) -> String {
    let line = |line: &str| match line.split_once("\"<") {
        Some((start, _)) if line.ends_with(">\"") => start.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A conversation that goes on.
struct Replay {
    server: Server,
    peer: Peer,
    values: Values,
    last: Option<Letter>,
}

impl Replay {
    fn new() -> Self {
        let server = Server::start();
        let peer = server.peer(SECRET);
        let key: PublicKey = peer.key().public();
        let mut values = Values::new();
        values.insert("public-key".to_owned(), key.to_bytes().to_vec());
        Self {
            server,
            peer,
            values,
            last: None,
        }
    }

    /// Does what a step says, and tells it as it happened.
    fn perform(&mut self, step: &Step) -> Result<Step, String> {
        let (sign, words) = step.head.split_at(2);
        let words: Vec<&str> = words.split(' ').collect();
        match (sign, &words[..]) {
            ("! ", ["invite", name]) => {
                let join = self.server.invite(name);
                let token = join.token.as_bytes().to_vec();
                self.values.insert("token".to_owned(), token);
            }
            ("! ", ["submit"]) => {
                let submission = Submission {
                    job: step.text.join("\n"),
                    initial: None,
                };
                let run: RunInfo = self.server.control("POST", control::RUNS, &submission)?;
                let manifest: Digest = run.manifest.parse().map_err(|_| "no digest")?;
                self.values
                    .insert("manifest".to_owned(), manifest.as_bytes().to_vec());
            }
            ("! ", ["revoke", name]) => drop(self.server.admin(&["revoke", name])),
            ("! ", ["restart"]) => self.server.restart(),
            ("> ", [method, target, body @ ..]) => {
                return self.request(step, method, target, body.first().copied());
            }
            _ => return Err("nobody knows how to do that".to_owned()),
        }
        Ok(step.clone())
    }

    fn request(
        &mut self,
        step: &Step,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<Step, String> {
        let target = grammar::fill(target, &self.values, digest_text);
        let bytes = match body {
            None => Vec::new(),
            Some("bytes") => report(&step.text).ok_or("these are no hexadecimal digits")?,
            Some(name) => grammar::encode(name, &step.text.join("\n"), &self.values)?,
        };
        let (letter, answer) = loop {
            let letter = self.letter(step, method, &target, &bytes)?;
            let answer = self.peer.send(&letter).map_err(|error| error.to_string())?;
            if instructions(&answer) >= awaited(step) {
                break (letter, answer);
            }
        };
        let (name, text) = self.describe(method, &target, &answer)?;
        self.last = Some(letter.clone());
        Ok(Step {
            sent: shown(&letter),
            answer: Some(Reply {
                head: format!("{} {name}", answer.status).trim_end().to_owned(),
                text,
                came: to_hex(&answer.body),
            }),
            ..step.clone()
        })
    }

    /// The request, spoiled as the step says.
    fn letter(
        &mut self,
        step: &Step,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Letter, String> {
        let mut part = 0..body.len();
        let mut changes = Vec::new();
        for change in &step.changes {
            match change.split_once(' ') {
                None if change == "again" => return self.last.clone().ok_or("again".to_owned()),
                Some(("clock", ms)) => self.peer.skew_ms = ms.parse().map_err(|_| "a time")?,
                Some(("part", range)) => {
                    let (start, end) = range.split_once("..").ok_or("a range")?;
                    let number = |text: &str| text.parse::<usize>().map_err(|_| "a range");
                    part = number(start)?..number(end)?;
                }
                Some(("until", _)) => (),
                Some((name, value)) => changes.push((name.trim_end_matches(':'), value)),
                None => return Err(format!("{change:?} is no change")),
            }
        }
        let sent = body.get(part).ok_or("a range")?;
        let letter = self.peer.letter_of(method, target, sent, Digest::of(body));
        self.peer.skew_ms = 0;
        Ok(changes
            .into_iter()
            .fold(letter, |letter, (name, value)| letter.with(name, value)))
    }

    fn describe(
        &mut self,
        method: &str,
        target: &str,
        answer: &Answer,
    ) -> Result<(&'static str, Vec<String>), String> {
        let path = target.split('?').next().unwrap_or_default();
        let name = match (answer.status, method, path) {
            (300.., ..) => "Refusal",
            (_, _, "/v1/join") => "JoinAnswer",
            (_, _, "/v1/poll") => "PollAnswer",
            (_, "GET", path) if path.contains("/reports/") => "ReportState",
            (_, "PUT", path) if path.contains("/reports/") => "ReportAnswer",
            _ if answer.body.is_empty() => "",
            _ if answer.body.starts_with(b"{") => "json",
            _ => "bytes",
        };
        let text = match name {
            "" => String::new(),
            "json" => String::from_utf8_lossy(&answer.body).into_owned(),
            "bytes" => format!("{} bytes", answer.body.len()),
            name => grammar::describe(name, &answer.body, &mut self.values)?,
        };
        Ok((name, text.lines().map(str::to_owned).collect()))
    }
}

/// Instructions in an answer to a poll; in any other, more than anybody waits for.
fn instructions(answer: &Answer) -> usize {
    match answer.status {
        200 => read::<PollAnswer>(&answer.body).map_or(usize::MAX, |poll| poll.instructions.len()),
        _ => usize::MAX,
    }
}

/// How many instructions a poll is repeated for: those that are not taken come again.
fn awaited(step: &Step) -> usize {
    let count = |change: &String| change.strip_prefix("until ")?.parse().ok();
    step.changes.iter().find_map(count).unwrap_or(0)
}

/// The request line, the signed headers and the body.
fn shown(letter: &Letter) -> Vec<String> {
    let mut lines = vec![format!("{} {}", letter.method, letter.target)];
    let headers = letter.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
    lines.extend(to_hex(&letter.body));
    lines
}

/// A report's bytes, each line of digits with words behind it.
fn report(lines: &[String]) -> Option<Vec<u8>> {
    let digits = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    from_hex(&lines.iter().map(digits).collect::<Vec<_>>())
}

fn digest_text(bytes: &[u8]) -> String {
    match <[u8; 32]>::try_from(bytes) {
        Ok(bytes) => Digest::from_bytes(bytes).to_string(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[test]
fn the_headers_of_a_letter_are_those_of_the_page() {
    let request = Request {
        method: "GET",
        target: "/",
        time_ms: 0,
        nonce: [0; 16],
        digest: Digest::of(b""),
    };
    let page = fs::read_to_string(folder().join("../../protocol.md")).unwrap();
    for (name, _) in request.sign(&NodeKey::from_secret(&SECRET)) {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
