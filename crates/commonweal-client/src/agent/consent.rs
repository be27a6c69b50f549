//! Offers, decisions, and what the server is told of them.

use std::sync::Arc;

use commonweal_core::Digest;
use commonweal_core::job::{Job, Manifest};
use commonweal_wire::path;
use commonweal_wire::proto::{self, UnfitCode};

use super::{Agent, AgentError, Event, Run};
use crate::backoff::Backoff;
use crate::clock::now_ms;
use crate::connection::{CALL, CallError};
use crate::record::RecordEntry;
use crate::request::{Decision, Request};
use crate::session::Session;
use crate::shared::Shared;
use crate::verdict::{self, Misfit};

/// A run that asks, with its manifest.
pub(super) struct Offered {
    offer: proto::Offer,
    manifest: Digest,
    bytes: Vec<u8>,
}

impl Agent {
    /// A run asks for consent, perhaps again.
    pub(super) fn consider(&mut self, offer: proto::Offer) -> Result<(), AgentError> {
        let Ok(manifest) = <[u8; 32]>::try_from(offer.manifest.as_slice()) else {
            tracing::warn!(run = offer.run, "the offer names no manifest");
            return Ok(());
        };
        let manifest = Digest::from_bytes(manifest);
        if let Ok(request) = self.shared.requests.find(&offer.run)
            && is_of(&request, &offer, manifest)
        {
            return self.tell_again(request);
        }
        self.drop_offer(&offer.run);
        let (shared, run) = (Arc::clone(&self.shared), offer.run.clone());
        let fetching = self.jobs.spawn(async move {
            let bytes = manifest_until_here(&shared, &offer.run, &manifest).await;
            Event::Offered(Box::new(Offered {
                offer,
                manifest,
                bytes,
            }))
        });
        self.offers.insert(run, fetching);
        Ok(())
    }

    /// Waits no more for the manifest of a run.
    pub(super) fn drop_offer(&mut self, run: &str) {
        if let Some(fetching) = self.offers.remove(run) {
            fetching.abort();
        }
    }

    /// The server asks what it was told already: it came back from an older backup, or forgot.
    fn tell_again(&mut self, request: Request) -> Result<(), AgentError> {
        if let Some(known) = self.runs.get_mut(&request.run) {
            known.told = None;
        }
        let request = self.shared.requests.change(&request.run, |request| {
            request.ended = None;
            request.told = false;
            Ok(())
        })?;
        self.look_at(request)
    }

    /// A task has come of a run that was over: somebody resumed it. The owner's word holds for its manifest.
    pub(super) fn work_again(&mut self, run: &str, manifest: Digest) -> Result<(), AgentError> {
        match self.shared.requests.find(run) {
            Ok(request) if request.ended.is_some() && request.manifest == manifest => {
                tracing::info!(run, "the run goes on");
                let request = self.shared.requests.change(run, |request| {
                    request.ended = None;
                    Ok(())
                })?;
                self.look_at(request)
            }
            _ => Ok(()),
        }
    }

    /// The manifest of a run that asks has come.
    pub(super) fn offered(&mut self, offered: Offered) -> Result<(), AgentError> {
        let Offered {
            offer,
            manifest,
            bytes,
        } = offered;
        self.offers.remove(&offer.run);
        if let Ok(request) = self.shared.requests.find(&offer.run)
            && is_of(&request, &offer, manifest)
        {
            // The offer came twice while the manifest was on its way.
            return self.tell_again(request);
        }
        let initial = match offer.initial.as_deref().map(<[u8; 32]>::try_from) {
            None => None,
            Some(Ok(digest)) => Some(Digest::from_bytes(digest)),
            Some(Err(_)) => {
                tracing::warn!(
                    run = offer.run,
                    "the offer names an initial model by no digest"
                );
                return Ok(());
            }
        };
        // Another run of this name may have been here before: nothing of it is this one's.
        self.cancel(&offer.run, |_| true);
        self.take_session(&offer.run);
        self.runs.remove(&offer.run);
        self.shared.states.forget(&offer.run);
        let mut request = Request {
            run: offer.run,
            manifest,
            submitter: offer.submitter,
            submitted_at_ms: offer.submitted_at_ms,
            asked_at_ms: now_ms(),
            initial,
            decision: verdict::by_settings(&self.shared.settings.accept, &manifest, now_ms()),
            told: false,
            prepared: None,
            ended: None,
        };
        if let Err(error) = Manifest::parse(&bytes) {
            let misfit = Misfit::new(UnfitCode::Manifest, error.to_string());
            request.decision = unfit(misfit);
        }
        self.shared.note(RecordEntry::Request {
            run: request.run.clone(),
            manifest,
            submitter: request.submitter.clone(),
            initial: request.initial,
        })?;
        self.shared.requests.keep(&request, &bytes)?;
        self.note_decision(&request, "by node.toml")?;
        self.look_at(request)
    }

    fn note_decision(&self, request: &Request, reason: &str) -> Result<(), AgentError> {
        let run = request.run.as_str();
        match &request.decision {
            Decision::Waiting => {
                tracing::info!(run, "asks for consent: see `commonweal node show {run}`");
                return Ok(());
            }
            Decision::Approved { .. } => tracing::info!(run, "approved {reason}"),
            Decision::Denied { .. } => tracing::info!(run, "denied"),
            // The whole sentence may name columns that a file without a header has values for: it is no log's.
            Decision::Unfit { unfit, .. } => tracing::warn!(
                run,
                code = unfit.code,
                column = unfit.column,
                line = unfit.line,
                "cannot be served: see `commonweal node show {run}`"
            ),
        }
        let reason = match &request.decision {
            Decision::Unfit { unfit, .. } => &unfit.code,
            _ => reason,
        };
        self.shared.note(RecordEntry::Decision {
            run: request.run.clone(),
            manifest: request.manifest,
            decision: request.decision.word().to_owned(),
            reason: reason.to_owned(),
        })?;
        Ok(())
    }

    /// Looks at what the owner has decided since the last look.
    pub(super) fn look_at_requests(&mut self) -> Result<(), AgentError> {
        let changed = self.shared.requests.changed();
        if changed == self.requests_seen {
            return Ok(());
        }
        self.requests_seen = changed;
        for request in self.shared.requests.all()? {
            if request.ended.is_none() {
                self.look_at(request)?;
            }
        }
        Ok(())
    }

    /// Takes up a run as it is on disk, and does what its decision asks for.
    fn look_at(&mut self, request: Request) -> Result<(), AgentError> {
        let name = request.run.clone();
        let is_news = match self.runs.get_mut(&name) {
            Some(run) => {
                let is_news = run.told.as_ref() != Some(&request.decision);
                run.request = request;
                is_news && !run.is_judging
            }
            None => {
                let is_news = !request.told;
                let Some(run) = self.known(request)? else {
                    return Ok(());
                };
                self.runs.insert(name.clone(), run);
                is_news
            }
        };
        match is_news {
            true => self.act(&name),
            false => Ok(()),
        }
    }

    /// A run from its files. One whose manifest this version does not understand has no job to work on.
    fn known(&mut self, request: Request) -> Result<Option<Run>, AgentError> {
        match self.shared.requests.manifest(&request) {
            Ok((_, job)) => Ok(Some(Run {
                told: request.told.then(|| request.decision.clone()),
                request,
                job: Arc::new(job),
                is_judging: false,
            })),
            Err(error) => {
                tracing::warn!(run = request.run, "{error}");
                if matches!(request.decision, Decision::Unfit { .. }) && !request.told {
                    self.tell(&request, None);
                }
                Ok(None)
            }
        }
    }

    fn act(&mut self, name: &str) -> Result<(), AgentError> {
        let Some(run) = self.runs.get_mut(name) else {
            return Ok(());
        };
        let request = run.request.clone();
        match &request.decision {
            Decision::Waiting => {}
            Decision::Approved { .. } => {
                run.is_judging = true;
                let (shared, job) = (Arc::clone(&self.shared), Arc::clone(&run.job));
                let open = self.take_session(name);
                self.jobs.spawn(open_data(shared, job, request, open));
            }
            Decision::Denied { .. } => {
                self.tell(&request, None);
                self.give_back(name)?;
                self.take_session(name);
            }
            Decision::Unfit { .. } => self.tell(&request, None),
        }
        Ok(())
    }

    /// The data of a run were opened, or do not serve it.
    pub(super) fn opened(
        &mut self,
        name: &str,
        decision: Decision,
        result: Result<Box<Session>, Misfit>,
    ) -> Result<(), AgentError> {
        let Some(run) = self.runs.get_mut(name) else {
            return Ok(());
        };
        run.is_judging = false;
        if run.request.decision != decision {
            // The owner thought otherwise meanwhile.
            return self.act(name);
        }
        match result {
            Ok(session) => {
                let schema = session.data.schema().encode();
                let request = run.request.clone();
                self.keep_session(name, session);
                self.tell(&request, Some(schema));
            }
            Err(misfit) => {
                let unfit = unfit(misfit);
                let request = self.shared.requests.change(name, |request| {
                    if request.decision == decision {
                        request.decision = unfit;
                        request.told = false;
                    }
                    Ok(())
                })?;
                run.request = request.clone();
                self.note_decision(&request, "")?;
                self.tell(&request, None);
            }
        }
        Ok(())
    }

    fn tell(&mut self, request: &Request, schema: Option<String>) {
        let Some(message) = verdict::message(request, schema) else {
            return;
        };
        if let Some(run) = self.runs.get_mut(&request.run) {
            run.told = Some(request.decision.clone());
        }
        let shared = Arc::clone(&self.shared);
        let (run, decision) = (request.run.clone(), request.decision.clone());
        self.unfinished += 1;
        self.jobs.spawn(async move {
            let result = post_until_heard(&shared, path::VERDICT, &message).await;
            Event::Told {
                run,
                decision,
                result,
            }
        });
    }

    /// The server heard a verdict, or wants to hear nothing of it.
    pub(super) fn told(
        &mut self,
        name: &str,
        decision: Decision,
        result: Result<(), CallError>,
    ) -> Result<(), AgentError> {
        self.unfinished -= 1;
        if let Err(error) = result {
            tracing::warn!(run = name, "the server does not take the verdict: {error}");
            return Ok(());
        }
        if self.shared.requests.find(name).is_ok() {
            self.shared.requests.change(name, |request| {
                request.told |= request.decision == decision;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Whether a request is what the offer asks for, and not an earlier run of the same name.
fn is_of(request: &Request, offer: &proto::Offer, manifest: Digest) -> bool {
    request.manifest == manifest && request.submitted_at_ms == offer.submitted_at_ms
}

/// Fetches a manifest, for as long as it takes: an offer comes once.
async fn manifest_until_here(shared: &Shared, run: &str, manifest: &Digest) -> Vec<u8> {
    let mut backoff = Backoff::new(shared.pace);
    loop {
        match shared.blobs().manifest(manifest).await {
            Ok(bytes) => return bytes,
            Err(error) => {
                tracing::warn!(run, "the manifest cannot be fetched; tries again: {error}");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

async fn open_data(
    shared: Arc<Shared>,
    job: Arc<Job>,
    request: Request,
    open: Option<Box<Session>>,
) -> Event {
    let (run, decision) = (request.run.clone(), request.decision.clone());
    let opening = move || match open {
        Some(session) => Ok(session),
        None => verdict::open(&shared, &job, request.manifest),
    };
    let result = match tokio::task::spawn_blocking(opening).await {
        Ok(result) => result,
        Err(error) => Err(Misfit::new(UnfitCode::Unreadable, error.to_string())),
    };
    Event::Opened {
        run,
        decision,
        result,
    }
}

/// Posts a message that has no answer, for as long as it takes.
pub(super) async fn post_until_heard(
    shared: &Shared,
    target: &str,
    message: &impl prost::Message,
) -> Result<(), CallError> {
    let mut backoff = Backoff::new(shared.pace);
    loop {
        match shared.connection.post_message(target, message, CALL).await {
            Err(error) if error.is_passing() => tokio::time::sleep(backoff.next()).await,
            result => return result,
        }
    }
}

fn unfit(misfit: Misfit) -> Decision {
    Decision::Unfit {
        unfit: misfit.unfit,
        what: misfit.what,
        at_ms: now_ms(),
    }
}
