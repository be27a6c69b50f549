//! Runs: jobs that were submitted, and where they stand.

use commonweal_core::{ClientName, Digest};
use commonweal_wire::control::RunState;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row, Sqlite, Transaction};

use super::database::{AT_ONCE, Database};
use super::row::{Word, digest, maybe_digest, maybe_number, name, number, word};
use super::{StoreError, event};

/// A job as it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The job's name, from which the run's id is made.
    pub job_name: String,
    /// The job file.
    pub job: String,
    /// Digest of its manifest, which is a blob.
    pub manifest: Digest,
    /// Name of the key that submitted it.
    pub submitter: String,
    /// Milliseconds since 1970, UTC.
    pub submitted_at_ms: u64,
    /// Blobs by name, as `manifest.json`: see [`Files`](super::Files).
    pub files: Vec<(String, Digest)>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `digits-3`: the job's name, and which run of that name it is, from 1.
    pub id: String,
    /// The job's name.
    pub job_name: String,
    /// The job file.
    pub job: String,
    /// Digest of its manifest, which is a blob.
    pub manifest: Digest,
    /// Name of the key that submitted it.
    pub submitter: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it ended, where that is not plain.
    pub reason: Option<String>,
    /// Canonical JSON of the data's schema, once it is known who takes part.
    pub schema: Option<String>,
    /// Digest of what `prepare` found: a commit of its own.
    pub prepared: Option<Digest>,
    /// Milliseconds since 1970, UTC.
    pub submitted_at_ms: u64,
    /// Milliseconds since 1970, UTC.
    pub ended_at_ms: Option<u64>,
}

/// What is told to those who watch, together with a change.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// What happened, as JSON; may be nothing.
    pub events: &'a [serde_json::Value],
}

/// The runs of a store.
pub struct Runs<'a>(pub(super) &'a Database);

impl Runs<'_> {
    /// Adds a run that waits, and names it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn submit(&self, run: &NewRun) -> Result<Run, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            let run = insert(&mut write, run).await?;
            write.commit().await?;
            Ok(run)
        };
        self.0.told(written.await)
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<Run>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM runs ORDER BY submitted_at_ms DESC, number DESC, id")
            .fetch_all(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// Those that are not over, the oldest first: what a server goes on with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished(&self) -> Result<Vec<Run>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as(
            "SELECT * FROM runs WHERE state IN ('waiting', 'preparing', 'running')
             ORDER BY submitted_at_ms, number, id",
        )
        .fetch_all(&sqlite.readers)
        .await
        .map_err(|error| self.0.blame(error))
    }

    /// The run of an id.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn find(&self, id: &str) -> Result<Run, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let found = sqlx::query_as("SELECT * FROM runs WHERE id = $1")
            .bind(id)
            .fetch_optional(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))?;
        found.ok_or_else(|| missing(id))
    }

    /// Fixes who takes part, the schema of their data, and the state that follows. Once fixed, they stay as they are.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without such a run.
    pub async fn fix_members(
        &self,
        id: &str,
        members: &[ClientName],
        schema: &str,
        state: RunState,
        note: Note<'_>,
    ) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            for members in members.chunks(AT_ONCE) {
                let mut query = QueryBuilder::new("INSERT INTO members (run, node) ");
                query.push_values(members, |mut row, member| {
                    row.push_bind(id).push_bind(member.to_string());
                });
                query.build().persistent(false).execute(&mut *write).await?;
            }
            sqlx::query("UPDATE runs SET schema = $1 WHERE id = $2")
                .bind(schema)
                .bind(id)
                .execute(&mut *write)
                .await?;
            let is_known = set_state(&mut write, id, state, None, None).await?;
            event::append(&mut write, id, note).await?;
            write.commit().await?;
            Ok(is_known)
        };
        self.known(id, written.await)
    }

    /// Who takes part, in the order of a [`Population`](commonweal_core::Population); empty until it is fixed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members(&self, id: &str) -> Result<Vec<ClientName>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let read = async {
            let rows = sqlx::query("SELECT node FROM members WHERE run = $1 ORDER BY node")
                .bind(id)
                .fetch_all(&sqlite.readers)
                .await?;
            rows.iter().map(|row| name(row, "node")).collect()
        };
        self.0.told(read.await)
    }

    /// Moves a run to another state: an end with its reason and time, or back from there.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without such a run.
    pub async fn set_state(
        &self,
        id: &str,
        state: RunState,
        reason: Option<&str>,
        note: Note<'_>,
    ) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let ended_at_ms = state.is_over().then_some(note.at_ms);
        let written = async {
            let mut write = sqlite.write().await?;
            let is_known = set_state(&mut write, id, state, reason, ended_at_ms).await?;
            event::append(&mut write, id, note).await?;
            write.commit().await?;
            Ok(is_known)
        };
        self.known(id, written.await)
    }

    fn known(&self, id: &str, written: sqlx::Result<bool>) -> Result<(), StoreError> {
        match written.map_err(|error| self.0.blame(error))? {
            true => Ok(()),
            false => Err(missing(id)),
        }
    }
}

pub(super) fn missing(id: &str) -> StoreError {
    StoreError::Missing {
        noun: "run",
        name: id.to_owned(),
    }
}

/// Whether there is such a run.
pub(super) async fn set_state(
    write: &mut Transaction<'static, Sqlite>,
    id: &str,
    state: RunState,
    reason: Option<&str>,
    ended_at_ms: Option<u64>,
) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE runs SET state = $1, reason = $2, ended_at_ms = $3 WHERE id = $4")
            .bind(state.word())
            .bind(reason)
            .bind(ended_at_ms.map(u64::cast_signed))
            .bind(id)
            .execute(&mut **write)
            .await?;
    Ok(done.rows_affected() > 0)
}

async fn insert(write: &mut Transaction<'static, Sqlite>, new: &NewRun) -> sqlx::Result<Run> {
    let number: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) + 1 FROM runs WHERE job_name = $1")
            .bind(&new.job_name)
            .fetch_one(&mut **write)
            .await?;
    let run: Run = sqlx::query_as(
        "INSERT INTO runs (id, job_name, number, job, manifest, submitter, state, submitted_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
    )
    .bind(format!("{}-{number}", new.job_name))
    .bind(&new.job_name)
    .bind(number)
    .bind(&new.job)
    .bind(&new.manifest.as_bytes()[..])
    .bind(&new.submitter)
    .bind(RunState::Waiting.word())
    .bind(new.submitted_at_ms.cast_signed())
    .fetch_one(&mut **write)
    .await?;
    for (name, digest) in &new.files {
        super::file::set(write, &run.id, name, digest).await?;
    }
    Ok(run)
}

impl FromRow<'_, SqliteRow> for Run {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            job_name: row.try_get("job_name")?,
            job: row.try_get("job")?,
            manifest: digest(row, "manifest")?,
            submitter: row.try_get("submitter")?,
            state: word(row, "state")?,
            reason: row.try_get("reason")?,
            schema: row.try_get("schema")?,
            prepared: maybe_digest(row, "prepared")?,
            submitted_at_ms: number(row, "submitted_at_ms")?,
            ended_at_ms: maybe_number(row, "ended_at_ms")?,
        })
    }
}
