//! Random scenarios, made whole from a seed: each runs twice, once with all laws checked, and must end, keep its messages and come out the
//! same to the last byte.
//!
//! `FORESCALE_SOAK=from..to` chooses the seeds (default `0..12`, with `--release` `0..1000`). A failure is printed as a scenario file, made as small as it
//! gets. What failed once stands in `tests/data/soak` and runs first. The program `soak` of `fuzz/` is this file, too. `FORESCALE_SOAK_SHOW=seed` prints a seed's scenario.
#![expect(clippy::disallowed_methods, reason = "a run that never ends is noticed by the wall clock")]

mod check;
mod generate;
mod shrink;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use check::Verdict;
use rayon::prelude::*;

/// Seconds after which a run counts as endless.
const ENDLESS: u64 = 120;
/// Most of the made scenarios that may be refused, a share.
const MOST_REFUSED: f64 = 0.02;

/// Refused scenarios whose errors are shown.
const MOST_SHOWN: u64 = 12;

/// What runs, and since when.
static RUNNING: Mutex<BTreeMap<u64, Instant>> = Mutex::new(BTreeMap::new());

fn main() -> ExitCode {
    if let Some(seed) = std::env::var("FORESCALE_SOAK_SHOW").ok().and_then(|text| text.parse().ok()) {
        println!("{}", generate::scenario(seed).join("\n"));
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(check::remember_panic));
    std::thread::spawn(watch);
    let mut failed = corpus();
    let (from, to) = range();
    let (refused, messages, pods) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures: Vec<u64> = (from..to)
        .into_par_iter()
        .filter(|&seed| match one(seed) {
            Verdict::Fine { sent, created } => {
                messages.fetch_add(sent, Ordering::Relaxed);
                pods.fetch_add(created, Ordering::Relaxed);
                false
            }
            Verdict::Refused(why) => {
                if refused.fetch_add(1, Ordering::Relaxed) < MOST_SHOWN {
                    let why: Vec<&str> = why.split("\n\n").filter(|part| part.starts_with("error")).collect();
                    println!("seed {seed} is refused: {}", why.join("\n"));
                }
                false
            }
            Verdict::Wrong(_) => true,
        })
        .collect();
    failed += failures.len();
    let refused = refused.into_inner();
    if refused as f64 > MOST_REFUSED * (to - from) as f64 {
        failed += 1;
    }
    println!("failing seeds: {failures:?}");
    println!(
        "soak: seeds {from}..{to}, {refused} refused, {} messages, {} pods; {failed} failed",
        messages.into_inner(),
        pods.into_inner()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64) -> Verdict {
    let parts = generate::scenario(seed);
    RUNNING.lock().expect("the list").insert(seed, Instant::now());
    let verdict = check::check(&parts.join("\n"));
    if let Verdict::Wrong(why) = &verdict {
        let small = shrink::shrink(parts, why);
        let again = check::check(&small);
        let why = if let Verdict::Wrong(why) = &again { why } else { why };
        println!("---- seed {seed}: {why}\n{small}\n----");
    }
    RUNNING.lock().expect("the list").remove(&seed);
    verdict
}

/// Runs what failed once; the number that fails.
fn corpus() -> usize {
    let mut failed = 0;
    let folder = std::path::Path::new("tests/data/soak");
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    for path in &paths {
        let text = std::fs::read_to_string(path).expect("a text");
        if let Verdict::Wrong(why) | Verdict::Refused(why) = check::check(&text) {
            println!("{}: {why}", path.display());
            failed += 1;
        }
    }
    println!("past failures: {} of {} fine", paths.len() - failed, paths.len());
    failed
}

fn range() -> (u64, u64) {
    let default = if cfg!(debug_assertions) { "0..12" } else { "0..1000" };
    let text = std::env::var("FORESCALE_SOAK").unwrap_or_else(|_| default.to_owned());
    let ends = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    ends.unwrap_or_else(|| panic!("FORESCALE_SOAK is `from..to`, not `{text}`"))
}

/// Ends the program when a run does not end.
fn watch() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(5));
        let running = RUNNING.lock().expect("the list");
        if let Some((seed, since)) = running.iter().find(|(_, since)| since.elapsed().as_secs() > ENDLESS) {
            println!("seed {seed} runs for {} s", since.elapsed().as_secs());
            std::process::exit(1);
        }
    }
}
