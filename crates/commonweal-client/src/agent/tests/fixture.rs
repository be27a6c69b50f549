//! A node in a directory of its own, its server, and the tasks of a federation of one.

use std::cell::Cell;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{ClientName, Digest, Layout, Parameters, Payload, Prepared, Task, TaskId};
use commonweal_data::{DataSchema, Preparation, Source};
use commonweal_train::Model;
use commonweal_wire::proto::{self, instruction::Kind, verdict};
use commonweal_wire::{task_id, task_of};
use tokio::sync::oneshot;

use crate::backoff::Pace;
use crate::folder::NodeFolder;
use crate::join::{Join, join};
use crate::node::{Node, NodeError};
use crate::record::{Record, RecordEntry};
use crate::request::Requests;
use crate::scripted::Scripted;
use crate::session::Session;
use crate::solo::{self, Solo, SoloKnown};

pub(super) const RUN: &str = "ward-1";

/// Waits of a network that is close by.
pub(super) const PACE: Pace = Pace {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(20),
    silence: Duration::from_secs(1),
};

/// A job on the data set `ward`, with more lines for some tables.
pub(super) fn job(lines: &str) -> Job {
    let text = format!(
        "name = \"ward\"\nrounds = 3\n[data]\npath = \"anywhere.csv\"\nlabel = \"ill\"\ntest = 0.25\ntask = \"classification\"\n\
         columns = {{ sex = {{ kind = \"categorical\" }}, age = {{ kind = \"numeric\" }} }}\n\
         [deployment]\ndata = \"ward\"\nclients = 1\n{lines}"
    );
    Job::parse(&text).unwrap()
}

pub(super) const LOGISTIC: &str = "[model]\nkind = \"logistic\"\n";

/// Forty patients, of whom the older ones are ill.
pub(super) fn ward() -> String {
    let rows = (0..40).map(|row| {
        let (age, sex) = (20 + row, if row % 3 == 0 { "f" } else { "m" });
        let ill = if row * 7 % 40 > 22 { "yes" } else { "no" };
        format!("{age},{sex},{ill}\n")
    });
    "age,sex,ill\n".to_owned() + &rows.collect::<String>()
}

/// A node that has joined.
pub(super) struct Site {
    pub(super) server: Scripted,
    pub(super) folder: NodeFolder,
    /// The blob of what was found, once it was.
    found: Cell<Option<Digest>>,
    /// Of the layout that tasks name, once there is a model.
    pub(super) layout: Cell<Option<Digest>>,
    _temporary: tempfile::TempDir,
}

/// A node that runs.
pub(super) struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), NodeError>>,
}

impl Site {
    /// A node with these first lines of `node.toml` and, unless it is empty, this file of data.
    pub(super) fn new(lines: &str, data: &str) -> Self {
        let server = Scripted::start();
        let temporary = tempfile::tempdir().unwrap();
        let folder = NodeFolder::at(temporary.path());
        let settings = format!("{lines}\n[data.ward]\npath = \"ward.csv\"\n");
        std::fs::write(folder.settings(), settings).unwrap();
        let site = Self {
            server,
            folder,
            found: Cell::new(None),
            layout: Cell::new(None),
            _temporary: temporary,
        };
        if !data.is_empty() {
            std::fs::write(site.data(), data).unwrap();
        }
        let how = Join {
            string: site.server.invitation(),
            name: Some("node-a".to_owned()),
            ca_file: None,
            consent: None,
        };
        join(&site.folder, how).unwrap();
        site
    }

    /// A node that accepts everything.
    pub(super) fn willing() -> Self {
        Self::new("accept = \"all\"\nsmallest_cohort = 1", &ward())
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("ward.csv")
    }

    pub(super) fn node(&self) -> Node {
        Node::open(self.folder.path()).unwrap()
    }

    /// Starts the node.
    pub(super) fn start(&self) -> Running {
        let node = self.node();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let stop = async {
                // A sender that is dropped asks for the same.
                let _ = stopped.await;
            };
            node.run_at(PACE, stop, std::future::pending())
        });
        Running { stop, thread }
    }

    /// Offers a run of `job`, submitted at `at_ms`.
    pub(super) fn offer(&self, job: &Job, at_ms: u64) {
        let manifest = Manifest::of(job);
        self.server.blob(manifest.bytes());
        self.server.send(Kind::Offer(proto::Offer {
            run: RUN.to_owned(),
            manifest: manifest.digest().as_bytes().to_vec(),
            submitter: "ada".to_owned(),
            submitted_at_ms: at_ms,
            initial: None,
        }));
    }

    /// Offers a run and waits for its approval; gives the schema that came with it.
    pub(super) fn approved(&self, job: &Job) -> DataSchema {
        self.offer(job, 1);
        self.schema()
    }

    /// The schema that comes with the first verdict.
    fn schema(&self) -> DataSchema {
        match self.verdict(0) {
            verdict::Kind::Approved(approved) => DataSchema::parse(&approved.schema).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The verdict after `before` others.
    pub(super) fn verdict(&self, before: usize) -> verdict::Kind {
        let verdict = self
            .server
            .wait("verdict", |script| script.verdicts.get(before).cloned());
        assert_eq!(verdict.run, RUN);
        verdict.kind.unwrap()
    }

    /// The code of the failure after `before` others.
    pub(super) fn failure(&self, before: usize) -> proto::FailureCode {
        let failure = self
            .server
            .wait("failure", |script| script.failures.get(before).cloned());
        failure.1.code()
    }

    /// Gives a task, with the model that it starts from.
    pub(super) fn assign(&self, task: &Task, model: Option<Digest>) {
        let accumulator = self.server.script().accumulator.clone();
        self.server.send(Kind::Work(proto::Work {
            run: RUN.to_owned(),
            task: Some(task_of(task, None)),
            model: model.map(|digest| digest.as_bytes().to_vec()),
            prepared: self.found.get().map(|digest| digest.as_bytes().to_vec()),
            accumulator,
            layout: model
                .and(self.layout.get())
                .map(|digest| digest.as_bytes().to_vec()),
        }));
    }

    /// Gives a task and waits for its report.
    pub(super) fn ask(&self, task: &Task, model: Option<Digest>) -> Payload {
        let before = self.server.script().reports.len();
        self.assign(task, model);
        self.report(before)
    }

    /// The report after `before` others.
    pub(super) fn report(&self, before: usize) -> Payload {
        let report = self
            .server
            .wait("report", |script| script.reports.get(before).cloned());
        report.1.into()
    }

    pub(super) fn settle(&self, task: TaskId, counted: bool) {
        self.server.send(Kind::Settled(proto::Settled {
            run: RUN.to_owned(),
            task: Some(task_id(task)),
            counted,
        }));
    }

    /// Keeps a model as a blob.
    pub(super) fn model(&self, model: &Parameters) -> Digest {
        let bytes: Vec<u8> = model
            .values()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.server.blob(&bytes)
    }

    /// Keeps what was found as a blob.
    pub(super) fn prepared(&self, prepared: &Prepared) {
        let bytes = serde_json::to_vec(prepared).unwrap();
        self.found.set(Some(self.server.blob(&bytes)));
    }

    pub(super) fn requests(&self) -> Requests {
        Requests::of(&self.folder)
    }

    /// What the record says, once it is sound.
    pub(super) fn record(&self) -> Vec<RecordEntry> {
        let lines = Record::of(&self.folder).verify().unwrap();
        lines.into_iter().map(|line| line.entry).collect()
    }
}

impl Running {
    /// Asks the node to stop, and waits until it has.
    pub(super) fn stop(self) -> Result<(), NodeError> {
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }

    /// Stops the node once its record has such an entry.
    pub(super) fn stop_after(self, site: &Site, is_it: impl Fn(&RecordEntry) -> bool) {
        until("entry", || {
            let lines = Record::of(&site.folder).lines().ok()?;
            lines.iter().any(|line| is_it(&line.entry)).then_some(())
        });
        self.stop().unwrap();
    }

    /// Waits until the node stops by itself.
    pub(super) fn ended(self) -> NodeError {
        self.thread.join().unwrap().unwrap_err()
    }
}

/// A federation of the node alone, as its server sees it: without a row.
pub(super) struct Federation {
    pub(super) solo: Solo,
    pub(super) prepared: Prepared,
    pub(super) layout: std::sync::Arc<Layout>,
}

impl Federation {
    /// Asks the node for what `prepare` makes necessary, and builds the model of the job's seed.
    pub(super) fn found(site: &Site, job: &Job) -> Self {
        site.offer(job, 1);
        Self::after_approval(site, job)
    }

    /// The same, of a run that was offered before.
    pub(super) fn after_approval(site: &Site, job: &Job) -> Self {
        let schema = site.schema();
        let (blank, preparation) = questions(job, &schema);
        let manifest = Manifest::of(job).digest();
        let mut answer = |task: &Task| Ok(site.ask(task, None));
        let prepared = solo::prepare(preparation.spec(), manifest, &name(), &mut answer).unwrap();
        site.prepared(&prepared);
        let shape = preparation.apply(&blank, &prepared).unwrap().shape();
        let model = Model::build(&job.model, &shape).unwrap();
        let seed = commonweal_core::Seed::from(job.seed);
        let initial = model.initial(&seed.derive(commonweal_core::Purpose::Initial, 0, None));
        let known = SoloKnown {
            manifest,
            prepared: Some(prepared.digest()),
            class_rows: preparation.class_rows_of(&prepared, shape.target),
        };
        let layout = std::sync::Arc::clone(initial.layout());
        site.layout.set(Some(layout.digest()));
        Self {
            solo: Solo::new(job, known, &name(), initial).unwrap(),
            prepared,
            layout,
        }
    }
}

/// What a server asks of data with this schema.
pub(super) fn questions(job: &Job, schema: &DataSchema) -> (Source, Preparation) {
    let blank = schema.blank(&job.data);
    let preparation = Preparation::new(&blank, &job.data).unwrap();
    (blank, preparation)
}

/// The same data in the test's own hands.
pub(super) fn session(site: &Site, job: &Job) -> Session {
    let manifest = Manifest::of(job).digest();
    Session::open(site.node().settings(), job.clone(), manifest, &name()).unwrap()
}

pub(super) fn name() -> ClientName {
    ClientName::try_from("node-a").unwrap()
}

/// Waits for what no message tells.
pub(super) fn until<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within a minute");
        std::thread::yield_now();
    }
}
