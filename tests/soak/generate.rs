//! A whole scenario from a seed: of all features some, with settings that are now and then extreme.

mod choices;
mod events;
mod nodes;
mod work;

use forescale::engine::Streams;

pub use choices::Choices;
use events::{change, fault};
use nodes::{market, node_group, node_pool, nodes_of_other_kinds, storage, what_selectors_find};
use work::{consumer, controller, pdb, queue};

/// What a scenario is made of, for the parts that refer to each other.
struct Frame {
    minutes: usize,
    workloads: Vec<Workload>,
    pools: usize,
    groups: usize,
}

struct Workload {
    queue: String,
    fifo: bool,
    job: bool,
    scaled: bool,
}

/// The sections of a scenario file.
pub fn scenario(seed: u64) -> Vec<String> {
    let mut c = Choices(Streams::new(seed, 0).open("soak", 0));
    // Mostly short: more scenarios find more than longer ones.
    let minutes = match c.number(0, 47) {
        0 => c.number(60, 240),
        1..12 => c.number(3, 30),
        _ => c.number(3, 9),
    };
    let workloads = (0..c.number(1, 3)).map(|i| workload(&mut c, i)).collect();
    let pools = c.number(0, 2);
    let frame = Frame { minutes, workloads, pools, groups: c.number(usize::from(pools == 0), 2) };
    let mut parts = vec![simulation(&mut c, &frame, seed)];
    for (index, workload) in frame.workloads.iter().enumerate() {
        parts.extend(queue(&mut c, &frame, workload));
        parts.push(consumer(&mut c, index, workload));
        parts.extend(controller(&mut c, index, workload));
        if c.once_in(4) && !workload.job {
            parts.push(pdb(&mut c, index));
        }
    }
    for index in 0..frame.pools {
        parts.push(node_pool(&mut c, index));
    }
    if frame.pools > 0 {
        parts.push("[[ec2NodeClasses]]\nmetadata = { name = \"default\" }\nspec = { amiSelectorTerms = [{ alias = \"al2023@latest\" }] }\n".to_owned());
    }
    for index in 0..frame.groups {
        parts.push(node_group(&mut c, index));
    }
    if c.once_in(2) {
        parts.push(market(&mut c, &frame));
    }
    for _ in 0..c.number(0, 3).saturating_sub(1) {
        parts.push(fault(&mut c, &frame));
    }
    for _ in 0..c.number(0, 4).saturating_sub(1) {
        parts.push(change(&mut c, &frame));
    }
    parts.extend(settings(&mut c));
    nodes_of_other_kinds(&mut Choices(Streams::new(seed, 0).open("soak of other nodes", 0)), &frame, &mut parts);
    what_selectors_find(&mut Choices(Streams::new(seed, 0).open("soak of accounts", 0)), &frame, &mut parts);
    storage(&mut Choices(Streams::new(seed, 0).open("soak of storage", 0)), &mut parts);
    parts
}

fn workload(c: &mut Choices, index: usize) -> Workload {
    let fifo = c.once_in(4);
    let job = c.once_in(5);
    let queue = if fifo { format!("q{index}.fifo") } else { format!("q{index}") };
    Workload { queue, fifo, job, scaled: job || !c.once_in(4) }
}

fn simulation(c: &mut Choices, frame: &Frame, seed: u64) -> String {
    let mut text = format!("[simulation]\nduration = \"{}m\"\nseed = {seed}\n", frame.minutes);
    text += &c.maybe(6, "stopWhenIdle", &["true"]);
    text += &c.maybe_text(6, "warmUp", &["10s", "2m"]);
    text += &c.maybe_text(8, "profile", &["kwok"]);
    text += &c.maybe_text(6, "region", &["eu-west-1", "us-west-2"]);
    text += &c.maybe(20, "maxPods", &["8", "30"]);
    text += &c.maybe(20, "maxMessages", &["20000", "60000"]);
    text
}

fn settings(c: &mut Choices) -> Vec<String> {
    let mut parts = Vec::new();
    if c.once_in(3) {
        let mut text = "[versions]\n".to_owned();
        text += &c.maybe_text(1, "kubernetes", &["1.28", "1.30", "1.33", "1.37"]);
        text += &c.maybe_text(1, "keda", &["2.12", "2.15", "2.20"]);
        text += &c.maybe_text(1, "karpenter", &["1.0", "1.6", "1.13", "1.14"]);
        parts.push(text);
    }
    if c.once_in(4) {
        let mut text = "[karpenter]\n".to_owned();
        text += &c.maybe(2, "spotToSpotConsolidation", &["true"]);
        text += &c.maybe(2, "nodeRepair", &["true"]);
        text += &c.maybe(2, "interruptionQueue", &["false"]);
        text += &c.maybe_text(3, "preferencePolicy", &["Ignore"]);
        parts.push(text);
    }
    if c.once_in(4) {
        let mut text = "[latencies]\n".to_owned();
        text += &c.maybe_text(2, "createFleet", &["0s", "3m"]);
        text += &c.maybe_text(2, "nodeReady", &["0s"]);
        text += &c.maybe(2, "slowNodeProbability", &["0.5", "1.0"]);
        text += &c.maybe_text(2, "podStart", &["0s", "40s"]);
        text += &c.maybe_text(2, "bind", &["0s", "1s"]);
        text += &c.maybe_text(2, "instanceTerminated", &["0s"]);
        parts.push(text);
    }
    if c.once_in(6) {
        parts.push(format!("[scheduler]\nscoring = \"{}\"\n", c.one(&["MostAllocated", "LeastAllocated"])));
    }
    parts
}
