//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    forescale::cli::main(std::env::args_os())
}
