//! The `commonweal` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    commonweal_cli::main(std::env::args_os()).into()
}
