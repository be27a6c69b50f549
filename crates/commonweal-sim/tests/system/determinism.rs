//! The same job gives the same bytes, whatever happens on the machine that runs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};

use commonweal_core::job::Job;
use commonweal_core::{ClientRows, ClientState, ClientUpdate, TrainError};
use commonweal_disk::observer::{Event, Silent};
use commonweal_sim::{Ending, Simulation};

use crate::around::{Around, wrapped};
use crate::common;

fn digest(job: Job, threads: usize) -> String {
    common::finish(job, common::environment(threads, None))
        .summary
        .digest
}

#[test]
fn one_two_and_eight_threads_give_the_same_bytes() {
    let job = || common::digits(8, "[evaluation]\nevery = 4\n");
    let one = digest(job(), 1);
    assert_eq!(digest(job(), 2), one);
    assert_eq!(digest(job(), 8), one);
}

#[test]
fn threads_give_the_same_bytes_where_reports_are_late_lost_or_too_many() {
    let population = "population = { dropout = 0.1, latency_seconds = 10.0, latency_spread = 1.0 }";
    let cohort = "over_selection = 1.6\ndeadline_seconds = 20.0";
    let told = |threads| {
        let (mut refused, mut digests) = (Vec::new(), Vec::new());
        let mut watch = |event: &Event| match event {
            Event::Refused {
                round,
                client,
                reason,
            } => {
                refused.push((*round, client.clone(), reason.clone()));
            }
            Event::Finished { digest, .. } => digests.push(digest.clone()),
            _ => {}
        };
        let job = common::digits_with(8, population, cohort);
        let simulation = Simulation::new(job, common::environment(threads, None)).unwrap();
        simulation.run(&mut watch).unwrap();
        (refused, digests)
    };
    let one = told(1);
    assert!(!one.0.is_empty());
    assert_eq!(told(2), one);
    assert_eq!(told(8), one);
    assert_ne!(digest(common::digits(8, ""), 1), one.1[0]);
}

#[test]
fn another_seed_gives_other_bytes() {
    let mut other = common::digits(3, "");
    other.seed = 2;
    assert_ne!(digest(other, 1), digest(common::digits(3, ""), 1));
}

/// Dawdles over some clients, and counts the processor time of each thread.
#[derive(Clone)]
struct Dawdling {
    salt: u64,
    busy_ns: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Where every thread waits for the others before its first client.
    meeting: Arc<Barrier>,
}

impl Around for Dawdling {
    fn train(
        &self,
        data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let thread = format!("{:?}", std::thread::current().id());
        let is_first = !self.busy_ns.lock().unwrap().contains_key(&thread);
        if is_first {
            self.meeting.wait();
        }
        let before = thread_time_ns();
        let update = train()?;
        let letters = data.client.as_str().bytes().map(u64::from);
        let turns = letters.fold(self.salt, |sum, byte| sum.wrapping_mul(31) + byte) % 64;
        (0..turns).for_each(|_| std::thread::yield_now());
        let spent = thread_time_ns() - before;
        *self.busy_ns.lock().unwrap().entry(thread).or_default() += spent;
        Ok((update, state))
    }
}

/// Processor time of the calling thread so far, where Linux tells it; 0 elsewhere.
fn thread_time_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|time| time.parse().ok())
        .unwrap_or(0)
}

/// The digest, and each thread's processor time of training; `together` threads begin at the same time.
fn dawdle(job: &Job, threads: usize, salt: u64, together: usize) -> (String, Vec<u64>) {
    let busy_ns = Arc::new(Mutex::new(BTreeMap::new()));
    let dawdling = Dawdling {
        salt,
        busy_ns: Arc::clone(&busy_ns),
        meeting: Arc::new(Barrier::new(together)),
    };
    let ending = wrapped(job, threads, None, dawdling).run(&mut Silent);
    let Ok(Ending::Finished(finished)) = ending else {
        panic!("no end")
    };
    let busy = busy_ns.lock().unwrap().values().copied().collect();
    (finished.summary.digest, busy)
}

#[test]
fn clients_may_finish_in_any_order() {
    for cohort in ["", "over_selection = 1.6\n"] {
        let job = common::digits(4, cohort);
        let (expected, _) = dawdle(&job, 1, 0, 1);
        for salt in 0..4 {
            assert_eq!(
                dawdle(&job, 3, salt, 1).0,
                expected,
                "salt {salt}, cohort {cohort:?}"
            );
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn two_threads_share_the_work_of_a_round() {
    let job = common::digits_of(1, 20, 40);
    // Two must be at work at once for either to get beyond its first client.
    let (_, busy) = dawdle(&job, 2, 0, 2);
    assert_eq!(busy.len(), 2, "{busy:?}");
    assert!(busy.iter().all(|&own| own > 0), "{busy:?}");
}
