//! Instructions of the three hottest paths, counted by callgrind and held against `instruction_budgets.txt`: a slower path shows on a
//! noisy machine too.
//!
//! `cargo bench --bench instructions` counts and compares; `UPDATE=1` before it writes the budgets.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{env, fs};

use forescale::karpenter::scheduling::solve;

#[path = "support/parse.rs"]
mod parse;
#[path = "support/placement.rs"]
mod placement;
#[path = "support/provisioning.rs"]
mod provisioning;
#[path = "support/queue.rs"]
mod queue;

/// A name, and what sets the path up and measures it.
type Named = (&'static str, fn());

const PATHS: [Named; 3] = [
    ("messages_500000_mm10", messages),
    ("provisioning_1000_pods_20_shapes", provision),
    ("scheduler_700_pods_200_nodes", place),
];
const BUDGETS: &str = "benches/instruction_budgets.txt";
/// Part of the budget by which a count may differ from it.
const SLACK: f64 = 0.05;

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    if let Some((_, path)) = PATHS.iter().find(|(name, _)| *name == wanted) {
        path();
        return ExitCode::SUCCESS;
    }
    let counts = PATHS.map(|(name, _)| (name, count(name)));
    if env::var_os("UPDATE").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        fs::write(BUDGETS, lines).unwrap_or_else(|error| panic!("{BUDGETS}: {error}"));
    }
    let budgets = fs::read_to_string(BUDGETS).unwrap_or_else(|error| panic!("{BUDGETS}: {error}"));
    let within = counts.map(|(name, count)| print(name, count, budget(&budgets, name)));
    if within.iter().all(|within| *within) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The only function whose instructions, and those of what it calls, are counted.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    run();
}

fn messages() {
    const MESSAGES: u64 = 500_000;
    let scenario = queue::queue_of(10, MESSAGES, "");
    measured(&mut || queue::assert_about(&queue::run(&scenario), MESSAGES));
}

fn provision() {
    let catalogue = Arc::new(provisioning::whole_catalogue());
    provisioning::with_pending(&catalogue, 1000, 20, |input| {
        measured(&mut || assert!(!solve(input, &mut provisioning::ties()).claims.is_empty()));
    });
}

fn place() {
    let mut placement = placement::Placement::new(700, 200, false);
    measured(&mut || assert!(placement.place() > 600));
}

/// Instructions of a path in a process of its own.
fn count(name: &str) -> u64 {
    let program = env::current_exe().expect("this program");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=instructions::measured"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .args([program.as_os_str(), name.as_ref()])
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).and_then(|total| total.parse().ok());
    let total = total.unwrap_or_else(|| panic!("{} has no total", file.display()));
    assert!(total > 0, "nothing was counted: callgrind does not find the function `measured`");
    total
}

fn budget(budgets: &str, name: &str) -> u64 {
    let of_name = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    budgets.lines().find_map(of_name).unwrap_or_else(|| panic!("{BUDGETS} has no number for {name}"))
}

/// Prints a count beside its budget; whether it is within.
fn print(name: &str, count: u64, budget: u64) -> bool {
    let over = count as f64 / budget as f64 - 1.0;
    let verdict = if over > SLACK {
        "exceeded"
    } else if over < -SLACK {
        "met; lower it with UPDATE=1"
    } else {
        "met"
    };
    println!("instructions {name} {count} budget {budget} {:+.2} % {verdict}", 100.0 * over);
    over <= SLACK
}
