//! A server under load: a real `commonweal serve` over TLS, and scripted nodes that sign every request.
//!
//! The server is a process of its own and does all that it does for real nodes. The nodes share this process and train
//! nothing; what they take of the processors is told beside what the server takes.

mod bed;
mod connection;
mod control;
mod enrolment;
mod error;
mod figure;
mod fleet;
mod jobs;
mod journal;
mod node;
mod nodes;
mod overhead;
mod process;
mod report;
mod restart;
mod round;
mod script;
mod sink;
mod tls;
mod upload;
mod usage;

use std::path::PathBuf;

pub use error::LoadError;
pub use figure::{ServerFigure, Target};

use bed::Bed;

/// Which loads are put on a server, and how many nodes make each.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The program that serves.
    pub program: PathBuf,
    /// Nodes that wait, each with a connection and a parked poll.
    pub waiting: Option<usize>,
    /// Nodes of a round of small updates.
    pub round: Option<usize>,
    /// Nodes that send updates of 100 MB.
    pub upload: Option<usize>,
    /// Nodes of a server that is killed and starts again.
    pub restart: Option<usize>,
    /// Whether `up` is measured beside `simulate`.
    pub overhead: bool,
    /// The folder of the data sets.
    pub data: Option<PathBuf>,
}

/// What takes the figures as they come.
type Say<'a> = &'a mut dyn FnMut(ServerFigure);

impl Load {
    /// Puts each load on a fresh server, one after the other.
    ///
    /// # Errors
    /// [`LoadError`] of the first load that could not be measured.
    pub fn measure(&self, say: Say<'_>) -> Result<(), LoadError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(error::broken("the server"))?;
        runtime.block_on(async {
            let bed = |nodes| Bed::set(&self.program, nodes);
            if let Some(nodes) = self.waiting {
                nodes::measure(&bed(nodes).await?, say).await?;
            }
            if let Some(nodes) = self.round {
                round::measure(&bed(nodes).await?, say).await?;
            }
            if let Some(nodes) = self.upload {
                upload::measure(&bed(nodes).await?, say).await?;
            }
            if let Some(nodes) = self.restart {
                restart::measure(&mut bed(nodes).await?, say).await?;
            }
            Ok::<_, LoadError>(())
        })?;
        if self.overhead {
            overhead::measure(&self.program, self.data.as_deref(), say)?;
        }
        Ok(())
    }
}
