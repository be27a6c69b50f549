//! What a node says of itself to the server: capacities, labels, and the names of its data sets.

use commonweal_train::instruction_set;
use commonweal_wire::proto;

use crate::settings::Settings;

/// The statement of a node with these settings.
pub(crate) fn statement(settings: &Settings) -> proto::Statement {
    let labels = settings.labels.iter();
    proto::Statement {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instruction_set: instruction_set().to_string(),
        labels: labels
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect(),
        memory_mb: settings.memory_mb,
        threads: settings.threads,
        data_sets: settings.data.keys().cloned().collect(),
        trainers: settings.trainers.keys().cloned().collect(),
    }
}
