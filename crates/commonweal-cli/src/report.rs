//! `report.html`: one self-contained page that shows what a run did, without a script, a font or an image from elsewhere.

mod charts;
mod page;

use commonweal_disk::client_table::ClientRow;
use commonweal_disk::history::RoundRow;
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::Summary;

pub use charts::{comparison, partition_picture};

/// What a report is made of: the records of a finished run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the run folder.
    pub run: String,
    /// The result.
    pub summary: Summary,
    /// The job file as it was run.
    pub job: String,
    /// The rounds of each seed, in the summary's order.
    pub histories: Vec<Vec<RoundRow>>,
    /// Clients at the end of the first seed.
    pub clients: Vec<ClientRow>,
    /// Who held what; none where the data has neither classes nor clients to show.
    pub partition: Option<PartitionTable>,
}

impl Report {
    /// The page as HTML text.
    #[must_use]
    pub fn html(&self) -> String {
        page::html(self)
    }
}

#[cfg(test)]
mod tests;
