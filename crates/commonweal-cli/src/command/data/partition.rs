//! `commonweal data partition`: who would get which rows of which class, before any training.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_disk::file;
use commonweal_disk::partition_table::PartitionTable;
use commonweal_sim::preview_partition;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::job_file::JobFile;
use crate::report::partition_picture;
use crate::template::Template;
use crate::training;

/// Clients, and classes, that fit a terminal.
const LISTED: usize = 60;
const COLUMNS: usize = 24;

/// From few rows to many.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// The arguments.
#[derive(Debug, Args)]
pub struct ShowPartition {
    /// The job file; without it, the embedded one
    pub job: Option<PathBuf>,
    /// An SVG picture instead of text
    #[arg(long, short, value_name = "SVG")]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Client<'a> {
    client: &'a str,
    classes: &'a [String],
    counts: &'a [u64],
}

impl ShowPartition {
    /// Deals the rows as `simulate` would, and draws the result.
    ///
    /// # Errors
    /// A job, data or a partition with faults.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let file = match &self.job {
            Some(path) => JobFile::read(path, &context.global)?,
            None => JobFile::embedded(Template::Digits.job(), &context.global)?,
        };
        let base = file.path.as_deref().and_then(Path::parent);
        let environment = training::environment(context, base.unwrap_or("".as_ref()).to_path_buf());
        let table = preview_partition(&file.job, &environment)?;
        let console = &context.console;
        let classes = table.classes.as_slice();
        for (index, client) in table.clients.iter().enumerate() {
            let counts = table.of(index);
            console.event(
                "client",
                &Client {
                    client,
                    classes,
                    counts,
                },
            );
        }
        match &self.output {
            Some(path) => {
                let svg = partition_picture(&table).standalone();
                file::write_bytes(path, svg.as_bytes())?;
                console.line(path.display());
            }
            None => console.line(picture(&table)),
        }
        Ok(Exit::Success)
    }
}

/// A line a client: its rows, and a shade for each class.
fn picture(table: &PartitionTable) -> String {
    let most = table.counts.iter().copied().max().unwrap_or(0).max(1);
    let name = |name: &String| name.chars().count();
    let width = table
        .clients
        .iter()
        .take(LISTED)
        .map(name)
        .max()
        .unwrap_or(0)
        .max(6);
    let classes = table.classes.len().min(COLUMNS);
    let mut lines = vec![format!(
        "{:<width$}  {:>6}  {}",
        "client",
        "rows",
        if table.classes.len() > 1 {
            table.classes[..classes].join(" ")
        } else {
            String::new()
        }
    )];
    for (index, client) in table.clients.iter().enumerate().take(LISTED) {
        let counts = table.of(index);
        let cells: Vec<String> = counts[..classes]
            .iter()
            .zip(&table.classes)
            .map(|(&count, class)| {
                let shade = shade(count, most);
                let size = class.chars().count().max(1);
                std::iter::repeat_n(shade, size).collect()
            })
            .collect();
        let rows: u64 = counts.iter().sum();
        lines.push(
            format!("{client:<width$}  {rows:>6}  {}", cells.join(" "))
                .trim_end()
                .to_owned(),
        );
    }
    if table.clients.len() > LISTED {
        lines.push(format!(
            "… and {} more clients",
            table.clients.len() - LISTED
        ));
    }
    if table.classes.len() > COLUMNS {
        lines.push(format!(
            "… and {} more classes",
            table.classes.len() - COLUMNS
        ));
    }
    lines.push(format!(
        "\n  no row  · few  ░ ▒ ▓ █ up to {most} rows of one class"
    ));
    lines.join("\n")
}

fn shade(count: u64, most: u64) -> char {
    if count == 0 {
        return ' ';
    }
    let step = (count * (SHADES.len() as u64) - 1) / most;
    SHADES[(step as usize).min(SHADES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_share_is_the_darkest_and_nothing_is_blank() {
        assert_eq!(shade(0, 100), ' ');
        assert_eq!(shade(1, 100), '·');
        assert_eq!(shade(100, 100), '█');
    }

    #[test]
    fn a_client_has_a_line_with_a_shade_for_each_class() {
        let table = PartitionTable {
            clients: vec!["north".to_owned(), "south".to_owned()],
            classes: vec!["no".to_owned(), "yes".to_owned()],
            counts: vec![10, 0, 5, 10],
        };
        let text = picture(&table);
        assert!(text.contains("north       10  ██"), "{text}");
        assert!(text.contains("south       15  ▒▒ ███"), "{text}");
    }
}
