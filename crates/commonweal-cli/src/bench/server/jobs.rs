//! The jobs of the loads.

use super::node;

/// Parameters of softmax regression on 28 × 28 pixels.
pub(super) const SOFTMAX_PARAMETERS: usize = 784 * 10 + 10;
/// Parameters of the model of the uploads: two hidden layers of 4,618 units.
pub(super) const UPLOAD_PARAMETERS: usize = 4618 * 4618 + (784 + 2 + 10) * 4618 + 10;

/// Rounds of softmax regression, each with the nodes numbered below `nodes` and with nobody else.
pub(super) fn softmax(nodes: usize, rounds: u64) -> String {
    filled(include_str!("jobs/softmax.toml"), nodes, rounds)
}

/// The same with 25 million parameters.
pub(super) fn upload(nodes: usize, rounds: u64) -> String {
    filled(include_str!("jobs/upload.toml"), nodes, rounds)
}

/// The template ends in its `[deployment]`, where the names belong.
fn filled(template: &str, nodes: usize, rounds: u64) -> String {
    let names: Vec<String> = (0..nodes)
        .map(|node| format!("{:?}", node::name(node)))
        .collect();
    let job = template
        .replace("NODES", &nodes.to_string())
        .replace("ROUNDS", &rounds.to_string());
    format!("{job}nodes = [{}]\n", names.join(", "))
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;

    #[test]
    fn every_job_is_sound() {
        for job in [softmax(1000, 5), upload(20, 4)] {
            let parsed = Job::parse(&job).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(parsed.deployment.data, "load");
        }
    }

    #[test]
    fn the_models_have_the_sizes_that_are_promised() {
        assert_eq!(SOFTMAX_PARAMETERS, 7850);
        assert_eq!(UPLOAD_PARAMETERS, 25_001_862);
    }
}
