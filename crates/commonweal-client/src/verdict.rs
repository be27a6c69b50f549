//! Whether a run may use the data, and whether the data and the machine serve it.

use commonweal_core::Digest;
use commonweal_core::job::{BUILT_IN_TRAINER, CohortSize, Job};
use commonweal_wire::proto::{self, UnfitCode};

use crate::data::DataError;
use crate::request::{Decider, Decision, Request, Unfit, unfit_code, unfit_word};
use crate::session::{Session, SessionError};
use crate::settings::{Accept, Settings};
use crate::shared::Shared;

/// Why an approved run cannot be served: the sentence for the owner, and what the server learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) unfit: Unfit,
    pub(crate) what: String,
}

impl Misfit {
    pub(crate) fn new(code: UnfitCode, what: impl Into<String>) -> Self {
        Self {
            unfit: Unfit {
                code: unfit_word(code).to_owned(),
                column: String::new(),
                line: 0,
            },
            what: what.into(),
        }
    }

    fn of_data(error: &DataError, job: &Job) -> Self {
        Self {
            unfit: error.unfit(job),
            what: error.to_string(),
        }
    }

    fn of_session(error: &SessionError, job: &Job) -> Self {
        match error {
            SessionError::Data(error) => Self::of_data(error, job),
            error => Self::new(UnfitCode::Capacity, error.to_string()),
        }
    }
}

/// What the settings say about a run that asks: yes, or that its owner must.
pub(crate) fn by_settings(accept: &Accept, manifest: &Digest, now_ms: u64) -> Decision {
    let is_accepted = match accept {
        Accept::Ask => false,
        Accept::Manifests(manifests) => manifests.contains(manifest),
        Accept::All => true,
    };
    match is_accepted {
        true => Decision::Approved {
            by: Decider::Settings,
            at_ms: now_ms,
        },
        false => Decision::Waiting,
    }
}

/// Whether the machine and the settings serve the job, before any file is opened.
pub(crate) fn fits(settings: &Settings, job: &Job) -> Result<(), Misfit> {
    let trainer = job.training.trainer.as_str();
    if trainer != BUILT_IN_TRAINER && !settings.trainers.contains_key(trainer) {
        let what =
            format!("the job asks for the trainer {trainer:?}, which node.toml does not have");
        return Err(Misfit::new(UnfitCode::Trainer, what));
    }
    let smallest = settings.smallest_cohort;
    if let CohortSize::Target(target) = job.cohort.size
        && target < smallest
    {
        let what =
            format!("{target} nodes take part in a round, and node.toml wants at least {smallest}");
        return Err(Misfit::new(UnfitCode::Cohort, what));
    }
    let capacity = |name: &str| match name {
        "memory_mb" => Some(settings.memory_mb as f64),
        "threads" => Some(f64::from(settings.threads)),
        _ => None,
    };
    let unmet = job.deployment.unmet(&settings.labels, capacity).next();
    match unmet {
        Some((name, requirement)) => {
            let what = format!("the job asks for {name} {requirement}");
            Err(Misfit::new(UnfitCode::Capacity, what))
        }
        None => Ok(()),
    }
}

/// Opens the data for an approved run, and reads all of it. Blocks.
pub(crate) fn open(shared: &Shared, job: &Job, manifest: Digest) -> Result<Box<Session>, Misfit> {
    fits(&shared.settings, job)?;
    let name = &shared.membership.name;
    let session = Session::open(&shared.settings, job.clone(), manifest, name)
        .map_err(|error| Misfit::of_session(&error, job))?;
    if session.data.train().is_empty() {
        let what = "no row is left to learn from";
        return Err(Misfit::new(UnfitCode::Rows, what));
    }
    Ok(Box::new(session))
}

/// What the server is told about a run; nothing while nobody has decided. An approval comes with the data's `schema`.
pub(crate) fn message(request: &Request, schema: Option<String>) -> Option<proto::Verdict> {
    let kind = match (&request.decision, schema) {
        (Decision::Approved { .. }, Some(schema)) => {
            proto::verdict::Kind::Approved(proto::Approved {
                schema: schema.into_bytes(),
            })
        }
        (Decision::Waiting | Decision::Approved { .. }, _) => return None,
        (Decision::Denied { reason, .. }, _) => proto::verdict::Kind::Denied(proto::Denied {
            reason: reason.clone(),
        }),
        (Decision::Unfit { unfit, .. }, _) => proto::verdict::Kind::Unfit(proto::Unfit {
            code: unfit_code(&unfit.code).into(),
            column: unfit.column.clone(),
            line: unfit.line,
        }),
    };
    Some(proto::Verdict {
        run: request.run.clone(),
        manifest: request.manifest.as_bytes().to_vec(),
        kind: Some(kind),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::request::tests::JOB;

    fn settings(lines: &str) -> Settings {
        let text = format!("accept = \"all\"\nsmallest_cohort = 3\nmemory_mb = 1000\n{lines}");
        Settings::parse(&text, Path::new("node.toml")).unwrap()
    }

    fn misfit(settings: &Settings, lines: &str) -> Option<String> {
        let job = Job::parse(&format!("{JOB}{lines}")).unwrap();
        fits(settings, &job).err().map(|misfit| misfit.unfit.code)
    }

    #[test]
    fn consent_is_given_by_name_or_asked_for() {
        let (own, other) = (Digest::of(b"a"), Digest::of(b"b"));
        let accepts = |accept: &Accept, digest| by_settings(accept, &digest, 1).is_approved();
        let some = Accept::Manifests([own].into());
        assert!(accepts(&Accept::All, own) && accepts(&some, own));
        assert!(!accepts(&Accept::Ask, own) && !accepts(&some, other));
    }

    #[test]
    fn a_job_that_asks_for_more_than_the_node_has_is_told_which_kind_of_thing() {
        let plain = settings("");
        assert_eq!(misfit(&plain, ""), None);
        let trainer = "[training]\ntrainer = \"torch\"\n";
        assert_eq!(misfit(&plain, trainer).as_deref(), Some("trainer"));
        let willing = settings("[trainers.torch]\ncommand = [\"python3\"]\n");
        assert_eq!(misfit(&willing, trainer), None);
        let small = "[cohort]\ntarget = 2\n";
        assert_eq!(misfit(&plain, small).as_deref(), Some("cohort"));
        let large = "require = { memory_mb = 2000 }\n";
        assert_eq!(misfit(&plain, large).as_deref(), Some("capacity"));
    }
}
