//! A whole federated training: 20 clients learn to read digits together, 5 of them a round.
//!
//! `cargo run --release --example fed_avg`

use std::error::Error;

use commonweal_core::job::Job;
use commonweal_disk::observer::Event;
use commonweal_sim::{Ending, Environment, Simulation};

const JOB: &str = r#"
name = "digits"
rounds = 60
data = { name = "digits" }
simulation = { clients = 20, partition = { kind = "dirichlet", alpha = 0.3 } }
model = { kind = "mlp", hidden = [64] }
training = { batch_size = 10, optimizer = { kind = "sgd", learning_rate = 0.2 } }
cohort = { target = 5 }
strategy = { kind = "fed_avg" }
evaluation = { every = 20 }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let simulation = Simulation::new(Job::parse(JOB)?, Environment::default())?;
    let mut watch = |event: &Event| {
        if let Event::Evaluated { round, metrics, .. } = event {
            println!("round {round}: accuracy {:.3}", metrics["accuracy"]);
        }
    };
    if let Ending::Finished(finished) = simulation.run(&mut watch)? {
        println!("the model: {}", finished.model.digest());
    }
    Ok(())
}
