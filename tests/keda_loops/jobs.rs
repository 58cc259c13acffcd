//! ScaledJobs in KEDA's operator, and triggers whose source is a series.

use forescale::api::keda::{ScaledJob, ScaledObject};
use forescale::cluster::{PodId, QueueAttributes, QueueId, QueueSource};
use forescale::time::Time;
use forescale::units::{Cpu, Memory};

use crate::driver::{Driver, Happening, decode_yaml, recorded_clocks};

/// A queue of so many messages.
struct Holds(u64);

impl QueueSource for Holds {
    fn attributes(&mut self, _: QueueId, _: Time) -> Option<QueueAttributes> {
        Some(QueueAttributes { visible: self.0, not_visible: 0, delayed: 0 })
    }

    fn cpu_time(&mut self, _: PodId, _: Cpu, _: Time) -> Option<f64> {
        None
    }

    fn memory(&mut self, _: PodId) -> Option<Memory> {
        None
    }
}

const QUEUE: &str = "{type: aws-sqs-queue, metadata: {queueURL: q, awsRegion: r}}";
const PROMETHEUS: &str = "{type: prometheus, metadata: {serverAddress: p, query: q, threshold: '2'}}";

fn job(spec: &str, triggers: &str) -> ScaledJob {
    decode_yaml(&format!(
        "metadata: {{name: sj}}\nspec: {{jobTargetRef: {{template: {{spec: {{containers: []}}}}}}, pollingInterval: 30, {spec} triggers: [{triggers}]}}"
    ))
}

fn driver(messages: u64, series: &[&str]) -> Driver<Holds> {
    let mut scenario = recorded_clocks();
    scenario.queues.push(decode_yaml("name: q"));
    scenario.series = series.iter().map(|text| decode_yaml(text)).collect();
    Driver::new(scenario, Holds(messages))
}

/// `cleanUp` after each poll: one Job at a time, each done before the next poll.
#[test]
fn finished_jobs_beyond_the_limit_go_the_oldest_first() {
    let mut driver = driver(1, &[]);
    driver.add_scaled_job(0.0, job("successfulJobsHistoryLimit: 1,", QUEUE));
    for (number, at) in [20.0, 50.0, 80.0].into_iter().enumerate() {
        driver.at(at, Happening::JobSucceeded(number as u32));
    }
    driver.run(100.0, |_, _| None);
    let gone: Vec<bool> = driver.cluster.jobs.iter().map(|job| job.gone.is_some()).collect();
    assert_eq!(gone, [true, true, false, false]);
}

#[test]
fn the_log_says_how_many_jobs_there_would_be_without_the_maximum() {
    let cases = [
        ("", 5, None),
        ("maxReplicaCount: 5,", 5, None),
        ("maxReplicaCount: 2,", 2, Some(5)),
        ("maxReplicaCount: 2, scalingStrategy: {strategy: eager},", 2, Some(5)),
    ];
    for (max, create, wanted) in cases {
        let mut driver = driver(25, &[]);
        driver.add_scaled_job(0.0, job(max, QUEUE));
        driver.run(1.0, |_, _| None);
        let found: Vec<_> =
            driver.decisions.iter().map(|decision| (decision.counts().to, decision.counts().wanted)).collect();
        assert_eq!(found, [(Some(create), wanted)], "{max}");
    }
}

/// Each trigger has the series of its object, its kind of object and its place.
#[test]
fn a_trigger_reads_its_own_series() {
    let mut of_job = driver(
        0,
        &[
            "{scaledObject: sj, trigger: 0, times: [0s], values: [2]}",
            "{scaledJob: other, trigger: 0, times: [0s], values: [4]}",
            "{scaledJob: sj, trigger: 1, times: [0s], values: [6]}",
            "{scaledJob: sj, trigger: 0, times: [0s], values: [8]}",
        ],
    );
    of_job.add_scaled_job(0.0, job("scalingStrategy: {multipleScalersCalculation: sum},", &[PROMETHEUS; 2].join(", ")));
    of_job.run(1.0, |_, _| None);
    assert_eq!(of_job.cluster.jobs.len(), 7, "eight and six, two for each Job");
}

/// With `limitToPartitionsWithLag` there are as many replicas as partitions with a lag.
#[test]
fn a_topics_lag_is_spread_evenly_over_its_partitions() {
    for (lag, replicas) in [(3, 3), (4, 4), (9, 4)] {
        let series = format!("{{scaledObject: so, times: [0s], values: [{lag}], partitions: 4}}");
        let mut driver = driver(0, &[series.as_str()]);
        let object: ScaledObject = decode_yaml(
            "{metadata: {name: so}, spec: {scaleTargetRef: {name: worker}, minReplicaCount: 1, triggers: [{type: kafka, metadata: {bootstrapServers: b, consumerGroup: g, topic: t, lagThreshold: '1', limitToPartitionsWithLag: 'true'}}]}}",
        );
        driver.add_scaled_object(0.0, object, 1);
        driver.run(120.0, |_, _| None);
        assert_eq!(driver.cluster.deployments[0].replicas, replicas, "lag {lag}");
    }
}
