//! The researcher's side: submits jobs and asks where runs stand.

use std::sync::Arc;
use std::time::Duration;

use commonweal_wire::control::{self, ApiError, Explanation, RunInfo, RunState, Submission};
use tokio::time::{Instant, sleep};

use super::connection::{Answer, Dialer};
use super::error::{LoadError, broken};

/// Between two questions whether a run is over.
const PAUSE: Duration = Duration::from_millis(20);

/// A researcher with a key, who asks seldom: each question has a connection of its own.
pub(super) struct Control {
    dialer: Arc<Dialer>,
    key: String,
}

impl Control {
    pub(super) fn new(dialer: Arc<Dialer>, key: String) -> Self {
        Self { dialer, key }
    }

    /// Submits a job; the run's name.
    pub(super) async fn submit(&self, job: String) -> Result<String, LoadError> {
        let submission = Submission { job, initial: None };
        let body = serde_json::to_vec(&submission).unwrap_or_default();
        let answer = self.ask("POST", control::RUNS, &body).await?;
        Ok(read::<RunInfo>(&answer)?.id)
    }

    /// Waits until the run is over.
    ///
    /// # Errors
    /// [`LoadError::Run`] if it does not end by its last round, or not within `patience`.
    pub(super) async fn finished(&self, run: &str, patience: Duration) -> Result<(), LoadError> {
        let give_up = Instant::now() + patience;
        loop {
            let answer = self.ask("GET", &control::run(run), &[]).await?;
            let info: RunInfo = read(&answer)?;
            let is_late = Instant::now() > give_up;
            match info.state {
                RunState::Finished => return Ok(()),
                state if state.is_over() || is_late => {
                    let reason = info.reason.unwrap_or_else(|| format!("still {state:?}"));
                    let run = run.to_owned();
                    return Err(LoadError::Run { run, reason });
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Adds to a wait in vain what the server says of the run.
    pub(super) async fn explained<T>(
        &self,
        run: &str,
        waited: Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let mut error = match waited {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if let LoadError::Waited { explanation, .. } = &mut error
            && let Ok(answer) = self.ask("GET", &control::explain(run), &[]).await
        {
            *explanation = read::<Explanation>(&answer).ok().map(|found| found.summary);
        }
        Err(error)
    }

    async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, LoadError> {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            commonweal_wire::FEDERATION_NAME,
            self.key,
            body.len(),
        );
        let mut connection = self.dialer.dial().await.map_err(broken("the server"))?;
        let answer = connection.exchange(head, body).await;
        answer.map_err(broken("the server"))
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, LoadError> {
    let refused = |message| LoadError::Refused {
        status: answer.status,
        message,
    };
    if !(200..300).contains(&answer.status) {
        let error = serde_json::from_slice::<ApiError>(&answer.body);
        return Err(refused(error.map_or_else(
            |_| String::from_utf8_lossy(&answer.body).into_owned(),
            |error| error.message,
        )));
    }
    serde_json::from_slice(&answer.body).map_err(|error| refused(error.to_string()))
}
