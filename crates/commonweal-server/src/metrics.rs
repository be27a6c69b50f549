//! What an operator watches: counters and histograms of this process, in Prometheus' text format.
//!
//! Gauges are not kept here: whoever answers a scrape reads them off the thing itself. No label ever holds what a
//! node's data hold, and none grows without bound.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The counters of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests by route and status.
    pub requests: Family<2>,
    /// Refusals of nodes' requests by reason.
    pub refusals: Family<1>,
    /// Connections by how they ended: `served`, `plain_http`, `handshake`, `evicted`, `overstayed`, `full`.
    pub connections: Family<1>,
    /// Bytes that arrived, TLS included.
    pub received_bytes: Counter,
    /// Bytes that were sent, TLS included.
    pub sent_bytes: Counter,
    /// Reports that were folded.
    pub reports: Counter,
    /// Time that a report waited for its slot.
    pub slot_wait: Histogram,
    /// Time from a report's slot to its fold.
    pub report_time: Histogram,
    /// Time of a request, but for polls, events and reports, which wait.
    pub request_time: Histogram,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Counters by `N` labels, whose values are of a small closed set.
#[derive(Debug)]
pub struct Family<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

/// Durations in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

/// Upper bounds of the buckets, in milliseconds.
const BOUNDS_MS: [u64; 10] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 30_000, 120_000];

impl Counter {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The sum.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<const N: usize> Default for Family<N> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<const N: usize> Family<N> {
    /// Counts one more under these labels.
    pub fn count(&self, labels: [&'static str; N]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels).or_default() += 1;
    }

    /// What was counted under these labels.
    #[must_use]
    pub fn value(&self, labels: [&'static str; N]) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&labels).copied().unwrap_or_default()
    }
}

impl Histogram {
    /// Notes a duration.
    pub fn note(&self, time: Duration) {
        let ms = time.as_millis();
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS_MS) {
            if ms <= u128::from(bound) {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// A scrape's answer, written line by line.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, &[], [([], value)]);
    }

    /// Such numbers by labels. Labels' values may be a peer's words: they are escaped.
    pub fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) {
        self.head(name, help, "gauge");
        for (words, value) in values {
            self.line(name, labels, &words, value);
        }
    }

    /// A counter.
    pub fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(name, help, "counter");
        self.line(name, &[], &[], counter.value());
    }

    /// A family of counters.
    pub fn family<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        family: &Family<N>,
    ) {
        self.head(name, help, "counter");
        let counts = family.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (words, value) in counts.iter() {
            self.line(name, &labels, words, *value);
        }
    }

    /// A histogram, in seconds.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (count, bound) in histogram.buckets.iter().zip(BOUNDS_MS) {
            let seconds = format!("{}", bound as f64 / 1_000.0);
            self.line(&bucket, &["le"], &[&seconds], count.load(Ordering::Relaxed));
        }
        let count = histogram.count.load(Ordering::Relaxed);
        self.line(&bucket, &["le"], &["+Inf"], count);
        let seconds = histogram.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        self.write(format_args!("{name}_sum {seconds}\n"));
        self.line(&format!("{name}_count"), &[], &[], count);
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[&str], words: &[&str], value: u64) {
        let pairs = labels.iter().zip(words);
        let pairs: Vec<_> = pairs
            .map(|(label, word)| format!("{label}=\"{}\"", escaped(word)))
            .collect();
        match pairs.is_empty() {
            true => self.write(format_args!("{name} {value}\n")),
            false => self.write(format_args!("{name}{{{}}} {value}\n", pairs.join(","))),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
    }
}

fn escaped(word: &str) -> String {
    word.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_line_for_each_number() {
        let metrics = Metrics::default();
        metrics.refusals.count(["clock"]);
        metrics.refusals.count(["clock"]);
        metrics.received_bytes.add(7);
        let mut page = Page::default();
        page.counter("received", "Bytes.", &metrics.received_bytes);
        page.family("refusals", "By reason.", ["reason"], &metrics.refusals);
        page.gauges("nodes", "By version.", &["version"], [(["1\"\n"], 3)]);
        let expected = "# HELP received Bytes.\n# TYPE received counter\nreceived 7\n\
            # HELP refusals By reason.\n# TYPE refusals counter\nrefusals{reason=\"clock\"} 2\n\
            # HELP nodes By version.\n# TYPE nodes gauge\nnodes{version=\"1\\\"\\n\"} 3\n";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::default();
        for ms in [0, 7, 700, 999_999] {
            histogram.note(Duration::from_millis(ms));
        }
        let mut page = Page::default();
        page.histogram("wait", "Time.", &histogram);
        let text = page.into_text();
        for line in [
            "wait_bucket{le=\"0.001\"} 1",
            "wait_bucket{le=\"0.01\"} 2",
            "wait_bucket{le=\"1\"} 3",
            "wait_bucket{le=\"+Inf\"} 4",
            "wait_sum 1000.706",
            "wait_count 4",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
