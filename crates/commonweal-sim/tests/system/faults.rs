//! Clients that diverge, vanish or come late cost their own part of a round and no more.

use commonweal_core::{ClientRows, ClientState, ClientUpdate, TrainError};
use commonweal_disk::file::read_bytes;
use commonweal_disk::history::{Outcome, read_history};
use commonweal_disk::observer::{Event, Silent};
use commonweal_sim::SimulationError;

use crate::around::{Around, wrapped};
use crate::common;

/// Diverges at one client, or reports an update out of range.
#[derive(Clone)]
struct Sick {
    client: &'static str,
    value: f32,
}

impl Around for Sick {
    fn train(
        &self,
        data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let mut update = train()?;
        if data.client.as_str() == self.client {
            update.values[3] = self.value;
        }
        Ok((update, state))
    }
}

fn events(job: &commonweal_core::job::Job, sick: Sick) -> Vec<Event> {
    let mut events = Vec::new();
    wrapped(job, 2, None, sick)
        .run(&mut |event: &Event| events.push(event.clone()))
        .unwrap();
    events
}

#[test]
fn a_client_with_an_unusable_update_is_refused_and_named() {
    let job = common::digits_of(2, 20, 1);
    for (value, reason) in [(f32::NAN, "finite"), (1e9, "max_abs_update")] {
        let events = events(
            &job,
            Sick {
                client: "client-003",
                value,
            },
        );
        for round in 1..=2 {
            let named = events.iter().any(|event| {
                matches!(event, Event::Refused { round: at, client, reason: why }
                    if *at == round && client == "client-003" && why.contains(reason))
            });
            assert!(named, "{events:?}");
            let counted = events.iter().any(|event| {
                matches!(event, Event::Round { round: at, reported: 19, refused: 1, .. } if *at == round)
            });
            assert!(counted, "{events:?}");
        }
    }
}

#[test]
fn a_round_below_its_minimum_is_abandoned_and_the_run_goes_on() {
    let mut job = common::digits(12, "");
    job.cohort.minimum = 5;
    let events = events(
        &job,
        Sick {
            client: "client-003",
            value: f32::NAN,
        },
    );
    let abandoned: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Abandoned { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert!(
        !abandoned.is_empty() && abandoned.len() < 12,
        "{abandoned:?}"
    );
    assert!(
        abandoned
            .iter()
            .all(|reason| *reason == "4 clients reported, the minimum is 5")
    );
}

#[test]
fn a_run_in_which_everybody_diverges_ends_with_an_error_and_its_records() {
    let runs = tempfile::tempdir().unwrap();
    let job = common::digits(9, "[evaluation]\nevery = 1\n");
    let mut job = job;
    job.training.optimizer = commonweal_core::job::LocalOptimizerSpec::Sgd {
        learning_rate: 1e30,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    let simulation =
        commonweal_sim::Simulation::new(job, common::environment(2, Some(runs.path()))).unwrap();
    let error = simulation.run(&mut Silent).unwrap_err();
    assert!(
        matches!(
            error,
            SimulationError::Abandoned {
                round: 3,
                in_a_row: 3,
                ..
            }
        ),
        "{error}"
    );
    let history = read_bytes(&runs.path().join("digits-1/history.csv")).unwrap();
    let rows = read_history(history.as_slice()).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter()
            .all(|row| row.outcome == Outcome::Abandoned && row.refused == 5)
    );
    assert!(
        runs.path()
            .join("digits-1/checkpoints/round-000003.checkpoint")
            .is_file()
    );
}

#[test]
fn late_and_lost_clients_are_not_counted() {
    let population = "population = { dropout = 0.3, latency_seconds = 10.0, latency_spread = 1.0 }";
    let mut job = common::digits_with(6, population, "deadline_seconds = 12.0\n");
    job.cohort.size = commonweal_core::job::CohortSize::Target(12);
    let mut events = Vec::new();
    let simulation = commonweal_sim::Simulation::new(job, common::environment(2, None)).unwrap();
    simulation
        .run(&mut |event: &Event| events.push(event.clone()))
        .unwrap();
    let reasons = |wanted: &str| {
        let matching = |event: &&Event| matches!(event, Event::Refused { reason, .. } if reason.contains(wanted));
        events.iter().filter(matching).count()
    };
    assert!(
        reasons("deadline") > 0 && reasons("did not answer") > 0,
        "{events:?}"
    );
    let rounds = events.iter().filter_map(|event| match event {
        Event::Round {
            cohort,
            reported,
            refused,
            ..
        } => Some((*cohort, *reported, *refused)),
        _ => None,
    });
    for (cohort, reported, refused) in rounds {
        assert_eq!((cohort, reported + refused), (12, 12));
    }
}

#[test]
fn more_clients_than_needed_leave_only_as_many_as_needed() {
    let job = common::digits(3, "over_selection = 2.0\n");
    let events = events(
        &job,
        Sick {
            client: "nobody",
            value: 0.0,
        },
    );
    let rounds = events.iter().filter_map(|event| match event {
        Event::Round {
            cohort, reported, ..
        } => Some((*cohort, *reported)),
        _ => None,
    });
    assert_eq!(rounds.collect::<Vec<_>>(), [(10, 5); 3]);
}

/// Panics at one client.
#[derive(Clone)]
struct Panics;

impl Around for Panics {
    fn train(
        &self,
        data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        assert_ne!(data.client.as_str(), "client-003", "an unlucky name");
        Ok((train()?, state))
    }
}

#[test]
fn a_trainer_that_panics_ends_the_run_and_is_named_by_its_client() {
    let late = "population = { latency_seconds = 10.0, latency_spread = 1.0 }";
    for population in ["", late] {
        let mut job = common::digits_with(1, population, "");
        job.cohort.size = commonweal_core::job::CohortSize::Target(20);
        let error = wrapped(&job, 3, None, Panics).run(&mut Silent).unwrap_err();
        let SimulationError::Panicked { client, what } = error else {
            panic!("{error}")
        };
        assert_eq!(client.as_str(), "client-003");
        assert!(what.contains("an unlucky name"), "{what}");
    }
}
