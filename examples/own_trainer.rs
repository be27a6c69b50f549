//! A trainer of your own: clients move a shared vector towards the mean of all their rows.
//!
//! `cargo run --release --example own_trainer`

use std::{error::Error, sync::Arc};

use commonweal_core::{job::Job, *};
use commonweal_data::Dataset;
use commonweal_disk::observer::Silent;
use commonweal_sim::{Ending, Environment, Simulation};

const JOB: &str = "name = 'means'\nrounds = 9\ndata.name = 'digits'\nmodel.kind = 'external'\n\
    simulation = { clients = 20, partition.kind = 'iid' }\ntraining.trainer = 'means'\n\
    evaluation.metrics = ['loss']\ncohort.target = 5\n";

struct Means(Arc<Dataset>);

#[rustfmt::skip]
impl Trainer for Means {
    fn train(
        &mut self, _: &Task, plan: &TrainPlan, data: ClientRows<'_>, model: &Parameters,
        state: ClientState, _: Entropy, _: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let weight = plan.weighting.of(data.train.len() as u64)?;
        let rate = plan.learning_rate / data.train.len() as f32;
        let (mut row, mut values) = (vec![0.0; 64], vec![0.0; 64]);
        for number in data.train {
            self.0.fill(&[*number], &mut row);
            (0..64).for_each(|i| values[i] += rate * (row[i] - model.values()[i]));
        }
        let (metrics, extras) = (plan.metrics.zero(), Vec::new());
        Ok((ClientUpdate { values, weight, metrics, extras }, state))
    }

    fn evaluate(
        &mut self, _: &Task, plan: &EvaluatePlan, data: ClientRows<'_>, model: &Parameters,
        _: &ClientState, _: &mut dyn Progress,
    ) -> Result<MetricSums, TrainError> {
        let (mut sums, mut row) = (plan.metrics.zero(), vec![0.0; 64]);
        for number in data.test {
            self.0.fill(&[*number], &mut row);
            let loss = (0..64).map(|i| f64::from(row[i] - model.values()[i]).powi(2)).sum();
            let outcome = Outcome::Class { label: 0, predicted: 0, score: 0.0 };
            sums.observe(&plan.metrics, Prediction { loss, outcome })?;
        }
        Ok(sums)
    }
}

#[rustfmt::skip]
fn main() -> Result<(), Box<dyn Error>> {
    let (scope, export) = (Scope::Shared, ExportType::F32);
    let mean = TensorSpec { name: "mean".to_owned(), shape: vec![64], scope, export };
    let initial = Parameters::zeros(Arc::new(Layout::new(vec![mean])?));
    let simulation = Simulation::new(Job::parse(JOB)?, Environment::default())?
        .with_model(move |_, _| initial.clone(), |data| Means(Arc::clone(data)));
    if let Ending::Finished(finished) = simulation.run(&mut Silent)? {
        println!("mean squared distance: {:.3}", finished.summary.federated["loss"].mean);
    }
    Ok(())
}
