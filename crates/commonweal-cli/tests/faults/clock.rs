//! Clocks that are wrong: ten minutes off on a node or on the server, and so fast that half a minute is soon over.
//!
//! A library stands between the shipped program and its clock. It is compiled here, by the compiler that links Rust.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use commonweal_wire::JoinString;
use commonweal_wire::proto::RefusalCode;

use crate::federation::{Federation, job};
use crate::hand::{Hand, JOB};
use crate::server::Server;
use crate::site::Site;

const CLIENTS: usize = 3;

/// What stands before the clock.
struct WrongClock(PathBuf);

impl WrongClock {
    fn compiled(folder: &Path) -> Self {
        let library = folder.join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        Self(library)
    }

    /// Puts a clock before this command that is so many seconds ahead.
    fn ahead(&self, mut command: Command, seconds: i64) -> Command {
        command.env("LD_PRELOAD", &self.0);
        command.env("WRONG_BY_S", seconds.to_string());
        command
    }

    /// One on which so many seconds pass in one.
    fn fast(&self, mut command: Command, times: u32) -> Command {
        command.env("LD_PRELOAD", &self.0);
        command.env("TIMES_AS_FAST", times.to_string());
        command
    }
}

/// The seconds of the first number after these words.
fn seconds_after(text: &str, words: &str) -> i64 {
    let (_, rest) = text
        .split_once(words)
        .unwrap_or_else(|| panic!("no {words:?} in {text}"));
    let number = rest.split_whitespace().next().unwrap();
    number.parse().unwrap()
}

#[test]
fn a_node_whose_clock_is_ten_minutes_off_says_so_and_takes_part() {
    for wrong_by in [600, -600] {
        let mut federation = Federation::joined(&job(CLIENTS, 3), CLIENTS);
        let clock = WrongClock::compiled(&federation.server.place("clock"));
        let (wrong, right) = federation.sites.split_first_mut().unwrap();
        wrong.spawn(clock.ahead(wrong.command(&["run"]), wrong_by));
        right.iter_mut().for_each(|site| site.run());
        federation.server.until_online(CLIENTS);
        let run = federation.server.submit(&federation.job).id;
        federation.ends_as_simulated(&run);

        let wrong = &federation.sites[0];
        let way = if wrong_by > 0 { "ahead of" } else { "behind" };
        let log = wrong.log();
        assert!(log.contains(&format!("s {way} the server's")), "{log}");
        let told = seconds_after(&log, "this machine's clock is ");
        assert!((599..=720).contains(&told), "{told}");
        assert!(!federation.sites[1].log().contains("this machine's clock"));

        let mut doctor = Command::new(env!("CARGO_BIN_EXE_commonweal"));
        doctor
            .arg("doctor")
            .arg("--node")
            .arg(wrong.folder().join("node"));
        let output = clock.ahead(doctor, wrong_by).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said
            .lines()
            .find(|line| line.contains("clock"))
            .unwrap_or_default();
        assert!(line.contains("s from the server's"), "{said}");
        assert!(line.contains("NTP") || said.contains("NTP"), "{said}");
    }
}

#[test]
fn a_server_whose_clock_is_ten_minutes_off_is_followed_by_all_of_its_nodes() {
    let mut federation = Federation::joined(&job(CLIENTS, 3), CLIENTS);
    let clock = WrongClock::compiled(&federation.server.place("clock"));
    federation
        .server
        .restart_as(|command| clock.ahead(command, 600));
    federation.sites.iter_mut().for_each(|site| site.run());
    federation.server.until_online(CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.ends_as_simulated(&run);
    for site in &federation.sites {
        let told = seconds_after(&site.log(), "this machine's clock is ");
        assert!((599..=720).contains(&told), "{told}");
    }
}

#[test]
fn a_watcher_for_whom_half_a_minute_passes_without_news_is_told_why() {
    let server = Server::start();
    let mut willing = Hand::enrolled(&server, "willing", 1);
    let _silent = Hand::enrolled(&server, "silent-one", 2);
    let run = server.submit(JOB).id;
    willing.approve();
    let clock = WrongClock::compiled(&server.place("clock"));
    let mut watch = clock.fast(server.researcher(&["watch", &run]), 20);
    let mut watcher = watch
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watcher.stderr.take().unwrap()).lines();
    let waiting = lines
        .map_while(Result::ok)
        .find(|line| line.contains("waiting: "));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    let waiting = waiting.expect("it says why nothing happens");
    assert!(waiting.contains("silent-one"), "{waiting}");
    assert!(waiting.contains("1 of 2"), "{waiting}");
}

#[test]
fn an_invitation_that_has_expired_lets_nobody_in_and_says_what_to_ask_for() {
    let server = Server::start();
    let clock = WrongClock::compiled(&server.place("clock"));
    // Made ten minutes ago, for one.
    let invite = server.administer(&["invite", "--name", "late", "--expires", "1m"]);
    let output = clock.ahead(invite, -600).output().unwrap();
    let invitation: JoinString = String::from_utf8_lossy(&output.stdout).parse().unwrap();
    let site = Site::new(&server, "late");
    let (code, said) = site.try_join(&invitation);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("it has expired"), "{said}");
    assert!(
        said.contains("Ask its administrator for a new one"),
        "{said}"
    );
    assert!(!site.folder().join("node/server.toml").exists());
    let mut peer = Hand::stranger(&server, 1);
    assert_eq!(peer.join(&invitation, "late"), Err(RefusalCode::Token));
    assert!(server.log().contains("the invitation has expired"));
    // The name is free for whoever has a new one.
    let (code, said) = site.try_join(&server.invite("late"));
    assert_eq!(code, 0, "{said}");
}
