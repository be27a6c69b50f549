//! The same run without a server: the core's machines, driven in a loop.

use std::sync::Arc;

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{
    Accumulator, Action, Committed, Digest, Event, Known, Next, Population, Prepared, Purpose,
    Round, Run, RunSpec, Seed, Step, Time, open_prepare,
};
use commonweal_train::instruction_set;

use crate::site::{Site, entropy};

/// The digest of the model that `sites` train.
pub(crate) fn model(job: &str, sites: &[Site]) -> String {
    let job = Job::parse(job).unwrap();
    let names = sites.iter().map(|site| site.name.clone()).collect();
    let population = Population::named(names).unwrap();
    let manifest = Manifest::of(&job).digest();
    let spec = Arc::new(sites[0].prepare_spec());
    let (ask, minimum) = (Arc::clone(&spec), job.cohort.minimum);
    let round = open_prepare(
        ask,
        manifest,
        &population,
        minimum,
        None,
        entropy(),
        Time::START,
    );
    let (_, sums) = drive(round, sites, &population, None, &[]);
    let prepared = sums.prepare().unwrap().finish(&spec, manifest).unwrap();
    let mut run = new_run(&job, &sites[0], &prepared, manifest);
    loop {
        let bytes = |run: &Run| -> Vec<u8> {
            run.model()
                .values()
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let values = bytes(&run);
        match run.next() {
            Next::End(_) => return run.model().digest().to_string(),
            Next::Train => {
                let round = run.open_round(&population, None, entropy(), run.time());
                let (end, sum) = drive(round, sites, &population, Some(&prepared), &values);
                run.commit(&end, sum, entropy(), run.time()).unwrap();
            }
            Next::Evaluate => {
                let round = run.open_evaluation(&population, entropy(), run.time());
                let (end, sum) = drive(round, sites, &population, Some(&prepared), &values);
                run.commit_evaluation(&end, &sum, run.time()).unwrap();
            }
        }
    }
}

fn new_run(job: &Job, site: &Site, prepared: &Prepared, manifest: Digest) -> Run {
    let known = Known {
        manifest,
        prepared: Some(prepared.digest()),
        class_rows: site.class_rows(prepared),
        instruction_set: instruction_set().to_string(),
    };
    let (model, _) = site.built(prepared);
    let seed = Seed::from(job.seed).derive(Purpose::Initial, 0, None);
    Run::new(RunSpec::of_job(job, known).unwrap(), model.initial(&seed))
}

fn drive(
    mut round: Round,
    sites: &[Site],
    population: &Population,
    prepared: Option<&Prepared>,
    model: &[u8],
) -> (Committed, Accumulator) {
    let fold = Arc::clone(round.fold());
    let (mut sum, now) = (fold.zero(), Time::START);
    loop {
        match round.poll_action().unwrap() {
            Action::Invite { client } => round.handle(Event::CheckIn { client }, now).unwrap(),
            Action::Configure { client, task } => {
                let name = population.name(client).unwrap();
                let site = sites.iter().find(|site| site.name == name).unwrap();
                let event = Event::Report {
                    client,
                    task: task.id,
                    step: Step(0),
                    message: site.report(&task, prepared, model),
                };
                // One that is not needed any more.
                let _ = round.handle(event, now);
            }
            Action::Fold { client, message } => {
                fold.accumulate(&mut sum, client, message).unwrap();
                round.handle(Event::Folded { client }, now).unwrap();
            }
            Action::Commit(committed) => return (committed, sum),
            Action::Send { .. } | Action::Dismiss { .. } => {}
            Action::Abandon(abandoned) => panic!("{abandoned:?}"),
        }
    }
}
