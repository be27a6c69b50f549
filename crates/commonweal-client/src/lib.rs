//! A federation's node: consent, training, and nothing leaves but what passed the pipeline.

mod document;
mod folder;
mod hours;
mod settings;

pub use document::DocumentError;
pub use folder::{DEFAULT_FOLDER, FolderError, FolderLock, NodeFolder};
pub use hours::{Hours, HoursError};
pub use settings::{Accept, DataFiles, DataPlace, Settings, SettingsError};
