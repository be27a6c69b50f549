//! The command line: global flags and the commands.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::{
    bench, cancel, completions, config, data, doctor, download, evaluate, explain, export, job,
    login, logs, new, node, plot, predict, report, reproduce, resume, runs, serve, server,
    simulate, submit, up, watch,
};
use crate::exit;

/// Trains one model across data that never leaves its owners.
///
/// Start with `commonweal simulate`: it trains on embedded data and needs nothing else.
#[derive(Debug, Parser)]
#[command(name = "commonweal", version, after_help = exit::HELP, max_term_width = 100)]
#[command(infer_subcommands = false, disable_help_subcommand = true)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// One JSON object a line on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no notes; results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Threads that train [default: the job's, else one a core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroU32>,
    /// Seed of all reproducible randomness, instead of the job's
    #[arg(long, global = true, value_name = "S")]
    pub seed: Option<u64>,
    /// Runs with K seeds: S, S+1, …, instead of the job's number
    #[arg(long, global = true, value_name = "K")]
    pub seeds: Option<NonZeroU32>,
    /// Sets one key of the job, e.g. --set training.batch_size=20; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the data sets [default: $COMMONWEAL_DATA]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Folder of the run folders
    #[arg(long, global = true, value_name = "FOLDER", default_value = "runs")]
    pub runs_dir: PathBuf,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train on this machine: the whole federation, simulated
    Simulate(simulate::Simulate),
    /// Write a job file to start from, out of a template or your own table
    New(new::New),
    /// List the runs, here and on the server
    Runs(runs::Runs),
    /// Go on with a run that was interrupted, here or on the server
    Resume(resume::Resume),
    /// Measure a run's model on the clients' test rows, or on other data
    Evaluate(evaluate::Evaluate),
    /// Apply a run's model to the rows of a file
    Predict(predict::Predict),
    /// Write a run's model for another program
    Export(export::Export),
    /// Draw one metric of several runs into one SVG
    Plot(plot::Plot),
    /// Make the report of a run again
    Report(report::Report),
    /// Look at data sets and partitions before training
    Data(data::Data),
    /// Explain and check job files
    Job(job::JobCommand),
    /// Deploy a job on this machine: a server, and a node for each of its clients
    Up(up::Up),
    /// Be a federation's server
    Serve(Box<serve::Serve>),
    /// Administer a server on its machine: invite nodes, make keys, look, back up
    Server(server::Server),
    /// Tell the settings of a server or a node, and where each is from
    Config(config::Config),
    /// Be a site of a federation: join, decide, train, look
    Node(node::Node),
    /// Look for what keeps a node or a server from working
    Doctor(doctor::Doctor),
    /// Remember a server, and the key with which one is known to it
    Login(login::Login),
    /// Hand a job to the server, and watch it
    Submit(submit::Submit),
    /// Watch a run on the server
    Watch(watch::Watch),
    /// Tell why a run on the server is waiting
    Explain(explain::Explain),
    /// End a run on the server
    Cancel(cancel::Cancel),
    /// Print the log of a run on the server
    Logs(logs::Logs),
    /// Fetch the files of a run on the server
    Download(download::Download),
    /// Measure this machine and what the program makes of it
    Bench(bench::Bench),
    /// Rerun a published result and compare
    Reproduce(reproduce::Reproduce),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}
