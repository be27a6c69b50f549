//! Commits: what a run goes on from, and who is counted in it, written together or not at all.

use commonweal_core::{ClientName, Digest, TaskId};
use commonweal_wire::control::RunState;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row as _, Sqlite, Transaction};

use super::database::{AT_ONCE, Database};
use super::row::{Word, maybe_digest, name, number, word, wrong};
use super::run::set_state;
use super::{Note, Store, StoreError, event, file};

/// A closed sum, committed or abandoned, and where the run stands after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The task that was closed.
    pub task: TaskId,
    /// Version of the model after it.
    pub version: u64,
    /// The blob that the run goes on from; none before there is a model.
    pub snapshot: Option<Digest>,
    /// The blob of the model's values, if it changed.
    pub model: Option<Digest>,
    /// Who is counted in the sum; nobody if it was abandoned.
    pub counted: Vec<ClientName>,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
}

/// What is written together with a commit.
#[derive(Debug, Clone, Copy)]
pub struct Along<'a> {
    /// The run's state after it.
    pub state: RunState,
    /// What `prepare` found, by digest, where that was the task.
    pub prepared: Option<Digest>,
    /// The round's line of the history, as JSON. A later one of the same round takes an earlier one's place.
    pub history: Option<&'a serde_json::Value>,
    /// Files that the run has from now on.
    pub files: &'a [(&'a str, Digest)],
    /// What those who watch are told.
    pub events: &'a [serde_json::Value],
}

/// The commits of a store.
pub struct Commits<'a>(pub(super) &'a Store);

impl Commits<'_> {
    /// Writes a commit and all that goes along, in one transaction. The blobs must be there already.
    ///
    /// # Errors
    /// [`StoreError::Committed`] if the task was committed before; nothing is then written.
    pub async fn add(
        &self,
        run: &str,
        commit: &Commit,
        along: Along<'_>,
    ) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = &self.0.database;
        let written = async {
            let mut write = sqlite.write().await?;
            insert(&mut write, run, commit).await?;
            set_state(&mut write, run, along.state, None, None).await?;
            advance(&mut write, run, commit, along).await?;
            write.commit().await
        };
        written
            .await
            .map_err(|error| self.refused(run, commit, error))?;
        let named = along.files.iter().map(|(_, digest)| digest);
        for digest in named.chain(&commit.snapshot).chain(&commit.model) {
            self.0.blobs.claim(digest);
        }
        Ok(())
    }

    /// A run's last commit that has a snapshot: what a server goes on from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last(&self, run: &str) -> Result<Option<Commit>, StoreError> {
        let sql = "SELECT * FROM commits WHERE run = $1 AND snapshot IS NOT NULL ORDER BY number DESC LIMIT 1";
        let mut found = self.read(run, sql).await?;
        Ok(found.pop())
    }

    /// A run's commits, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, run: &str) -> Result<Vec<Commit>, StoreError> {
        let sql = "SELECT * FROM commits WHERE run = $1 ORDER BY number";
        self.read(run, sql).await
    }

    /// The last commit of each stage of a run: what a node that was away may not have heard of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_of_stages(&self, run: &str) -> Result<Vec<Commit>, StoreError> {
        let sql = "SELECT * FROM commits WHERE number IN
                   (SELECT MAX(number) FROM commits WHERE run = $1 GROUP BY stage) ORDER BY number";
        self.read(run, sql).await
    }

    /// Whether a node is counted in the sum of a task.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts(
        &self,
        run: &str,
        task: TaskId,
        node: &ClientName,
    ) -> Result<bool, StoreError> {
        let Database::Sqlite(sqlite) = &self.0.database;
        let found: sqlx::Result<Option<i64>> = sqlx::query_scalar(
            "SELECT commits.number FROM commits JOIN counted ON counted.number = commits.number
             WHERE run = $1 AND round = $2 AND stage = $3 AND attempt = $4 AND node = $5",
        )
        .bind(run)
        .bind(task.round.cast_signed())
        .bind(task.stage.word())
        .bind(i64::from(task.attempt))
        .bind(node.to_string())
        .fetch_optional(&sqlite.readers)
        .await;
        Ok(self.0.database.told(found)?.is_some())
    }

    /// The lines of a run's history, by round.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, run: &str) -> Result<Vec<serde_json::Value>, StoreError> {
        let Database::Sqlite(sqlite) = &self.0.database;
        let read = async {
            let rows = sqlx::query("SELECT entry FROM history WHERE run = $1 ORDER BY round")
                .bind(run)
                .fetch_all(&sqlite.readers)
                .await?;
            rows.iter().map(entry).collect()
        };
        self.0.database.told(read.await)
    }

    fn refused(&self, run: &str, commit: &Commit, error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::Database(error) if error.is_unique_violation() => StoreError::Committed {
                run: run.to_owned(),
                task: commit.task.to_string(),
            },
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
                super::run::missing(run)
            }
            error => self.0.database.blame(error),
        }
    }

    async fn read(&self, run: &str, sql: &'static str) -> Result<Vec<Commit>, StoreError> {
        let Database::Sqlite(sqlite) = &self.0.database;
        let read = async {
            // One transaction: the rows and who is counted in them are of one moment.
            let mut read = sqlite.readers.begin().await?;
            let rows = sqlx::query(sql).bind(run).fetch_all(&mut *read).await?;
            let mut commits = Vec::with_capacity(rows.len());
            for row in &rows {
                let mut commit = Commit::from_row(row)?;
                commit.counted = counted(&mut read, row.try_get("number")?).await?;
                commits.push(commit);
            }
            Ok(commits)
        };
        self.0.database.told(read.await)
    }
}

async fn insert(
    write: &mut Transaction<'static, Sqlite>,
    run: &str,
    commit: &Commit,
) -> sqlx::Result<()> {
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO commits (run, round, stage, attempt, version, snapshot, model, at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number",
    )
    .bind(run)
    .bind(commit.task.round.cast_signed())
    .bind(commit.task.stage.word())
    .bind(i64::from(commit.task.attempt))
    .bind(commit.version.cast_signed())
    .bind(commit.snapshot.as_ref().map(|it| it.as_bytes().to_vec()))
    .bind(commit.model.as_ref().map(|it| it.as_bytes().to_vec()))
    .bind(commit.at_ms.cast_signed())
    .fetch_one(&mut **write)
    .await?;
    for nodes in commit.counted.chunks(AT_ONCE) {
        let mut query = QueryBuilder::new("INSERT INTO counted (number, node) ");
        query.push_values(nodes, |mut row, node| {
            row.push_bind(number).push_bind(node.to_string());
        });
        query
            .build()
            .persistent(false)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

async fn advance(
    write: &mut Transaction<'static, Sqlite>,
    run: &str,
    commit: &Commit,
    along: Along<'_>,
) -> sqlx::Result<()> {
    if let Some(prepared) = along.prepared {
        sqlx::query("UPDATE runs SET prepared = $1 WHERE id = $2")
            .bind(&prepared.as_bytes()[..])
            .bind(run)
            .execute(&mut **write)
            .await?;
    }
    if let Some(entry) = along.history {
        sqlx::query(
            "INSERT INTO history (run, round, entry) VALUES ($1, $2, $3)
             ON CONFLICT (run, round) DO UPDATE SET entry = $3",
        )
        .bind(run)
        .bind(commit.task.round.cast_signed())
        .bind(entry.to_string())
        .execute(&mut **write)
        .await?;
    }
    for (name, digest) in along.files {
        file::set(write, run, name, digest).await?;
    }
    let note = Note {
        at_ms: commit.at_ms,
        events: along.events,
    };
    event::append(write, run, note).await.map(drop)
}

async fn counted(
    read: &mut Transaction<'static, Sqlite>,
    number: i64,
) -> sqlx::Result<Vec<ClientName>> {
    let rows = sqlx::query("SELECT node FROM counted WHERE number = $1 ORDER BY node")
        .bind(number)
        .fetch_all(&mut **read)
        .await?;
    rows.iter().map(|row| name(row, "node")).collect()
}

fn entry(row: &SqliteRow) -> sqlx::Result<serde_json::Value> {
    let text: &str = row.try_get("entry")?;
    serde_json::from_str(text).map_err(|error| wrong("entry", error))
}

impl FromRow<'_, SqliteRow> for Commit {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let task = TaskId {
            round: number(row, "round")?,
            stage: word(row, "stage")?,
            attempt: row.try_get("attempt")?,
        };
        Ok(Self {
            task,
            version: number(row, "version")?,
            snapshot: maybe_digest(row, "snapshot")?,
            model: maybe_digest(row, "model")?,
            counted: Vec::new(),
            at_ms: number(row, "at_ms")?,
        })
    }
}
