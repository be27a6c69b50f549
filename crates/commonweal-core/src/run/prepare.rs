//! The one round before a run: all clients sum up their data's columns.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::{
    All, Digest, Entropy, Fold, ModelVersion, PlainReporting, Population, PrepareSpec, Randomness,
    Round, RoundSpec, Seed, Selector, Stage, TaskId, TaskKind, Time,
};

/// Opens the one round of `prepare`, asked of all clients before a run begins: its model may depend on what is
/// found. `manifest` is the job's digest, `minimum` the fewest clients whose sums are used.
pub fn open_prepare(
    spec: Arc<PrepareSpec>,
    manifest: Digest,
    population: &Population,
    minimum: u32,
    round_ms: Option<u64>,
    entropy: Entropy,
    now: Time,
) -> Round {
    let fold = Arc::new(Fold::prepare(Arc::clone(&spec), population.clients()));
    let session = Box::new(PlainReporting::new(Arc::clone(&fold)));
    let seed = Seed::from(0);
    let cohort = All.select(population, 0, Randomness::Public(seed.clone()));
    let spec = RoundSpec {
        task: TaskId {
            round: 0,
            stage: Stage::Prepare,
            attempt: 0,
        },
        manifest,
        prepared: None,
        kind: TaskKind::Prepare(spec),
        fold,
        base: ModelVersion(0),
        seed,
        population: population.clone(),
        cohort,
        minimum,
        selection_until: round_ms.map(|ms| now.after_ms(ms / 4)),
        reporting_until: round_ms.map(|ms| now.after_ms(ms)),
    };
    Round::new(spec, session, entropy, now)
}
