//! Rules of one round, with the time as an argument.

use std::sync::Arc;

use commonweal_core::{
    Entropy, MetricSpec, ModelVersion, Payload, Population, PrepareSpec, Stage, Step, open_prepare,
};

use super::*;

const GRACE_MS: u64 = 15_000;
const WORK_MS: u64 = 30_000;

fn at(ms: u64) -> Time {
    Time { ms }
}

/// A round of `clients` nodes that needs `minimum`.
fn round(clients: u32, minimum: u32, grace_ms: Option<u64>, round_ms: Option<u64>) -> OpenRound {
    let population = Population::numbered(clients).unwrap();
    let spec = Arc::new(PrepareSpec::default());
    let manifest = commonweal_core::Digest::of(b"job");
    let entropy = Entropy::new([1; 32]);
    let round = open_prepare(
        spec,
        manifest,
        &population,
        minimum,
        round_ms,
        entropy,
        at(0),
    );
    let limits = Limits {
        grace_ms,
        work_ms: grace_ms.map(|_| WORK_MS),
        minimum,
    };
    OpenRound::new(round, limits, at(0))
}

fn effects(open: &mut OpenRound) -> Vec<Effect> {
    std::iter::from_fn(|| open.poll_effect()).collect()
}

fn client(index: u32) -> ClientIndex {
    ClientIndex(index)
}

/// Lets all nodes check in and gives them their tasks.
fn given(clients: u32, minimum: u32, grace_ms: Option<u64>) -> OpenRound {
    let mut open = round(clients, minimum, grace_ms, None);
    for index in 0..clients {
        open.look(client(index), &There::Free, true, at(0));
    }
    for index in 0..clients {
        open.turn(client(index), at(0));
    }
    effects(&mut open);
    open
}

fn report() -> Payload {
    let sums = commonweal_core::PrepareSums::of_client(&PrepareSpec::default(), 1);
    Payload::prepare(ModelVersion(0), &sums)
}

fn counted(open: &mut OpenRound, index: u32, now: Time) {
    let task = open.task();
    open.report(client(index), task, Step(0), report(), now)
        .unwrap();
    open.folded(client(index), Ok(()), now);
}

#[test]
fn a_round_looks_at_everybody_then_takes_turns_then_gives_tasks() {
    let mut open = round(2, 1, Some(GRACE_MS), None);
    assert_eq!(
        effects(&mut open),
        [Effect::Look(client(0)), Effect::Look(client(1))]
    );
    open.look(client(0), &There::Free, true, at(0));
    assert_eq!(effects(&mut open), []);
    open.look(client(1), &There::Free, true, at(0));
    assert_eq!(
        effects(&mut open),
        [Effect::Queue(client(0)), Effect::Queue(client(1))]
    );
    open.turn(client(1), at(5));
    let [Effect::Give(given, task)] = &effects(&mut open)[..] else {
        panic!("one task is given");
    };
    assert_eq!((*given, task.id), (client(1), open.task()));
    assert_eq!(open.given(client(0)), None);
}

#[test]
fn a_node_that_is_away_is_waited_for_as_long_as_grace_and_no_longer() {
    let mut open = round(2, 1, Some(GRACE_MS), None);
    open.look(client(0), &There::Free, true, at(0));
    let away = |for_ms| There::Away { for_ms };
    open.look(client(1), &away(GRACE_MS - 1), true, at(9));
    assert_eq!(open.stand(client(1)), Some(Stand::Invited));
    open.look(client(1), &away(GRACE_MS), true, at(10));
    assert_eq!(open.stand(client(1)), Some(Stand::Gone));
    assert_eq!(open.stand(client(0)), Some(Stand::Queued));
}

#[test]
fn nobody_is_given_up_while_too_few_are_there_or_the_run_is_reproducible() {
    for (grace_ms, is_enough) in [(Some(GRACE_MS), false), (None, true)] {
        let mut open = given(2, 2, grace_ms);
        let away = There::Away { for_ms: u64::MAX };
        open.look(client(0), &away, is_enough, at(1_000_000));
        assert_eq!(open.stand(client(0)), Some(Stand::Working));
        let mut open = round(2, 2, grace_ms, None);
        open.look(client(0), &away, is_enough, at(1_000_000));
        let resting = There::Resting { left_ms: 3_600_000 };
        open.look(client(1), &resting, is_enough, at(1_000_000));
        assert_eq!(open.stand(client(0)), Some(Stand::Invited));
        assert_eq!(open.stand(client(1)), Some(Stand::Invited));
    }
}

#[test]
fn a_node_lost_at_work_is_told_and_its_turn_goes_back() {
    let mut open = given(3, 1, Some(GRACE_MS));
    open.look(
        client(2),
        &There::Away { for_ms: GRACE_MS },
        true,
        at(20_000),
    );
    let reason = "it went away while it worked".to_owned();
    assert_eq!(
        effects(&mut open),
        [
            Effect::Cancel(client(2), reason.clone()),
            Effect::Release(client(2))
        ]
    );
    counted(&mut open, 0, at(21_000));
    counted(&mut open, 1, at(21_000));
    let (end, tally) = open.into_end().unwrap();
    assert!(matches!(end, RoundEnd::Committed(committed) if committed.counted().len() == 2));
    assert_eq!(tally.refused, [(client(2), reason)]);
    assert_eq!(tally.worked_ms, [21_000, 21_000]);
}

#[test]
fn the_slow_are_given_up_only_once_enough_have_reported() {
    let mut open = given(3, 2, Some(GRACE_MS));
    counted(&mut open, 0, at(1_000));
    open.look(client(2), &There::Free, true, at(WORK_MS));
    assert_eq!(open.stand(client(2)), Some(Stand::Working));
    counted(&mut open, 1, at(WORK_MS + 1));
    open.look(client(2), &There::Free, true, at(WORK_MS + 2));
    assert_eq!(open.stand(client(2)), Some(Stand::Gone));
    assert!(open.end().is_some());
}

#[test]
fn a_busy_node_is_waited_for_and_one_that_never_comes_is_not() {
    let mut open = round(2, 1, Some(GRACE_MS), None);
    open.look(client(0), &There::Busy, true, at(900_000));
    assert_eq!(open.stand(client(0)), Some(Stand::Invited));
    let reason = "denied".to_owned();
    open.look(client(1), &There::Never { reason }, false, at(0));
    assert_eq!(open.stand(client(1)), Some(Stand::Gone));
}

#[test]
fn the_jobs_own_bound_ends_the_round_and_dismisses_the_late() {
    let mut open = round(2, 1, None, Some(8_000));
    for index in 0..2 {
        open.look(client(index), &There::Free, true, at(0));
        open.turn(client(index), at(0));
    }
    effects(&mut open);
    counted(&mut open, 0, at(10));
    assert_eq!(open.deadline(), Some(at(8_000)));
    open.tick(at(8_000));
    assert!(matches!(open.end(), Some(RoundEnd::Committed(_))));
    let late = "it came after its deadline".to_owned();
    assert!(effects(&mut open).contains(&Effect::Cancel(client(1), late)));
    let task = open.task();
    let refused = open.report(client(1), task, Step(0), report(), at(8_001));
    assert_eq!(refused, Err(Refusal::Gone));
}

#[test]
fn a_report_is_expected_of_those_who_have_the_task_and_once() {
    let mut open = given(2, 2, None);
    let task = open.task();
    let other = TaskId {
        round: 9,
        stage: Stage::Train,
        attempt: 0,
    };
    let expects = |open: &OpenRound, index, task| open.expects(client(index), task, Step(0));
    assert_eq!(expects(&open, 0, task), Ok(()));
    assert!(matches!(
        expects(&open, 0, other),
        Err(Refusal::WrongTask { .. })
    ));
    assert_eq!(expects(&open, 7, task), Err(Refusal::NotInCohort));
    assert_eq!(
        open.expects(client(0), task, Step(1)),
        Err(Refusal::OutOfOrder)
    );
    open.report(client(0), task, Step(0), report(), at(1))
        .unwrap();
    assert_eq!(expects(&open, 0, task), Err(Refusal::Duplicate));
    assert_eq!(effects(&mut open)[0], Effect::Release(client(0)));
}

#[test]
fn a_report_of_the_wrong_kind_ends_the_nodes_part_and_not_the_round() {
    let mut open = given(2, 1, None);
    let task = open.task();
    let forged = Payload::metrics(ModelVersion(0), &MetricSpec::loss().zero());
    let refused = open.report(client(0), task, Step(0), forged, at(1));
    assert!(matches!(refused, Err(Refusal::WrongStage { .. })));
    assert_eq!(open.stand(client(0)), Some(Stand::Gone));
    counted(&mut open, 1, at(2));
    let (end, tally) = open.into_end().unwrap();
    assert!(matches!(end, RoundEnd::Committed(_)));
    assert_eq!(tally.refused.len(), 1);
    assert_eq!(tally.cohort, [client(0), client(1)]);
}

#[test]
fn who_declines_is_not_among_the_refused() {
    let mut open = given(2, 1, None);
    open.lose(
        client(0),
        "it has no rows for this task",
        Failing::Declined,
        at(1),
    );
    counted(&mut open, 1, at(2));
    let (_, tally) = open.into_end().unwrap();
    assert_eq!(tally.refused, []);
}
