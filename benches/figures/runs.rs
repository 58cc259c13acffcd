//! Figures of whole runs: time per message, days and weeks, memory, throughput of sweeps, growth with the work.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use forescale::engine::{Distribution, Streams};
use forescale::scenario::Scenario;
use forescale::simulation;
use forescale::time::Duration;
use rayon::prelude::*;

use super::queue::{LOAD, assert_about, load_text, load_with, queue_of, run};
use super::{Figures, Goal, fastest};

/// First argument of a process whose memory is measured; the second is the number of messages or pods.
pub const PEAK_OF_MESSAGES: &str = "peak-memory-of-messages";
pub const PEAK_OF_PODS: &str = "peak-memory-of-pods";
const MESSAGES: u64 = 10_000_000;

pub fn print(figures: &Figures) {
    for servers in [10, 1000] {
        figures.print(&format!("mm{servers}_time_per_message_over_bare_loop"), "ratio", Goal::AtMost(2.0), || {
            let bare = fastest(3, || assert!(black_box(bare_loop(servers, MESSAGES)) > 0));
            let scenario = queue_of(servers, MESSAGES, "service = \"moto\"");
            fastest(3, || assert_about(&run(&scenario), MESSAGES)) / bare
        });
        figures.print(&format!("mm{servers}_like_aws_time_per_message"), "ns", Goal::AtMost(400.0), || {
            let scenario = queue_of(servers, MESSAGES, "");
            fastest(1, || assert_about(&run(&scenario), MESSAGES)) * 1e9 / MESSAGES as f64
        });
    }
    figures.print("front_page_sine_day_10M_messages", "s", Goal::AtMost(2.0), || {
        let scenario = front_page("24h", "{ pattern = \"sine\", rate = \"10M/d\", amplitude = \"8M/d\" }");
        fastest(6, || assert_about(&run(&scenario), MESSAGES))
    });
    figures.print("front_page_idle_day", "ms", Goal::AtMost(5.0), || {
        let scenario = front_page("24h", "");
        fastest(20, || assert_eq!(run(&scenario).processed(), 0)) * 1e3
    });
    figures.print("two_layer_sine_week_10M_messages", "s", Goal::AtMost(5.0), || {
        let scenario = two_layer_week();
        fastest(1, || assert_about(&run(&scenario), MESSAGES))
    });
    figures.print("peak_memory_100M_messages", "MB", Goal::AtMost(100.0), || {
        peak_of_a_process(PEAK_OF_MESSAGES, 100_000_000) / 1e6
    });
    figures.print("memory_per_pod", "bytes", Goal::AtMost(300.0), || {
        let [few, many] = [10_000, 60_000].map(|pods| peak_of_a_process(PEAK_OF_PODS, pods));
        (many - few) / 50_000.0
    });
    for threads in [1, 2] {
        let goal = Goal::AtLeast(5.0 * threads as f64);
        figures.print(&format!("sweep_front_page_{threads}_threads"), "runs/s", goal, || sweep(threads));
    }
}

/// Bytes that a run needs in a process of its own, because memory that was used before is not given back.
pub fn peak_of_a_process(what: &str, count: u64) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args([what, &count.to_string()]).output().expect("a process");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Runs a scenario and prints the most memory that the process ever held, bytes.
pub fn print_peak(scenario: &Scenario) {
    black_box(run(scenario));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    println!("{}", kib.map_or(f64::NAN, |kib| kib * 1024.0));
}

fn sweep(threads: usize) -> f64 {
    const RUNS: u32 = 16;
    let scenario = load_folder(&std::fs::read_to_string("scenarios/front-page.toml").expect("the scenario"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let one = |replication: u32| {
        let options = simulation::Options { check_invariants: false, ..simulation::Options::replication(replication) };
        simulation::run(&scenario, options).map(|outcome| outcome.processed())
    };
    let start = Instant::now();
    let all: Result<Vec<u64>, _> = pool.install(|| (0..RUNS).into_par_iter().map(one).collect());
    let seconds = start.elapsed().as_secs_f64();
    assert!(all.is_ok_and(|counts| counts.iter().all(|count| *count > 200_000)));
    f64::from(RUNS) / seconds
}

/// So many pods of one Deployment, all running.
pub fn pods(count: u64) -> Scenario {
    load_text(&format!(
        "[simulation]\nduration = \"10m\"\nmaxPods = 1000000\n\
         [controllerManager]\nkubeAPIQPS = 1000000\nkubeAPIBurst = 1000000\n\
         [scheduler]\nclientQPS = 1000000\nclientBurst = 1000000\n\
         [[deployments]]\nmetadata = {{ name = \"d\" }}\n[deployments.spec]\nreplicas = {count}\n\
         template = {{ metadata = {{ labels = {{ app = \"d\" }} }}, spec = {{ containers = [{{ name = \"c\", image = \"c:1\", resources = {{ requests = {{ cpu = \"50m\" }} }} }}] }} }}\n\
         selector = {{ matchLabels = {{ app = \"d\" }} }}\n\
         [[nodeGroups]]\nname = \"fixed\"\ncount = 200\ncapacity = {{ cpu = \"64\", memory = \"256Gi\", pods = 600 }}\n"
    ))
}

fn front_page(duration: &str, arrivals: &str) -> Scenario {
    load_folder(&format!(
        "[simulation]\nduration = \"{duration}\"\nmanifests = [\"manifests/eks/*.yaml\", \"manifests/front-page/*.yaml\"]\n\
         [[queues]]\nname = \"orders\"\nvisibilityTimeout = \"60s\"\nreceiveWaitTime = \"20s\"\nphantoms = 0.0\narrivals = [{arrivals}]\n\
         [[consumers]]\ndeployment = \"order-processor\"\nqueue = \"orders\"\nbatchSize = 10\nwaitTime = \"20s\"\nonTerm = \"drain\"\n\
         processing = {{ lognormal = {{ p50 = \"150ms\", p99 = \"900ms\" }} }}\n\
         [[nodeGroups]]\nname = \"system\"\ninstanceType = \"m5.large\"\ncount = 2\n\
         taints = [{{ key = \"CriticalAddonsOnly\", value = \"true\", effect = \"NoSchedule\" }}]\n"
    ))
}

fn two_layer_week() -> Scenario {
    load_folder(
        "[simulation]\nduration = \"7d\"\nmanifests = [\"manifests/eks/*.yaml\", \"manifests/two-layer/*.yaml\"]\n\
         [[queues]]\nname = \"work-queue\"\nvisibilityTimeout = \"2m\"\n\
         arrivals = [{ pattern = \"sine\", rate = \"16.534/s\", amplitude = \"12/s\" }]\n\
         [[consumers]]\ndeployment = \"sqs-consumer\"\nqueue = \"work-queue\"\nbatchSize = 1\nwaitTime = \"20s\"\nonTerm = \"drain\"\n\
         processing = { lognormal = { p50 = \"1s\", p99 = \"3s\" } }\n\
         [[nodeGroups]]\nname = \"system\"\ninstanceType = \"m5.large\"\ncount = 2\n\
         taints = [{ key = \"CriticalAddonsOnly\", value = \"true\", effect = \"NoSchedule\" }]\n",
    )
}

/// With the manifests of the shipped scenarios.
fn load_folder(toml: &str) -> Scenario {
    let mut texts = BTreeMap::new();
    for folder in ["eks", "front-page", "two-layer"] {
        for entry in std::fs::read_dir(format!("scenarios/manifests/{folder}")).expect("manifests") {
            let path = entry.expect("a file").path();
            let name = path.strip_prefix("scenarios").expect("below scenarios").display().to_string();
            texts.insert(name, std::fs::read_to_string(&path).expect("a text"));
        }
    }
    load_with(toml, texts)
}

/// The same queue by hand: a heap, a list of waiting messages, a list of idle servers, and nothing else.
fn bare_loop(servers: u32, messages: u64) -> u64 {
    const ARRIVAL: u32 = u32::MAX;
    let mut stream = Streams::new(3, 0).open("bare", 0);
    let gap = Distribution::Exponential { mean: Duration::from_secs_f64(1.0 / (LOAD * f64::from(servers))) };
    let service = Distribution::Exponential { mean: Duration::from_secs(1) };
    let mut heap: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut queue: VecDeque<u64> = VecDeque::new();
    let mut idle: Vec<u32> = (0..servers).collect();
    let mut waits = 0;
    heap.push(Reverse((0, ARRIVAL)));
    let mut sent = 0;
    while let Some(Reverse((now, who))) = heap.pop() {
        if who == ARRIVAL {
            sent += 1;
            if sent < messages {
                heap.push(Reverse((now + gap.sample(&mut stream).as_micros() as u64, ARRIVAL)));
            }
            queue.push_back(now);
        } else {
            idle.push(who);
        }
        while let Some(server) = idle.last().copied()
            && let Some(arrived) = queue.pop_front()
        {
            idle.pop();
            waits += now - arrived;
            heap.push(Reverse((now + service.sample(&mut stream).as_micros() as u64, server)));
        }
    }
    waits.max(1)
}
