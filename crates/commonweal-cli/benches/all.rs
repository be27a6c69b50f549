//! `cargo bench`: the benchmarks of `commonweal bench`; an argument chooses some by their names.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let chosen = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let arguments = [
        "commonweal",
        "bench",
        "--program",
        env!("CARGO_BIN_EXE_commonweal"),
    ]
    .into_iter()
    .map(OsString::from)
    .chain(chosen);
    commonweal_cli::main(arguments).into()
}
