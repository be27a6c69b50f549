//! Reports on their way in: judged before their body is read, staged whole, then given to their run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use commonweal_core::Step;
use commonweal_wire::{RefusalCode, proto};
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::Door;
use super::asked::Asker;
use super::node::{Answer, read_task};
use super::refused::Refused;
use crate::exchange::{ReportKey, Upload, UploadError};

/// Time without a byte after which a connection counts as broken.
const STALL: Duration = Duration::from_secs(30);

/// Which part of a report the body is.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct PartQuery {
    offset: u64,
    length: u64,
}

/// Run, task and step. A path of another form is refused like anything else.
type ReportPath = Result<Path<(String, String, u8)>, PathRejection>;

/// `GET`: what is here of the report, and whether it is counted.
pub(super) async fn state(
    State(door): State<Arc<Door>>,
    path: ReportPath,
    asker: Asker,
) -> Result<Answer<proto::ReportState>, Refused> {
    let Path((run, task, step)) = path?;
    let key = key(run, &task, step, &asker)?;
    let reported = door.runs.reported(&key.node, &key.run, key.task).await?;
    Ok(Answer(proto::ReportState {
        accumulator: reported.accumulator,
        offset: door.uploads.settled(&key).await,
        counted: reported.is_counted,
    }))
}

/// `PUT`: the bytes of a report from an offset on. Answered once the report is folded.
pub(super) async fn receive(
    State(door): State<Arc<Door>>,
    path: ReportPath,
    part: Result<Query<PartQuery>, QueryRejection>,
    asker: Asker,
    body: Body,
) -> Result<Answer<proto::ReportAnswer>, Refused> {
    let Path((run, task, step)) = path?;
    let Query(part) = part?;
    let key = key(run, &task, step, &asker)?;
    let expected = door
        .runs
        .expects(&key.node, &key.run, key.task, key.step)
        .await;
    let expected = expected.inspect_err(|_| door.uploads.forget(&key))?;
    if part.length > expected.longest {
        return Err(Refused::new(
            RefusalCode::TooLarge,
            format!(
                "the report has {} bytes; one of this task has at most {}",
                part.length, expected.longest
            ),
        ));
    }
    let began = Instant::now();
    let slot = door.uploads.slot(key.clone(), part.length, asker.digest);
    let mut upload = slot.await?;
    door.metrics.slot_wait.note(began.elapsed());
    if upload.offset() != part.offset {
        return Err(Refused {
            offset: upload.offset(),
            ..Refused::new(
                RefusalCode::Offset,
                format!(
                    "the server holds {} bytes of this report: go on there",
                    upload.offset()
                ),
            )
        });
    }
    let began = Instant::now();
    fill(&mut upload, body).await?;
    let accumulator = fold(&door, key, upload).await?;
    door.metrics.report_time.note(began.elapsed());
    door.metrics.reports.add(1);
    Ok(Answer(proto::ReportAnswer { accumulator }))
}

fn key(run: String, task: &str, step: u8, asker: &Asker) -> Result<ReportKey, Refused> {
    Ok(ReportKey {
        run,
        task: read_task(task)?,
        step: Step(step),
        node: asker.node.clone(),
    })
}

/// Reads the body into its slot, as long as it has one.
async fn fill(upload: &mut Upload, mut body: Body) -> Result<(), Refused> {
    loop {
        let frame = tokio::select! {
            biased;
            loss = upload.lost() => return Err(UploadError::Lost(loss).into()),
            frame = tokio::time::timeout(STALL, body.frame()) => frame,
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    upload.write(&bytes)?;
                }
            }
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) | Err(_) => {
                return Err(Refused {
                    offset: upload.offset(),
                    ..Refused::new(
                        RefusalCode::Offset,
                        "the report broke off: go on where it did",
                    )
                });
            }
        }
    }
}

/// Gives the report to its run. Goes on if the node is gone meanwhile, so that memory is given back when, and only
/// when, the report is folded.
async fn fold(door: &Arc<Door>, key: ReportKey, upload: Upload) -> Result<String, Refused> {
    let (payload, held) = upload.finish()?;
    let door = Arc::clone(door);
    let folded = tokio::spawn(async move {
        let ReportKey {
            run,
            task,
            step,
            node,
        } = key;
        let folded = door.runs.report(&node, &run, task, step, payload).await;
        drop(held);
        folded
    });
    let Ok(folded) = folded.await else {
        return Err(Refused::new(
            RefusalCode::Unavailable,
            "the server failed: try again later",
        ));
    };
    Ok(folded?)
}
