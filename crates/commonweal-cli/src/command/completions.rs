//! `commonweal completions`: a script that completes commands and flags in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commonweal completions bash > ~/.local/share/bash-completion/completions/commonweal
  commonweal completions zsh > \"${fpath[1]}/_commonweal\"
  commonweal completions fish > ~/.config/fish/completions/commonweal.fish")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// None today.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "commonweal",
            &mut script,
        );
        let script = String::from_utf8_lossy(&script).into_owned();
        if context.console.is_json() {
            let shell = self.shell.to_string();
            context
                .console
                .event("completions", &Script { shell, script });
        } else {
            context.console.raw(&script);
        }
        Ok(Exit::Success)
    }
}
