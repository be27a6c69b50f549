//! What every command gets: the global flags and the console.

use std::path::PathBuf;

use crate::arguments::Global;
use crate::console::Console;

/// Environment variable that names the folder of the data sets.
pub const DATA_VARIABLE: &str = "COMMONWEAL_DATA";

/// The global flags and where words go.
#[derive(Debug)]
pub struct Context {
    /// The flags.
    pub global: Global,
    /// The streams.
    pub console: Console,
}

impl Context {
    /// A console as the flags ask for it.
    #[must_use]
    pub fn new(global: Global) -> Self {
        let console = Console::new(global.json, global.quiet);
        Self { global, console }
    }

    /// The folder of the data sets: `--data-dir`, else `COMMONWEAL_DATA`, else none.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.global.data_dir.clone().or_else(|| {
            std::env::var_os(DATA_VARIABLE)
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from)
        })
    }
}
