//! The command line: one file a subcommand. Exit codes: 0 fine, 1 objectives missed or warnings found (with `--strict`), 2 bad input,
//! 3 a law of the simulation broken (with `--check-invariants`).

mod catalog;
mod check;
mod compare;
mod explain;
mod load;
mod progress;
mod run;
mod sweep;

mod terminal;
mod tune;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::simulation::RunError;
use terminal::{ColorWhen, Terminal};

/// How a command ended, when it was not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All is well.
    Fine,
    /// An objective was missed, or `check --strict` found a warning.
    ObjectivesMissed,
    /// The input is bad; everything about it was said already.
    BadInput,
}

impl From<End> for ExitCode {
    fn from(end: End) -> ExitCode {
        match end {
            End::Fine => ExitCode::SUCCESS,
            End::ObjectivesMissed => ExitCode::from(1),
            End::BadInput => ExitCode::from(2),
        }
    }
}

/// Rehearse KEDA + Karpenter autoscaling before you pay for it.
#[derive(Debug, Parser)]
#[command(name = "forescale", version, propagate_version = true, max_term_width = 110)]
struct Arguments {
    /// When to color the output.
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, value_name = "WHEN")]
    color: ColorWhen,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: what happens, what it costs, and why
    Run(run::Arguments),
    /// Check a scenario and its manifests without running it
    Check(check::Arguments),
    /// Run every combination of the settings in [sweep]
    Sweep(sweep::Arguments),
    /// Find the best settings among those in [tune]
    Tune(tune::Arguments),
    /// Run several scenarios on the same arrivals and luck, and show the differences
    Compare(compare::Arguments),
    /// Show why things happened in a run: its decision log
    Explain(explain::Arguments),
    /// List EC2 instance types with prices and what pods may use of them
    Catalog(catalog::Arguments),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Runs the program with its arguments, the first of which is its own name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A broken pipe while printing help is no one's problem.
            let _ = error.print();
            return ExitCode::from(error.exit_code().clamp(0, 255) as u8);
        }
    };
    let terminal = Terminal::new(arguments.color);
    match dispatch(arguments.command, &terminal) {
        Ok(end) => end.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{} {error:#}", terminal.error_label());
            ExitCode::from(if is_broken_law(&error) { 3 } else { 2 })
        }
    }
}

fn dispatch(command: Command, terminal: &Terminal) -> anyhow::Result<End> {
    match command {
        Command::Run(arguments) => run::run(&arguments, terminal),
        Command::Check(arguments) => check::run(&arguments, terminal),
        Command::Sweep(arguments) => sweep::run(&arguments, terminal),
        Command::Tune(arguments) => tune::run(&arguments, terminal),
        Command::Compare(arguments) => compare::run(&arguments, terminal),
        Command::Explain(arguments) => explain::run(&arguments, terminal),
        Command::Catalog(arguments) => catalog::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "forescale", &mut script);
            io::stdout().write_all(&script)?;
            Ok(End::Fine)
        }
    }
}

/// The fault is not in the input, but ours.
fn is_broken_law(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(RunError::Broken(_))))
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_broken_law_is_told_from_bad_input() {
        let broken = || {
            let violations = crate::engine::law::Violations::default();
            let at = crate::time::Time::ZERO;
            RunError::Broken(Box::new(crate::simulation::Broken {
                seed: 1,
                replication: 0,
                at,
                events: (0, 0),
                violations,
            }))
        };
        let job = crate::study::plan::Job { point: 0, replication: 0 };
        assert!(is_broken_law(&broken().into()));
        assert!(is_broken_law(&crate::study::sweep::SweepError::Run { job, source: broken() }.into()));
        assert!(!is_broken_law(&anyhow::anyhow!("other")));
    }

    #[test]
    fn a_broken_pipe_is_found_below_other_errors() {
        let io = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::new(io).context("cannot print")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }
}
