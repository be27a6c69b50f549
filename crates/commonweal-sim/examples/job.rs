//! Runs the job file named on the command line and prints each event as JSON: no folder is written.

use std::error::Error;

use commonweal_core::job::Job;
use commonweal_sim::observer::Event;
use commonweal_sim::{Environment, Simulation};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: job JOB.toml")?;
    let job = Job::parse(&std::fs::read_to_string(path)?)?;
    let mut print = |event: &Event| {
        println!("{}", serde_json::to_string(event).unwrap_or_default());
    };
    Simulation::new(job, Environment::default())?.run(&mut print)?;
    Ok(())
}
