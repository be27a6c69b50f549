//! Data sets that are not part of the program. Each test reads the folder that `COMMONWEAL_DATA` names and has
//! nothing to say where it is not set.

#![expect(
    clippy::expect_used,
    reason = "a helper of tests may panic as a test may"
)]

use std::path::Path;

use commonweal_core::job::Job;
use commonweal_core::{Digest, PrepareSums};
use commonweal_data::{
    Dataset, ExampleShape, HoldOut, Input, Preparation, Source, Split, Target, registry,
};

/// The data set with its checksums verified, or `None` without the folder.
fn load(data: &str) -> Option<(Job, Source)> {
    let folder = std::env::var_os("COMMONWEAL_DATA")?;
    let text = format!("name = \"t\"\nrounds = 1\n[data]\n{data}\n[model]\nkind = \"softmax\"\n");
    let mut job = Job::parse(&text).expect("a sound job");
    let known = data
        .split('"')
        .nth(1)
        .and_then(registry::find)
        .expect("a known name");
    let contents = known.contents(|file| {
        let found = file
            .paths
            .iter()
            .find_map(|path| std::fs::read(Path::new(&folder).join(path)).ok());
        assert!(
            found.as_ref().is_none_or(|bytes| file.checksum.fits(bytes)),
            "{:?}",
            file.paths
        );
        found
    });
    job.data = known.complete(&job.data);
    let contents = contents.unwrap_or_else(|missing| panic!("{missing}"));
    let source = known
        .read(&job.data, contents)
        .unwrap_or_else(|error| panic!("{error}"));
    Some((job, source))
}

/// The data set as one client that holds all its training rows would prepare it.
fn prepared(job: &Job, source: &Source, train: &[u32]) -> Dataset {
    let preparation = Preparation::new(source, &job.data).expect("a small vocabulary");
    let mut sums = PrepareSums::zero(preparation.spec());
    let own = preparation
        .contribution(source, train, &[])
        .expect("can be summed up");
    sums.merge(preparation.spec(), &own).expect("one spec");
    let found = sums
        .finish(preparation.spec(), Digest::of(b"job"))
        .expect("there are rows");
    preparation
        .apply(source, &found)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn natural(source: &Source, fraction: f64) -> Split {
    Split::of(
        source.roster(),
        HoldOut {
            fraction,
            stratify: true,
            by_client: true,
        },
        |_| 1.into(),
    )
}

#[test]
fn mnist_has_its_test_file_as_test_rows() {
    let Some((job, source)) = load("name = \"mnist\"") else {
        return;
    };
    let split = natural(&source, 0.0);
    assert_eq!((split.train.len(), split.test.len()), (60_000, 10_000));
    let data = prepared(&job, &source, &split.train);
    let shape = ExampleShape {
        input: Input::Values(vec![1, 28, 28]),
        target: Target::Classes(10),
    };
    assert_eq!(data.shape(), shape);
    let mut labels = [0; 5];
    data.fill_labels(&[0, 1, 2, 60_000, 60_001], &mut labels);
    // Provenance: the first labels of both original files.
    assert_eq!(labels, [5, 0, 4, 7, 2]);
}

#[test]
fn loans_have_fifty_states_and_few_bad_ones() {
    let Some((job, source)) = load("name = \"loans\"") else {
        return;
    };
    let clients = source.roster().clients().expect("states").names().len();
    assert_eq!((source.roster().rows(), clients), (9857, 50));
    let bad = source
        .roster()
        .labels()
        .expect("classes")
        .codes()
        .iter()
        .filter(|&&code| code == 1);
    assert_eq!(bad.count(), 517);
    let all: Vec<u32> = (0..9857).collect();
    assert!(prepared(&job, &source, &all).shape().input.width() > 50);
}

#[test]
fn breast_cancer_has_thirty_numbers() {
    let Some((job, source)) = load("name = \"breast-cancer\"") else {
        return;
    };
    let split = natural(&source, 0.2);
    let shape = ExampleShape {
        input: Input::Values(vec![30]),
        target: Target::Classes(2),
    };
    assert_eq!(prepared(&job, &source, &split.train).shape(), shape);
}

#[test]
fn keyboard_has_roles_that_speak_and_no_passage_on_both_sides() {
    let Some((job, source)) = load("name = \"keyboard\"\n[data.text]\nsequence_length = 80") else {
        return;
    };
    let clients = source.roster().clients().expect("roles").names().len();
    assert!((900..1300).contains(&clients), "{clients}");
    let split = natural(&source, 0.2);
    let groups = source.roster().groups().expect("passages").codes();
    let held: std::collections::BTreeSet<u32> =
        split.test.iter().map(|&row| groups[row as usize]).collect();
    assert!(
        split
            .train
            .iter()
            .all(|&row| !held.contains(&groups[row as usize]))
    );
    let data = prepared(&job, &source, &split.train);
    assert!(
        matches!(data.shape().target, Target::NextTokens(60..=90)),
        "{:?}",
        data.shape()
    );
}

#[test]
fn wearable_has_ten_wearers_and_no_recording_on_both_sides() {
    let Some((job, source)) = load("name = \"wearable\"") else {
        return;
    };
    assert_eq!(
        source.roster().clients().expect("wearers").names().len(),
        10
    );
    assert_eq!(
        source.roster().groups().expect("recordings").names().len(),
        140
    );
    let split = natural(&source, 0.3);
    let data = prepared(&job, &source, &split.train);
    let shape = ExampleShape {
        input: Input::Values(vec![100, 6]),
        target: Target::Classes(7),
    };
    assert_eq!(data.shape(), shape);
}
