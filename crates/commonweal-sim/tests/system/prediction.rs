//! A finished run can be measured again and predicts, without what it was trained on.

use commonweal_core::job::Job;
use commonweal_data::embedded;
use commonweal_sim::FinishedRun;

use crate::common;

#[test]
fn a_finished_run_measures_what_it_measured_at_its_end() {
    let runs = tempfile::tempdir().unwrap();
    let finished = common::finish(
        common::digits(4, ""),
        common::environment(2, Some(runs.path())),
    );
    let folder = finished.folder.unwrap();
    let run = FinishedRun::open(&folder, common::environment(1, None)).unwrap();
    let measured = run.evaluate().unwrap();
    assert_eq!(measured.metrics, finished.summary.seeds[0].metrics);
    assert!(measured.clients.iter().all(|client| client.test_rows > 0));
}

#[test]
fn predictions_for_digits_have_a_probability_a_class() {
    let runs = tempfile::tempdir().unwrap();
    let finished = common::finish(
        common::digits(60, ""),
        common::environment(2, Some(runs.path())),
    );
    let run = FinishedRun::open(&finished.folder.unwrap(), common::environment(1, None)).unwrap();
    let text = commonweal_data::gzip::unpacked(embedded::DIGITS_CSV_GZ, 1 << 24).unwrap();
    let lines = std::str::from_utf8(&text).unwrap().lines().take(200);
    let (rows, labels): (Vec<_>, Vec<_>) = lines.map(|line| line.rsplit_once(',').unwrap()).unzip();
    let predictions = run.predict(rows.join("\n").as_bytes()).unwrap();
    assert_eq!(predictions.names.as_ref().map(Vec::len), Some(10));
    let right = predictions
        .scores
        .chunks(10)
        .zip(labels)
        .filter(|(scores, label)| {
            let best = scores
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap()
                .0;
            best.to_string() == *label
        });
    let right = right.count();
    assert!(right > 180, "{right} of 200");
    let error = run.predict(b"1,2,3\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "line 1 has 3 fields; the model takes 64 numbers a line"
    );
}

#[test]
fn predictions_for_a_table_need_its_columns_and_no_label() {
    let job = "name = \"heart\"\nrounds = 3\n[data]\nname = \"heart\"\n\
               [simulation]\npartition = { kind = \"natural\" }\n[model]\nkind = \"logistic\"\n";
    let runs = tempfile::tempdir().unwrap();
    let job = Job::parse(job).unwrap();
    let finished = common::finish(job, common::environment(2, Some(runs.path())));
    let run = FinishedRun::open(&finished.folder.unwrap(), common::environment(1, None)).unwrap();
    assert_eq!(run.input().label(), Some("num"));
    let csv = "age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak\n\
               63,Male,typical angina,145,233,TRUE,lv hypertrophy,150,FALSE,2.3\n";
    let predictions = run.predict(csv.as_bytes()).unwrap();
    assert_eq!(predictions.scores.len(), 2);
    assert!((predictions.scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert!(run.predict(b"age\n63\n").is_err());
}
