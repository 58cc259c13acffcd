//! The data plane against queueing theory: mean waits of M/M/1, M/M/c and M/D/1 within the 99 % confidence interval of the
//! closed forms, and Little's law.

use forescale::consumer::{ConsumerSettings, DataPlane, PodRef};
use forescale::engine::{Distribution, Streams};
use forescale::scenario::Scenario;
use forescale::sqs::QueueId;
use forescale::time::{Duration, Time};

const REPLICATIONS: u64 = 20;
/// Student's t for 99 % and 19 degrees of freedom.
const T99: f64 = 2.861;

struct Result {
    wait: f64,
    sojourn: f64,
    in_system: f64,
    throughput: f64,
}

/// A queue with Poisson arrivals and `pods` workers that take one message at a time by long poll, for `hours` hours.
fn run(rate: f64, processing: &Distribution, pods: u32, hours: i64, replication: u64) -> Result {
    let text = format!(
        "[[queues]]\nname = \"q\"\nservice = \"moto\"\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"{rate}/s\"\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\nbatchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"\nvisibilityTimeout = \"12h\"\n"
    );
    let mut problems = forescale::api::decode::Problems::default();
    let node = forescale::scenario::toml::parse(&text, 0, &mut problems);
    let scenario = <Scenario as forescale::api::decode::Decode>::decode(&node, &mut problems);
    let scenario = scenario.unwrap_or_else(|| panic!("{problems:?}"));
    let streams = Streams::new(11, replication);
    let mut plane = DataPlane::new(&scenario.queues, &[], &streams);
    let queue = QueueId(0);
    let mut settings = ConsumerSettings::from_spec(&scenario.consumers[0], queue, plane.sqs().queue(queue).settings());
    settings.processing = processing.clone();
    let kind = plane.add_consumer_kind(settings, &streams);
    for pod in 0..pods {
        plane.add_consumer(Time::ZERO, PodRef(pod), kind);
    }
    let end = Time::ZERO + Duration::from_hours(hours);
    assert_eq!(plane.advance(end), None);
    let (visible, in_flight) = plane.areas(end, queue);
    let seconds = end.as_secs_f64();
    let statistics = plane.statistics(end, queue);
    Result {
        wait: statistics.wait.mean().map_or(0.0, Duration::as_secs_f64),
        sojourn: statistics.sojourn.mean().map_or(0.0, Duration::as_secs_f64),
        in_system: (visible + in_flight) as f64 / 1e6 / seconds,
        throughput: statistics.counters.deleted as f64 / seconds,
    }
}

/// Checks that `expected` lies in the 99 % confidence interval of the replications' mean.
fn check(name: &str, expected: f64, samples: &[f64]) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half_width = T99 * (variance / n).sqrt();
    println!("{name}: {mean:.4} ± {half_width:.4}, expected {expected:.4}");
    assert!((mean - expected).abs() <= half_width, "{name}: {mean} ± {half_width} against {expected}");
}

fn waits(rate: f64, processing: &Distribution, pods: u32, hours: i64) -> Vec<Result> {
    (0..REPLICATIONS).map(|replication| run(rate, processing, pods, hours, replication)).collect()
}

/// Probability that a message waits in M/M/c with offered load `a` (Erlang C).
fn erlang_c(servers: u32, a: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..servers {
        term *= a / f64::from(k);
        sum += term;
    }
    let last = term * a / f64::from(servers) / (1.0 - a / f64::from(servers));
    last / (sum + last)
}

#[test]
fn mm1() {
    // W_q = rho / (mu - lambda) = 0.8 / 0.2 = 4 s.
    let results = waits(0.8, &Distribution::Exponential { mean: Duration::from_secs(1) }, 1, 40);
    check("M/M/1 wait", 4.0, &results.iter().map(|r| r.wait).collect::<Vec<_>>());
    check("M/M/1 sojourn", 5.0, &results.iter().map(|r| r.sojourn).collect::<Vec<_>>());
}

#[test]
fn mm10() {
    // W_q = C(c, a) / (c·mu - lambda).
    let expected = erlang_c(10, 8.0) / (10.0 - 8.0);
    let results = waits(8.0, &Distribution::Exponential { mean: Duration::from_secs(1) }, 10, 8);
    check("M/M/10 wait", expected, &results.iter().map(|r| r.wait).collect::<Vec<_>>());
}

#[test]
fn md1() {
    // W_q = rho / (2·mu·(1 - rho)) = 0.8 / 0.4 = 2 s.
    let results = waits(0.8, &Distribution::Constant(Duration::from_secs(1)), 1, 40);
    check("M/D/1 wait", 2.0, &results.iter().map(|r| r.wait).collect::<Vec<_>>());
}

#[test]
fn littles_law() {
    // L = throughput · W holds in each run, but for the messages that are there at its end.
    for result in waits(0.8, &Distribution::Exponential { mean: Duration::from_secs(1) }, 1, 40) {
        let little = result.throughput * result.sojourn;
        assert!((result.in_system / little - 1.0).abs() < 0.005, "{} against {little}", result.in_system);
    }
}
