//! `explain` as its reader sees it, and that a message followed is the message that ran.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use forescale::cluster::QueueId;
use forescale::consumer::{Attempt, MessageStepKind, MessageTrail};
use forescale::ec2::known::known_in;
use forescale::scenario::Scenario;
use forescale::scenario::load::{Options as Loading, load};
use forescale::simulation::{Options, follow, run};
use forescale::time::{Duration, Time};

type Checked = Result<(), Box<dyn std::error::Error>>;

/// The scenario whose explanations are golden, and how long it runs.
const SHIPPED: &str = "scenarios/front-page.toml";
const LENGTH: &str = "22m";

fn forescale(folder: &Path, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let output = Command::cargo_bin("forescale")?.env("NO_COLOR", "1").current_dir(folder).args(arguments).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn explanations_of_a_shipped_scenario() -> Checked {
    let folder = tempfile::tempdir()?;
    let scenario = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    let scenario = scenario.to_str().ok_or("no path")?;
    forescale(folder.path(), &["run", scenario, "-q", "--no-charts", "--duration", LENGTH])?;
    let nodes = std::fs::read_to_string(folder.path().join("output/front-page/nodes.csv"))?;
    let consolidated = nodes.lines().find(|line| line.contains(",m7g.large,")).and_then(|line| line.split(',').next());
    let consolidated = consolidated.ok_or("no m7g.large")?;
    let length = format!("simulation.duration={LENGTH}");
    for (name, arguments) in [
        ("pod", vec!["pod", "order-processor-40"]),
        ("node", vec!["node", consolidated]),
        ("hpa", vec!["hpa"]),
        ("deployment", vec!["deployment", "order-processor"]),
        ("at", vec!["at", "6m"]),
        ("message_of_the_backlog", vec!["message", "1", "--set", &length]),
        ("message_of_the_spike", vec!["message", "40000", "--queue", "orders", "--set", &length]),
    ] {
        let text = forescale(folder.path(), &[&["explain", scenario], arguments.as_slice()].concat())?;
        insta::assert_snapshot!(name, text);
    }
    let other = ["explain", scenario, "message", "1"];
    let output = Command::cargo_bin("forescale")?.current_dir(folder.path()).args(other).output()?;
    assert_eq!(output.status.code(), Some(2), "another length is another run");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--set"));
    Ok(())
}

/// Two pods that process 70 messages, of which some fail; `consumer` adds to what they do.
fn small(folder: &Path, queue: &str, consumer: &str, more: &str) -> Result<Scenario, Box<dyn std::error::Error>> {
    let path = folder.join("small.toml");
    let name = if queue.contains("fifo") { "work.fifo" } else { "work" };
    let text = format!(
        r#"
[simulation]
duration = "20m"
seed = 7

[[queues]]
name = "{name}"
visibilityTimeout = "30s"
backlog = 20
{queue}

[[queues.arrivals]]
pattern = "burst"
at = "1m"
messages = 50
over = "2m"

[[queues]]
name = "dead"

[[consumers]]
deployment = "orders"
queue = "{name}"
processing = {{ lognormal = {{ p50 = "3s", p99 = "15s" }} }}
{consumer}

[[deployments]]
metadata = {{ name = "orders" }}
spec.replicas = 2
spec.selector.matchLabels = {{ app = "orders" }}
spec.template.metadata.labels = {{ app = "orders" }}
spec.template.spec.containers = [{{ name = "app", image = "orders", resources = {{ requests = {{ cpu = "500m", memory = "256Mi" }} }} }}]

[[nodeGroups]]
name = "base"
instanceType = "m5.large"
count = 2
{more}
"#
    );
    std::fs::write(&path, text)?;
    match load(&path, &Loading { known: Some(&known_in), ..Loading::default() }) {
        Ok(loaded) => Ok(loaded.scenario),
        Err(invalid) => Err(format!("{:?}", invalid.problems).into()),
    }
}

fn trails(scenario: &Scenario, messages: u64) -> Result<Vec<MessageTrail>, Box<dyn std::error::Error>> {
    // The laws are checked in the run that they are compared with.
    let options = Options { check_invariants: false, ..Options::replication(0) };
    let trail = |number| Ok(follow(scenario, options, QueueId(0), number)?.1);
    (1..=messages).map(trail).collect()
}

fn first_receive(trail: &MessageTrail) -> Option<Time> {
    let received = trail.steps.iter().find(|step| matches!(step.kind, MessageStepKind::Received { .. }));
    received.map(|step| step.at)
}

#[test]
fn messages_followed_one_by_one_are_those_of_the_run() -> Checked {
    let folder = tempfile::tempdir()?;
    for (queue, consumer) in [
        ("", ""),
        ("fifo = true\nbacklogGroups = 3", ""),
        ("", "batchSize = 10\nack = \"batched\""),
        ("", "ack = \"early\""),
        ("delay = \"20s\"", "batchSize = 5\nfailures = 0.3\nonError = \"release\""),
        ("maxReceiveCount = 2\ndeadLetterQueue = \"dead\"", "failures = 0.5"),
    ] {
        let scenario = small(folder.path(), queue, consumer, "")?;
        let outcome = run(&scenario, Options::replication(0))?;
        let record = &outcome.queues[0];
        assert_eq!(record.totals.sent, 70);
        let trails = trails(&scenario, 71)?;
        assert!(trails[70].steps.is_empty(), "no such message was sent");
        let count = |is_it: fn(&MessageStepKind) -> bool| {
            trails.iter().flat_map(|trail| &trail.steps).filter(|step| is_it(&step.kind)).count() as u64
        };
        let name = format!("{queue} {consumer}");
        assert_eq!(count(|kind| matches!(kind, MessageStepKind::Received { .. })), record.totals.received, "{name}");
        assert_eq!(count(|kind| matches!(kind, MessageStepKind::Deleted)), record.totals.processed, "{name}");
        let timed_out = |kind: &MessageStepKind| *kind == MessageStepKind::Returned { timed_out: true };
        assert_eq!(count(timed_out), record.totals.expired, "{name}");
        assert_eq!(
            count(|kind| matches!(kind, MessageStepKind::DeadLettered(_))),
            record.totals.dead_lettered,
            "{name}"
        );
        let waits = trails.iter().filter_map(|trail| Some(first_receive(trail)?.since(trail.steps[0].at)));
        let (all, longest): (Duration, Option<Duration>) = (waits.clone().sum(), waits.max());
        assert_eq!(longest, record.wait.max(), "{name}");
        let mean = record.wait.mean().ok_or("no waits")?;
        assert!((mean * 70).as_micros().abs_diff(all.as_micros()) < 70, "{name}: {mean} of {all}");
    }
    Ok(())
}

#[test]
fn a_message_tells_of_failures_lost_pods_and_its_end() -> Checked {
    let folder = tempfile::tempdir()?;
    let poison = small(folder.path(), "maxReceiveCount = 3\ndeadLetterQueue = \"dead\"", "poison = 1.0", "")?;
    let trail = follow(&poison, Options::replication(0), QueueId(0), 3)?.1;
    let kinds: Vec<MessageStepKind> = trail.steps.iter().map(|step| step.kind).collect();
    let failed = kinds.iter().filter(|kind| matches!(kind, MessageStepKind::Ended(_, Attempt::Failed))).count();
    assert_eq!((failed, kinds.last()), (3, Some(&MessageStepKind::DeadLettered(forescale::sqs::QueueId(1)))));

    let crash = small(folder.path(), "", "crashes = 1.0\nbatchSize = 1", "")?;
    let crashed =
        |step: &forescale::consumer::MessageStep| matches!(step.kind, MessageStepKind::Ended(_, Attempt::Crashed));
    let trails = trails(&crash, 20)?;
    assert!(trails.iter().flat_map(|trail| &trail.steps).any(crashed), "{trails:?}");

    // 20 messages of one group: each waits for the one before.
    let fifo = small(folder.path(), "fifo = true\nbacklogGroups = 1", "", "")?;
    let trail = follow(&fifo, Options::replication(0), QueueId(0), 20)?.1;
    let blocked: Duration =
        trail.group_blocked.windows(2).filter(|pair| pair[0].1).map(|pair| pair[1].0.since(pair[0].0)).sum();
    let wait = first_receive(&trail).ok_or("not received")?.since(trail.steps[0].at);
    assert!(blocked > wait / 2, "blocked {blocked} of {wait}");
    Ok(())
}
