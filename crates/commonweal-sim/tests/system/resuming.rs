//! A run that was stopped, killed or damaged goes on as if nothing had happened, or says why not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use commonweal_core::job::Job;
use commonweal_disk::file::read_bytes;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::history::{RoundRow, read_history};
use commonweal_disk::observer::{Event, Silent};
use commonweal_sim::{Ending, Environment, Finished, Simulation, SimulationError};
use commonweal_train::{InstructionSet, instruction_set};

use crate::common;

const EVERY_TWO: &str = "[evaluation]\nevery = 2\n[checkpoints]\nevery = 1\n";

/// Runs until round `stop` is over, and returns the run folder.
fn interrupted(job: Job, runs: &Path, stop: u64) -> PathBuf {
    let environment = common::environment(2, Some(runs));
    let interrupt = environment.interrupt.clone();
    let mut stop = |event: &Event| {
        if matches!(event, Event::Round { round, .. } if *round == stop) {
            interrupt.store(true, Ordering::Relaxed);
        }
    };
    match Simulation::new(job, environment)
        .unwrap()
        .run(&mut stop)
        .unwrap()
    {
        Ending::Interrupted { folder, .. } => folder.unwrap(),
        Ending::Finished(_) => panic!("it did not stop"),
    }
}

fn resumed(folder: &Path, events: &mut Vec<Event>) -> Result<Finished, SimulationError> {
    let simulation = Simulation::resume(folder, common::environment(1, None))?;
    match simulation.run(&mut |event: &Event| events.push(event.clone()))? {
        Ending::Finished(finished) => Ok(*finished),
        Ending::Interrupted { .. } => panic!("nobody interrupted it"),
    }
}

/// The history without its times.
fn history(folder: &Path) -> Vec<RoundRow> {
    let path = RunFolder::open(folder).unwrap().history();
    let rows = read_history(read_bytes(&path).unwrap().as_slice()).unwrap();
    let timeless = |row| RoundRow {
        seconds_train: 0.0,
        seconds_evaluate: 0.0,
        ..row
    };
    rows.into_iter().map(timeless).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn an_interrupted_run_ends_as_an_undisturbed_one() {
    let runs = tempfile::tempdir().unwrap();
    let whole = common::finish(
        common::digits(7, EVERY_TWO),
        common::environment(2, Some(runs.path())),
    );
    for stop in [1, 2, 5] {
        let folder = interrupted(common::digits(7, EVERY_TWO), runs.path(), stop);
        let finished = resumed(&folder, &mut Vec::new()).unwrap();
        assert_eq!(
            finished.summary.digest, whole.summary.digest,
            "stopped after {stop}"
        );
        assert_eq!(finished.summary.federated, whole.summary.federated);
        assert_eq!(history(&folder), history(whole.folder.as_ref().unwrap()));
    }
}

#[test]
fn a_run_that_was_killed_anywhere_ends_as_an_undisturbed_one() {
    let runs = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    let mut copy_all = |event: &Event| {
        if let Event::Checkpoint { path, .. }
        | Event::Interrupted {
            folder: Some(path), ..
        } = event
        {
            let folder = path.parent().and_then(Path::parent).unwrap();
            let to = runs.path().join(format!("killed-{}", copies.len()));
            copy(folder, &to);
            // What a dying program leaves behind: half a line, half a file.
            let mut history = read_bytes(&to.join("history.csv")).unwrap();
            history.extend_from_slice(b"99,committed,,5,5,0,0.");
            fs::write(to.join("history.csv"), history).unwrap();
            fs::write(to.join("model.safetensors.unfinished"), b"half").unwrap();
            copies.push(to);
        }
    };
    let environment = common::environment(2, Some(runs.path()));
    let simulation = Simulation::new(common::digits(5, EVERY_TWO), environment).unwrap();
    let Ok(Ending::Finished(whole)) = simulation.run(&mut copy_all) else {
        panic!("no end")
    };
    assert!(copies.len() >= 5);
    for folder in &copies {
        let finished = resumed(folder, &mut Vec::new()).unwrap();
        assert_eq!(
            finished.summary.digest,
            whole.summary.digest,
            "{}",
            folder.display()
        );
        assert_eq!(history(folder), history(whole.folder.as_ref().unwrap()));
    }
}

#[test]
fn further_seeds_and_baselines_are_resumed_too() {
    let runs = tempfile::tempdir().unwrap();
    let job = || common::digits_with(4, "seeds = 2\nbaselines = [\"local\"]", EVERY_TWO);
    let whole = common::finish(job(), common::environment(2, Some(runs.path())));

    let environment = common::environment(2, Some(runs.path()));
    let interrupt = environment.interrupt.clone();
    let mut seed = 0;
    let mut stop_in_second = |event: &Event| match event {
        Event::Seed { index, .. } => seed = *index,
        Event::Round { round: 3, .. } if seed == 2 => interrupt.store(true, Ordering::Relaxed),
        _ => {}
    };
    let ending = Simulation::new(job(), environment)
        .unwrap()
        .run(&mut stop_in_second)
        .unwrap();
    let Ending::Interrupted {
        folder: Some(folder),
        round: 3,
    } = ending
    else {
        panic!("no stop")
    };
    let finished = resumed(&folder, &mut Vec::new()).unwrap();
    assert_eq!(finished.summary.federated, whole.summary.federated);
    let metrics = |finished: &Finished| {
        let baselines = finished.summary.baselines.iter();
        baselines
            .map(|baseline| baseline.metrics.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(metrics(&finished), metrics(&whole));
}

#[test]
fn a_damaged_checkpoint_is_told_and_the_one_before_is_used() {
    let runs = tempfile::tempdir().unwrap();
    let whole = common::finish(common::digits(6, EVERY_TWO), Environment::default());
    let folder = interrupted(common::digits(6, EVERY_TWO), runs.path(), 4);
    let newest = folder.join("checkpoints/round-000004.checkpoint");
    let mut bytes = read_bytes(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let mut events = Vec::new();
    let finished = resumed(&folder, &mut events).unwrap();
    assert_eq!(finished.summary.digest, whole.summary.digest);
    let told = events.iter().any(|event| {
        matches!(event, Event::Warning { message } if message.contains("round-000004")
            && message.contains("damaged"))
    });
    assert!(told, "{events:?}");
}

#[test]
fn without_a_usable_checkpoint_the_run_says_so() {
    let runs = tempfile::tempdir().unwrap();
    let folder = interrupted(common::digits(6, EVERY_TWO), runs.path(), 3);
    for entry in fs::read_dir(folder.join("checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), b"CWCHECK1 and nothing else").unwrap();
    }
    let error = resumed(&folder, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("start the run again"), "{error}");
}

#[test]
fn a_run_does_not_go_on_with_another_job_or_other_clients() {
    let runs = tempfile::tempdir().unwrap();
    let folder = interrupted(common::digits(6, EVERY_TWO), runs.path(), 3);
    let job = folder.join("job.toml");
    let text = fs::read_to_string(&job).unwrap();
    let changes = [
        (
            "learning_rate = 0.2",
            "learning_rate = 0.3",
            "resume with the job that it began with",
        ),
        ("alpha = 0.3", "alpha = 0.4", "another [simulation] section"),
    ];
    let written = |folder: &Path| {
        [
            "prepared.json",
            "input.json",
            "partition.csv",
            "history.csv",
        ]
        .map(|name| fs::read(folder.join(name)).unwrap())
    };
    let unstarted = runs.path().join("unstarted");
    copy(&folder, &unstarted);
    fs::remove_dir_all(unstarted.join("checkpoints")).unwrap();
    let done = runs.path().join("done");
    copy(&folder, &done);
    resumed(&done, &mut Vec::new()).unwrap();
    for folder in [&folder, &unstarted, &done] {
        let (job, before) = (folder.join("job.toml"), written(folder));
        for (from, to, told) in changes {
            assert!(text.contains(from), "{text}");
            fs::write(&job, text.replace(from, to)).unwrap();
            let error = resumed(folder, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(written(folder) == before, "{}", folder.display());
        }
    }
    fs::write(&job, text).unwrap();
    assert!(resumed(&folder, &mut Vec::new()).is_ok());
}

#[test]
fn a_run_that_moves_to_another_machine_type_is_warned_and_goes_on() {
    let runs = tempfile::tempdir().unwrap();
    let begin = || interrupted(common::digits(6, EVERY_TWO), runs.path(), 3);
    let folder = InstructionSet::Portable.run(begin);
    let mut events = Vec::new();
    resumed(&folder, &mut events).unwrap();
    let warned = events.iter().any(|event| {
        matches!(event, Event::Warning { message } if message.contains("began with portable"))
    });
    let is_another = instruction_set() != InstructionSet::Portable;
    assert_eq!(warned, is_another, "{events:?}");
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let empty = tempfile::tempdir().unwrap();
    assert!(Simulation::resume(empty.path(), Environment::default()).is_err());
}

#[test]
fn a_run_folder_that_cannot_be_made_is_an_error_before_the_first_round() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    fs::write(&file, b"no folder").unwrap();
    let environment = common::environment(1, Some(&file));
    let error = Simulation::new(common::digits(1, ""), environment)
        .unwrap()
        .run(&mut Silent);
    assert!(error.unwrap_err().to_string().contains("runs"));
}

#[test]
fn a_run_goes_on_from_the_model_that_its_init_file_held_when_it_began() {
    let runs = tempfile::tempdir().unwrap();
    let init = runs.path().join("init.safetensors");
    let first = common::finish(
        common::digits(1, ""),
        common::environment(1, Some(runs.path())),
    );
    fs::copy(first.folder.unwrap().join("model.safetensors"), &init).unwrap();
    let mut job = common::digits_with(4, "baselines = [\"local\"]", EVERY_TWO);
    job.model.init = Some(init.to_string_lossy().into_owned());
    let whole = common::finish(job.clone(), Environment::default());
    let folder = interrupted(job, runs.path(), 2);
    fs::remove_file(&init).unwrap();
    let finished = resumed(&folder, &mut Vec::new()).unwrap();
    assert_eq!(finished.summary.digest, whole.summary.digest);
    let metrics = |finished: &Finished| finished.summary.baselines[0].metrics.clone();
    assert_eq!(metrics(&finished), metrics(&whole));
}

#[test]
fn the_seconds_of_a_run_are_those_of_all_its_processes() {
    let runs = tempfile::tempdir().unwrap();
    let whole = common::finish(
        common::digits(1, ""),
        common::environment(1, Some(runs.path())),
    );
    let folder = whole.folder.unwrap();
    let path = RunFolder::open(&folder).unwrap().seed_summary();
    let mut seed = whole.summary.seeds[0].clone();
    (seed.seconds_train, seed.seconds_evaluate) = (1e6, 1e3);
    fs::write(&path, serde_json::to_vec(&seed).unwrap()).unwrap();
    let finished = resumed(&folder, &mut Vec::new()).unwrap();
    assert!(finished.summary.seconds > 1e6 + 1e3);
}
