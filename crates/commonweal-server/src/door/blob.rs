//! Blobs by digest: immutable, in ranges, read from disk piece by piece.
//!
//! Whoever knows a digest may have its blob: nodes are told the digests of what concerns them, and none can be guessed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use commonweal_core::Digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Frame;

use super::Door;
use super::asked::Asker;
use super::refused::Refused;
use crate::store::{BlobReader, StoreError};

/// `GET /v1/blobs/<digest>`.
pub(super) async fn blob(
    State(door): State<Arc<Door>>,
    digest: Result<Path<String>, PathRejection>,
    _asker: Asker,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Path(digest) = digest?;
    let digest: Digest = digest
        .parse()
        .map_err(|_| Refused::malformed("the path names no digest"))?;
    Ok(answer(&door, digest, &headers).await?)
}

/// The blob, or the range of it that `headers` ask for.
pub(super) async fn answer(
    door: &Door,
    digest: Digest,
    headers: &HeaderMap,
) -> Result<Response, StoreError> {
    let length = door.store.blobs().len(&digest).await?;
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let range = range.map(|text| read_range(text, length));
    let (status, from, to) = match range {
        None | Some(Range::Ignored) => (StatusCode::OK, 0, length),
        Some(Range::Of(from, to)) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(Range::Outside) => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let reader = door.store.blobs().reader(digest, from..to);
    let body = Pieces {
        next: Box::pin(next(reader)),
    };
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let immutable = HeaderValue::from_static("private, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, immutable);
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    let texts = [
        (header::ETAG, format!("\"{digest}\"")),
        (
            header::CONTENT_RANGE,
            match status {
                StatusCode::PARTIAL_CONTENT => format!("bytes {from}-{}/{length}", to - 1),
                _ => format!("bytes */{length}"),
            },
        ),
    ];
    for (name, text) in texts {
        if (name != header::CONTENT_RANGE || status != StatusCode::OK)
            && let Ok(value) = HeaderValue::from_str(&text)
        {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    /// From the first on, up to but without the second.
    Of(u64, u64),
    /// Nothing of the blob.
    Outside,
    /// Another unit, or several ranges: the whole is a right answer.
    Ignored,
}

fn read_range(text: &str, length: u64) -> Range {
    let Some((from, to)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::Ignored;
    };
    let (from, to) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(length)),
        (Ok(from), Err(_)) if to.is_empty() => (from, length),
        (Err(_), Ok(last)) if from.is_empty() => (length.saturating_sub(last), length),
        _ => return Range::Ignored,
    };
    match from < to {
        true => Range::Of(from, to),
        false => Range::Outside,
    }
}

type Next = Pin<Box<dyn Future<Output = (BlobReader, Result<Option<Bytes>, StoreError>)> + Send>>;

/// A blob as a body: one piece is in memory at a time.
struct Pieces {
    next: Next,
}

async fn next(mut reader: BlobReader) -> (BlobReader, Result<Option<Bytes>, StoreError>) {
    let piece = reader.next().await;
    (reader, piece)
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let (reader, piece) = ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(next(reader));
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        for (text, range) in [
            ("bytes=0-3", Range::Of(0, 4)),
            ("bytes=4-", Range::Of(4, 10)),
            ("bytes=4-99", Range::Of(4, 10)),
            ("bytes=-3", Range::Of(7, 10)),
            ("bytes=-99", Range::Of(0, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            (
                "bytes=18446744073709551615-18446744073709551615",
                Range::Outside,
            ),
            ("bytes=3-1", Range::Ignored),
            ("bytes=0-1,3-4", Range::Ignored),
            ("rows=1-2", Range::Ignored),
            ("bytes=x-y", Range::Ignored),
            ("bytes=-", Range::Ignored),
        ] {
            assert_eq!(read_range(text, 10), range, "{text}");
        }
    }
}
