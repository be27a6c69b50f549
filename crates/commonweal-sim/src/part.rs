//! One thread's part of a round's sum: reports are verified as they come and added a few at a time.
//!
//! The sum of a large model is larger than the cache, a few reports are not: adding them together walks
//! through the sum once. Their memory is written again by the thread's next clients.

use commonweal_core::{Accumulator, ClientIndex, Fold, Payload, Refusal, Report};

/// Reports that are added together where their order does not matter.
pub(crate) const TOGETHER: usize = 4;

/// What becomes of a client's report.
pub(crate) type Folded = (ClientIndex, Result<(), Refusal>);

/// A part of the sum, with reports that wait to be added to it.
pub(crate) struct Part<'a> {
    fold: &'a Fold,
    together: usize,
    sum: Option<Accumulator>,
    reports: Vec<Report>,
    spare: Vec<Vec<u8>>,
}

impl<'a> Part<'a> {
    /// Nothing yet; `together` reports are added at a time.
    pub(crate) fn new(fold: &'a Fold, together: usize) -> Self {
        Self {
            fold,
            together,
            sum: None,
            reports: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Memory for the next report.
    pub(crate) fn memory(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a report; tells of all whose fate is known now, this one's perhaps later.
    pub(crate) fn take(&mut self, client: ClientIndex, message: Payload) -> Vec<Folded> {
        match self.fold.verify(client, message) {
            Err(refusal) => return vec![(client, Err(refusal))],
            Ok(report) => self.reports.push(report),
        }
        match self.reports.len() < self.together {
            true => Vec::new(),
            false => self.add(),
        }
    }

    /// Adds the reports that wait.
    pub(crate) fn add(&mut self) -> Vec<Folded> {
        if self.reports.is_empty() {
            return Vec::new();
        }
        let clients: Vec<ClientIndex> = self.reports.iter().map(Report::from).collect();
        let sum = self.sum.get_or_insert_with(|| self.fold.zero());
        let mut refused = self.fold.accumulate_all(sum, &mut self.reports);
        self.spare
            .extend(self.reports.drain(..).map(Report::into_memory));
        let fate = |client| {
            let place = refused.iter().position(|&(other, _)| other == client);
            let refusal = place.map(|place| refused.swap_remove(place).1);
            (client, refusal.map_or(Ok(()), Err))
        };
        clients.into_iter().map(fate).collect()
    }

    /// The part, if anything was added. Reports that still wait are dropped.
    pub(crate) fn into_sum(self) -> Option<Accumulator> {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use commonweal_core::{MetricSpec, MetricSums, ModelVersion};

    use super::*;

    fn measured(spec: &MetricSpec) -> (MetricSums, Payload) {
        let sums = spec.zero();
        let payload = Payload::metrics(ModelVersion(0), &sums);
        (sums, payload)
    }

    #[test]
    fn reports_wait_for_company_and_their_memory_is_used_again() {
        let spec = Arc::new(MetricSpec::loss());
        let fold = Fold::evaluate(Arc::clone(&spec), ModelVersion(0), 4);
        let mut part = Part::new(&fold, 3);
        let (_, payload) = measured(&spec);
        assert!(part.memory().is_empty());
        assert_eq!(part.take(ClientIndex(0), payload.clone()), []);
        assert_eq!(part.take(ClientIndex(1), payload.clone()), []);
        let all = part.take(ClientIndex(2), payload.clone());
        assert_eq!(all, [0, 1, 2].map(|client| (ClientIndex(client), Ok(()))));
        assert_eq!(part.memory().len(), payload.as_bytes().len());
        assert_eq!(part.take(ClientIndex(3), payload), []);
        assert_eq!(part.add(), [(ClientIndex(3), Ok(()))]);
        assert_eq!(part.into_sum().unwrap().clients(), 4);
    }

    #[test]
    fn a_refused_report_is_told_at_once_and_leaves_those_that_wait_alone() {
        let spec = Arc::new(MetricSpec::loss());
        let fold = Fold::evaluate(Arc::clone(&spec), ModelVersion(0), 4);
        let mut part = Part::new(&fold, 3);
        let (sums, payload) = measured(&spec);
        let of_another_model = Payload::metrics(ModelVersion(7), &sums);
        assert_eq!(part.take(ClientIndex(0), payload), []);
        let refused = part.take(ClientIndex(1), of_another_model);
        assert!(matches!(
            refused[..],
            [(ClientIndex(1), Err(Refusal::WrongBase { .. }))]
        ));
        assert_eq!(part.add(), [(ClientIndex(0), Ok(()))]);
    }
}
