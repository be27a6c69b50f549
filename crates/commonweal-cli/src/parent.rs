//! A process that `commonweal up` started, and the one that started it: standard input is the pipe between them.

use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use crate::exit::Exit;

/// How long this process may take to finish what it has in hand once its parent is gone.
const GRACE: Duration = Duration::from_secs(2);

/// Ends this process as SIGTERM does, once standard input says no more: the other end of the pipe is closed when the
/// parent wants it, and when the parent is no more, however it ended.
pub(crate) fn end_with_it() {
    thread::spawn(|| {
        let mut rest = [0; 256];
        while matches!(io::stdin().read(&mut rest), Ok(read) if read > 0) {}
        // A process that SIGTERM does not end, ends a moment later.
        let _ = raise(SIGTERM);
        thread::sleep(GRACE);
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
}
