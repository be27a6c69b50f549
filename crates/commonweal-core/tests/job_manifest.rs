//! Manifests: what changes them, what does not, and their exact bytes.

use commonweal_core::job::{Job, Manifest};
use proptest::prelude::*;

const JOB: &str = r#"
name = "heart"
rounds = 15
[data]
name = "heart"
columns = { sex = "categorical" }
[model]
kind = "layers"
layers = ["flatten", { kind = "dense", units = 4 }, "relu", "dense"]
[training]
batch_size = "all"
class_weights = [1, 2.5]
[stop]
metric = "loss"
at_most = 0.5
"#;

/// Written down when the encoding was fixed: a change here breaks every approval and every
/// checkpoint that exists.
const BYTES: &str = include_str!("golden/heart.manifest.json");
const DIGEST: &str = include_str!("golden/heart.manifest.digest");

fn manifest(text: &str) -> Manifest {
    Manifest::of(&Job::parse(text).unwrap_or_else(|faults| panic!("{faults}")))
}

#[test]
fn the_bytes_and_digest_of_a_manifest_stay_as_they_are() {
    let manifest = manifest(JOB);
    assert_eq!(
        std::str::from_utf8(manifest.bytes()).unwrap(),
        BYTES.trim_end()
    );
    assert_eq!(manifest.digest().to_string(), DIGEST.trim_end());
}

#[test]
fn simulation_comments_order_and_written_defaults_do_not_change_the_digest() {
    let digest = manifest(JOB).digest();
    let simulation = format!("{JOB}[simulation]\nclients = 7\npartition = \"iid\"\nthreads = 3\n");
    let comments = format!(
        "# A comment\n{}",
        JOB.replace('\n', " # so\n").replacen(" # so", "", 1)
    );
    let sections: Vec<&str> = JOB.split("\n[").collect();
    let mut order = sections[0].to_string();
    for section in sections[1..].iter().rev() {
        order += &format!("\n[{section}\n");
    }
    let defaults = format!("{JOB}[cohort]\nfraction = 1\nsampling = \"uniform\"\n");
    for text in [simulation, comments, order, defaults] {
        assert_eq!(manifest(&text).digest(), digest, "{text}");
    }
}

#[test]
fn everything_else_changes_the_digest() {
    let digest = manifest(JOB).digest();
    for (from, to) in [
        ("rounds = 15", "rounds = 16"),
        ("2.5", "2.25"),
        ("units = 4", "units = 5"),
        ("\"all\"", "10"),
        ("at_most = 0.5", "at_least = 0.5"),
        ("name = \"heart\"\ncolumns", "path = \"heart\"\ncolumns"),
    ] {
        assert!(JOB.contains(from));
        assert_ne!(manifest(&JOB.replace(from, to)).digest(), digest, "{to}");
    }
}

#[test]
fn a_manifest_reads_as_the_job_without_its_simulation() {
    let job = Job::parse(&format!("{JOB}[simulation]\nseeds = 9\n")).unwrap();
    let (manifest, read) = Manifest::parse(Manifest::of(&job).bytes()).unwrap();
    assert_eq!(manifest, Manifest::of(&job));
    assert_eq!(read.simulation.seeds, 1);
    assert_eq!(read.training, job.training);
}

#[test]
fn what_is_not_canonical_is_no_manifest() {
    let bytes = manifest(JOB).bytes().to_vec();
    let text = String::from_utf8(bytes).unwrap();
    for bad in [
        text.replace(":15,", ": 15,"),
        text.replace("\"rounds\":15,", ""),
        text.replace("\"rounds\"", "\"runds\""),
        format!("{text}\n"),
        text.replace("{\"checkpoints\"", "{\"simulation\":{},\"checkpoints\""),
        text[..text.len() - 1].to_string(),
        "null".to_string(),
        "[".repeat(100_000),
    ] {
        assert!(
            Manifest::parse(bad.as_bytes()).is_err(),
            "{}",
            &bad[..bad.len().min(200)]
        );
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("{JOB}x = {}", "[".repeat(100_000));
    assert!(Job::parse(&deep).is_err());
    let nested = "{ kind = \"residual\", layers = [".repeat(5_000);
    assert!(Job::parse(&JOB.replace("\"flatten\"", &nested)).is_err());
    let dotted = format!("{JOB}\n[training.x]\n{} = 1", vec!["a"; 50_000].join("."));
    assert!(Job::parse(&dotted).is_err());
    let path = format!("{}=1", vec!["a"; 50_000].join("."));
    assert!(Job::parse_with(JOB, &[path]).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Job::parse(&text);
        let _ = Job::parse_with(JOB, &[text]);
    }

    /// Any stretch of a job file replaced by another one: mostly faulty, always told.
    #[test]
    fn no_damage_makes_the_parser_panic(
        from in 0..JOB.len(), length in 0..40usize, to in 0..JOB.len(), noise in "[\\[\\]{}=\"#.,a0\n-]{0,3}",
    ) {
        let end = (from + length).min(JOB.len());
        let other = &JOB[to..(to + length).min(JOB.len())];
        let damaged = format!("{}{noise}{other}{}", &JOB[..from], &JOB[end..]);
        if let Err(faults) = Job::parse(&damaged) {
            prop_assert!(faults.iter().count() > 0);
            prop_assert!(!faults.to_string().is_empty());
        }
    }

    #[test]
    fn a_resolved_job_reads_as_itself(epochs in 1..9u32, rate in 1e-6..10f64, name in "[a-z]{1,9}") {
        let overrides = [
            format!("training.epochs={epochs}"),
            format!("training.optimizer.learning_rate={rate:?}"),
            format!("data.columns.{name:?}={{kind=\"categorical\", levels=[\"a\\\"\\\\\\u007f\\n\"]}}"),
        ];
        let job = Job::parse_with(JOB, &overrides).unwrap();
        prop_assert_eq!(Job::parse(&job.to_toml()), Ok(job));
    }
}
