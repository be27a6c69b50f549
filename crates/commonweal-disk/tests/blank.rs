//! A server has no rows. What it makes of a source's schema is what it would make of the source.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

use commonweal_core::job::{Job, Scale};
use commonweal_core::{Digest, PrepareSums};
use commonweal_data::archive::File;
use commonweal_data::{Contents, DataSchema, Preparation, Source, registry};
use commonweal_disk::{DataPlaces, InputRecord, SourceError, complete, read_source};

/// What is asked, and what follows from the answers, must not depend on whether the rows are there.
fn expect_alike(job: &Job, source: &Source) {
    let blank = DataSchema::of(source).blank(&job.data);
    assert_eq!(blank.roster().rows(), 0);
    let of = |source: &Source| {
        let preparation = Preparation::new(source, &job.data).unwrap();
        preparation.counting_classes(source)
    };
    let (full, empty) = (of(source), of(&blank));
    assert_eq!(empty.spec(), full.spec());

    let rows: Vec<u32> = (0..source.roster().rows()).collect();
    let (train, test) = rows.split_at(rows.len() * 3 / 4);
    let mut sums = PrepareSums::zero(full.spec());
    let own = full.contribution(source, train, test).unwrap();
    sums.merge(full.spec(), &own).unwrap();
    let found = sums.finish(full.spec(), Digest::of(b"job")).unwrap();

    assert_eq!(empty.class_rows(&found), full.class_rows(&found));
    let full_data = full.apply(source, &found).unwrap();
    let empty_data = empty.apply(&blank, &found).unwrap();
    assert_eq!(empty_data.shape(), full_data.shape());
    assert_eq!(
        InputRecord::of(&blank, &empty, &found, &empty_data).unwrap(),
        InputRecord::of(source, &full, &found, &full_data).unwrap(),
    );
}

fn job(data: &str) -> Job {
    let text = format!("name = \"t\"\nrounds = 1\n[data]\n{data}\n[model]\nkind = \"softmax\"\n");
    let mut job = Job::parse(&text).unwrap();
    job.data = complete(&job.data).unwrap();
    job
}

/// Those that are part of the program always, the others where `COMMONWEAL_DATA` names their folder.
#[test]
fn every_known_data_set_is_described_by_its_schema() {
    for known in registry::all() {
        let mut job = job(&format!("name = {:?}", known.name));
        let source = match read_source(&job.data, &DataPlaces::default()) {
            Ok(source) => source,
            Err(SourceError::NotFetched { .. }) if !known.fetch.is_empty() => continue,
            Err(error) => panic!("{}: {error}", known.name),
        };
        for scale in [None, Some(Scale::Global), Some(Scale::None)] {
            job.data.scale = scale;
            expect_alike(&job, &source);
        }
    }
}

#[test]
fn files_of_every_layout_are_described_by_their_schema() {
    let table = "a,b,c,where,y\n1,u,3,o,p\n2,v,,o,q\n3,,5,o,p\n4,u,6,o,q\n";
    let values = "a,b,where,y\n1,u,o,0.5\n2,v,o,1.5\n3,u,o,2.25\n4,v,o,8\n";
    let series =
        "a,b,s,y\n1,2,1,p\n3,4,1,p\n5,6,2,q\n7,8,2,q\n1,1,3,p\n2,2,3,p\n3,3,4,q\n4,4,4,q\n";
    let leaf = "{\"users\":[\"a\",\"b\"],\"num_samples\":[2,2],\"user_data\":{\
        \"a\":{\"x\":[[1,2],[3,4]],\"y\":[0,2]},\"b\":{\"x\":[[5,6],[7,8]],\"y\":[2,0]}}}";
    let text = "Two households, both alike in dignity, in fair Verona, where we lay our scene.";
    let (images, labels) = (
        [
            &[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2][..],
            &[0, 1, 2, 3, 4, 5, 6, 7],
        ]
        .concat(),
        vec![0, 0, 8, 1, 0, 0, 0, 4, 1, 0, 2, 1],
    );
    let windows = "features = [\"a\", \"b\"]\nwindows = { series = \"s\", length = 2, stride = 1 }";
    for (name, bytes, lines) in [
        (
            "t.csv",
            table.as_bytes(),
            "label = \"y\"\nmissing = \"indicator\"\nclient = \"where\"",
        ),
        (
            "t.csv",
            table.as_bytes(),
            "label = \"y\"\nmissing = \"zero\"\nclasses = [\"q\", \"p\", \"never\"]\ndelimiter = \",\"\n\
             columns = { b = { kind = \"categorical\", levels = [\"v\", \"u\"], drop_first = true } }",
        ),
        (
            "t.csv",
            values.as_bytes(),
            "label = \"y\"\nclient = \"where\"",
        ),
        (
            "t.csv",
            values.as_bytes(),
            "label = \"y\"\npositive_above = 1.0\ngroup = \"where\"",
        ),
        (
            "t.csv",
            series.as_bytes(),
            &format!("label = \"y\"\nformat = \"series\"\n{windows}"),
        ),
        (
            "t.csv",
            series.as_bytes(),
            &format!("label = \"y\"\nclasses = [\"q\", \"p\"]\n{windows}"),
        ),
        ("t.json", leaf.as_bytes(), ""),
        ("t.json", leaf.as_bytes(), "task = \"regression\""),
        (
            "t.txt",
            text.as_bytes(),
            "text = { sequence_length = 4, stride = 2 }",
        ),
        (
            "t.txt",
            text.as_bytes(),
            "text = { sequence_length = 4, stride = 2, vocabulary = \"aeiou\" }",
        ),
        ("t-ubyte", &images[..], ""),
        (
            "t-ubyte",
            &images[..],
            "classes = [\"x\", \"y\", \"z\"]\nscale = \"global\"",
        ),
    ] {
        let job = job(&format!("path = {name:?}\n{lines}"));
        let file = |bytes: &[u8]| File {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
        };
        let contents = Contents {
            main: vec![file(bytes)],
            labels: (name == "t-ubyte").then(|| file(&labels)),
            ..Contents::default()
        };
        let source = Source::read(&job.data, &contents).unwrap_or_else(|error| panic!("{error}"));
        expect_alike(&job, &source);
    }
}
