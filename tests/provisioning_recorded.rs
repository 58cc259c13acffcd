//! Replays recorded batches of pods (`tests/data/recorded/provisioning.jsonl`) against the scheduler and compares the NodeClaims, the
//! pods that stay pending, and where kube-scheduler then put the others. `FORESCALE_PROVISIONING_RECORDED` names another file.
//!
//! What the real program leaves to chance is tried in many ways: domains of equal load, zones of equal price, and the order of pods
//! of different shapes with equal requests (their UIDs are random). A case is matched when one outcome is the recorded one.

use std::process::ExitCode;
use std::sync::Arc;

use forescale::cluster::catalogue::Catalogue;
use forescale::ec2::kwok;
use forescale::engine::{Stream, Streams};
use serde_json::Value;

#[path = "provisioning_recorded/case.rs"]
mod case;
#[path = "support/json.rs"]
mod json;
#[path = "provisioning_recorded/kube_scheduler.rs"]
mod kube_scheduler;
#[path = "provisioning_recorded/outcome.rs"]
mod outcome;
#[path = "provisioning_recorded/placement.rs"]
mod placement;
#[path = "provisioning_recorded/provisioner.rs"]
mod provisioner;
#[path = "support/scheduling.rs"]
mod scheduling;

use case::{Case, PodRecord, State, pool_of, shape_of};
use kube_scheduler::KubeScheduler;
use outcome::Outcome;
use provisioner::{launch, node_name, pass};

/// How many ways chance may have gone that are tried for a wave.
const ATTEMPTS: u64 = 2000;

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_PROVISIONING_RECORDED")
        .unwrap_or_else(|_| "tests/data/recorded/provisioning.jsonl".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let catalogue = std::fs::read_to_string("tests/data/recorded/catalogue.json").expect("the catalogue");
    let catalogue = Arc::new(kwok::parse_catalogue(&catalogue).expect("a catalogue"));
    let (mut matched, mut total) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        match replay(&case, &catalogue) {
            Ok(()) => matched += 1,
            Err(difference) => println!("{} {}:\n{difference}", case["case"], case["features"]),
        }
    }
    println!("{matched} passed, {} failed", total - matched);
    println!("provisioning_recorded: matched {matched} of {total}");
    if matched == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(case: &Value, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    let id = case["case"].as_str().expect("a name");
    let pools = case["pools"].as_array().expect("pools").iter().map(|pool| pool_of(pool, id)).collect();
    let waves = case["waves"].as_array().expect("waves");
    let shapes =
        waves.iter().flat_map(|wave| wave["shapes"].as_array().expect("shapes")).map(|shape| shape_of(shape, id));
    let world = Case { catalogue, pools, shapes: shapes.collect() };
    let mut state = State::default();
    let mut first_shape = 0;
    for (number, wave) in waves.iter().enumerate() {
        let shapes = wave["shapes"].as_array().expect("shapes");
        for (offset, shape) in shapes.iter().enumerate() {
            for index in 0..shape["count"].as_u64().expect("a count") {
                let name = format!("{}-{index}", shape["name"].as_str().expect("a name"));
                state.pods.push(PodRecord {
                    name,
                    shape: first_shape + offset,
                    wave: number as u64,
                    node: None,
                    unknown: false,
                });
            }
        }
        first_shape += shapes.len();
        let wanted = Outcome::recorded(wave, &state);
        let mut nearest = None;
        let found = (0..ATTEMPTS).any(|attempt| {
            let followed = (attempt % 2 == 1 && wave["pods"].is_object()).then_some(wave);
            let mut stream = Streams::new(attempt, 0).open("chance", 0);
            let got = run_wave(&world, state.clone(), number as u64, followed, &mut stream);
            let got = Outcome::of(&world, &got, wave);
            let same = got.same(&wanted);
            nearest.get_or_insert(got);
            same
        });
        if !found {
            let got = nearest.expect("an attempt");
            return Err(format!("  wave {number}\n{}", got.difference(&wanted)));
        }
        if wave["pods"].is_object() {
            placement::check(&world, &state, wave).map_err(|difference| format!("  wave {number}\n{difference}"))?;
        }
        state.adopt(&world, wave);
    }
    Ok(())
}

/// Passes until one launches nothing. Between them kube-scheduler tries new pods on the nodes there are, then pending pods on nodes
/// that join; or, with `followed`, pods go where the recording has them in the end.
fn run_wave(case: &Case<'_>, mut state: State, wave: u64, followed: Option<&Value>, stream: &mut Stream) -> State {
    // Where a pod is that the recording does not mention, nobody knows.
    let gone = stream.chance(0.5);
    state.pods.retain(|pod| !(pod.unknown && gone));
    for index in 0..state.nodes.len() {
        state.nodes[index].name = node_name(&state.nodes[index].pool, stream);
    }
    let mut scheduler = KubeScheduler::new(case, &state);
    match followed {
        Some(wave) => state.follow(wave),
        None => {
            let new = (0..state.pods.len()).filter(|pod| state.pods[*pod].wave == wave || state.pods[*pod].unknown);
            let new: Vec<usize> = new.collect();
            scheduler.schedule(&mut state, &new, stream);
        }
    }
    loop {
        let pending: Vec<usize> = (0..state.pods.len()).filter(|pod| state.pods[*pod].node.is_none()).collect();
        if pending.is_empty() {
            return state;
        }
        let results = pass(case, &state, &pending, stream);
        if results.claims.is_empty() {
            return state;
        }
        let first = state.nodes.len();
        for claim in &results.claims {
            let index = state.nodes.len();
            state.nodes.push(launch(case, claim, index, stream));
        }
        match followed {
            Some(wave) => {
                state.recognise(case, first, wave);
                state.follow(wave);
            }
            None => scheduler.join_all(&mut state, first, pending, stream),
        }
    }
}
