//! The page around the pictures: headings, tables and one style sheet.

use std::fmt::Write;

use commonweal_disk::record::Summary;
use commonweal_disk::spread::Spread;

use crate::plot::{Histogram, Picture, STYLE, escape};

use super::{Report, charts};

const PAGE_STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:820px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--grid)}\
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top}\
th{font-weight:600}td.number{font-variant-numeric:tabular-nums;text-align:right}\
.faint{color:var(--faint)}.headline{font-size:2rem;font-weight:600}.missed{color:var(--worst);font-weight:600}\
pre{overflow-x:auto;background:var(--grid);padding:.8rem;border-radius:4px;font-size:13px}\
code{overflow-wrap:anywhere}";

/// Most abandoned rounds that are listed one by one.
const MOST_ABANDONED: usize = 20;

pub(super) fn html(report: &Report) -> String {
    let mut page = String::new();
    let title = escape(&format!("{} — Commonweal", report.run));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}{PAGE_STYLE}</style></head><body>\n"
    );
    headline(&mut page, report);
    results(&mut page, report);
    learning(&mut page, report);
    clients(&mut page, report);
    partition(&mut page, report);
    cost(&mut page, report);
    reproduction(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

fn headline(page: &mut String, report: &Report) {
    let summary = &report.summary;
    heading(page, 1, &report.run);
    let _ = write!(
        page,
        "<p class=\"faint\">{} clients, {} rows to train on and {} to test on, {} parameters</p>",
        summary.clients, summary.train_rows, summary.test_rows, summary.parameters
    );
    if let Some(spread) = summary.judged() {
        let _ = write!(
            page,
            "<p><span class=\"headline\">{}</span> {}{}</p>",
            with_interval(spread),
            escape(&summary.metric),
            if spread.values.len() > 1 {
                format!(
                    ", mean over {} seeds with its 95 % interval",
                    spread.values.len()
                )
            } else {
                String::new()
            }
        );
    }
    if let Some(expected) = &summary.expected {
        let side = if summary.higher_is_better {
            "at least"
        } else {
            "at most"
        };
        let promise = format!("{} {side} {}", escape(&expected.metric), expected.bound);
        let _ = if expected.met {
            write!(page, "<p>The job expects {promise}: met.</p>")
        } else {
            write!(
                page,
                "<p class=\"missed\">The job expects {promise}: not met.</p>"
            )
        };
    }
}

fn results(page: &mut String, report: &Report) {
    let summary = &report.summary;
    heading(page, 2, "Results");
    let names: Vec<&String> = summary.federated.keys().collect();
    page.push_str("<table><tr><th>model</th>");
    for name in &names {
        let _ = write!(page, "<th>{}</th>", escape(name));
    }
    page.push_str("<th>trained on</th></tr>");
    let row =
        |page: &mut String, name: &str, cell: &dyn Fn(&str) -> Option<Spread>, meaning: &str| {
            let _ = write!(page, "<tr><td>{}</td>", escape(name));
            for metric in &names {
                let text = cell(metric).map_or("–".to_owned(), |spread| with_interval(&spread));
                let _ = write!(page, "<td class=\"number\">{text}</td>");
            }
            let _ = write!(page, "<td class=\"faint\">{}</td></tr>", escape(meaning));
        };
    let federated = |metric: &str| summary.federated.get(metric).cloned();
    row(
        page,
        "federated",
        &federated,
        "every client's rows, which stay with the clients",
    );
    for baseline in &summary.baselines {
        let cell = |metric: &str| baseline.metrics.get(metric).cloned();
        row(page, &baseline.name, &cell, &baseline.meaning);
    }
    page.push_str("</table>");
    if !summary.baselines.is_empty() {
        picture(page, &charts::baseline_chart(summary, &summary.metric));
    }
    seeds(page, summary);
}

fn seeds(page: &mut String, summary: &Summary) {
    if summary.seeds.len() < 2 {
        return;
    }
    let _ = write!(
        page,
        "<table><tr><th>seed</th><th>rounds</th><th>{}</th><th>digest of the model</th></tr>",
        escape(&summary.metric)
    );
    for seed in &summary.seeds {
        let value = seed
            .metrics
            .get(&summary.metric)
            .map_or("–".to_owned(), |value| format!("{value:.4}"));
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{value}</td><td><code>{}</code></td></tr>",
            seed.seed,
            seed.rounds,
            escape(&seed.digest)
        );
    }
    page.push_str("</table>");
}

fn learning(page: &mut String, report: &Report) {
    heading(page, 2, "Learning");
    let summary = &report.summary;
    let others = summary
        .federated
        .keys()
        .filter(|name| **name != summary.metric);
    for metric in std::iter::once(&summary.metric).chain(others) {
        picture(page, &charts::metric_chart(report, metric));
    }
    picture(page, &charts::train_loss_chart(report));
    for (seed, rows) in summary.seeds.iter().zip(&report.histories) {
        for row in charts::abandoned(rows).take(MOST_ABANDONED) {
            let _ = write!(
                page,
                "<p>Seed {}, round {} was abandoned and left the model unchanged: {}.</p>",
                seed.seed,
                row.round,
                escape(&row.reason)
            );
        }
        let more = charts::abandoned(rows)
            .count()
            .saturating_sub(MOST_ABANDONED);
        if more > 0 {
            let _ = write!(
                page,
                "<p>Seed {}: {more} more rounds were abandoned; see history.csv.</p>",
                seed.seed
            );
        }
    }
}

fn clients(page: &mut String, report: &Report) {
    let summary = &report.summary;
    let Some(histogram) =
        charts::client_histogram(report, &summary.metric, summary.higher_is_better)
    else {
        return;
    };
    heading(page, 2, "Clients");
    picture(page, &histogram.picture());
    spread_sentence(page, &histogram);
}

fn spread_sentence(page: &mut String, histogram: &Histogram) {
    if let (Some(median), Some(worst)) = (histogram.median(), histogram.worst_tenth()) {
        let _ = write!(
            page,
            "<p>Half of the {} clients with test rows reach {median:.4}; the worst tenth has a mean of {worst:.4}. \
             Each client's own numbers are in clients.csv.</p>",
            histogram.values.len()
        );
    }
}

fn partition(page: &mut String, report: &Report) {
    if let Some(table) = &report.partition {
        heading(page, 2, "Who holds what");
        picture(page, &charts::partition_picture(table));
    }
}

fn cost(page: &mut String, report: &Report) {
    let Some(rows) = report.histories.first() else {
        return;
    };
    heading(page, 2, "Cost");
    picture(page, &charts::bytes_chart(rows));
    picture(page, &charts::time_chart(rows));
    picture(page, &charts::cohort_chart(rows));
    let summary = &report.summary;
    let down: u64 = rows.iter().map(|row| row.bytes_down).sum();
    let up: u64 = rows.iter().map(|row| row.bytes_up).sum();
    page.push_str("<table>");
    let mut line = |name: &str, value: String| {
        let _ = write!(
            page,
            "<tr><td>{name}</td><td class=\"number\">{value}</td></tr>"
        );
    };
    line("down, all rounds of the first seed", size(down));
    line("up, all rounds of the first seed", size(up));
    line(
        "wall clock, seeds and baselines included",
        format!("{:.1} s", summary.seconds),
    );
    if let Some(seed) = summary.seeds.first() {
        line(
            "training and aggregation, first seed",
            format!("{:.2} s", seed.seconds_train),
        );
        line(
            "evaluation, first seed",
            format!("{:.2} s", seed.seconds_evaluate),
        );
    }
    for baseline in &summary.baselines {
        line(
            &format!("baseline {}", escape(&baseline.name)),
            format!("{:.1} s", baseline.seconds),
        );
    }
    if let Some(peak) = summary.peak_bytes {
        line("largest resident memory", size(peak));
    }
    line("threads", summary.threads.to_string());
    page.push_str("</table>");
}

fn reproduction(page: &mut String, report: &Report) {
    let summary = &report.summary;
    heading(page, 2, "To run it again");
    let _ = write!(
        page,
        "<p>The same job, data and seed on this instruction set ({}) give the same bytes.</p>\
         <table><tr><td>manifest</td><td><code>{}</code></td></tr>\
         <tr><td>model</td><td><code>{}</code></td></tr>\
         <tr><td>program</td><td>commonweal {}</td></tr></table>\
         <details><summary>The job file</summary><pre>{}</pre></details>",
        escape(&summary.instruction_set),
        escape(&summary.manifest),
        escape(&summary.digest),
        escape(&summary.version),
        escape(&report.job)
    );
}

fn heading(page: &mut String, level: u8, text: &str) {
    let _ = writeln!(page, "<h{level}>{}</h{level}>", escape(text));
}

fn picture(page: &mut String, picture: &Picture) {
    let _ = writeln!(page, "<p>{}</p>", picture.inline());
}

fn with_interval(spread: &Spread) -> String {
    match spread.interval {
        Some(half) => format!("{:.4} ± {half:.4}", spread.mean),
        None => format!("{:.4}", spread.mean),
    }
}

/// Bytes in the unit that a reader takes in.
fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..=9_999_999_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
