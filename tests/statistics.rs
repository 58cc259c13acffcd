//! What studies say about uncertainty, against systems whose answers are known: 95 % intervals hold the truth in 95 % of all
//! experiments, pairing saves runs, waits of the warm-up and of messages that are never served are counted as documented.

use forescale::api::decode::{Decode, Problems};
use forescale::consumer::{ConsumerSettings, DataPlane, PodRef};
use forescale::engine::{Distribution, Streams};
use forescale::scenario::load::{Options, load, load_texts};
use forescale::scenario::{Scenario, toml};
use forescale::simulation;
use forescale::sqs::QueueId;
use forescale::study::compare::pairing_gain;
use forescale::study::measures::Measure;
use forescale::study::statistics::Estimate;
use forescale::telemetry::Outcome;
use forescale::time::{Duration, Time};
use rayon::prelude::*;

/// Replications of one experiment.
const REPLICATIONS: u64 = 10;
const SERVERS: u32 = 2;

fn decoded(text: &str) -> Scenario {
    let mut problems = Problems::default();
    let node = toml::parse(text, 0, &mut problems);
    Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

/// Mean wait in seconds of one run of M/M/2 with a load of one half: half an hour after five minutes of warm-up.
fn mean_wait(scenario: &Scenario, seed: u64, replication: u64) -> f64 {
    let streams = Streams::new(seed, replication);
    let mut plane = DataPlane::new(&scenario.queues, &[], &streams);
    plane.measure_from(Time::ZERO + Duration::from_mins(5));
    let queue = QueueId(0);
    let mut settings = ConsumerSettings::from_spec(&scenario.consumers[0], queue, plane.sqs().queue(queue).settings());
    settings.processing = Distribution::Exponential { mean: Duration::from_secs(1) };
    let kind = plane.add_consumer_kind(settings, &streams);
    for pod in 0..SERVERS {
        plane.add_consumer(Time::ZERO, PodRef(pod), kind);
    }
    let end = Time::ZERO + Duration::from_mins(35);
    assert_eq!(plane.advance(end), None);
    plane.statistics(end, queue).wait.mean().map_or(0.0, Duration::as_secs_f64)
}

/// `FORESCALE_EXPERIMENTS=2000 cargo test --test statistics intervals -- --nocapture` makes the whole measurement.
#[test]
fn intervals_of_a_queue_hold_the_true_mean_in_95_of_100_experiments() {
    let whole = 2000_usize;
    let wanted = std::env::var("FORESCALE_EXPERIMENTS").ok().and_then(|text| text.parse().ok());
    let experiments: usize = wanted.unwrap_or(400);
    let scenario = decoded(
        "[[queues]]\nname = \"q\"\nservice = \"moto\"\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"1/s\"\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\nbatchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"\nvisibilityTimeout = \"12h\"\n",
    );
    // Erlang C for two servers and an offered load of 1: 1/3; the mean wait is that over 2 - 1.
    let truth = 1.0 / 3.0;
    let covered = (0..experiments as u64)
        .into_par_iter()
        .filter(|experiment| {
            let samples: Vec<f64> = (0..REPLICATIONS).map(|r| mean_wait(&scenario, 1000 + experiment, r)).collect();
            let estimate = Estimate::of(&samples, 0.95);
            estimate.low() <= truth && truth <= estimate.high()
        })
        .count();
    let share = covered as f64 / experiments as f64;
    println!("{covered} of {experiments} intervals hold the mean wait of M/M/{SERVERS}: {:.2} %", share * 100.0);
    // Fewer experiments than the whole leave more to chance: four standard deviations of it.
    let chance = if experiments < whole { 4.0 * (0.95 * 0.05 / experiments as f64).sqrt() } else { 0.0 };
    assert!((0.93 - chance..=0.97 + chance).contains(&share), "{share}");
}

/// A deployment of `replicas` pods on one node, and what is sent to its queue.
fn run(replicas: u32, warm_up: &str, arrivals: &str) -> Outcome {
    let text = format!(
        "[simulation]\nduration = \"20m\"\nwarmUp = \"{warm_up}\"\n[[queues]]\nname = \"q\"\n{arrivals}\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\nprocessing = \"500ms\"\n\
         [[deployments]]\nmetadata = {{ name = \"d\" }}\nspec.replicas = {replicas}\n\
         spec.selector.matchLabels = {{ app = \"d\" }}\nspec.template.metadata.labels = {{ app = \"d\" }}\n\
         spec.template.spec.containers = [{{ name = \"app\", image = \"d\", resources = {{ requests = {{ cpu = \"100m\", memory = \"128Mi\" }} }} }}]\n\
         [[nodeGroups]]\nname = \"base\"\ninstanceType = \"m5.large\"\ncount = 1\n"
    );
    let texts = [("q.toml".to_owned(), text)].into_iter().collect();
    let loaded = load_texts("q.toml", texts, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    simulation::run(&loaded.scenario, simulation::Options::replication(0)).unwrap_or_else(|error| panic!("{error}"))
}

fn value(outcome: &Outcome, measure: &str) -> f64 {
    Measure::find(measure).map_or(f64::NAN, |measure| measure.of(outcome))
}

#[test]
fn nobody_served_is_the_longest_wait_there_is() {
    let arrivals = "[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"2.2/s\"\nend = \"15m\"";
    let [none, few, enough] = [0, 1, 3].map(|replicas| run(replicas, "0s", arrivals));
    for measure in ["wait_mean_s", "wait_p50_s", "wait_p95_s", "wait_p99_s", "sojourn_p95_s", "left", "drain_s"] {
        let [none, few, enough] = [&none, &few, &enough].map(|outcome| value(outcome, measure));
        assert!(none > few && (few > enough || measure == "left"), "{measure}: {none} {few} {enough}");
    }
    // Messages come evenly over the first 15 of 20 minutes: half of them are older than 12.5 at the end.
    assert!((value(&none, "wait_p50_s") - 750.0).abs() < 30.0);
    assert_eq!(value(&none, "waiting_share"), 1.0);
    // No message is counted twice, none is forgotten.
    for outcome in [&none, &few, &enough] {
        let queue = &outcome.queues[0];
        assert_eq!(queue.wait.count() + queue.unfinished.waiting.count(), queue.totals.sent);
        assert_eq!(queue.unfinished.present.count(), queue.totals.left);
    }
}

#[test]
fn messages_of_the_warm_up_are_not_measured() {
    // 300 messages at once, whose waits would hide those of the calm that follows.
    let arrivals = "[[queues.arrivals]]\npattern = \"burst\"\nat = \"1s\"\nmessages = 300\nover = \"1s\"\n\
                    [[queues.arrivals]]\npattern = \"constant\"\nrate = \"1/s\"\nstart = \"10m\"";
    let (all, calm) = (run(3, "0s", arrivals), run(3, "10m", arrivals));
    assert!(value(&all, "wait_max_s") > 20.0, "{}", value(&all, "wait_max_s"));
    assert!(value(&calm, "wait_max_s") < 5.0, "{}", value(&calm, "wait_max_s"));
    let queue = &calm.queues[0];
    assert_eq!(queue.wait.count() + queue.unfinished.waiting.count(), queue.totals.sent - 300);
    assert_eq!(calm.queues[0].totals, all.queues[0].totals, "what happens does not depend on what is measured");
}

/// `FORESCALE_PAIRS=40 cargo test --release --test statistics pairing -- --nocapture` makes the whole measurement.
#[test]
fn pairing_saves_two_thirds_of_all_runs_and_more_on_reference_systems() {
    let pairs = std::env::var("FORESCALE_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let consolidation = "NodePool/node-spot.disruption.consolidateAfter";
    let workers = "NodePool/batch-workers.disruption.consolidateAfter";
    let replicas = "ScaledObject/order-processor.maxReplicaCount";
    let cases = [
        ("two-layer", consolidation, ["1m", "30s"]),
        ("front-page", workers, ["30s", "1m"]),
        ("front-page", replicas, ["100", "120"]),
    ];
    for (name, setting, values) in cases.into_iter().take(if pairs < 20 { 1 } else { cases.len() }) {
        let runs = values.map(|value| replications(name, (setting, value), pairs));
        for (measure, least) in [("wait_p95_s", 3.0), ("wait_mean_s", 1.0), ("cost_usd", 0.9)] {
            let [a, b] =
                [0, 1].map(|side| runs[side].iter().map(|outcome| value(outcome, measure)).collect::<Vec<_>>());
            let gain = pairing_gain(&a, &b);
            let [from, to] = values;
            println!("{name}, {setting} {from} against {to}, {measure}: {gain:.1?} times fewer of {pairs} runs");
            // Without a gain to name, the difference is the same in all runs: one pair says it all.
            assert!(gain.is_none_or(|gain| gain >= least), "{name} {measure}: {gain:?}");
        }
    }
}

fn replications(name: &str, (setting, value): (&str, &str), count: u32) -> Vec<Outcome> {
    let path = std::path::PathBuf::from("scenarios").join(format!("{name}.toml"));
    let settings = vec![(setting.to_owned(), value.to_owned())];
    let loaded = load(&path, &Options { settings, ..Options::default() }).unwrap_or_else(|invalid| panic!("{invalid}"));
    let run = |replication| simulation::run(&loaded.scenario, simulation::Options::replication(replication));
    (0..count).into_par_iter().map(|r| run(r).unwrap_or_else(|error| panic!("{error}"))).collect()
}
