//! Which rows nobody learns from.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use commonweal_core::{ClientRows, ClientState, ClientUpdate, TrainError};
use commonweal_disk::observer::Silent;

use crate::around::{Around, wrapped};
use crate::common;

/// Remembers the rows that anybody trained on or was measured on.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    trained: BTreeSet<u32>,
    measured: BTreeSet<u32>,
    tested_in_training: usize,
}

impl Around for Rows {
    fn train(
        &self,
        data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let mut seen = self.0.lock().unwrap();
        seen.trained.extend(data.train);
        seen.tested_in_training += data.test.len();
        drop(seen);
        Ok((train()?, state))
    }

    fn evaluate(&self, data: ClientRows<'_>, _state: &ClientState) {
        self.0.lock().unwrap().measured.extend(data.test);
    }
}

/// What a round and these baselines see; of digits' 1797 rows 360 are for testing.
fn seen(validation: f64, baselines: &str) -> Seen {
    let mut job = common::digits_with(1, &format!("baselines = {baselines}"), "");
    job.data.validation = validation;
    let rows = Rows::default();
    wrapped(&job, 2, None, rows.clone())
        .run(&mut Silent)
        .unwrap();
    let mut seen = rows.0.lock().unwrap();
    std::mem::take(&mut seen)
}

#[test]
fn nobody_trains_on_rows_held_out_for_validation() {
    let seen = seen(0.2, "[\"pooled\", \"local\"]");
    assert_eq!(seen.trained.len(), 1797 - 360 - 288);
    assert!(seen.trained.is_disjoint(&seen.measured));
    assert_eq!(seen.measured.len(), 360 + 288);
}

#[test]
fn a_client_alone_trains_on_all_its_rows_where_none_are_held_out_for_everybody() {
    assert_eq!(seen(0.0, "[\"local\"]").trained.len(), 1797 - 360);
}

#[test]
fn a_client_that_trains_is_not_given_test_rows() {
    assert_eq!(seen(0.0, "[]").tested_in_training, 0);
}
