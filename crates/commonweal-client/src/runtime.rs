//! The one thread that waits for the network.

/// The operating system gives no way to wait for the network.
#[derive(Debug, thiserror::Error)]
#[error("cannot wait for the network: {0}")]
pub struct RuntimeError(std::io::Error);

/// A runtime on the calling thread; work that computes or reads files goes to threads of its own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, RuntimeError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RuntimeError)
}
