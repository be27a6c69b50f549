//! What an SQLite file tells when it cannot be used: which file, and what to do.

use std::path::Path;

use commonweal_server::store::{DATABASE, ServerLock, Store, StoreError};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr};

async fn refusal(folder: &Path) -> String {
    match Store::open(folder).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

async fn execute(folder: &Path, sql: impl SqlSafeStr) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.join(DATABASE))
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    std::fs::write(
        &path,
        "no database at all, and long enough to look at".repeat(100),
    )
    .unwrap();
    let error = refusal(folder.path()).await;
    assert!(
        error.starts_with(&format!("{} is damaged", path.display())),
        "{error}"
    );
    assert!(error.contains("commonweal server restore"), "{error}");
}

#[tokio::test]
async fn a_database_whose_pages_are_overwritten_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).await.unwrap().close().await;
    let path = folder.path().join(DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = refusal(folder.path()).await;
    assert!(
        error.starts_with(&format!("{} is damaged", path.display())),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    execute(folder.path(), "CREATE TABLE recipes (name TEXT)").await;
    let before = std::fs::read(folder.path().join(DATABASE)).unwrap();
    let error = refusal(folder.path()).await;
    assert!(
        error.contains("is a database of another program"),
        "{error}"
    );
    let after = std::fs::read(folder.path().join(DATABASE)).unwrap();
    // Bytes 18 and 19 say that it was opened for writing ahead.
    assert_eq!(before[20..24], after[20..24]);
    assert_eq!(before.len(), after.len());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).await.unwrap().close().await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'later', TRUE, x'00', 0)";
    execute(folder.path(), newer).await;
    let error = refusal(folder.path()).await;
    assert!(
        error.contains("its migration 99, this version knows 1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(&file.join("data")).await;
    assert!(error.contains("file/data"), "{error}");
    std::fs::create_dir(folder.path().join(DATABASE)).unwrap();
    let error = refusal(folder.path()).await;
    assert!(error.contains("cannot be opened"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_data_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Store::open(&data).await.unwrap();
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_blob_whose_bytes_have_changed_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let digest = store.blobs().put("model".into()).await.unwrap();
    let path = folder
        .path()
        .join("blobs")
        .join(&digest.to_string()["sha256:".len()..]);
    std::fs::write(&path, "madel").unwrap();
    let error = store.blobs().fetch(&digest).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { path: named, .. } if *named == path));
}

#[test]
fn a_data_directory_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let lock = ServerLock::take(folder.path()).unwrap();
    let second = ServerLock::take(folder.path());
    assert!(matches!(second, Err(StoreError::Served { .. })));
    drop(lock);
    ServerLock::take(folder.path()).unwrap();
}
