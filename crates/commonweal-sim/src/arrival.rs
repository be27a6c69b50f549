//! When a simulated client's report arrives, in virtual time: the population model of `[simulation]`.
//!
//! It depends on the seed, the round and the client's name, never on how long training took here.

use commonweal_core::job::{Job, Population as PopulationSpec};
use commonweal_core::{ClientName, Purpose, Seed, Time, normal, unit};
use rand_core::Rng as _;

/// Longest latency that the model gives, milliseconds: a year. Longer ones never matter.
const LONGEST_MS: f64 = 365.25 * 24.0 * 3600.0 * 1000.0;

/// One client's place in the order of reports: earlier times first, ties in random order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    tie: u64,
    pub(crate) vanishes: bool,
}

/// How reachable and how fast the clients are.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    spec: PopulationSpec,
    seed: Seed,
}

impl Arrivals {
    pub(crate) fn new(spec: PopulationSpec, seed: Seed) -> Self {
        Self { spec, seed }
    }

    /// The model of `job`; none where every client that is asked answers at once and is needed, so that
    /// no order of reports changes anything.
    pub(crate) fn of(job: &Job, seed: Seed) -> Option<Self> {
        let spec = &job.simulation.population;
        let is_immediate = spec.dropout <= 0.0 && spec.latency_seconds <= 0.0;
        let needs_all = job.cohort.over_selection <= 1.0;
        (!is_immediate || !needs_all).then(|| Self::new(spec.clone(), seed))
    }

    /// When the report of a client that is asked at `now` arrives, or when it is found to have vanished.
    ///
    /// Latencies are log-normal: the median times e to the power of a normal number.
    pub(crate) fn draw(&self, round: u64, client: &ClientName, now: Time) -> Arrival {
        let mut vanish = self.seed.derive(Purpose::Vanish, round, Some(client)).rng();
        let vanishes = unit(&mut vanish) < self.spec.dropout;
        let mut rng = self
            .seed
            .derive(Purpose::Latency, round, Some(client))
            .rng();
        let tie = rng.next_u64();
        let factor = libm::exp(self.spec.latency_spread * normal(&mut rng));
        let latency_ms = (self.spec.latency_seconds * 1000.0 * factor).clamp(0.0, LONGEST_MS);
        Arrival {
            at: now.after_ms(latency_ms as u64),
            tie,
            vanishes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(dropout: f64, latency_seconds: f64, latency_spread: f64) -> Vec<Arrival> {
        let spec = PopulationSpec {
            dropout,
            latency_seconds,
            latency_spread,
        };
        let arrivals = Arrivals::new(spec, Seed::from(1));
        (0..1000)
            .map(|number| {
                let client = ClientName::try_from(format!("client-{number}")).unwrap();
                arrivals.draw(3, &client, Time { ms: 5000 })
            })
            .collect()
    }

    #[test]
    fn without_a_model_all_arrive_at_once_in_random_order() {
        let arrivals = arrivals(0.0, 0.0, 1.0);
        let at_once = |arrival: &Arrival| arrival.at == Time { ms: 5000 } && !arrival.vanishes;
        assert!(arrivals.iter().all(at_once));
        assert!(!arrivals.is_sorted());
    }

    #[test]
    fn a_fifth_vanishes_and_half_of_the_others_come_before_the_median() {
        let mut answered = arrivals(0.2, 10.0, 0.5);
        answered.retain(|arrival| !arrival.vanishes);
        let early = answered
            .iter()
            .filter(|arrival| arrival.at < Time { ms: 15_000 })
            .count();
        // Five standard deviations of binomial counts.
        assert!(
            (answered.len() as f64 - 800.0).abs() < 64.0,
            "{}",
            answered.len()
        );
        assert!(
            (early as f64 / answered.len() as f64 - 0.5).abs() < 0.09,
            "{early}"
        );
    }
}
