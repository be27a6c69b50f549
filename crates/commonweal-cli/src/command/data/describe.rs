//! `commonweal data describe`: what is in a data set, and how to get it.

use std::path::PathBuf;

use clap::Args;
use commonweal_core::job::Job;
use commonweal_core::job::nearest;
use commonweal_data::registry::{self, Known};
use commonweal_data::table::FeatureKind;
use commonweal_data::{Features, Roster, Source};
use commonweal_disk::{complete, read_source};
use serde::Serialize;

use super::list::is_available;
use crate::context::{Context, DATA_VARIABLE};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::training;

/// The arguments.
#[derive(Debug, Args)]
pub struct Describe {
    /// A name from `commonweal data list`
    pub name: String,
}

#[derive(Serialize)]
struct Description {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    available: bool,
    fetch: &'static [&'static str],
    clients: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<Contents>,
}

/// What is known once the files were read.
#[derive(Serialize)]
struct Contents {
    rows: u32,
    test_rows: usize,
    features: Vec<String>,
    classes: Vec<(String, usize)>,
    natural_clients: usize,
}

impl Describe {
    /// Reads the data set, if it is here, and describes it.
    ///
    /// # Errors
    /// An unknown name; files that are here and damaged.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let known = registry::find(&self.name).ok_or_else(|| Failure::NoDataset {
            name: self.name.clone(),
            nearest: nearest(&self.name, registry::all().iter().map(|known| known.name))
                .map(str::to_owned),
        })?;
        let available = is_available(known, context.data_folder().as_deref());
        let contents = match available {
            true => Some(contents(known, context)?),
            false => None,
        };
        let description = Description {
            name: known.name,
            title: known.title,
            licence: known.licence,
            available,
            fetch: known.fetch,
            clients: known.clients,
            contents,
        };
        context.console.event("dataset", &description);
        context.console.line(text(&description));
        Ok(Exit::Success)
    }
}

/// The contents as a job reads them that says nothing but the name.
fn contents(known: &Known, context: &Context) -> Result<Contents, Failure> {
    let job = format!(
        "name = \"describe\"\nrounds = 1\n[data]\nname = \"{}\"\n[model]\nkind = \"softmax\"\n\
         [simulation]\nclients = 1\n",
        known.name
    );
    let job = Job::parse(&job).map_err(|errors| Failure::Job { path: None, errors })?;
    let data = complete(&job.data).map_err(commonweal_sim::SimulationError::from)?;
    let environment = training::environment(context, PathBuf::new());
    let source =
        read_source(&data, &environment.places).map_err(commonweal_sim::SimulationError::from)?;
    let roster = source.roster();
    Ok(Contents {
        rows: roster.rows(),
        test_rows: roster.own_test().len(),
        features: features(&source),
        classes: classes(roster),
        natural_clients: roster.clients().map_or(0, |clients| clients.names().len()),
    })
}

fn features(source: &Source) -> Vec<String> {
    match source {
        Source::Table(table) => {
            let features = table.schema().features.iter();
            let kind = |kind: &FeatureKind| match kind {
                FeatureKind::Numeric => "number",
                FeatureKind::Categorical { .. } => "category",
            };
            features
                .map(|one| format!("{} ({})", one.name, kind(&one.kind)))
                .collect()
        }
        Source::Numbers(dataset) => vec![match dataset.features() {
            Features::Bytes(bytes) => format!("{} pixels (0 to 1)", by(bytes.shape())),
            Features::Floats(floats) => format!("{} numbers", by(floats.shape())),
            Features::Tokens(tokens) => format!(
                "{} characters out of {}",
                tokens.length(),
                tokens.vocabulary().characters().len()
            ),
        }],
    }
}

fn by(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    sizes.join(" × ")
}

fn classes(roster: &Roster) -> Vec<(String, usize)> {
    let Some(labels) = roster.labels() else {
        return Vec::new();
    };
    let mut counts = vec![0; labels.names().len()];
    for &label in labels.codes() {
        counts[label as usize] += 1;
    }
    let names = labels.names().iter().map(ToString::to_string);
    names.zip(counts).collect()
}

fn text(description: &Description) -> String {
    let line = |name: &str, value: &str| format!("{name:<10} {value}");
    let mut lines = vec![
        line(description.name, description.title),
        line("licence", description.licence),
        line(
            "clients",
            description
                .clients
                .unwrap_or("rows are dealt to simulated clients"),
        ),
    ];
    if let Some(contents) = &description.contents {
        let own_test = match contents.test_rows {
            0 => String::new(),
            rows => format!(", {rows} of them in a test file of its own"),
        };
        lines.push(line("rows", &format!("{}{own_test}", contents.rows)));
        if contents.natural_clients > 0 {
            lines.push(line(
                "",
                &format!("of {} natural clients", contents.natural_clients),
            ));
        }
        lines.push(line("features", &contents.features.join(", ")));
        let classes = contents
            .classes
            .iter()
            .map(|(name, rows)| format!("{name} ({rows} rows)"));
        let classes: Vec<String> = classes.collect();
        if !classes.is_empty() {
            lines.push(line("classes", &classes.join(", ")));
        }
        lines.push(line(
            "use",
            &format!("[data] name = \"{}\"", description.name),
        ));
    } else {
        lines.push(line(
            "here",
            &format!("no; get it with the following, where {DATA_VARIABLE} names a folder:"),
        ));
        lines.extend(
            description
                .fetch
                .iter()
                .map(|command| format!("  {command}")),
        );
    }
    lines.join("\n")
}
