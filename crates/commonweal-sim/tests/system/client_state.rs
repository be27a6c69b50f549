//! What a client keeps between rounds advances with the updates that were counted, and with no other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use commonweal_core::{ClientRows, ClientState, ClientUpdate, TrainError};
use commonweal_disk::observer::{Event, Silent};
use commonweal_sim::{Ending, Simulation};

use crate::around::{Around, with, wrapped};
use crate::common;

/// Counts a client's rounds in its state, and makes its update depend on the count.
#[derive(Clone, Default)]
struct Counting {
    at_end: Arc<Mutex<BTreeMap<String, u64>>>,
}

fn count(state: &ClientState) -> u64 {
    state
        .bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Around for Counting {
    fn train(
        &self,
        _data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let rounds = count(&state) + 1;
        let mut update = train()?;
        update
            .values
            .iter_mut()
            .for_each(|value| *value /= rounds as f32);
        // Not only a number: states have any length.
        let mut bytes = rounds.to_le_bytes().to_vec();
        bytes.resize(8 + 100 * rounds as usize, 7);
        Ok((update, ClientState { version: 1, bytes }))
    }

    fn evaluate(&self, data: ClientRows<'_>, state: &ClientState) {
        self.at_end
            .lock()
            .unwrap()
            .insert(data.client.to_string(), count(state));
    }
}

const COHORT: &str = "over_selection = 2.0\n[checkpoints]\nevery = 1\n";

#[test]
fn states_advance_as_often_as_updates_are_counted() {
    let counting = Counting::default();
    let (mut reported, mut cohort) = (0, 0);
    let mut add = |event: &Event| {
        if let Event::Round {
            reported: one,
            cohort: all,
            ..
        } = event
        {
            reported += one;
            cohort += all;
        }
    };
    let job = common::digits(6, COHORT);
    wrapped(&job, 2, None, counting.clone())
        .run(&mut add)
        .unwrap();
    let counts = counting.at_end.lock().unwrap();
    assert_eq!(counts.values().sum::<u64>(), reported);
    assert!(reported < cohort);
    assert!(counts.values().any(|&rounds| rounds > 1));
}

#[test]
fn states_survive_a_stop_and_lie_on_the_disk() {
    let runs = tempfile::tempdir().unwrap();
    let job = common::digits(6, COHORT);
    let digest = |ending| match ending {
        Ok(Ending::Finished(finished)) => finished.summary.digest,
        Ok(Ending::Interrupted { .. }) => panic!("nobody interrupted it"),
        Err(error) => panic!("{error}"),
    };
    let whole = digest(wrapped(&job, 1, None, Counting::default()).run(&mut Silent));

    let environment = common::environment(2, Some(runs.path()));
    let interrupt = environment.interrupt.clone();
    let mut stop = |event: &Event| {
        if matches!(event, Event::Round { round: 3, .. }) {
            interrupt.store(true, Ordering::Relaxed);
        }
    };
    let simulation = with(
        Simulation::new(job, environment).unwrap(),
        Counting::default(),
    );
    let ending = simulation.run(&mut stop).unwrap();
    let Ending::Interrupted {
        folder: Some(folder),
        ..
    } = ending
    else {
        panic!("no stop")
    };
    let log = folder.join("checkpoints/states-0000.log");
    assert!(log.metadata().unwrap().len() > 1000);
    let resumed = Simulation::resume(Path::new(&folder), common::environment(2, None)).unwrap();
    assert_eq!(
        digest(with(resumed, Counting::default()).run(&mut Silent)),
        whole
    );
}
