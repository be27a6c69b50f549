//! From the embedded files to what a client trains on, by the path that every simulation takes.

#![expect(
    clippy::expect_used,
    reason = "a helper of tests may panic as a test may"
)]

use commonweal_core::job::Job;
use commonweal_core::{Digest, PrepareSums};
use commonweal_data::table::{Schema, infer, read};
use commonweal_data::{
    Dataset, Features, HoldOut, Partition, Preparation, Source, Split, embedded, registry,
};

/// The job with this `[data]`, and its data set as it is read.
fn source(data: &str) -> (Job, Source) {
    let text = format!("name = \"t\"\nrounds = 1\n[data]\n{data}\n[model]\nkind = \"softmax\"\n");
    let mut job = Job::parse(&text).expect("a sound job");
    let known = data
        .split('"')
        .nth(1)
        .and_then(registry::find)
        .expect("a known name");
    job.data = known.complete(&job.data);
    let contents = known.embedded().expect("embedded");
    let source = known
        .read(&job.data, contents)
        .expect("embedded bytes are sound");
    (job, source)
}

fn prepared(job: &Job, source: &Source, partition: &Partition) -> Dataset {
    let preparation = Preparation::new(source, &job.data).expect("no vocabulary");
    let mut sums = PrepareSums::zero(preparation.spec());
    for client in partition.population().indices() {
        let own =
            preparation.contribution(source, &partition.train(client), partition.test(client));
        sums.merge(preparation.spec(), &own.expect("can be summed up"))
            .expect("one spec");
    }
    let found = sums
        .finish(preparation.spec(), Digest::of(b"job"))
        .expect("there are rows");
    preparation.apply(source, &found).expect("fits")
}

#[test]
fn heart_has_flambys_hospitals_rows_and_features() {
    let (job, source) = source("name = \"heart\"");
    let hold_out = HoldOut {
        fraction: 0.34,
        stratify: true,
        by_client: true,
    };
    let split = Split::of(source.roster(), hold_out, |_| 1.into());
    let partition = Partition::natural(source.roster(), &split, None, 1, &1.into());
    let partition = partition.expect("hospitals");
    let sizes: Vec<(String, usize, usize)> = partition
        .population()
        .indices()
        .map(|client| {
            let name = partition.name(client).to_string();
            (
                name,
                partition.train(client).len(),
                partition.test(client).len(),
            )
        })
        .collect();
    // Provenance: FLamby (arXiv:2210.04620), Fed-Heart-Disease.
    let expected = [
        ("Cleveland", 199, 104),
        ("Hungary", 172, 89),
        ("Switzerland", 30, 16),
        ("VA Long Beach", 85, 45),
    ];
    assert_eq!(
        sizes,
        expected.map(|(name, train, test)| (name.to_owned(), train, test))
    );
    let data = prepared(&job, &source, &partition);
    assert_eq!(data.shape().input.width(), 13);
    assert_eq!(data.rows(), 740);
    let Features::Floats(floats) = data.features() else {
        panic!("a table is floats")
    };
    let names = [
        "age",
        "sex=Male",
        "cp=atypical angina",
        "cp=non-anginal",
        "cp=typical angina",
        "trestbps",
        "chol",
        "fbs=TRUE",
        "restecg=normal",
        "restecg=st-t abnormality",
        "thalch",
        "exang=TRUE",
        "oldpeak",
    ];
    assert_eq!(floats.names(), names);
}

#[test]
fn a_scaled_column_has_mean_0_and_deviation_1_over_all_training_rows() {
    let (job, source) = source("name = \"heart\"");
    let hold_out = HoldOut {
        fraction: 0.34,
        stratify: true,
        by_client: true,
    };
    let split = Split::of(source.roster(), hold_out, |_| 1.into());
    let partition = Partition::natural(source.roster(), &split, None, 1, &1.into());
    let data = prepared(&job, &source, &partition.expect("hospitals"));
    let Features::Floats(floats) = data.features() else {
        panic!("a table is floats")
    };
    for (name, (mean, deviation)) in floats.names().iter().zip(floats.moments(&split.train)) {
        if !name.contains('=') {
            assert!(
                mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-5,
                "{name}"
            );
        }
    }
}

#[test]
fn missing_cells_of_the_heart_data_can_be_filled_instead() {
    let (_, dropped) = source("name = \"heart\"");
    let (_, filled) = source("name = \"heart\"\nmissing = \"mean\"");
    assert_eq!(
        (dropped.roster().rows(), filled.roster().rows()),
        (740, 920)
    );
    let zeros = "[data.columns]\nchol = { kind = \"numeric\", missing_values = [\"0\"] }";
    let (_, without_zeros) = source(&format!("name = \"heart\"\n{zeros}"));
    // 172 rows have chol = 0, of which some lack another value too.
    assert!(without_zeros.roster().rows() < 740);
}

#[test]
fn digits_are_dealt_by_dirichlet_with_stratified_test_rows() {
    let (job, source) = source("name = \"digits\"");
    let dirichlet = commonweal_core::job::Partition::Dirichlet { alpha: 0.3 };
    let simulation = commonweal_core::job::Simulation {
        clients: Some(20),
        partition: dirichlet,
        ..job.simulation.clone()
    };
    let partition = Partition::simulated(source.roster(), &simulation, &job.data, &1.into());
    let partition = partition.expect("20 clients of 1,437 rows");
    assert_eq!(partition.clients(), 20);
    assert_eq!(
        (partition.all_train().len(), partition.all_test().len()),
        (1437, 360)
    );
    let data = prepared(&job, &source, &partition);
    assert_eq!(data.shape(), embedded::digits().expect("sound").shape());
}

#[test]
fn the_toml_of_an_inferred_schema_declares_that_schema() {
    let odd = "row \"1\";größe;a.b;#;y\nu;1,5;2;x;a\nv;NA;3;x;b\nu;2,5;4;z;a\nv;2,5;NA;z;b\n";
    for (file, label, client) in [
        (embedded::HEART_CSV, "num", Some("dataset")),
        (odd.as_bytes(), "y", Some("#")),
    ] {
        let inferred = infer(file, label, client).expect("a table");
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\n{}\n[model]\nkind = \"softmax\"\n",
            inferred.schema.to_toml()
        );
        let job = Job::parse(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
        assert_eq!(
            Schema::of(&job.data, file),
            Ok(inferred.schema.clone()),
            "{text}"
        );
        assert!(read(file, &inferred.schema).is_ok());
    }
}
