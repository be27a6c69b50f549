//! What of a task's failure is in the log, and what is for the owner alone.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::consent::{ASK, assignment};
use super::fixture::{LOGISTIC, PACE, RUN, Site, job};
use crate::agent::{Agent, Current};
use crate::assignment::Watch;
use crate::runtime::runtime;
use crate::session::SessionError;

/// Writes down all that is logged at the level of a node that nobody set otherwise.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

#[test]
fn why_a_task_was_not_done_is_told_its_owner_and_not_the_log() {
    let site = Site::new(ASK, "");
    let runtime = runtime().unwrap();
    let _entered = runtime.enter();
    let mut agent = Agent::new(site.node().shared(PACE).unwrap());
    agent.say("connected", String::new());
    let task = assignment(&job(LOGISTIC));
    agent.current = Some(Current {
        run: RUN.to_owned(),
        task: task.id(),
        watch: Arc::new(Watch::default()),
        accumulator: String::new(),
    });
    let error = SessionError::NoTrainer {
        name: "kanarie".to_owned(),
    };
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        agent.worked(task, None, Err(error.into())).unwrap();
    });
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.contains("code=\"trainer\""), "{logged}");
    assert!(!logged.contains("kanarie"), "{logged}");
    let last = site.node().status().unwrap().last.unwrap();
    let told = last.not_done.unwrap();
    assert!(
        told.starts_with("ward-1 prepare-0: ") && told.contains("kanarie"),
        "{told}"
    );
}
