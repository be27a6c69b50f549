//! `commonweal bench`: measures this machine and what the program makes of it.

mod server;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use commonweal_core::job::nearest;
use commonweal_disk::file::FileError;
use serde::Serialize;

use crate::bench::{BENCHMARKS, Bench as Benches, Figure, Machine, matching};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text_table::TextTable;

pub use server::BenchServer;

/// The arguments.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Each line has the value, the limit that this core's measured peak (a 1024³ f32 product, an
in-place f32 addition) sets for the same work, and the share of that limit that is reached.
Benchmarks on MNIST need --data-dir or COMMONWEAL_DATA.")]
pub struct Bench {
    /// A benchmark, or the start of several names, such as `step`
    pub name: Option<String>,
    /// Print the names and what they measure, and measure nothing
    #[arg(long)]
    pub list: bool,
    /// The program whose runs are measured [default: this one]
    #[arg(long, global = true, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// What else can be measured
    #[command(subcommand)]
    pub other: Option<Other>,
}

/// What is no benchmark of one figure.
#[derive(Debug, Subcommand)]
pub enum Other {
    /// A server under load
    Server(BenchServer),
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Skipped<'a> {
    name: &'a str,
    reason: &'a str,
}

impl Bench {
    /// Prints a line a benchmark, as soon as it is measured.
    ///
    /// # Errors
    /// A name that no benchmark has; a benchmark that was asked for by its name and cannot run.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        if let Some(Other::Server(server)) = &self.other {
            return server.run(self.program()?, context);
        }
        if let Some(name) = &self.name
            && matching(Some(name)).next().is_none()
        {
            let names = BENCHMARKS.iter().map(|benchmark| benchmark.name);
            return Err(Failure::NoBenchmark {
                name: name.clone(),
                nearest: nearest(name, names).map(str::to_owned),
            });
        }
        if self.list {
            self.print_names(context);
            return Ok(Exit::Success);
        }
        let benches = Benches {
            program: self.program()?,
            data: context.data_folder(),
            machine: Machine::measure(),
        };
        let console = &context.console;
        console.line(HEADER);
        for figure in benches.machine.figures() {
            say(context, &figure);
        }
        for benchmark in matching(self.name.as_deref()) {
            match (benchmark.run)(&benches) {
                Ok(figure) => say(context, &figure),
                Err(error) if self.name.as_deref() == Some(benchmark.name) => {
                    return Err(Failure::Bench {
                        name: benchmark.name,
                        source: error,
                    });
                }
                Err(error) => {
                    let (name, reason) = (benchmark.name, error.to_string());
                    let reason = reason.as_str();
                    console.event("skipped", &Skipped { name, reason });
                    console.line(format_args!("{name:<18} skipped: {reason}"));
                }
            }
        }
        Ok(Exit::Success)
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => std::env::current_exe()
                .map_err(|source| FileError::of("commonweal".as_ref(), source).into()),
        }
    }

    fn print_names(&self, context: &Context) {
        let mut table = TextTable::new(&["name", "measures"]);
        for benchmark in matching(self.name.as_deref()) {
            let (name, about) = (benchmark.name, benchmark.about);
            context.console.event("benchmark", &Named { name, about });
            table.row(vec![name.to_owned(), about.to_owned()]);
        }
        context.console.line(table);
    }
}

const HEADER: &str = "name                    value  unit           limit   ratio";

fn say(context: &Context, figure: &Figure) {
    context.console.event("figure", figure);
    let number = |value: Option<f64>| value.map_or("–".to_owned(), short);
    context.console.line(format_args!(
        "{:<18} {:>10}  {:<8} {:>10}  {:>6}",
        figure.name,
        short(figure.value),
        figure.unit,
        number(figure.limit),
        figure
            .ratio
            .map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
    ));
}

/// Three significant digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
