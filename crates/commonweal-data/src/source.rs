//! Data as they were read, before all clients have agreed on means, levels and classes.

use crate::table::Table;
use crate::{Dataset, Roster};

/// What a reader returns. Row numbers stay the same in the data set that `prepare` makes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Images, windows or text: already numbers, though not yet scaled.
    Numbers(Dataset),
    /// Columns of which some have levels.
    Table(Table),
}

impl Source {
    /// What is known of each row.
    pub fn roster(&self) -> &Roster {
        match self {
            Self::Numbers(dataset) => dataset.roster(),
            Self::Table(table) => table.roster(),
        }
    }
}

impl From<Dataset> for Source {
    fn from(dataset: Dataset) -> Self {
        Self::Numbers(dataset)
    }
}

impl From<Table> for Source {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}
