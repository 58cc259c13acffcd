//! Whether kube-scheduler could have put the pods where they were recorded, on the nodes that were recorded.
//!
//! When each node joined is not recorded: join orders are searched at random, so that one that is found proves the recording possible,
//! and none that is found proves nothing. Pods are tried in the order of their creation; each goes to a node of the highest score among
//! those that have joined, or waits if none is feasible. Of nodes with equal scores the recorded one is taken: the real draw is a coin
//! toss. Pods of one shape are interchangeable.

use std::collections::{BTreeMap, BTreeSet};

use forescale::engine::{Stream, Streams};
use forescale::scheduler::choose::Choice;
use serde_json::Value;

use super::case::{Case, State};
use super::kube_scheduler::KubeScheduler;

/// How many ways are tried.
const ATTEMPTS: u64 = 20_000;

/// How many pods of each shape are still to come to each node.
type Wanted = BTreeMap<(usize, usize), usize>;

/// Searches for a way in which everything goes as recorded.
///
/// # Errors
/// The attempt that came furthest.
pub fn check(case: &Case<'_>, before: &State, wave: &Value) -> Result<(), String> {
    let mut after = before.clone();
    after.adopt(case, wave);
    let start = Start::new(before, after);
    let mut furthest: Option<Wrong> = None;
    for attempt in 0..ATTEMPTS {
        let mut stream = Streams::new(attempt, 0).open("placement", 0);
        match Search::new(case, &start, &mut stream).run() {
            Ok(()) => return Ok(()),
            Err(wrong) if furthest.as_ref().is_none_or(|known| known.placed < wrong.placed) => furthest = Some(wrong),
            Err(_) => {}
        }
    }
    let wrong = furthest.expect("an attempt");
    Err(format!("    placement: {} pods as recorded, then {}\n", wrong.placed, wrong.text))
}

/// Where an attempt parts from the recording.
struct Wrong {
    placed: usize,
    text: String,
}

/// The beginning of a wave: all its nodes; pods on those that were there before.
struct Start {
    state: State,
    joining: BTreeSet<usize>,
    wanted: Wanted,
}

impl Start {
    fn new(before: &State, after: State) -> Self {
        let mut state = after;
        let mut wanted = Wanted::new();
        for (pod, old) in state.pods.iter_mut().zip(&before.pods) {
            if pod.unknown || old.node.is_some() {
                continue;
            }
            if let Some(node) = pod.node.take() {
                *wanted.entry((node, pod.shape)).or_default() += 1;
            }
        }
        let old: Vec<usize> = before.nodes.iter().filter_map(|node| node.recorded).collect();
        let joins = |node: &usize| !state.nodes[*node].recorded.is_some_and(|id| old.contains(&id));
        let joining = (0..state.nodes.len()).filter(joins).collect();
        Start { state, joining, wanted }
    }
}

struct Search<'s, 'c> {
    scheduler: KubeScheduler<'c>,
    state: State,
    /// Nodes that are not ready for pods; they may exist already, tainted.
    away: BTreeSet<usize>,
    wanted: Wanted,
    placed: usize,
    stream: &'s mut Stream,
}

impl<'s, 'c> Search<'s, 'c> {
    fn new(case: &'c Case<'c>, start: &Start, stream: &'s mut Stream) -> Self {
        let mut scheduler = KubeScheduler::of(case, &start.state, |node| !start.joining.contains(&node));
        if stream.chance(0.7) {
            start.joining.iter().for_each(|node| scheduler.announce(&start.state, *node));
        }
        Search {
            scheduler,
            state: start.state.clone(),
            away: start.joining.clone(),
            wanted: start.wanted.clone(),
            placed: 0,
            stream,
        }
    }

    fn run(mut self) -> Result<(), Wrong> {
        let pods = &self.state.pods;
        let mut queue: Vec<usize> =
            (0..pods.len()).filter(|pod| pods[*pod].node.is_none() && !pods[*pod].unknown).collect();
        let early = [0.0, 0.05, 0.3][self.stream.below(3)];
        loop {
            let before = self.placed;
            for pod in &queue {
                self.place(*pod, early)?;
            }
            queue.retain(|pod| self.state.pods[*pod].node.is_none());
            // A pod that was placed may wake one that must be spread.
            if self.placed > before && (self.away.is_empty() || self.stream.chance(0.3)) {
                continue;
            }
            let first = queue.iter().map(|pod| self.state.pods[*pod].shape).find(|shape| self.is_awaited(*shape));
            if !first.is_some_and(|shape| self.join_one_that_takes(shape)) {
                let Some(node) = self.draw(|_| true) else { break };
                self.join(node);
            }
        }
        match self.wanted.iter().find(|(_, count)| **count > 0) {
            None => Ok(()),
            Some(((node, shape), count)) => {
                let text = format!("{count} pods of shape {shape} fit nowhere, recorded on {}", self.describe(*node));
                Err(Wrong { placed: self.placed, text })
            }
        }
    }

    /// Tries a pod; nodes join before if it would go elsewhere otherwise, or by chance.
    fn place(&mut self, pod: usize, early: f64) -> Result<(), Wrong> {
        let shape = self.state.pods[pod].shape;
        loop {
            if self.stream.chance(early) && self.join_one_that_takes(shape) {
                continue;
            }
            if !self.scheduler.has_nodes() {
                return Ok(());
            }
            let Choice::Node(_) = self.scheduler.attempt(pod, shape, self.stream) else { return Ok(()) };
            let equals = self.scheduler.equals();
            let takes: Vec<usize> = equals.iter().copied().filter(|node| self.takes(*node, shape)).collect();
            if !takes.is_empty() {
                let node = takes[self.stream.below(takes.len())];
                self.wanted.entry((node, shape)).and_modify(|left| *left -= 1);
                self.state.pods[pod].node = Some(node);
                self.scheduler.put(pod, shape, node);
                self.placed += 1;
                return Ok(());
            }
            if !self.join_one_that_takes(shape) {
                return Err(self.wrong(pod, &equals));
            }
        }
    }

    fn takes(&self, node: usize, shape: usize) -> bool {
        self.wanted.get(&(node, shape)).is_some_and(|left| *left > 0)
    }

    fn is_awaited(&self, shape: usize) -> bool {
        self.away.iter().any(|node| self.takes(*node, shape))
    }

    fn join_one_that_takes(&mut self, shape: usize) -> bool {
        let wanted = self.wanted.clone();
        let node = self.draw(|node| wanted.get(&(node, shape)).is_some_and(|left| *left > 0));
        node.inspect(|node| self.join(*node)).is_some()
    }

    fn draw(&mut self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let some: Vec<usize> = self.away.iter().copied().filter(|node| fits(*node)).collect();
        (!some.is_empty()).then(|| some[self.stream.below(some.len())])
    }

    fn join(&mut self, node: usize) {
        self.away.remove(&node);
        self.scheduler.join(&self.state, node);
    }

    fn wrong(&self, pod: usize, equals: &[usize]) -> Wrong {
        let super::PodRecord { name, shape, .. } = &self.state.pods[pod];
        let best: Vec<String> = equals.iter().map(|node| self.describe(*node)).collect();
        let left = self.wanted.iter().filter(|((_, other), left)| other == shape && **left > 0);
        let left: Vec<String> = left.map(|((node, _), left)| format!("{left} on {}", self.describe(*node))).collect();
        Wrong { placed: self.placed, text: format!("{name} would go to {best:?}, recorded are {left:?}") }
    }

    fn describe(&self, node: usize) -> String {
        let record = &self.state.nodes[node];
        format!("n{} ({}/{})", record.recorded.unwrap_or_default(), record.pool, record.requests.cpu())
    }
}
