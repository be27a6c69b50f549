use commonweal_core::Stage;
use proptest::prelude::*;

use super::*;

const MB: u64 = 1_000_000;

fn key(node: &str) -> ReportKey {
    ReportKey {
        run: "digits-1".to_owned(),
        task: task(),
        step: Step(0),
        node: ClientName::try_from(node).unwrap(),
    }
}

fn task() -> TaskId {
    TaskId {
        round: 1,
        stage: Stage::Train,
        attempt: 0,
    }
}

fn digest() -> Digest {
    Digest::of(b"a report")
}

fn partial(bytes: usize) -> Partial {
    let mut partial = Partial::default();
    partial.append(&vec![0; bytes], bytes);
    partial
}

/// Tickets granted since the last look, with the offset at which each begins.
fn granted(staging: &mut Staging) -> Vec<(Ticket, u64)> {
    let effects = std::iter::from_fn(|| staging.poll_effect());
    effects
        .filter_map(|effect| match effect {
            Effect::Granted(ticket, partial) => Some((ticket, partial.len())),
            Effect::Lost(..) => None,
        })
        .collect()
}

fn lost(staging: &mut Staging) -> Vec<(Ticket, Loss)> {
    let effects = std::iter::from_fn(|| staging.poll_effect());
    effects
        .filter_map(|effect| match effect {
            Effect::Lost(ticket, loss) => Some((ticket, loss)),
            Effect::Granted(..) => None,
        })
        .collect()
}

fn enter(staging: &mut Staging, node: &str, length: u64, now_ms: u64) -> Ticket {
    staging.enter(key(node), length, digest(), now_ms).unwrap()
}

#[test]
fn slots_go_first_come_first_served_within_the_budget() {
    let mut staging = Staging::new(250);
    let tickets = ["a", "b", "c", "d"].map(|node| enter(&mut staging, node, 100, 0));
    assert_eq!(granted(&mut staging), [(tickets[0], 0), (tickets[1], 0)]);
    assert_eq!((staging.held_bytes(), staging.queue()), (200, 2));
    assert!(staging.fold(&key("a"), tickets[0], 10));
    assert_eq!(granted(&mut staging), []);
    staging.release(&key("a"), tickets[0], 20);
    assert_eq!(granted(&mut staging), [(tickets[2], 0)]);
    assert_eq!(staging.held_bytes(), 200);
}

#[test]
fn a_report_longer_than_the_budget_has_the_memory_to_itself() {
    let mut staging = Staging::new(250);
    let small = enter(&mut staging, "a", 1, 0);
    let large = enter(&mut staging, "b", 1_000, 0);
    let other = enter(&mut staging, "c", 1, 0);
    assert_eq!(granted(&mut staging), [(small, 0)]);
    staging.release(&key("a"), small, 0);
    assert_eq!(granted(&mut staging), [(large, 0)]);
    staging.release(&key("b"), large, 0);
    assert_eq!(granted(&mut staging), [(other, 0)]);
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    let mut staging = Staging::new(100);
    let first = enter(&mut staging, "a", 100, 0);
    granted(&mut staging);
    staging.progress(&key("a"), first, 40);
    staging.rest(&key("a"), first, partial(40), 1_000);
    assert_eq!(staging.received(&key("a")), 40);
    let second = enter(&mut staging, "a", 100, 2_000);
    assert_eq!(granted(&mut staging), [(second, 40)]);
    assert_eq!(staging.held_bytes(), 100);
}

#[test]
fn another_report_of_the_same_task_begins_at_its_beginning() {
    let mut staging = Staging::new(100);
    let first = enter(&mut staging, "a", 100, 0);
    granted(&mut staging);
    staging.rest(&key("a"), first, partial(40), 0);
    let other = staging
        .enter(key("a"), 90, Digest::of(b"another"), 0)
        .unwrap();
    assert_eq!(granted(&mut staging), [(other, 0)]);
    assert_eq!(staging.held_bytes(), 90);
}

#[test]
fn a_second_connection_takes_over_what_the_first_has_sent() {
    let mut staging = Staging::new(100);
    let first = enter(&mut staging, "a", 100, 0);
    granted(&mut staging);
    let second = enter(&mut staging, "a", 100, 0);
    assert_eq!(lost(&mut staging), [(first, Loss::Superseded)]);
    staging.rest(&key("a"), first, partial(70), 0);
    assert_eq!(granted(&mut staging), [(second, 70)]);
}

#[test]
fn a_second_connection_takes_the_place_of_the_first_in_the_queue() {
    let mut staging = Staging::new(100);
    let before = enter(&mut staging, "before", 100, 0);
    let dead = enter(&mut staging, "a", 100, 0);
    let behind = enter(&mut staging, "behind", 100, 0);
    granted(&mut staging);
    let again = enter(&mut staging, "a", 100, 0);
    assert_eq!(lost(&mut staging), [(dead, Loss::Superseded)]);
    // The dead connection is noticed late.
    staging.leave(&key("a"), dead, 0);
    staging.release(&key("before"), before, 0);
    assert_eq!(granted(&mut staging), [(again, 0)]);
    staging.release(&key("a"), again, 0);
    assert_eq!(granted(&mut staging), [(behind, 0)]);
}

#[test]
fn a_slow_slot_is_taken_back_only_while_others_wait() {
    let mut staging = Staging::new(100 * MB);
    let slow = enter(&mut staging, "slow", 100 * MB, 0);
    granted(&mut staging);
    staging.progress(&key("slow"), slow, MB);
    staging.tick(1_000);
    assert_eq!(lost(&mut staging), []);
    let other = enter(&mut staging, "other", 100 * MB, 1_000);
    staging.tick(1_000);
    assert_eq!(lost(&mut staging), [(slow, Loss::Slow)]);
    assert_eq!(staging.held_bytes(), 100 * MB, "its bytes are still there");
    staging.rest(&key("slow"), slow, partial(100), 1_001);
    assert_eq!(granted(&mut staging), [(other, 0)]);
    assert_eq!(staging.received(&key("slow")), 0);
}

#[test]
fn who_lost_a_slot_waits_behind_everybody_else() {
    let mut staging = Staging::new(100 * MB);
    let slow = enter(&mut staging, "slow", 100 * MB, 0);
    let other = enter(&mut staging, "other", 100 * MB, 0);
    staging.tick(1_000);
    staging.rest(&key("slow"), slow, Partial::default(), 1_000);
    let again = enter(&mut staging, "slow", 100 * MB, 1_000);
    let late = enter(&mut staging, "late", 100 * MB, 1_000);
    granted(&mut staging);
    staging.release(&key("other"), other, 2_000);
    assert_eq!(granted(&mut staging), [(late, 0)]);
    staging.release(&key("late"), late, 3_000);
    assert_eq!(granted(&mut staging), [(again, 0)]);
    staging.tick(90_000);
    assert_eq!(lost(&mut staging), [], "nobody waits any more");
}

#[test]
fn a_fast_slot_is_kept_while_others_wait() {
    let mut staging = Staging::new(100 * MB);
    let fast = enter(&mut staging, "fast", 100 * MB, 0);
    enter(&mut staging, "other", 100 * MB, 0);
    granted(&mut staging);
    staging.progress(&key("fast"), fast, 3 * MB);
    staging.tick(1_000);
    assert_eq!(lost(&mut staging), []);
}

#[test]
fn a_broken_upload_that_nobody_resumes_makes_room() {
    let mut staging = Staging::new(100);
    let broken = enter(&mut staging, "a", 100, 0);
    granted(&mut staging);
    staging.rest(&key("a"), broken, partial(50), 0);
    let other = enter(&mut staging, "b", 100, 0);
    staging.tick(REST_WHILE_OTHERS_WAIT_MS - 1);
    assert_eq!(granted(&mut staging), []);
    staging.tick(REST_WHILE_OTHERS_WAIT_MS);
    assert_eq!(granted(&mut staging), [(other, 0)]);
}

#[test]
fn a_task_that_is_over_holds_no_memory() {
    let mut staging = Staging::new(100);
    let filling = enter(&mut staging, "a", 60, 0);
    let resting = enter(&mut staging, "b", 40, 0);
    let waiting = enter(&mut staging, "c", 40, 0);
    staging.rest(&key("b"), resting, partial(5), 0);
    granted(&mut staging);
    for node in ["c", "b", "a"] {
        staging.forget(&key(node), 0);
    }
    assert_eq!(
        lost(&mut staging),
        [(waiting, Loss::Over), (filling, Loss::Over)]
    );
    staging.rest(&key("a"), filling, partial(5), 0);
    assert_eq!((staging.held_bytes(), staging.queue()), (0, 0));
}

#[test]
fn a_report_that_is_being_folded_is_not_taken_again() {
    let mut staging = Staging::new(100);
    let ticket = enter(&mut staging, "a", 100, 0);
    assert!(staging.fold(&key("a"), ticket, 0));
    assert_eq!(staging.enter(key("a"), 100, digest(), 0), Err(Folding));
}

/// What a peer, a connection or the time does next.
#[derive(Debug, Clone)]
enum Deed {
    Enter(u8, u64),
    Break(u8),
    Fold(u8),
    Release(u8),
    Leave(u8),
    Forget(u8),
    Pass(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => (0..6u8, 1..120u64).prop_map(|(node, length)| Deed::Enter(node, length)),
        2 => (0..6u8).prop_map(Deed::Break),
        2 => (0..6u8).prop_map(Deed::Fold),
        2 => (0..6u8).prop_map(Deed::Release),
        1 => (0..6u8).prop_map(Deed::Leave),
        1 => (0..6u8).prop_map(Deed::Forget),
        2 => (0..5_000u64).prop_map(Deed::Pass),
    ];
    proptest::collection::vec(deed, 0..200)
}

proptest! {
    #[test]
    fn whatever_peers_do_memory_stays_within_the_budget_and_nobody_waits_in_vain(deeds in deeds()) {
        let mut staging = Staging::new(100);
        let mut tickets = HashMap::new();
        let mut now_ms = 0;
        for deed in deeds {
            let node = |node: u8| key(&format!("node-{node}"));
            let ticket = |node: u8| tickets.get(&node).copied().unwrap_or(Ticket(0));
            match deed {
                Deed::Enter(n, length) => {
                    if let Ok(ticket) = staging.enter(node(n), length, digest(), now_ms) {
                        tickets.insert(n, ticket);
                    }
                }
                Deed::Break(n) => staging.rest(&node(n), ticket(n), partial(1), now_ms),
                Deed::Fold(n) => drop(staging.fold(&node(n), ticket(n), now_ms)),
                Deed::Release(n) => staging.release(&node(n), ticket(n), now_ms),
                Deed::Leave(n) => staging.leave(&node(n), ticket(n), now_ms),
                Deed::Forget(n) => staging.forget(&node(n), now_ms),
                Deed::Pass(ms) => {
                    now_ms += ms;
                    staging.tick(now_ms);
                }
            }
            let held: u64 = staging.slots.values().map(|slot| slot.length).sum();
            prop_assert_eq!(held, staging.held_bytes());
            prop_assert!(held <= 100 || staging.slots.len() == 1);
            let mut keys: HashSet<_> = staging.slots.keys().collect();
            let queued = staging.waiting.iter().chain(&staging.patient);
            prop_assert!(queued.map(|waiting| &waiting.key).all(|key| keys.insert(key)));
            if let Some(first) = staging.waiting.front().or(staging.patient.front()) {
                prop_assert!(held > 0 && first.length > 100u64.saturating_sub(held));
            }
        }
    }
}

/// When the last of 19 uploads of 100 MB is in, over a line that carries 400 MB/s in all: beside a twentieth one
/// of `rate` bytes a second.
fn last_of_nineteen(rate: u64) -> u64 {
    const STEP_MS: u64 = 10;
    const LINE: u64 = 400 * MB / 1_000 * STEP_MS;
    const LENGTH: u64 = 100 * MB;
    let mut staging = Staging::new(256 * MB);
    let names: Vec<_> = (0..20).map(|node| key(&format!("node-{node}"))).collect();
    let mut tickets: Vec<_> = names
        .iter()
        .map(|name| staging.enter(name.clone(), LENGTH, digest(), 0).unwrap())
        .collect();
    let mut received: HashMap<Ticket, u64> = HashMap::new();
    let mut left = 19;
    for now_ms in (STEP_MS..).step_by(STEP_MS as usize) {
        if now_ms % 250 == 0 {
            staging.tick(now_ms);
        }
        while let Some(effect) = staging.poll_effect() {
            match effect {
                Effect::Granted(ticket, _) => drop(received.insert(ticket, 0)),
                Effect::Lost(ticket, _) => {
                    received.remove(&ticket);
                    staging.rest(&names[0], ticket, Partial::default(), now_ms);
                    tickets[0] = staging
                        .enter(names[0].clone(), LENGTH, digest(), now_ms)
                        .unwrap();
                }
            }
        }
        let share = LINE / received.len() as u64;
        for (name, ticket) in names.iter().zip(&tickets) {
            let Some(bytes) = received.get_mut(ticket) else {
                continue;
            };
            let is_slow = *name == names[0];
            let step = match is_slow {
                true => share.min(rate * STEP_MS / 1_000),
                false => share,
            };
            *bytes = LENGTH.min(*bytes + step);
            staging.progress(name, *ticket, *bytes);
            if *bytes == LENGTH {
                received.remove(ticket);
                assert!(staging.fold(name, *ticket, now_ms));
                staging.release(name, *ticket, now_ms);
                left -= u32::from(!is_slow);
            }
        }
        if left == 0 {
            return now_ms;
        }
    }
    unreachable!("time has no end")
}

#[test]
fn one_of_twenty_uploads_at_a_megabyte_a_second_delays_the_others_by_less_than_a_fifth() {
    let (alone, beside) = (last_of_nineteen(400 * MB), last_of_nineteen(MB));
    assert!(
        beside * 10 < alone * 12,
        "{beside} ms instead of {alone} ms"
    );
}
