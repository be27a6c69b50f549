//! What a round promises, event by event and under any sequence of events.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::job::CohortSize;
use crate::{
    Entropy, EvaluatePlan, MetricSpec, PlainReporting, Randomness, Reserve, Selector, Session,
    SessionAction, Stage, Uniform,
};

const TASK: TaskId = TaskId {
    round: 1,
    stage: Stage::Evaluate,
    attempt: 0,
};

fn client(index: u32) -> ClientIndex {
    ClientIndex(index)
}

fn at(ms: u64) -> Time {
    Time { ms }
}

fn spec(cohort: Cohort, minimum: u32) -> RoundSpec {
    let metrics = Arc::new(MetricSpec::loss());
    let plan = EvaluatePlan {
        metrics: Arc::clone(&metrics),
    };
    RoundSpec {
        task: TASK,
        manifest: Digest::of(b"job"),
        prepared: Some(Digest::of(b"found")),
        kind: TaskKind::Evaluate(Arc::new(plan)),
        fold: Arc::new(Fold::evaluate(metrics, ModelVersion(3), 100)),
        base: ModelVersion(3),
        seed: Seed::from(1),
        population: Population::numbered(100).unwrap(),
        cohort,
        minimum,
        selection_until: Some(at(100)),
        reporting_until: Some(at(1000)),
    }
}

fn cohort(clients: u32, goal: u32) -> Cohort {
    let invited = (0..clients).map(client).collect();
    Cohort {
        invited,
        goal,
        reserve: Reserve::none(),
    }
}

fn open(spec: RoundSpec) -> Round {
    let session = Box::new(PlainReporting::new(Arc::clone(&spec.fold)));
    Round::new(spec, session, Entropy::new([0; 32]), Time::START)
}

fn payload() -> Payload {
    Payload::metrics(ModelVersion(3), &MetricSpec::loss().zero())
}

fn report(index: u32) -> Event {
    Event::Report {
        client: client(index),
        task: TASK,
        step: Step(0),
        message: payload(),
    }
}

fn actions(round: &mut Round) -> Vec<Action> {
    core::iter::from_fn(|| round.poll_action()).collect()
}

/// A round in which the clients `0..checked_in` have their task.
fn configured(spec: RoundSpec, checked_in: u32) -> Round {
    let mut round = open(spec);
    for index in 0..checked_in {
        round
            .handle(
                Event::CheckIn {
                    client: client(index),
                },
                at(1),
            )
            .unwrap();
    }
    round.handle(Event::Tick, at(100)).unwrap();
    actions(&mut round);
    round
}

fn count(round: &mut Round, index: u32, now: Time) {
    round.handle(report(index), now).unwrap();
    round
        .handle(
            Event::Folded {
                client: client(index),
            },
            now,
        )
        .unwrap();
}

#[test]
fn every_client_of_the_cohort_gets_its_own_seed() {
    let mut round = open(spec(cohort(3, 3), 1));
    assert_eq!(
        actions(&mut round),
        [0, 1, 2].map(|i| Action::Invite { client: client(i) })
    );
    for index in [2, 0, 1] {
        assert_eq!(actions(&mut round), []);
        round
            .handle(
                Event::CheckIn {
                    client: client(index),
                },
                at(1),
            )
            .unwrap();
    }
    let mut seeds = Vec::new();
    for (index, action) in actions(&mut round).into_iter().enumerate() {
        let Action::Configure { client, task } = action else {
            panic!("{action:?}")
        };
        assert_eq!(
            (client.as_usize(), task.cohort, task.base),
            (index, 3, ModelVersion(3))
        );
        assert!(!seeds.contains(&task.seed));
        seeds.push(task.seed);
    }
    assert_eq!(seeds.len(), 3);
}

#[test]
fn a_round_commits_with_its_last_report() {
    let mut round = configured(spec(cohort(3, 3), 1), 3);
    for index in [2, 0, 1] {
        count(&mut round, index, at(200));
    }
    let found = actions(&mut round).pop();
    let counted = vec![client(0), client(1), client(2)];
    assert_eq!(
        found,
        Some(Action::Commit(Committed {
            task: TASK,
            cohort: 3,
            counted
        }))
    );
    assert!(round.is_over());
}

#[test]
fn a_round_below_its_minimum_is_abandoned_at_the_deadline() {
    let mut round = configured(spec(cohort(3, 3), 2), 3);
    count(&mut round, 0, at(999));
    assert_eq!(round.deadline(), Some(at(1000)));
    round.handle(Event::Tick, at(1000)).unwrap();
    let reason = AbandonReason::TooFewReports {
        minimum: 2,
        found: 1,
    };
    let found = actions(&mut round).pop();
    assert_eq!(
        found,
        Some(Action::Abandon(Abandoned { task: TASK, reason }))
    );
}

#[test]
fn a_round_with_too_few_ready_clients_asks_none_to_work() {
    let round = configured(spec(cohort(3, 3), 2), 1);
    assert!(round.is_over());
    let mut round = open(spec(cohort(3, 3), 2));
    round.handle(Event::Tick, at(100)).unwrap();
    let actions = actions(&mut round);
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Configure { .. }))
    );
    let reason = AbandonReason::TooFewReady {
        minimum: 2,
        found: 0,
    };
    assert_eq!(
        actions.last(),
        Some(&Action::Abandon(Abandoned { task: TASK, reason }))
    );
}

#[test]
fn a_report_at_the_deadline_is_late_even_if_no_tick_came() {
    let mut round = configured(spec(cohort(2, 2), 1), 2);
    count(&mut round, 0, at(999));
    assert_eq!(round.handle(report(1), at(1000)), Err(Refusal::Late));
    let found = actions(&mut round).pop();
    let counted = vec![client(0)];
    assert_eq!(
        found,
        Some(Action::Commit(Committed {
            task: TASK,
            cohort: 2,
            counted
        }))
    );
}

#[test]
fn a_commit_waits_for_reports_that_are_being_folded() {
    let mut round = configured(spec(cohort(2, 2), 1), 2);
    round.handle(report(0), at(999)).unwrap();
    round.handle(Event::Tick, at(1000)).unwrap();
    assert!(!round.is_over());
    assert_eq!(round.handle(report(1), at(1001)), Err(Refusal::Late));
    round
        .handle(Event::Folded { client: client(0) }, at(1500))
        .unwrap();
    assert!(round.is_over());
}

#[test]
fn over_selected_clients_are_dismissed_once_enough_are_counted() {
    let mut round = configured(spec(cohort(4, 2), 1), 4);
    round.handle(report(3), at(200)).unwrap();
    round.handle(report(1), at(201)).unwrap();
    assert_eq!(round.handle(report(0), at(202)), Err(Refusal::NotNeeded));
    actions(&mut round);
    for index in [1, 3] {
        round
            .handle(
                Event::Folded {
                    client: client(index),
                },
                at(203),
            )
            .unwrap();
    }
    let dismissed = [0, 2].map(|i| Action::Dismiss {
        client: client(i),
        refusal: Refusal::NotNeeded,
    });
    assert_eq!(actions(&mut round)[..2], dismissed);
    assert!(round.is_over());
}

#[test]
fn a_report_that_a_worker_refuses_makes_room_for_another() {
    let mut round = configured(spec(cohort(2, 1), 1), 2);
    round.handle(report(0), at(200)).unwrap();
    assert_eq!(round.handle(report(1), at(201)), Err(Refusal::NotNeeded));
    round
        .handle(Event::FoldRefused { client: client(0) }, at(202))
        .unwrap();
    count(&mut round, 1, at(203));
    let Some(Action::Commit(committed)) = actions(&mut round).pop() else {
        panic!("no commit")
    };
    assert_eq!(committed.counted(), [client(1)]);
}

#[test]
fn a_client_that_vanishes_before_configuration_is_replaced_and_after_it_is_not() {
    let seed = Randomness::Public(Seed::from(1));
    let population = Population::numbered(100).unwrap();
    let selector = Uniform {
        size: CohortSize::Target(3),
        over_selection: 1.0,
    };
    let cohort = selector.select(&population, 1, seed);
    let invited = cohort.invited.clone();
    let mut round = open(spec(cohort, 1));
    actions(&mut round);
    round
        .handle(Event::Failed { client: invited[0] }, at(1))
        .unwrap();
    let [Action::Invite { client: another }] = actions(&mut round)[..] else {
        panic!("no invitation")
    };
    assert!(!invited.contains(&another));
    for client in [invited[1], invited[2], another] {
        round.handle(Event::CheckIn { client }, at(2)).unwrap();
    }
    actions(&mut round);
    round
        .handle(Event::Failed { client: another }, at(3))
        .unwrap();
    assert_eq!(actions(&mut round), []);
}

#[test]
fn whoever_does_what_is_not_its_turn_is_told_why() {
    let mut round = open(spec(cohort(2, 2), 1));
    let check_in = |index| Event::CheckIn {
        client: client(index),
    };
    assert_eq!(round.handle(check_in(7), at(1)), Err(Refusal::NotInCohort));
    assert_eq!(
        round.handle(check_in(100), at(1)),
        Err(Refusal::UnknownClient)
    );
    assert_eq!(round.handle(report(0), at(1)), Err(Refusal::OutOfOrder));
    round.handle(check_in(0), at(1)).unwrap();
    assert_eq!(round.handle(check_in(0), at(1)), Err(Refusal::Duplicate));
    assert_eq!(round.handle(report(0), at(1)), Err(Refusal::OutOfOrder));
    round.handle(check_in(1), at(1)).unwrap();
    let earlier = TaskId { round: 0, ..TASK };
    let stale = Event::Report {
        client: client(0),
        task: earlier,
        step: Step(0),
        message: payload(),
    };
    let refusal = Refusal::WrongTask {
        expected: TASK,
        found: earlier,
    };
    assert_eq!(round.handle(stale, at(2)), Err(refusal));
    let step = Event::Report {
        client: client(0),
        task: TASK,
        step: Step(1),
        message: payload(),
    };
    assert_eq!(round.handle(step, at(2)), Err(Refusal::OutOfOrder));
    assert_eq!(
        round.handle(Event::Folded { client: client(0) }, at(2)),
        Err(Refusal::OutOfOrder)
    );
    round.handle(report(0), at(3)).unwrap();
    assert_eq!(round.handle(report(0), at(4)), Err(Refusal::Duplicate));
    let name = |text| crate::ClientName::try_from(text).unwrap();
    assert_eq!(round.client(&name("client-001")), Ok(client(1)));
    assert_eq!(round.client(&name("nobody")), Err(Refusal::UnknownClient));
}

#[test]
fn a_report_on_another_model_ends_the_client_s_part() {
    let mut round = configured(spec(cohort(2, 2), 1), 2);
    let message = Payload::metrics(ModelVersion(2), &MetricSpec::loss().zero());
    let wrong = Event::Report {
        client: client(0),
        task: TASK,
        step: Step(0),
        message,
    };
    let refusal = Refusal::WrongBase {
        expected: ModelVersion(3),
        found: ModelVersion(2),
    };
    assert_eq!(round.handle(wrong, at(200)), Err(refusal));
    assert_eq!(round.handle(report(0), at(201)), Err(Refusal::Gone));
    count(&mut round, 1, at(202));
    assert!(round.is_over());
}

#[test]
fn a_round_of_nobody_is_abandoned_at_once() {
    let mut round = open(spec(cohort(0, 0), 1));
    assert!(round.is_over());
    assert!(matches!(actions(&mut round)[..], [Action::Abandon(_)]));
}

/// Greets every client's neighbour before reports, and wants a farewell of the counted after them: the shape of
/// protocols with several steps.
#[derive(Default)]
struct Relay {
    waiting: BTreeSet<ClientIndex>,
    greetings: BTreeMap<ClientIndex, Payload>,
    farewells: Option<BTreeSet<ClientIndex>>,
    actions: Vec<SessionAction>,
}

impl Relay {
    fn relay_if_all_greeted(&mut self) {
        if self.waiting.is_empty() {
            let greetings = core::mem::take(&mut self.greetings);
            let receivers: Vec<_> = greetings
                .keys()
                .copied()
                .cycle()
                .skip(1)
                .take(greetings.len())
                .collect();
            for (to, message) in receivers.into_iter().zip(greetings.into_values()) {
                self.actions.push(SessionAction::Send {
                    to,
                    step: Step(0),
                    message,
                });
            }
        }
    }
}

impl Session for Relay {
    fn report_step(&self) -> Step {
        Step(1)
    }

    fn begin(&mut self, cohort: &[ClientIndex], _entropy: Entropy, _now: Time) {
        self.waiting.extend(cohort);
    }

    fn handle(
        &mut self,
        from: ClientIndex,
        step: Step,
        message: Payload,
        _now: Time,
    ) -> Result<(), Refusal> {
        match step {
            Step(0) if self.waiting.remove(&from) => {
                self.greetings.insert(from, message);
                self.relay_if_all_greeted();
            }
            Step(1) if self.waiting.is_empty() => {
                self.actions.push(SessionAction::Fold { from, message });
            }
            Step(2)
                if self
                    .farewells
                    .as_mut()
                    .is_some_and(|waiting| waiting.remove(&from)) => {}
            _ => return Err(Refusal::OutOfOrder),
        }
        Ok(())
    }

    fn lost(&mut self, client: ClientIndex, _now: Time) {
        if self.waiting.remove(&client) {
            self.relay_if_all_greeted();
        }
        if let Some(waiting) = &mut self.farewells {
            waiting.remove(&client);
        }
    }

    fn close(&mut self, counted: &[ClientIndex], _now: Time) {
        self.farewells = Some(counted.iter().copied().collect());
    }

    fn is_complete(&self) -> bool {
        self.farewells.as_ref().is_some_and(BTreeSet::is_empty)
    }

    fn poll_action(&mut self) -> Option<SessionAction> {
        (!self.actions.is_empty()).then(|| self.actions.remove(0))
    }
}

#[test]
fn a_session_of_several_steps_relays_before_reports_and_finishes_after_them() {
    let spec = spec(cohort(3, 3), 1);
    let mut round = Round::new(
        spec,
        Box::new(Relay::default()),
        Entropy::new([0; 32]),
        at(0),
    );
    for index in 0..3 {
        round
            .handle(
                Event::CheckIn {
                    client: client(index),
                },
                at(1),
            )
            .unwrap();
    }
    actions(&mut round);
    let send = |index, step| {
        let message = Payload::from(vec![index as u8]);
        Event::Report {
            client: client(index),
            task: TASK,
            step: Step(step),
            message,
        }
    };
    round.handle(send(0, 0), at(2)).unwrap();
    round.handle(send(2, 0), at(2)).unwrap();
    assert_eq!(actions(&mut round), []);
    round
        .handle(Event::Failed { client: client(1) }, at(3))
        .unwrap();
    let relayed = |to, from| {
        let message = Payload::from(vec![from]);
        Action::Send {
            client: client(to),
            step: Step(0),
            message,
        }
    };
    assert_eq!(actions(&mut round), [relayed(2, 0), relayed(0, 2)]);
    for index in [0, 2] {
        round.handle(send(index, 1), at(4)).unwrap();
        assert_eq!(round.handle(send(index, 1), at(4)), Err(Refusal::Duplicate));
        round
            .handle(
                Event::Folded {
                    client: client(index),
                },
                at(5),
            )
            .unwrap();
    }
    assert!(!round.is_over());
    round.handle(send(0, 2), at(6)).unwrap();
    round
        .handle(Event::Failed { client: client(2) }, at(7))
        .unwrap();
    let Some(Action::Commit(committed)) = actions(&mut round).pop() else {
        panic!("no commit")
    };
    assert_eq!(committed.counted(), [client(0), client(2)]);
}

fn event() -> impl Strategy<Value = Event> {
    let client = (0_u32..8).prop_map(ClientIndex);
    let task = prop_oneof![9 => Just(TASK), 1 => Just(TaskId { round: 9, ..TASK })];
    let message = prop_oneof![
        8 => Just(payload()),
        1 => Just(Payload::from(vec![1, 2, 3])),
        1 => Just(Payload::metrics(ModelVersion(9), &MetricSpec::loss().zero())),
    ];
    prop_oneof![
        3 => client.clone().prop_map(|client| Event::CheckIn { client }),
        5 => (client.clone(), task, 0_u8..8, message).prop_map(|(client, task, step, message)| {
            Event::Report { client, task, step: Step(step / 7), message }
        }),
        3 => client.clone().prop_map(|client| Event::Folded { client }),
        1 => client.clone().prop_map(|client| Event::FoldRefused { client }),
        1 => client.prop_map(|client| Event::Failed { client }),
        1 => Just(Event::Tick),
    ]
}

/// Polls all actions; remembers who was asked to be folded and how the round ended.
#[derive(Default)]
struct Driver {
    folds: BTreeMap<ClientIndex, bool>,
    end: Option<Action>,
}

impl Driver {
    fn poll(&mut self, round: &mut Round) {
        for action in actions(round) {
            assert!(self.end.is_none(), "{action:?} after the end");
            match action {
                Action::Fold { client, .. } => {
                    assert_eq!(
                        self.folds.insert(client, false),
                        None,
                        "{client:?} folded twice"
                    );
                }
                Action::Commit(_) | Action::Abandon(_) => self.end = Some(action),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn whatever_happens_a_round_ends_and_commits_only_what_was_folded_once_and_in_time(
        events in proptest::collection::vec((event(), 0_u64..60), 0..80),
        invited in 0_u32..6,
        goal in 0_u32..6,
        minimum in 0_u32..6,
    ) {
        let mut round = open(spec(cohort(invited, goal), minimum));
        let mut driver = Driver::default();
        let mut now = 0;
        driver.poll(&mut round);
        for (event, passed) in events {
            now += passed;
            let handled = round.handle(event.clone(), at(now));
            driver.poll(&mut round);
            match (event, handled) {
                (Event::Folded { client }, Ok(())) => {
                    let folded = driver.folds.insert(client, true);
                    prop_assert_eq!(folded, Some(false), "counted what no worker had");
                }
                (Event::FoldRefused { client }, Ok(())) => {
                    prop_assert_eq!(driver.folds.get(&client), Some(&false));
                }
                (Event::Report { .. }, Ok(())) => prop_assert!(now < 1000, "a late report counts"),
                _ => {}
            }
        }
        // Workers finish, and the time passes.
        while let Some(deadline) = round.deadline() {
            now = now.max(deadline.ms);
            round.handle(Event::Tick, at(now)).unwrap();
            driver.poll(&mut round);
        }
        let waiting: Vec<_> = driver.folds.iter().filter(|(_, done)| !**done).map(|(c, _)| *c).collect();
        for client in waiting {
            if round.handle(Event::Folded { client }, at(now)).is_ok() {
                driver.folds.insert(client, true);
            }
            driver.poll(&mut round);
        }
        prop_assert!(round.is_over(), "{:?} goes on for ever", round);
        match driver.end {
            Some(Action::Commit(committed)) => {
                prop_assert!(committed.counted().len() >= minimum.max(1) as usize);
                let folded: Vec<_> =
                    driver.folds.iter().filter(|(_, done)| **done).map(|(client, _)| *client).collect();
                prop_assert_eq!(committed.counted(), folded);
            }
            Some(Action::Abandon(_)) => {}
            other => prop_assert!(false, "no end: {other:?}"),
        }
    }
}
