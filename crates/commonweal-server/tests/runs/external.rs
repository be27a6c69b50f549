//! A model that was submitted with its job: what is no model never makes a run.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use commonweal_core::{ExportType, Layout, Parameters, Scope, TensorSpec};
use commonweal_disk::declare_model;
use commonweal_wire::control::Submission;

use crate::world::{World, impatient};
use crate::{job, visitors};

fn model(value: f32) -> Parameters {
    let layout = Layout::new(vec![TensorSpec {
        name: "w".to_owned(),
        shape: vec![3],
        scope: Scope::Shared,
        export: ExportType::F32,
    }]);
    Parameters::new(Arc::new(layout.unwrap()), vec![0.5, value, -1.0]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_model_that_is_none_is_refused_at_once_and_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let built_in = job("[cohort]\nminimum = 2\n");
    let external = built_in
        .replace("kind = \"mlp\"\nhidden = [3]", "kind = \"external\"")
        .replace("[training]", "[training]\ntrainer = \"torch\"");
    let named = built_in.replace("hidden = [3]", "hidden = [3]\ninit = \"w\"");
    let visitors = visitors(&built_in, &["a", "b", "c"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    let whole = declare_model(&model(2.0)).unwrap();
    let text = |bytes: &[u8]| Some(STANDARD.encode(bytes));
    let cases = [
        (&external, None, "as `commonweal submit` does"),
        (&external, Some("%%%".to_owned()), "no base64"),
        (&external, text(&whole[..whole.len() - 1]), "no safetensors"),
        (
            &external,
            text(&[&whole[..], &[0]].concat()),
            "no safetensors",
        ),
        (
            &external,
            text(&declare_model(&model(f32::NAN)).unwrap()),
            "not a finite number",
        ),
        (&named, None, "submit it too"),
        (&named, text(b"PK"), "no safetensors"),
        (&built_in, text(&whole), "does not name"),
    ];
    for (job, initial, words) in cases {
        let submission = Submission {
            job: job.clone(),
            initial,
        };
        let refused = world.runs.submit(&submission, "ada").await.unwrap_err();
        assert_eq!(refused.code, "initial");
        assert!(refused.message.contains(words), "{words}: {refused:?}");
    }
    assert_eq!(world.runs.list().await.unwrap(), []);
}
