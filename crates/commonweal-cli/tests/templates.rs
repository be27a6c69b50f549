//! The templates of `commonweal new` are jobs.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::Path;

use commonweal_core::job::Job;

#[test]
fn every_template_is_a_job_that_states_a_floor_baselines_and_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for template in ["digits", "heart", "mnist", "keyboard", "loans", "wearable"] {
        let text = std::fs::read_to_string(folder.join(template).join("job.toml")).unwrap();
        let job = Job::parse(&text).unwrap_or_else(|faults| panic!("{template}:\n{faults}"));
        assert_eq!(job.name, template);
        assert!(
            job.expect.is_some() && job.simulation.seeds > 1,
            "{template}"
        );
        assert_eq!(job.simulation.baselines.len(), 2, "{template}");
    }
}
