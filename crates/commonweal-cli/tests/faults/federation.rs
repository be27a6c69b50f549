//! A server and the nodes of a job's simulated clients, so that the deployed run must end as the simulated one does.

use std::fs;
use std::process::Command;

use commonweal_wire::control::{NumberedEvent, RunInfo, RunState};
use serde_json::Value;

use crate::server::Server;
use crate::site::Site;

/// Server and nodes. They end with their value.
pub(crate) struct Federation {
    /// Dropped first: their directories are in the server's folder.
    pub(crate) sites: Vec<Site>,
    pub(crate) server: Server,
    pub(crate) job: String,
}

/// A quick job on embedded data. Every client takes part in every round, and is waited for.
pub(crate) fn job(clients: usize, rounds: u64) -> String {
    format!(
        r#"
name = "digits"
rounds = {rounds}
seed = 7
[data]
name = "digits"
[simulation]
clients = {clients}
partition = {{ kind = "dirichlet", alpha = 0.5 }}
[model]
kind = "softmax"
[training]
epochs = 1
batch_size = 32
optimizer = {{ kind = "sgd", learning_rate = 0.1 }}
[cohort]
fraction = 1.0
[evaluation]
every = 5
metrics = ["loss", "accuracy"]
[deployment]
clients = {clients}
reproducible = true
"#
    )
}

/// Names of a simulation's clients, in order.
pub(crate) fn names(clients: usize) -> Vec<String> {
    (0..clients)
        .map(|index| format!("client-{index:03}"))
        .collect()
}

impl Federation {
    /// A server and a node for each client of the job, joined and not running yet.
    pub(crate) fn joined(job: &str, clients: usize) -> Self {
        let server = Server::start();
        let path = server.place("job").join("job.toml");
        fs::write(&path, job).unwrap();
        let join = |name: String| {
            let data = format!(
                "[data.digits]\nshare = {{ job = {:?}, client = {name:?} }}\n",
                path.display()
            );
            Site::join(&server, &name, &data)
        };
        let sites = names(clients).into_iter().map(join).collect();
        Self {
            server,
            sites,
            job: job.to_owned(),
        }
    }

    /// The same, running.
    pub(crate) fn running(job: &str, clients: usize) -> Self {
        let mut federation = Self::joined(job, clients);
        for site in &mut federation.sites {
            site.run();
        }
        federation.server.until_online(clients);
        federation
    }

    /// Digest of the model that the same job ends with in one process.
    pub(crate) fn simulated(&self) -> String {
        let folder = self.server.place("simulated");
        let output = Command::new(env!("CARGO_BIN_EXE_commonweal"))
            .args(["--json", "simulate"])
            .arg(self.server.place("job").join("job.toml"))
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "finished", "{said}");
        last["digest"].as_str().unwrap().to_owned()
    }

    /// Waits for the run's end, which must be the simulated one's, each round committed once.
    pub(crate) fn ends_as_simulated(&self, run: &str) {
        let events = self.server.follow(run, |_| false);
        let info = self.server.info(run);
        assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
        assert_eq!(info.model, Some(self.simulated()));
        assert_eq!(committed(&events), (1..=info.rounds).collect::<Vec<_>>());
        assert_counted_once(&events, self.sites.len());
    }

    /// Waits for the run's end.
    pub(crate) fn end(&self, run: &str) -> (RunInfo, Vec<NumberedEvent>) {
        let events = self.server.follow(run, |_| false);
        (self.server.info(run), events)
    }
}

/// Rounds that were committed, in the order of their events.
pub(crate) fn committed(events: &[NumberedEvent]) -> Vec<u64> {
    let rounds = of_kind(events, "round");
    rounds
        .iter()
        .map(|event| event["round"].as_u64().unwrap())
        .collect()
}

/// Every committed round counted each node once.
fn assert_counted_once(events: &[NumberedEvent], nodes: usize) {
    for event in of_kind(events, "round") {
        assert_eq!(event["reported"], nodes, "{event}");
    }
}

/// Events of this name.
pub(crate) fn of_kind(events: &[NumberedEvent], name: &str) -> Vec<Value> {
    let events = events.iter().map(|event| event.event.clone());
    events.filter(|event| event["event"] == name).collect()
}

/// Whether an event says that this round is committed.
pub(crate) fn is_round(event: &NumberedEvent, round: u64) -> bool {
    event.event["event"] == "round" && event.event["round"] == round
}
