//! `commonweal explain`: why a run on the server is waiting.

use clap::Args;
use commonweal_wire::control::Explanation;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::text_table::TextTable;

/// The arguments.
#[derive(Debug, Args)]
pub struct Explain {
    /// The run, such as digits-1
    pub run: String,
}

#[derive(Serialize)]
struct Explained<'a> {
    run: &'a str,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

impl Explain {
    /// Prints what the run waits for, and what each node does that it waits for.
    ///
    /// # Errors
    /// A run that does not exist; a server that cannot be reached.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let explanation = Remote::open()?.explain(&self.run)?;
        let console = &context.console;
        console.event(
            "explanation",
            &Explained {
                run: &self.run,
                explanation: &explanation,
            },
        );
        console.line(&explanation.summary);
        if !explanation.nodes.is_empty() {
            let mut table = TextTable::new(&["node", "status", ""]);
            for node in &explanation.nodes {
                table.row(vec![
                    node.node.clone(),
                    node.status.clone(),
                    node.text.clone(),
                ]);
            }
            console.line("");
            console.line(table);
        }
        Ok(Exit::Success)
    }
}
