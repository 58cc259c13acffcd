//! One scenario: whether it ends, keeps its messages, and comes out the same twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use forescale::report::{files, summary, tables, timeline};
use forescale::scenario::load::load_texts;
use forescale::scenario::{Options, Scenario};
use forescale::simulation;
use forescale::telemetry::Outcome;
use forescale::time::Time;

/// What came of a scenario.
pub enum Verdict {
    /// As it should.
    Fine {
        /// Messages that were sent.
        sent: u64,
        /// Pods that were created.
        created: u64,
    },
    /// The scenario is not valid.
    Refused(String),
    /// A law does not hold.
    Wrong(String),
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the message of a panic for the verdict.
pub fn remember_panic(info: &PanicHookInfo<'_>) {
    PANIC.with(|panic| *panic.borrow_mut() = info.to_string());
}

pub fn check(text: &str) -> Verdict {
    let texts = BTreeMap::from([("soak.toml".to_owned(), text.to_owned())]);
    let scenario = match catch_unwind(|| load_texts("soak.toml", texts, &Options::default())) {
        Ok(Ok(loaded)) => loaded.scenario,
        Ok(Err(invalid)) => return Verdict::Refused(invalid.to_string()),
        Err(_) => return Verdict::Wrong(panic_text()),
    };
    match catch_unwind(AssertUnwindSafe(|| twice(&scenario))) {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Wrong(panic_text()),
    }
}

fn panic_text() -> String {
    PANIC.with(|panic| panic.borrow().clone())
}

fn twice(scenario: &Scenario) -> Verdict {
    let run = |check_invariants| {
        let options = simulation::Options { check_invariants, ..simulation::Options::replication(0) };
        simulation::run(scenario, options)
    };
    let (first, second) = match (run(true), run(false)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(simulation::RunError::Broken(broken)), _) | (_, Err(simulation::RunError::Broken(broken))) => {
            return Verdict::Wrong(broken.to_string());
        }
        (Err(error), _) | (_, Err(error)) => return Verdict::Refused(error.to_string()),
    };
    let wrong = kept(scenario, &first).or_else(|| times(scenario, &first)).or_else(|| same(scenario, &first, &second));
    match wrong {
        Some(wrong) => Verdict::Wrong(wrong),
        None => Verdict::Fine {
            sent: first.queues.iter().map(|queue| queue.totals.sent).sum(),
            created: first.pods.len() as u64,
        },
    }
}

/// No message is lost, and none appears: every one that was sent was deleted, expired, was purged or sent again, or is left. Moves to
/// dead-letter queues cancel out. With second deliveries of deleted messages a copy that is left counts once more.
fn kept(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    let total = |of: fn(&forescale::telemetry::QueueTotals) -> u64| -> u64 {
        outcome.queues.iter().map(|queue| of(&queue.totals)).sum()
    };
    let sent = total(|totals| totals.sent);
    let gone = total(|totals| totals.processed + totals.retention_expired + totals.purged + totals.redriven);
    let left = total(|totals| totals.left);
    // A copy that came is delivered, is left, or went by itself; a copy of a copy may come as well.
    let copies = match scenario.queues.iter().all(|queue| queue.duplicates == Some(0.0)) {
        true => 0,
        false => left + total(|totals| totals.duplicates + totals.retention_expired + totals.purged),
    };
    if !(sent..=sent + copies).contains(&(gone + left)) {
        return Some(format!("messages are not kept: {sent} sent, {gone} gone, {left} left"));
    }
    let backlog: u64 = scenario.queues.iter().map(|queue| queue.backlog).sum();
    if sent < backlog {
        return Some(format!("messages are not kept: {sent} sent, {backlog} were there at the beginning"));
    }
    for queue in &outcome.queues {
        let totals = &queue.totals;
        if totals.processed > totals.received {
            return Some(format!("{} processed of {} received", totals.processed, totals.received));
        }
    }
    None
}

/// Every instant lies within the run, and the steps of pods and nodes in their order.
fn times(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    let limit = Time::ZERO + scenario.simulation.duration;
    if outcome.end > limit {
        return Some(format!("the run ends at {}, after {limit}", outcome.end));
    }
    let in_order = |steps: &[Option<Time>]| {
        let steps: Vec<Time> = steps.iter().flatten().copied().collect();
        steps.is_sorted() && steps.last().is_none_or(|last| *last <= outcome.end)
    };
    for (index, pod) in outcome.pods.iter().enumerate() {
        if !in_order(&[Some(pod.created), pod.scheduled, pod.started, pod.ready, pod.ended])
            || !in_order(&[Some(pod.created), pod.stopping, pod.ended])
        {
            return Some(format!("steps of pod {index} are out of order: {pod:?}"));
        }
    }
    for node in &outcome.nodes {
        if !in_order(&[Some(node.claimed), node.registered, node.ready, node.removed])
            || !in_order(&[Some(node.claimed), node.launched, node.terminated])
        {
            return Some(format!("steps of a node are out of order: {:?}", node.info));
        }
        if node.bill.is_some() && node.launched.is_none() {
            return Some(format!("a node that never ran is billed: {:?}", node.info));
        }
    }
    if !outcome.decisions.is_sorted_by_key(|decision| decision.at) {
        return Some("decisions are out of order".to_owned());
    }
    None
}

/// Both outcomes, byte for byte.
fn same(scenario: &Scenario, first: &Outcome, second: &Outcome) -> Option<String> {
    let (first, second) = (written(scenario, first), written(scenario, second));
    let differing = first.iter().zip(&second).find(|(a, b)| a != b)?;
    let lines = differing.0.lines().zip(differing.1.lines()).find(|(a, b)| a != b);
    Some(format!("two runs differ: {lines:?}"))
}

fn written(scenario: &Scenario, outcome: &Outcome) -> [String; 5] {
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let fine = "a CSV file in memory";
    [
        files::json(&summary::summarize(outcome, &scenario.objectives)),
        text(&|out| timeline::write(outcome, out).expect(fine)),
        text(&|out| tables::write_decisions(outcome, out).expect(fine)),
        text(&|out| tables::write_nodes(outcome, out).expect(fine)),
        text(&|out| tables::write_pods(outcome, out).expect(fine)),
    ]
}
