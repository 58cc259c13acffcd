//! Faults that the pods of a workload meet: crashes, failing receives and attempts, failing calls of KEDA and of metrics servers.

use std::collections::BTreeMap;

use forescale::scenario::load;
use forescale::simulation::{self, Options};
use forescale::telemetry::Outcome;
use forescale::time::Time;

/// Ten pods that take one message of 10 s at a time, on a node with room for all; `more` adds to it.
fn run(more: &str) -> Outcome {
    let text = format!(
        r#"
[simulation]
duration = "20m"
profile  = "kwok"
manifests = []

[cloud]
provider = "kwok"

[latencies]
podStart = "0s"
appStart = "0s"

[clocks]
kedaFirstPoll = "0s"
hpaFirstPass  = "0s"

[[nodeGroups]]
name     = "room"
capacity = {{ cpu = "200", memory = "800Gi", pods = 1000 }}

[[queues]]
name = "work"
counters = "exact"
visibilityTimeout = "60s"

[[consumers]]
deployment = "worker"
queue      = "work"
batchSize  = 1
waitTime   = "20s"
processing = "10s"

[[deployments]]
metadata = {{ name = "worker" }}
[deployments.spec]
replicas = 10
selector = {{ matchLabels = {{ app = "worker" }} }}
[deployments.spec.template.metadata]
labels = {{ app = "worker" }}
[deployments.spec.template.spec]
containers = [{{ name = "worker", image = "w", resources = {{ requests = {{ cpu = "1", memory = "1Gi" }} }} }}]

{more}
"#
    );
    let texts = BTreeMap::from([("scenario.toml".to_owned(), text)]);
    let loaded = load::load_texts("scenario.toml", texts, &load::Options::default()).unwrap_or_else(|e| panic!("{e}"));
    simulation::run(&loaded.scenario, Options::replication(0)).unwrap_or_else(|e| panic!("{e}"))
}

const BACKLOG: &str = "[[queues.arrivals]]\npattern = \"burst\"\nat = \"0s\"\nmessages = 200\nover = \"0s\"\n";

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

fn in_flight(outcome: &Outcome, second: f64) -> i64 {
    outcome.queues[0].in_flight.at(at(second))
}

fn sends(count: u32, second: f64) -> String {
    format!(
        "[[queues.arrivals]]\npattern = \"list\"\nsends = [{{ at = \"{second}s\", messages = {count}, over = \"0s\" }}]\n"
    )
}

fn ready(outcome: &Outcome, second: f64) -> i64 {
    outcome.pods_ready(None).at(at(second))
}

#[test]
fn a_crash_leaves_the_message_in_hand_to_its_timeout_and_the_container_starts_again() {
    let outcome = run(&(sends(10, 20.0) + "[[faults]]\nkind = \"podCrash\"\nat = \"25s\"\n"));
    // All ten held a message from 20 s on; they are ready again 1 s after the crash, the messages come back at 80 s and are done at 90 s.
    assert_eq!((ready(&outcome, 24.9), ready(&outcome, 25.5), ready(&outcome, 26.5)), (10, 0, 10));
    assert_eq!((in_flight(&outcome, 79.0), outcome.queues[0].visible.at(at(79.0))), (10, 0));
    let totals = outcome.queues[0].totals;
    assert_eq!((totals.expired, totals.received, totals.processed), (10, 20, 10));
    assert_eq!(totals.last_processed.map(|at| at.as_secs_f64().round()), Some(90.0));
    assert_eq!(outcome.pods.iter().filter(|pod| pod.workload.is_some()).count(), 10, "crashes make no new pods");
}

#[test]
fn crashes_in_a_row_wait_longer_each_time() {
    // From 25 s to 145 s a container crashes whenever it starts: at 25, 26, 36, 56, 96; then it is started again after 80 s more.
    let outcome = run("[[faults]]\nkind = \"podCrash\"\nat = \"25s\"\nduration = \"2m\"\n");
    let up: Vec<i64> = [24.0, 27.0, 37.0, 57.0, 97.0, 146.0, 175.5, 176.5].map(|second| ready(&outcome, second)).into();
    assert_eq!(up, [10, 0, 0, 0, 0, 0, 0, 10]);
}

#[test]
fn a_share_of_the_pods_crashes() {
    let outcome =
        run("[[faults]]\nkind = \"podCrash\"\nat = \"25s\"\nduration = \"2m\"\nshare = 0.3\ndeployment = \"worker\"\n");
    assert_eq!([24.0, 30.0, 140.0, 200.0].map(|second| ready(&outcome, second)), [10, 7, 7, 10]);
}

#[test]
fn failing_receives_leave_messages_visible() {
    let fault = "[[faults]]\nkind = \"receiveFails\"\nat = \"15s\"\nduration = \"60s\"\nqueue = \"work\"\n";
    let outcome = run(&(sends(10, 20.0) + fault));
    assert_eq!((outcome.queues[0].visible.at(at(74.9)), in_flight(&outcome, 74.9)), (10, 0));
    // Asked again at most 0.2 s after the end.
    assert_eq!(in_flight(&outcome, 75.3), 10);
    assert_eq!(outcome.queues[0].totals.received, 10);
}

#[test]
fn a_share_of_receives_fails() {
    let fault = "[[faults]]\nkind = \"receiveFails\"\nat = \"0s\"\nshare = 0.5\n";
    let (half, none) = (run(&(BACKLOG.to_owned() + fault)), run(BACKLOG));
    let last = |outcome: &Outcome| outcome.queues[0].totals.last_processed.map_or(0.0, Time::as_secs_f64);
    assert_eq!((half.queues[0].totals.processed, none.queues[0].totals.processed), (200, 200));
    // Twenty messages a pod, each after one failed call of 0.2 s in the mean.
    assert!((1.0..9.0).contains(&(last(&half) - last(&none))), "{} {}", last(&half), last(&none));
}

#[test]
fn attempts_that_touch_the_fault_fail_and_their_messages_come_back() {
    let fault = "[[faults]]\nkind = \"processingFails\"\nat = \"25s\"\nduration = \"10s\"\ndeployment = \"worker\"\n";
    let outcome = run(&(sends(10, 20.0) + &sends(10, 36.0) + fault));
    let totals = outcome.queues[0].totals;
    // The first ten (20 to 30 s) fail and come back at 80 s; those from 36 s on are fine.
    assert_eq!((totals.received, totals.expired, totals.processed), (30, 10, 20));
    assert_eq!(totals.last_processed.map(|at| at.as_secs_f64().round()), Some(90.0));
}

const SCALED: &str = r#"
[[scaledObjects]]
metadata = { name = "worker" }
[scaledObjects.spec]
scaleTargetRef  = { name = "worker" }
minReplicaCount = 0
maxReplicaCount = 20
pollingInterval = 10
cooldownPeriod  = 30
[[scaledObjects.spec.triggers]]
type = "aws-sqs-queue"
[scaledObjects.spec.triggers.metadata]
queueURL    = "https://sqs.us-east-1.amazonaws.com/123456789012/work"
awsRegion   = "us-east-1"
queueLength = "5"
"#;

fn staircase(outcome: &Outcome) -> Vec<i64> {
    outcome.workloads[0].desired.steps().iter().map(|(_, count)| *count).collect()
}

#[test]
fn without_kedas_metrics_server_polls_act_and_pulls_fail() {
    let scaled = SCALED.replace("scaleTargetRef", "initialCooldownPeriod = 0\nscaleTargetRef");
    let late = sends(100, 100.0);
    let down = "[[faults]]\nkind = \"kedaMetricsServerDown\"\nat = \"90s\"\nduration = \"60s\"\n";
    let (fine, broken) = (run(&(late.clone() + &scaled)), run(&(late + &scaled + down)));
    // Both go to zero first and are activated by the poll of 100 s; beyond 1 it takes a pull, which succeeds from 150 s on.
    let at_second = |outcome: &Outcome, second| outcome.workloads[0].desired.at(at(second));
    assert_eq!([at_second(&fine, 99.0), at_second(&broken, 99.0)], [0, 0]);
    assert_eq!([at_second(&fine, 149.0), at_second(&broken, 149.0)], [16, 1]);
    assert!(at_second(&broken, 170.0) > 1);
    assert_eq!((staircase(&fine).last(), staircase(&broken).last()), (Some(&0), Some(&0)));
}

#[test]
fn a_share_of_queue_reads_fails() {
    let faults = |share: &str| format!("[[faults]]\nkind = \"queueAttributesFail\"\nat = \"0s\"\nshare = {share}\n");
    let run = |share: &str| run(&(BACKLOG.to_owned() + SCALED + &faults(share)));
    let (none, half, all) = (run("0.0"), run("0.5"), run("1.0"));
    // With every call failing the count stays; with half of them it still moves, though both attempts of a query may fail.
    assert_eq!(staircase(&all), [10]);
    assert!(staircase(&half).len() > 2 && staircase(&half).last() == staircase(&none).last());
}
