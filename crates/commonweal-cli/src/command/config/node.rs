//! The settings of a node, each with whether its owner set it.

use std::path::Path;

use commonweal_client::{Accept, DataPlace, NodeFolder, Settings};
use commonweal_disk::file;

use super::Line;
use crate::command::node::NodeFailure;
use crate::failure::Failure;

/// Every setting of the node in `dir`.
///
/// # Errors
/// A node without `node.toml`, or with faults in it.
pub(super) fn settings(dir: &Path) -> Result<Vec<Line>, Failure> {
    let path = NodeFolder::at(dir).settings();
    let settings = Settings::read(&path).map_err(NodeFailure::from)?;
    let text = file::read_text(&path)?;
    // What could be read as settings is a table.
    let written: toml::Table = text.parse().unwrap_or_default();
    let line = |key: &str, value: Option<String>, meaning: &'static str| {
        let top = key.split('.').next().unwrap_or(key);
        Line {
            key: key.to_owned(),
            value,
            origin: match written.contains_key(top) {
                true => path.display().to_string(),
                false => "default".to_owned(),
            },
            meaning: meaning.to_owned(),
        }
    };
    let Settings {
        accept,
        smallest_cohort,
        threads,
        memory_mb,
        cache_mb,
        hours,
        labels,
        data,
        trainers,
        ca_file,
    } = settings;
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let ca_file = ca_file.map(|path| path.display().to_string());
    let mut lines = vec![
        line(
            "accept",
            Some(accept_text(&accept)),
            "which runs may use the data",
        ),
        line(
            "smallest_cohort",
            Some(smallest_cohort.to_string()),
            "the fewest nodes in a round that it takes part in",
        ),
        line(
            "threads",
            Some(threads.to_string()),
            "threads that a trainer may use",
        ),
        line(
            "memory_mb",
            Some(memory_mb.to_string()),
            "memory that jobs may ask for, in MB",
        ),
        line(
            "cache_mb",
            Some(cache_mb.to_string()),
            "room for models on disk, in MB",
        ),
        line("hours", Some(hours.to_string()), "when it works"),
        line(
            "labels",
            Some(labels.join(", ")).filter(|text| !text.is_empty()),
            "words that jobs can ask for",
        ),
        line(
            "ca_file",
            ca_file,
            "certificates to trust besides the machine's, such as a proxy's",
        ),
    ];
    lines.extend(data.iter().map(|(name, place)| {
        let value = match place {
            DataPlace::Files(files) => files.path.display().to_string(),
            DataPlace::Share { job, client } => format!("{client} of {}", job.display()),
        };
        line(
            &format!("data.{name}"),
            Some(value),
            "where a data set lies",
        )
    }));
    lines.extend(trainers.iter().map(|(name, spec)| {
        let command = spec.command.join(" ");
        line(
            &format!("trainers.{name}"),
            Some(command),
            "a command that it is willing to run",
        )
    }));
    Ok(lines)
}

fn accept_text(accept: &Accept) -> String {
    match accept {
        Accept::Ask => "ask".to_owned(),
        Accept::All => "all".to_owned(),
        Accept::Manifests(digests) => {
            let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
            digests.join(", ")
        }
    }
}
