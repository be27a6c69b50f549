//! A server and its nodes, each a process in one folder.

use std::net::TcpListener;

use serde_json::Value;

use crate::program::{Ended, Place, Running};

/// Digits on few clients and rounds: a second in a debug build.
pub(crate) const DIGITS: &str = r#"
name = "small"
rounds = 4
seed = 7
[data]
name = "digits"
[simulation]
clients = 4
partition = { kind = "dirichlet", alpha = 0.5 }
[model]
kind = "softmax"
[training]
epochs = 1
batch_size = 10
optimizer = { kind = "sgd", learning_rate = 0.1 }
[cohort]
fraction = 1.0
[evaluation]
every = 2
metrics = ["loss", "accuracy"]
"#;

/// Hearts of four hospitals, all of which take part; `prepare` has sums to make.
pub(crate) const HEART: &str = r#"
name = "hearts"
rounds = 4
seed = 3
[data]
name = "heart"
[model]
kind = "logistic"
[training]
epochs = 2
batch_size = 16
optimizer = { kind = "sgd", learning_rate = 0.05 }
[cohort]
fraction = 1.0
[evaluation]
every = 2
metrics = ["loss", "accuracy"]
"#;

/// A server with its researcher logged in, in a folder that vanishes.
pub(crate) struct Federation {
    pub(crate) place: Place,
    pub(crate) url: String,
    pub(crate) authority: String,
    server: Option<Running>,
    nodes: Vec<(String, Running)>,
}

impl Federation {
    /// A server that listens, and a researcher who is logged in.
    pub(crate) fn new() -> Self {
        let place = Place::holding("job.toml", DIGITS);
        // The port is free again at once, and unlikely to be taken by another in between.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let listen = port.unwrap().to_string();
        std::fs::create_dir(place.path("server")).unwrap();
        let settings = format!("listen = {listen:?}\npublic_url = \"https://{listen}\"\n");
        place.write("server/server.toml", &settings);
        let mut federation = Self {
            place,
            url: String::new(),
            authority: String::new(),
            server: None,
            nodes: Vec::new(),
        };
        federation.serve();
        let key = federation.key("ada", "researcher");
        federation.login(&key).well();
        federation
    }

    /// Starts the server, for the first time or again.
    pub(crate) fn serve(&mut self) {
        let mut server = self.place.start(&["serve", "--data-dir", "server"]);
        let serving = server.until("serving", |_| true);
        self.url = text(&serving["url"]);
        self.authority = text(&serving["authority"]);
        self.server = Some(server);
    }

    /// Kills the server as a failing machine does.
    pub(crate) fn kill_server(&mut self) {
        let server = self.server.take().unwrap();
        server.signal("KILL");
        server.end();
    }

    /// A new key of that role.
    pub(crate) fn key(&self, name: &str, role: &str) -> String {
        let added = self.server(&["keys", "add", "--name", name, "--role", role, "--json"]);
        text(&added.well().last()["key"])
    }

    /// Logs the folder's user in.
    pub(crate) fn login(&self, key: &str) -> Ended {
        let arguments = ["login", &self.url, "--ca-fingerprint", &self.authority];
        self.place.say(&arguments, key)
    }

    /// `commonweal server …` on the server's machine.
    pub(crate) fn server(&self, arguments: &[&str]) -> Ended {
        let before = ["server", "--data-dir", "server"];
        self.place.run(&[&before, arguments].concat())
    }

    /// A join string for that name.
    pub(crate) fn invite(&self, name: &str) -> String {
        let invited = self.server(&["invite", "--name", name]).well();
        invited.stdout.trim().to_owned()
    }

    /// Makes a node with the rows of a client of `job.toml`.
    pub(crate) fn join(&self, name: &str, accept: &str) {
        self.join_with(name, accept, "digits");
    }

    /// As [`Federation::join`], with rows of this data set.
    pub(crate) fn join_with(&self, name: &str, accept: &str, data: &str) {
        let job = self.place.path("job.toml").display().to_string();
        let settings = format!(
            "accept = {accept:?}\nsmallest_cohort = 1\n\n\
             [data.{data}]\nshare = {{ job = {job:?}, client = {name:?} }}\n"
        );
        std::fs::create_dir(self.place.path(name)).unwrap();
        self.place.write(&format!("{name}/node.toml"), &settings);
        let string = self.invite(name);
        let joined = self.place.say(&["node", "--dir", name, "join"], &string);
        joined.well();
    }

    /// Starts a node, for the first time or again.
    pub(crate) fn start(&mut self, name: &str) {
        let node = self.place.start(&["node", "--dir", name, "run"]);
        self.nodes.push((name.to_owned(), node));
    }

    /// Four nodes that take whatever is asked, each with a client's rows.
    pub(crate) fn with_four_nodes(mut self) -> Self {
        for name in CLIENTS {
            self.join(name, "all");
            self.start(name);
        }
        self
    }

    /// Kills a node as a failing machine does.
    pub(crate) fn kill(&mut self, name: &str) {
        let at = self
            .nodes
            .iter()
            .position(|(node, _)| node == name)
            .unwrap();
        let (_, node) = self.nodes.remove(at);
        node.signal("KILL");
        node.end();
    }

    /// `commonweal node …` in a node's directory.
    pub(crate) fn node(&self, name: &str, arguments: &[&str]) -> Ended {
        self.place
            .run(&[&["node", "--dir", name], arguments].concat())
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        let nodes = self.nodes.drain(..).map(|(_, node)| node);
        for process in nodes.chain(self.server.take()) {
            process.signal("KILL");
            process.end();
        }
    }
}

/// Names of the clients that a simulation of [`DIGITS`] has.
pub(crate) const CLIENTS: [&str; 4] = ["client-000", "client-001", "client-002", "client-003"];

/// What `simulate` ends in.
pub(crate) fn simulated(place: &Place, overrides: &[&str]) -> String {
    let ended = place.run(&[&["simulate", "job.toml", "--json"], overrides].concat());
    text(&ended.well().last()["digest"])
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}
