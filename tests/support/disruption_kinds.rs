//! The kinds of disruption vectors: timelines of passes, and single rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use forescale::api::karpenter::{Budget, DisruptionReason, Ec2NodeClassSpec, NodePoolSpec};
use forescale::api::meta::Labels;
use forescale::api::written::Written;
use forescale::cluster::PodId;
use forescale::cluster::node_class::{Found, FoundAmi, FoundSubnet, LaunchedWith, NodeClassVersion, Selectors};
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::selectors::{self, Account, Parameters};
use forescale::karpenter::disruption::balanced::{self, PoolTotals};
use forescale::karpenter::disruption::budget::{self, BudgetRule};
use forescale::karpenter::disruption::candidate::{self, Candidate};
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::drift_detection::{self, HashedTemplate, NothingFound};
use forescale::karpenter::disruption::execution;
use forescale::karpenter::disruption::model::{Method, NodeIndex, Owner, PoolIndex};
use forescale::karpenter::disruption::queue::{self, ReplacementState};
use forescale::karpenter::disruption::quiet::{self, Consolidatable, PodEvent};
use forescale::karpenter::disruption::replacement::{CapacitySet, Replacement, ZoneSet};
use forescale::karpenter::disruption::state::ConsolidationState;
use forescale::karpenter::lifecycle::drain::{DrainPod, Tier, drain};
use forescale::karpenter::lifecycle::interruption::{Message, State, react};
use forescale::karpenter::static_capacity::{Counts, drift_headroom};
use forescale::scenario::Scenario;
use forescale::time::{Duration, Time};
use serde_json::{Value, json};

use super::case::{Case, list, span, text};
use super::disruption_world::decode;

/// Runs a vector; what differs from what it wants.
pub fn run(vector: &Value) -> Vec<String> {
    match text(&vector["kind"]) {
        "passes" => passes(vector),
        "budgets" => budgets(vector),
        "budget_windows" => budget_windows(vector),
        "budget_mapping" => budget_mapping(vector),
        "scores" => scores(vector),
        "order" => order(vector),
        "same_type" => same_type(vector),
        "command_timeout" => each(vector, |case| {
            let queued = case["queued"].as_u64().unwrap_or(0) as usize;
            json!(queue::timeout(queued).to_string())
        }),
        "command_progress" => each(vector, command_progress),
        "start_order" => each(vector, |case| {
            let steps = execution::start_steps(case["replacements"].as_u64().unwrap_or(0) > 0);
            json!(steps.iter().map(|step| step.as_str()).collect::<Vec<_>>())
        }),
        "forced_drain" => each(vector, forced_drain),
        "interruption" => each(vector, interruption),
        "consolidation_state" => consolidation_state(vector),
        "pod_events" => pod_events(vector),
        "consolidatable" => each(vector, consolidatable),
        "pool_drift" => each(vector, pool_drift),
        "class_drift" => each(vector, class_drift),
        "finds" => finds(vector),
        "type_check" => each(vector, |case| {
            let at = |json: &Value| Time::ZERO + span(json);
            let last = case["lastFound"].as_str().map(|_| at(&case["lastFound"]));
            json!(drift_detection::asks_for_type(Time::ZERO, last, at(&case["at"])))
        }),
        "static_headroom" => each(vector, |case| {
            let count = |key: &str| case[key].as_u64().unwrap_or(0) as u32;
            let counts = Counts {
                active: count("active"),
                deleting: count("deleting"),
                pending_disruption: count("pendingDisruption"),
            };
            let room = drift_headroom(counts, count("replicas"), case["limit"].as_u64().map(|limit| limit as u32));
            json!(room)
        }),
        other => vec![format!("unknown kind {other}")],
    }
}

/// Why a NodeClaim with these labels drifts that was made of the pool `then`, when the pool is `now`.
fn pool_drift(case: &Value) -> Value {
    let spec = |json: &Value| -> NodePoolSpec { decode(json) };
    let labels: Labels =
        case["labels"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v).to_owned())).collect();
    let drift = drift_detection::of_pool(&HashedTemplate::of(&spec(&case["then"])), &labels, &spec(&case["now"]));
    drift.map_or(Value::Null, |drift| json!(drift.rule().name()))
}

/// Why a NodeClaim drifts that was launched with the EC2NodeClass `then`, when the class is `now` and has found `newAmis` since.
/// `thenFinds` and `nowFinds` are what its selectors found.
fn class_drift(case: &Value) -> Value {
    let version = |json: &Value, finds: &Value, new_amis: u32| {
        let spec: Written<Ec2NodeClassSpec> = decode(json);
        let family = NodeSettings::of_class(&spec).expect("settings").family;
        let selectors = Arc::new(Selectors::of(&spec));
        NodeClassVersion { fields: spec.fields.clone(), family, new_amis, selectors, found: found(finds) }
    };
    let class = Arc::new(version(&case["then"], &case["thenFinds"], 0));
    let then = LaunchedWith { class, subnet: case["subnet"].as_str().map(str::to_owned) };
    let now = version(&case["now"], &case["nowFinds"], case["newAmis"].as_u64().unwrap_or(0) as u32);
    match drift_detection::of_class(&then, &now, case["architecture"].as_str().unwrap_or("amd64")) {
        Ok(drift) => drift.map_or(Value::Null, |drift| json!(drift.rule().name())),
        Err(NothingFound) => json!("an error"),
    }
}

/// `{ amis: [[id, architecture]], subnets: [id], securityGroups: [id] }`.
fn found(json: &Value) -> Found {
    let ids = |key: &str| json[key].as_array().map(|ids| ids.iter().map(|id| text(id).to_owned()).collect::<Vec<_>>());
    let ami = |pair: &Value| FoundAmi {
        id: text(&pair[0]).to_owned(),
        architecture: ["amd64", "arm64"].into_iter().find(|known| pair[1] == *known),
    };
    let subnet = |id: String| FoundSubnet { id, zone: "a".to_owned() };
    Found {
        amis: json["amis"].as_array().map(|amis| amis.iter().map(ami).collect()),
        subnets: ids("subnets").map(|ids| ids.into_iter().map(subnet).collect()),
        security_groups: ids("securityGroups"),
    }
}

/// What the selectors of an EC2NodeClass find in an account, one look after the other.
fn finds(vector: &Value) -> Vec<String> {
    let scenario: Scenario = decode(&vector["account"]);
    let account =
        Account { amis: &scenario.amis, subnets: &scenario.subnets, security_groups: &scenario.security_groups };
    let mut parameters = Parameters::default();
    each(vector, |case| {
        let spec: Ec2NodeClassSpec = decode(&case["spec"]);
        if case["restarts"] == true {
            parameters.clear();
        }
        let found = selectors::find(&Selectors::of(&spec), account, &mut parameters, Time::ZERO + span(&case["at"]));
        let amis = |all: &Vec<FoundAmi>| all.iter().map(|ami| json!([ami.id, ami.architecture])).collect::<Vec<_>>();
        let subnets = |all: &Vec<FoundSubnet>| all.iter().map(|subnet| subnet.id.clone()).collect::<Vec<_>>();
        let mut answer = serde_json::Map::new();
        answer.extend(found.amis.as_ref().map(|all| ("amis".to_owned(), json!(amis(all)))));
        answer.extend(found.subnets.as_ref().map(|all| ("subnets".to_owned(), json!(subnets(all)))));
        answer.extend(found.security_groups.map(|all| ("securityGroups".to_owned(), json!(all))));
        Value::Object(answer)
    })
}

/// Every case's answer must equal its `want`.
fn each(vector: &Value, mut answer: impl FnMut(&Value) -> Value) -> Vec<String> {
    let cases = list(&vector["cases"]);
    let wrong = cases.iter().filter_map(|case| {
        let got = answer(case);
        (got != case["want"]).then(|| format!("{case}: got {got}"))
    });
    let mut misses: Vec<String> = wrong.collect();
    if cases.is_empty() {
        misses.push("no cases".to_owned());
    }
    misses
}

fn passes(vector: &Value) -> Vec<String> {
    let mut case = Case::read(vector);
    let mut misses = Vec::new();
    for (number, step) in list(&vector["steps"]).iter().enumerate() {
        if step["pass"].is_null() {
            case.happen(step);
            continue;
        }
        let want = &step["pass"];
        case.pass(list(&want["during"]));
        let mut wrong = compare_pass(&case, want);
        wrong.iter_mut().for_each(|miss| *miss = format!("step {}: {miss}", number + 1));
        misses.extend(wrong);
    }
    if let Some(total) = vector["wantRemoved"].as_u64() {
        let removed = case.cluster.nodes.iter().filter(|node| node.view.marked_for_deletion).count() as u64;
        if removed != total {
            misses.push(format!("want {total} nodes removed in all, got {removed}"));
        }
    }
    misses
}

fn compare_pass(case: &Case, want: &Value) -> Vec<String> {
    let mut misses = Vec::new();
    let wanted = list(&want["commands"]);
    let got: Vec<Value> = case.started.iter().map(|command| describe(case, command)).collect();
    if wanted.len() == got.len() {
        for (wanted, got) in wanted.iter().zip(&got) {
            misses.extend(differences(wanted, got));
        }
    } else {
        misses.push(format!("want {} commands, got {}: {}", wanted.len(), got.len(), json!(got)));
    }
    let abandoned: Vec<Value> = case
        .abandoned
        .iter()
        .map(|(method, invalid)| json!({ "method": method.name(), "reason": invalid.as_str() }))
        .collect();
    if list(&want["abandoned"]) != abandoned.as_slice() {
        misses.push(format!("want abandoned {}, got {}", want["abandoned"], json!(abandoned)));
    }
    for note in list(&want["notes"]) {
        if !case.notes.iter().any(|got| got.contains(text(note))) {
            misses.push(format!("want a note with {note}, got {:?}", case.notes));
        }
    }
    misses
}

/// A command as a vector may want it.
fn describe(case: &Case, command: &Command) -> Value {
    let name = |id: &u32| case.cluster.nodes[*id as usize].view.name.clone();
    let mut sorted: Vec<String> = command.ids().iter().map(name).collect();
    let ordered = sorted.clone();
    sorted.sort();
    let mut pools: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in &command.candidates {
        *pools.entry(case.cluster.pools[candidate.pool.0].name.clone()).or_default() += 1;
    }
    let mut description = json!({
        "method": command.method.name(), "decision": command.decision(), "nodes": sorted, "ordered": ordered,
        "count": ordered.len(), "pools": pools, "replacements": command.replacements.len(),
    });
    if let Some(replacement) = command.replacements.first() {
        let types: Vec<&str> =
            replacement.types.iter().map(|id| case.cluster.catalogue.get(*id).name.as_str()).collect();
        let capacity = replacement.capacity_types;
        let allowed: Vec<&str> =
            [(capacity.reserved, "reserved"), (capacity.spot, "spot"), (capacity.on_demand, "on-demand")]
                .into_iter()
                .filter_map(|(allowed, name)| allowed.then_some(name))
                .collect();
        description["typeCount"] = json!(types.len());
        description["types"] = json!(types);
        description["capacityTypes"] = json!(allowed);
    }
    description
}

fn differences(want: &Value, got: &Value) -> Vec<String> {
    let fields = want.as_object().into_iter().flatten();
    fields
        .filter(|(key, wanted)| got[key.as_str()] != **wanted)
        .map(|(key, wanted)| format!("{key}: want {wanted}, got {}", got[key.as_str()]))
        .collect()
}

fn reason(text: &str) -> DisruptionReason {
    *DisruptionReason::ALL.iter().find(|reason| reason.as_str() == text).unwrap_or_else(|| panic!("no reason {text}"))
}

fn budgets(vector: &Value) -> Vec<String> {
    let rules: Vec<BudgetRule> =
        list(&vector["budgets"]).iter().map(|budget| BudgetRule::read(&decode::<Budget>(budget))).collect();
    let wall = text(&vector["wall"]).parse().expect("a wall clock");
    let total = vector["total"].as_u64().expect("total") as usize;
    each(vector, |case| json!(budget::allowed(&rules, reason(text(&case["reason"])), total, wall)))
}

fn budget_windows(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let rule = BudgetRule::read(&decode::<Budget>(&case["budget"]));
        json!(rule.is_active(text(&case["wall"]).parse().expect("a wall clock")))
    })
}

fn budget_mapping(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let mut cluster = vector.clone();
        cluster["nodes"] = case["nodes"].clone();
        cluster["pools"][0]["spec"]["disruption"]["budgets"] = case["budgets"].clone();
        let case = Case::read(&cluster);
        let wall = "2026-01-05T12:00:00Z".parse().expect("a wall clock");
        json!(budget::budgets(&case.cluster.observed(), DisruptionReason::Empty, wall)[&PoolIndex(0)])
    })
}

fn scores(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("no {key} in {case}"));
        let totals = PoolTotals { cost: number("poolCost"), disruption: number("poolDisruption") };
        let score = balanced::score(number("saving"), number("disruption"), totals);
        json!({ "score": (score * 10_000.0).round() / 10_000.0, "approved": balanced::approves(score) })
    })
}

fn plain_candidate(price: f64, rescheduling_cost: f64, lifetime_weighted_cost: f64, node: usize) -> Candidate {
    Candidate {
        node: NodeIndex(node),
        id: node as u32,
        pool: PoolIndex(0),
        instance_type: None,
        zone: None,
        capacity_type: None,
        price,
        rescheduling_cost,
        lifetime_weighted_cost,
        reschedulable_pods: 1,
    }
}

fn order(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let rows = list(&case["candidates"]).iter().enumerate();
        let number = |row: &Value, i: usize| row[i].as_f64().expect("a number");
        let mut candidates: Vec<Candidate> =
            rows.map(|(i, row)| plain_candidate(number(row, 0), 1.0 + number(row, 1), number(row, 2), i)).collect();
        candidate::sort(&mut candidates, case["version"].as_u64().unwrap_or(14) >= 14);
        let nodes: Vec<usize> = candidates.iter().map(|candidate| candidate.node.0).collect();
        let ratios: Vec<f64> = candidates.iter().map(|c| (c.ratio() * 100.0).round() / 100.0).collect();
        json!({ "order": nodes, "ratios": ratios })
    })
}

/// `filterOutSameInstanceType` on its own.
fn same_type(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let mut cluster = vector.clone();
        cluster["nodes"] = case["nodes"].clone();
        let world = Case::read(&cluster);
        let observed = world.cluster.observed();
        let removed: Vec<Candidate> = candidate::candidates(&observed, Method::MultiNodeConsolidation, world.now);
        let mut replacement = Replacement {
            pool: PoolIndex(0),
            types: list(&case["options"]).iter().map(|name| world.cluster.find_type(text(name))).collect(),
            zones: ZoneSet::ALL,
            capacity_types: CapacitySet::ALL,
            reservations: Vec::new(),
            min_values: Vec::new(),
            plan: None,
        };
        let valid = replacement.filter_out_same_type(&removed, &world.cluster.catalogue).is_ok();
        let types: Vec<&str> =
            replacement.types.iter().map(|id| world.cluster.catalogue.get(*id).name.as_str()).collect();
        json!({ "types": types, "valid": valid && !types.is_empty(), "removed": removed.len() })
    })
}

fn command_progress(case: &Value) -> Value {
    let states: Vec<ReplacementState> = list(&case["replacements"])
        .iter()
        .map(|state| match text(state) {
            "booting" => ReplacementState::Booting,
            "initialized" => ReplacementState::Initialized,
            "gone" => ReplacementState::Gone,
            other => panic!("no state {other}"),
        })
        .collect();
    let now = Time::ZERO + span(&case["age"]);
    match queue::progress(&states, Time::ZERO, queue::timeout(states.len()), now) {
        queue::Progress::Wait => json!("wait"),
        queue::Progress::Delete => json!("delete"),
        queue::Progress::Fail(_) => json!("fail"),
    }
}

/// Reads at the given times; whether the state changed from the reading before. Times in `changes` mark it.
fn consolidation_state(vector: &Value) -> Vec<String> {
    each(vector, |case| {
        let mut state = ConsolidationState::default();
        let mut before = state.read(Time::ZERO);
        let mut changed = Vec::new();
        for at in list(&case["reads"]) {
            let at = Time::ZERO + span(at);
            let reading = state.read(at);
            changed.push(reading != before);
            before = reading;
        }
        json!(changed)
    })
}

fn pod_events(vector: &Value) -> Vec<String> {
    let event_of = |name: &str| match name {
        "bound" => PodEvent::Bound,
        "terminal" => PodEvent::Terminal,
        "terminating" => PodEvent::Terminating,
        "removed" => PodEvent::Removed,
        "changed" => PodEvent::Changed,
        other => panic!("no event {other}"),
    };
    let mut stored: Option<Time> = None;
    each_in_turn(vector, |case| {
        let owner = if case["owner"] == "DaemonSet" { Owner::DaemonSet } else { Owner::Workload };
        let now = Time::ZERO + span(&case["at"]);
        let written = quiet::last_pod_event(event_of(text(&case["event"])), owner, stored, now, Time::ZERO);
        stored = written.or(stored);
        json!(written.is_some())
    })
}

fn each_in_turn(vector: &Value, mut answer: impl FnMut(&Value) -> Value) -> Vec<String> {
    let cases = list(&vector["cases"]);
    let wrong = cases.iter().filter_map(|case| {
        let got = answer(case);
        (got != case["want"]).then(|| format!("{case}: got {got}"))
    });
    wrong.collect()
}

fn consolidatable(case: &Value) -> Value {
    let time = |key: &str| case[key].as_str().map(|_| Time::ZERO + span(&case[key]));
    let after: Option<Duration> = (case["consolidateAfter"] != "Never").then(|| span(&case["consolidateAfter"]));
    let now = time("now").expect("now");
    match quiet::consolidatable(after, time("initializedAt"), time("eventAt"), now) {
        Consolidatable::Yes => json!(true),
        Consolidatable::No | Consolidatable::NotBefore(_) => json!(false),
    }
}

/// What a drain with a deadline does to one pod that is annotated do-not-disrupt, at an instant after the deletion.
fn forced_drain(case: &Value) -> Value {
    let at = |key: &str| case[key].as_str().map(|_| Time::ZERO + span(&case[key]));
    let pod = DrainPod {
        id: PodId(0),
        tier: Tier::of(None, false),
        terminal: false,
        deletion_timestamp: at("terminatesAt"),
        grace: span(&case["grace"]),
        tolerates_disrupted: false,
        do_not_disrupt: true,
    };
    let step = drain(&[pod], at("deadline"), at("at").expect("an instant"));
    json!({ "waits": step.waiting == 1, "evicts": step.evict.len(), "grace": step.force.first().map(|(_, grace)| grace.to_string()) })
}

/// What becomes of a message of EC2.
fn interruption(case: &Value) -> Value {
    let message = match text(&case["message"]) {
        "spot interruption" => Message::SpotInterruption,
        "rebalance recommendation" => Message::RebalanceRecommendation,
        "scheduled change" => Message::ScheduledChange,
        "pending" => Message::StateChange(State::Pending),
        "running" => Message::StateChange(State::Running),
        "stopping" => Message::StateChange(State::Stopping),
        "stopped" => Message::StateChange(State::Stopped),
        "shutting-down" => Message::StateChange(State::ShuttingDown),
        "terminated" => Message::StateChange(State::Terminated),
        other => panic!("no message {other}"),
    };
    let reaction = react(message);
    json!({ "delete": reaction.delete.map(|rule| rule.name()), "marksOffering": reaction.mark_offering })
}
