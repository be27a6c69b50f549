//! The pictures of a report, and those of `commonweal plot` and `commonweal data partition`.

use commonweal_disk::history::{Outcome, RoundRow};
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::Summary;

use crate::plot::{HeatMap, Histogram, Interval, IntervalChart, Line, LineChart, Mark, Picture};

use super::Report;

/// One metric of several runs by round, in one chart; `runs` are names and rounds.
#[must_use]
pub fn comparison(metric: &str, runs: &[(String, Vec<RoundRow>)]) -> Picture {
    let lines = runs
        .iter()
        .map(|(name, rows)| Line {
            name: name.clone(),
            points: metric_by_round(rows, metric),
        })
        .collect();
    LineChart {
        title: format!("{metric} by round"),
        x_label: "round".to_owned(),
        y_label: metric.to_owned(),
        lines,
        marks: Vec::new(),
        from_zero: false,
    }
    .picture()
}

/// Rows by class and client.
#[must_use]
pub fn partition_picture(table: &PartitionTable) -> Picture {
    HeatMap {
        title: "Rows by class and client".to_owned(),
        columns: table.clients.clone(),
        rows: table.classes.clone(),
        counts: table.counts.clone(),
    }
    .picture()
}

/// `metric` by round, one line a seed, with the baselines and the floor as marks.
pub(super) fn metric_chart(report: &Report, metric: &str) -> Picture {
    let summary = &report.summary;
    let mut marks: Vec<Mark> = summary
        .baselines
        .iter()
        .filter_map(|baseline| {
            let spread = baseline.metrics.get(metric)?;
            Some(Mark {
                name: baseline.name.clone(),
                value: spread.mean,
            })
        })
        .collect();
    if let Some(expected) = summary
        .expected
        .as_ref()
        .filter(|expected| expected.metric == metric)
    {
        marks.push(Mark {
            name: "floor".to_owned(),
            value: expected.bound,
        });
    }
    LineChart {
        title: format!("{metric} on the clients' test rows"),
        x_label: "round".to_owned(),
        y_label: metric.to_owned(),
        lines: by_seed(report, |rows| metric_by_round(rows, metric)),
        marks,
        from_zero: false,
    }
    .picture()
}

/// Mean loss of the clients' local training by round, one line a seed.
pub(super) fn train_loss_chart(report: &Report) -> Picture {
    let points = |rows: &[RoundRow]| {
        rows.iter()
            .filter_map(|row| Some((row.round as f64, row.train_loss?)))
            .collect()
    };
    round_chart("Loss of local training", "loss", by_seed(report, points))
}

/// Bytes down and up by round, of the first seed.
pub(super) fn bytes_chart(rows: &[RoundRow]) -> Picture {
    let line = |name: &str, bytes: fn(&RoundRow) -> u64| Line {
        name: name.to_owned(),
        points: rounds(rows)
            .map(|row| (row.round as f64, bytes(row) as f64))
            .collect(),
    };
    let lines = vec![
        line("down: models to clients", |row| row.bytes_down),
        line("up: updates to the server", |row| row.bytes_up),
    ];
    round_chart("Bytes a round", "bytes", lines)
}

/// Seconds of training and of evaluation by round, of the first seed.
pub(super) fn time_chart(rows: &[RoundRow]) -> Picture {
    let line = |name: &str, seconds: fn(&RoundRow) -> f64| Line {
        name: name.to_owned(),
        points: rounds(rows)
            .map(|row| (row.round as f64, seconds(row)))
            .collect(),
    };
    let evaluated = rounds(rows).filter(|row| !row.metrics.is_empty());
    let lines = vec![
        line("training and aggregation", |row| row.seconds_train),
        Line {
            name: "evaluation, where it was due".to_owned(),
            points: evaluated
                .map(|row| (row.round as f64, row.seconds_evaluate))
                .collect(),
        },
    ];
    round_chart("Seconds a round", "seconds", lines)
}

/// Clients that were counted, and those that were asked, by round, of the first seed.
pub(super) fn cohort_chart(rows: &[RoundRow]) -> Picture {
    let line = |name: &str, clients: fn(&RoundRow) -> u64| Line {
        name: name.to_owned(),
        points: rounds(rows)
            .map(|row| (row.round as f64, clients(row) as f64))
            .collect(),
    };
    let lines = vec![
        line("asked", |row| row.cohort),
        line("counted", |row| row.reported),
    ];
    round_chart("Clients a round", "clients", lines)
}

/// `metric` of the final model over clients; none where no client has a value.
pub(super) fn client_histogram(
    report: &Report,
    metric: &str,
    higher_is_better: bool,
) -> Option<Histogram> {
    let values: Vec<f64> = report
        .clients
        .iter()
        .filter_map(|client| client.metrics.get(metric).copied())
        .collect();
    (!values.is_empty()).then(|| Histogram {
        title: format!("{metric} of the final model, by client"),
        label: metric.to_owned(),
        values,
        higher_is_better,
    })
}

/// The federated model beside the baselines, over the seeds.
pub(super) fn baseline_chart(summary: &Summary, metric: &str) -> Picture {
    let federated = summary
        .federated
        .get(metric)
        .map(|spread| ("federated", spread));
    let baselines = summary
        .baselines
        .iter()
        .filter_map(|baseline| Some((baseline.name.as_str(), baseline.metrics.get(metric)?)));
    let rows = federated
        .into_iter()
        .chain(baselines)
        .map(|(name, spread)| Interval {
            name: name.to_owned(),
            mean: spread.mean,
            half_width: spread.interval,
        })
        .collect();
    IntervalChart {
        title: format!("{metric}: mean over seeds with its 95 % interval"),
        rows,
    }
    .picture()
}

/// Whether some round left the model unchanged.
pub(super) fn abandoned(rows: &[RoundRow]) -> impl Iterator<Item = &RoundRow> {
    rows.iter().filter(|row| row.outcome == Outcome::Abandoned)
}

fn round_chart(title: &str, label: &str, lines: Vec<Line>) -> Picture {
    LineChart {
        title: title.to_owned(),
        x_label: "round".to_owned(),
        y_label: label.to_owned(),
        lines,
        marks: Vec::new(),
        from_zero: true,
    }
    .picture()
}

fn by_seed(report: &Report, points: impl Fn(&[RoundRow]) -> Vec<(f64, f64)>) -> Vec<Line> {
    report
        .summary
        .seeds
        .iter()
        .zip(&report.histories)
        .map(|(seed, rows)| Line {
            name: format!("seed {}", seed.seed),
            points: points(rows),
        })
        .collect()
}

fn metric_by_round(rows: &[RoundRow], metric: &str) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| Some((row.round as f64, *row.metrics.get(metric)?)))
        .collect()
}

/// The rounds proper: without the evaluation of the initial model.
fn rounds(rows: &[RoundRow]) -> impl Iterator<Item = &RoundRow> {
    rows.iter().filter(|row| row.round > 0)
}
