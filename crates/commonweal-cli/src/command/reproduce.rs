//! `commonweal reproduce`: reruns a published result with its exact settings, ours beside the paper's.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use commonweal_core::job::Job;
use commonweal_core::job::nearest;
use commonweal_disk::record::{Ended, Summary};
use commonweal_sim::{Ending, Environment, Simulation};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::published::{PUBLISHED, Published, PublishedResult};
use crate::text_table::TextTable;
use crate::training;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The settings are those of the paper and cannot be changed; --seed, --threads and --data-dir can.
Where a paper took the best of several learning rates, so do we.
Ends with exit code 1 if the result does not come out, or if its data is not here.")]
pub struct Reproduce {
    /// The result
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Print the results that can be rerun, and run nothing
    #[arg(long)]
    pub list: bool,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: &'static str,
    source: &'static str,
    paper: f64,
}

/// Ours beside the paper's.
#[derive(Serialize)]
struct Reproduced {
    name: &'static str,
    source: &'static str,
    unit: &'static str,
    paper: f64,
    limit: f64,
    ours: Option<f64>,
    learning_rate: Option<f64>,
    ok: bool,
    seconds: f64,
}

impl Reproduce {
    /// Reruns it.
    ///
    /// # Errors
    /// An unknown name; settings that are not the paper's; data that is not here.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let Some(name) = self.name.as_ref().filter(|_| !self.list) else {
            list(context);
            return Ok(Exit::Success);
        };
        let published = PUBLISHED.iter().find(|published| published.name == name);
        let published = published.ok_or_else(|| Failure::NotPublished {
            name: name.clone(),
            nearest: nearest(name, PUBLISHED.iter().map(|published| published.name))
                .map(str::to_owned),
        })?;
        if !context.global.set.is_empty() || context.global.seeds.is_some() {
            return Err(Failure::FixedSettings);
        }
        match rerun(published, context)? {
            Some(reproduced) => {
                context.console.event("reproduced", &reproduced);
                context.console.line(text(published, &reproduced));
                Ok(if reproduced.ok {
                    Exit::Success
                } else {
                    Exit::Failed
                })
            }
            None => Ok(Exit::Interrupted),
        }
    }
}

fn list(context: &Context) {
    let mut table = TextTable::new(&["name", "paper", "what"]);
    for published in PUBLISHED {
        let Published {
            name,
            about,
            source,
            ..
        } = *published;
        let paper = published.result.paper();
        context.console.event(
            "published",
            &Listed {
                name,
                about,
                source,
                paper,
            },
        );
        let what = format!("{about} ({source})");
        table.row(vec![name.to_owned(), paper.to_string(), what]);
    }
    context.console.line(table);
}

/// The best over the learning rates; none if it was interrupted.
fn rerun(published: &Published, context: &Context) -> Result<Option<Reproduced>, Failure> {
    let start = Instant::now();
    let interrupt = Interrupt::listen().map_err(Failure::Signal)?;
    let rates: Vec<Option<f64>> = match published.learning_rates {
        [] => vec![None],
        rates => rates.iter().copied().map(Some).collect(),
    };
    let mut best: Option<(f64, Option<f64>)> = None;
    for rate in rates {
        // A rate that takes longer than the best so far need not be run to its end.
        let rounds = best
            .filter(|_| published.result.is_rounds())
            .map(|(rounds, _)| rounds);
        if let Some(rate) = rate {
            context.console.note(format_args!("learning rate {rate}"));
        }
        let job = job(published, context, rate, rounds)?;
        let Some(summary) = simulate(job, context, &interrupt)? else {
            return Ok(None);
        };
        let ours = ours(published, &summary);
        let is_better = |found: f64| match best {
            Some((best, _)) if published.result.is_rounds() => found < best,
            Some((best, _)) => found > best,
            None => true,
        };
        if let Some(found) = ours.filter(|&found| is_better(found)) {
            best = Some((found, rate));
        }
    }
    let ours = best.map(|(ours, _)| ours);
    Ok(Some(Reproduced {
        name: published.name,
        source: published.source,
        unit: published.result.unit(),
        paper: published.result.paper(),
        limit: published.result.limit(),
        ours,
        learning_rate: best.and_then(|(_, rate)| rate),
        ok: ours.is_some_and(|ours| published.result.is_met(ours)),
        seconds: start.elapsed().as_secs_f64(),
    }))
}

fn job(
    published: &Published,
    context: &Context,
    rate: Option<f64>,
    rounds: Option<f64>,
) -> Result<Job, Failure> {
    let overrides = overrides(context.global.seed, rate, rounds);
    Job::parse_with(published.job, &overrides).map_err(|errors| Failure::Job { path: None, errors })
}

/// What is set besides the published job.
fn overrides(seed: Option<u64>, rate: Option<f64>, rounds: Option<f64>) -> Vec<String> {
    let values = [
        rate.map(|rate| format!("training.optimizer.learning_rate={rate}")),
        rounds.map(|rounds| format!("rounds={rounds}")),
        seed.map(|seed| format!("seed={seed}")),
    ];
    values.into_iter().flatten().collect()
}

/// The result of a run; none if it was interrupted.
fn simulate(
    job: Job,
    context: &Context,
    interrupt: &Interrupt,
) -> Result<Option<Summary>, Failure> {
    let environment = Environment {
        interrupt: interrupt.flag(),
        ..training::environment(context, PathBuf::new())
    };
    let mut progress = Progress::new(&context.console, interrupt.clone());
    match Simulation::new(job, environment)?.run(&mut progress)? {
        Ending::Finished(finished) => Ok(Some(finished.summary)),
        Ending::Interrupted { .. } => Ok(None),
    }
}

/// The number that the paper has too; none if the target was not reached.
fn ours(published: &Published, summary: &Summary) -> Option<f64> {
    match published.result {
        PublishedResult::Rounds { .. } => {
            let seed = summary.seeds.first()?;
            (seed.ended == Ended::Stop).then_some(seed.rounds as f64)
        }
        PublishedResult::Value { .. } => summary.judged().map(|spread| spread.mean),
    }
}

fn text(published: &Published, reproduced: &Reproduced) -> String {
    let ours = match reproduced.ours {
        Some(ours) if published.result.is_rounds() => format!("{ours} rounds"),
        Some(ours) => format!("{ours:.3}"),
        None => "not reached".to_owned(),
    };
    let rate = reproduced
        .learning_rate
        .map(|rate| format!(", learning rate {rate}"));
    format!(
        "{}\n{:<10} {}  ({})\n{:<10} {ours}{}  in {:.0} s\n{}",
        published.about,
        "paper",
        published.result,
        published.source,
        "ours",
        rate.unwrap_or_default(),
        reproduced.seconds,
        if reproduced.ok {
            "reproduced"
        } else {
            "not reproduced"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_no_float_holds_is_set_digit_by_digit() {
        let seed = (1 << 53) + 1;
        let all = overrides(Some(seed), Some(0.1), Some(40.0));
        let expected = [
            "training.optimizer.learning_rate=0.1",
            "rounds=40",
            "seed=9007199254740993",
        ];
        assert_eq!(all, expected);
        assert!(overrides(None, None, None).is_empty());
    }
}
