//! The signals by which an operating system ends a process.

/// Ends at the next SIGTERM or SIGINT.
#[cfg(unix)]
pub(crate) async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let (term, int) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut term), Ok(mut int)) = (term, int) else {
        tracing::warn!("signals cannot be heard: end the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Ends when the user wants the process to end.
#[cfg(not(unix))]
pub(crate) async fn next_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
