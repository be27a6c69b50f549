//! `commonweal evaluate`: measures a run's model on the clients' test rows, or on other data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use commonweal_disk::client_table::ClientRow;
use commonweal_sim::FinishedRun;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::metric;
use crate::text_table::TextTable;
use crate::{run_record, training};

/// Clients that are listed as text; events have them all.
const LISTED: usize = 50;

/// The arguments.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// A run folder, or the name of one such as digits-1
    pub run: PathBuf,
    /// Other data, all rows of it, read as the run's own were
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
}

#[derive(Serialize)]
struct Client<'a> {
    client: &'a str,
    train_rows: u64,
    test_rows: u64,
    metrics: &'a BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Evaluated<'a> {
    run: String,
    metrics: &'a BTreeMap<String, f64>,
}

impl Evaluate {
    /// Measures, and prints the metrics of each client and of all.
    ///
    /// # Errors
    /// A run that does not exist or is not finished; data that are gone, changed or of another shape.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let console = &context.console;
        let folder = match &self.data {
            Some(_) => run_record::finished(context, &self.run)?,
            None => run_record::finished_here(context, &self.run)?,
        };
        let environment = training::environment(context, PathBuf::new());
        let finished = FinishedRun::open(folder.path(), environment)?;
        let measured = match &self.data {
            Some(path) => finished.evaluate_on(path).map_err(|source| Failure::Rows {
                path: path.clone(),
                source: Box::new(source),
            })?,
            None => finished.evaluate()?,
        };
        for row in &measured.clients {
            let ClientRow {
                client,
                train_rows,
                test_rows,
                metrics,
            } = row;
            let (train_rows, test_rows) = (*train_rows, *test_rows);
            console.event(
                "client",
                &Client {
                    client,
                    train_rows,
                    test_rows,
                    metrics,
                },
            );
        }
        if !measured.clients.is_empty() {
            console.line(table(&measured.clients, &measured.metrics));
            if measured.clients.len() > LISTED {
                let more = measured.clients.len() - LISTED;
                console.line(format_args!("… and {more} more clients"));
            }
            console.line("");
        }
        for (name, value) in &measured.metrics {
            console.line(format_args!("{name:<20} {}", metric(name, *value)));
        }
        let evaluated = Evaluated {
            run: folder.name(),
            metrics: &measured.metrics,
        };
        console.event("evaluated", &evaluated);
        Ok(Exit::Success)
    }
}

fn table(clients: &[ClientRow], metrics: &BTreeMap<String, f64>) -> TextTable {
    let mut header = vec!["client", "train rows", "test rows"];
    header.extend(metrics.keys().map(String::as_str));
    let mut table = TextTable::new(&header);
    for row in clients.iter().take(LISTED) {
        let mut cells = vec![
            row.client.clone(),
            row.train_rows.to_string(),
            row.test_rows.to_string(),
        ];
        let value = |name: &String| row.metrics.get(name).map(|value| metric(name, *value));
        cells.extend(metrics.keys().map(|name| value(name).unwrap_or_default()));
        table.row(cells);
    }
    table
}
