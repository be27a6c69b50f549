//! Aggregation as a round does it: each update through the client's pipeline, verified and folded,
//! then the sum through the server's.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commonweal_core::{
    ClientIndex, ClientPipeline, ClientUpdate, Entropy, Fold, Mean, MetricSpec, ModelVersion,
    Quantizer, Report, Rule, Seed, ServerPipeline, Weight,
};

use super::Bench;
use super::figure::Figure;
use super::watch::WatchError;

/// Parameters of the FedAvg paper's CNN.
const PARAMETERS: usize = 1_663_370;
const CLIENTS: u32 = 100;
/// Updates that lie in memory at a time, well beyond the caches together.
const AT_A_TIME: u32 = 10;
/// Reports that are added together, as a thread of a simulated round does: the sum is larger than the cache,
/// four reports are not.
const TOGETHER: usize = 4;
const REPETITIONS: usize = 3;

pub(super) fn aggregate(bench: &Bench) -> Result<Figure, WatchError> {
    let fastest = (0..REPETITIONS).filter_map(|_| once()).min();
    let seconds = fastest.ok_or(WatchError::Incomplete { missing: "a mean" })?;
    let bytes = 4.0 * PARAMETERS as f64 * f64::from(CLIENTS);
    let rate = bytes / seconds.as_secs_f64();
    Ok(Figure::bandwidth("aggregate", rate, &bench.machine))
}

/// One round's aggregation; making the updates is not part of the time.
fn once() -> Option<Duration> {
    let quantizer = Quantizer::new(1.0).ok()?;
    let client = ClientPipeline::plain(quantizer);
    let metrics = Arc::new(MetricSpec::loss());
    let server = Arc::new(ServerPipeline {
        rule: Rule::Sum(Arc::new(Mean)),
        quantizer,
        extras: Arc::new([]),
        shared_len: PARAMETERS,
        metrics: Arc::clone(&metrics),
    });
    let base = ModelVersion(0);
    let fold = Fold::train(Arc::clone(&server), base, Weight::MAX, 1);
    let values: Vec<f32> = (0..PARAMETERS)
        .map(|index| (index % 1000) as f32 / 1e4)
        .collect();
    let seed = Seed::from(1);
    let mut accumulator = fold.zero();
    let (mut reports, mut spare) = (Vec::new(), Vec::new());
    let mut spent = Duration::ZERO;
    for first in (0..CLIENTS).step_by(AT_A_TIME as usize) {
        let update = || ClientUpdate {
            values: values.clone(),
            weight: Weight::ONE,
            metrics: metrics.zero(),
            extras: Vec::new(),
        };
        let updates: Vec<ClientUpdate> = (0..AT_A_TIME).map(|_| update()).collect();
        let start = Instant::now();
        for (offset, update) in (0..).zip(updates) {
            let memory = spare.pop().unwrap_or_default();
            let payload = client
                .on_client_in(memory, update, base, &seed, Entropy::new([0; 32]))
                .ok()?;
            reports.push(fold.verify(ClientIndex(first + offset), payload).ok()?);
            if reports.len() == TOGETHER || offset + 1 == AT_A_TIME {
                let refused = fold.accumulate_all(&mut accumulator, &mut reports);
                if !refused.is_empty() {
                    return None;
                }
                spare.extend(reports.drain(..).map(Report::into_memory));
            }
        }
        spent += start.elapsed();
    }
    let start = Instant::now();
    black_box(server.on_server(accumulator, Entropy::new([0; 32])).ok()?);
    Some(spent + start.elapsed())
}
