//! `commonweal bench server`: puts a server under load and says what it made of it.

use std::path::PathBuf;

use clap::Args;

use crate::bench::server::{Load, ServerFigure, Target};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Starts `commonweal serve` on a data directory of its own, over TLS, for each load; scripted nodes in this
process sign every request and train nothing. Without a flag, all loads are measured, with as many nodes
as BENCHMARKS.md reports. Data directories are made among the temporary files (TMPDIR): choose a disk that
is like the server's. 5,000 nodes need 10,256 open files (ulimit -n).")]
pub struct BenchServer {
    /// Nodes that wait, each with a connection and a parked poll: memory, and how soon all have a task
    #[arg(long, value_name = "NODES", num_args = 0..=1, default_missing_value = "5000")]
    pub nodes: Option<usize>,
    /// Rounds of so many nodes and 7,850 parameters, from commit to commit
    #[arg(long, value_name = "NODES", num_args = 0..=1, default_missing_value = "1000")]
    pub round: Option<usize>,
    /// So many updates of 100 MB a round: rate, memory, a slow uploader, a cut connection
    #[arg(long, value_name = "NODES", num_args = 0..=1, default_missing_value = "20")]
    pub upload: Option<usize>,
    /// A server that is killed with so many nodes and 50 past runs, until it serves again
    #[arg(long, value_name = "NODES", num_args = 0..=1, default_missing_value = "1000")]
    pub restart: Option<usize>,
    /// `commonweal up` beside `simulate`: a round's overhead (needs MNIST), and the start with 20 nodes
    #[arg(long)]
    pub overhead: bool,
}

impl BenchServer {
    /// Prints a line a figure, as soon as it is measured.
    ///
    /// # Errors
    /// A server that does not start, a node that is not served.
    pub(super) fn run(&self, program: PathBuf, context: &Context) -> Result<Exit, Failure> {
        let load = self.load(program, context.data_folder());
        context.console.line(HEADER);
        load.measure(&mut |figure| say(context, &figure))?;
        Ok(Exit::Success)
    }

    fn load(&self, program: PathBuf, data: Option<PathBuf>) -> Load {
        let asked = [self.nodes, self.round, self.upload, self.restart];
        let all = !self.overhead && asked.iter().all(Option::is_none);
        let or = |asked: Option<usize>, nodes| asked.or(all.then_some(nodes));
        Load {
            program,
            waiting: or(self.nodes, 5000),
            round: or(self.round, 1000),
            upload: or(self.upload, 20),
            restart: or(self.restart, 1000),
            overhead: self.overhead || all,
            data,
        }
    }
}

const HEADER: &str = "name                    value  unit      target";

fn say(context: &Context, figure: &ServerFigure) {
    context.console.event("server_figure", figure);
    let target = match figure.target {
        Some(Target::AtMost(most)) => format!("≤ {most}"),
        Some(Target::AtLeast(least)) => format!("≥ {least}"),
        None => "–".to_owned(),
    };
    let missed = match figure.is_met {
        Some(false) => "  missed",
        _ => "",
    };
    let remark = figure.remark.as_deref().unwrap_or_default();
    context.console.line(format_args!(
        "{:<18} {:>10}  {:<4} {target:>11}{missed}  {remark}",
        figure.name,
        super::short(figure.value),
        figure.unit,
    ));
}
