//! KEDA's operator and the HPA controller together: outages, restarts, caches, annotations, deletion.

use std::sync::Arc;

use forescale::api::keda::{ScaledJob, ScaledObject};
use forescale::cluster::{Change, Cluster, PodId, QueueAttributes, QueueId, QueueSource, ScaledJobId, ScaledObjectId};
use forescale::scenario::Scenario;
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory};

#[path = "support/driver.rs"]
mod driver;

use driver::{Driver, Happening, decode_yaml, recorded_clocks};

/// A queue whose length is a list of steps; a negative length means that the call fails.
struct Steps(Vec<(f64, i64)>);

impl QueueSource for Steps {
    fn attributes(&mut self, _queue: QueueId, now: Time) -> Option<QueueAttributes> {
        let length = self.0.iter().rfind(|(at, _)| *at <= now.as_secs_f64()).map_or(0, |(_, length)| *length);
        let visible = u64::try_from(length).ok()?;
        Some(QueueAttributes { visible, not_visible: 0, delayed: 0 })
    }

    /// Pods use all of their request.
    fn cpu_time(&mut self, _pod: PodId, request: Cpu, now: Time) -> Option<f64> {
        Some(request.as_f64() * now.as_secs_f64())
    }

    fn memory(&mut self, _: PodId) -> Option<Memory> {
        None
    }
}

const QUEUE: &str = "{queueURL: 'https://sqs.us-east-1.amazonaws.com/1/q', awsRegion: us-east-1, queueLength: '5'}";

fn object(spec: &str, trigger: &str) -> ScaledObject {
    decode_yaml(&format!(
        "metadata: {{name: so}}\nspec: {{scaleTargetRef: {{name: worker}}, {spec}, triggers: [{{type: aws-sqs-queue, metadata: {QUEUE}{trigger}}}]}}"
    ))
}

fn driver(scenario: Scenario, steps: &[(f64, i64)]) -> Driver<Steps> {
    let mut scenario = scenario;
    scenario.queues.push(decode_yaml("name: q"));
    Driver::new(scenario, Steps(steps.to_vec()))
}

/// Changes of the count, with their times to a tenth of a second.
fn counts(driver: &mut Driver<Steps>, until: f64) -> Vec<(f64, i64)> {
    driver.run(until, |_, _| None);
    driver.counts[1..].iter().map(|(at, count)| ((at * 10.0).round() / 10.0, *count)).collect()
}

fn with_fault(kind: &str, at: &str, duration: &str) -> Scenario {
    let mut scenario = recorded_clocks();
    scenario.faults.push(decode_yaml(&format!("{{kind: {kind}, at: {at}, duration: {duration}}}")));
    scenario
}

fn annotate(cluster: &mut Cluster, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    let object = &mut cluster.scaled_objects[0];
    let mut annotations = (*object.annotations).clone();
    annotations.insert(format!("autoscaling.keda.sh/{name}"), value.to_owned());
    object.annotations = Arc::new(annotations);
    cluster.announce(Change::ScaledObjectAnnotations(ScaledObjectId(0)));
}

#[test]
fn activation_is_one_and_the_rest_is_the_hpas() {
    let mut driver = driver(recorded_clocks(), &[(31.0, 12), (200.0, 0)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 30", ""), 0);
    // The poll at 60.09 activates; a dormant pass read 0 just before, so the first pull comes at 75.1.
    let got = counts(&mut driver, 600.0);
    assert_eq!(got, [(60.1, 1), (75.1, 3), (480.1, 0)]);
    let rules: Vec<&str> = driver.decisions.iter().map(|decision| decision.rule.name()).collect();
    assert!(rules.contains(&"KEDAScaleTargetActivated") && rules.contains(&"ScalerCooldown"), "{rules:?}");
}

#[test]
fn without_the_operator_the_count_is_frozen() {
    let mut driver = driver(with_fault("kedaDown", "40s", "100s"), &[(20.0, 50), (50.0, 100)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 10, cooldownPeriod: 30", ""), 0);
    // Polled at once when it is back at 140; pulls are answered 20 s later.
    let got = counts(&mut driver, 240.0);
    let frozen: Vec<_> = got.iter().filter(|(at, _)| (40.0..160.0).contains(at)).collect();
    assert_eq!(got[..2], [(20.1, 1), (30.1, 4)]);
    assert!(frozen.is_empty(), "{got:?}");
    assert!(got.iter().any(|(at, count)| *at > 160.0 && *count == 20), "{got:?}");
}

#[test]
fn a_restarted_controller_manager_remembers_nothing() {
    let spec = "minReplicaCount: 1, pollingInterval: 10";
    let steps = [(0.0, 50), (60.0, 5)];
    let mut plain = driver(recorded_clocks(), &steps);
    plain.add_scaled_object(0.0, object(spec, ""), 10);
    let mut restarted = driver(with_fault("controllerManagerDown", "200s", "10s"), &steps);
    restarted.add_scaled_object(0.0, object(spec, ""), 10);
    let (plain, restarted) = (counts(&mut plain, 900.0), counts(&mut restarted, 900.0));
    // Ten pods are held 300 s after the last high reading, or 300 s after the start whose first pass re-seeds the list.
    assert_eq!((plain.len(), plain[0].1), (1, 1));
    assert_eq!((restarted.len(), restarted[0].1), (1, 1));
    assert!((345.0..376.0).contains(&plain[0].0), "{plain:?}");
    assert!((525.0..541.0).contains(&restarted[0].0), "{restarted:?}");
}

#[test]
fn a_spec_change_polls_at_once_and_moves_the_phase() {
    let mut driver = driver(recorded_clocks(), &[(35.0, 20)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 60", ""), 0);
    fn change(cluster: &mut Cluster, _: &str) {
        let object = &mut cluster.scaled_objects[0];
        let mut spec = (*object.spec).clone();
        spec.min_replica_count = Some(2);
        object.spec = Arc::new(spec);
        object.generation += 1;
        cluster.announce(Change::ScaledObjectSpec(ScaledObjectId(0)));
    }
    driver.at(40.0, Happening::Input(change, String::new()));
    let got = counts(&mut driver, 59.0);
    assert_eq!(got[0], (40.1, 2));
}

#[test]
fn cached_metrics_quantise_the_count_by_the_poll() {
    let mut live = driver(recorded_clocks(), &[(0.0, 5), (20.0, 50)]);
    live.add_scaled_object(0.0, object("minReplicaCount: 1, pollingInterval: 100", ""), 1);
    let mut cached = driver(recorded_clocks(), &[(0.0, 5), (20.0, 50)]);
    cached.add_scaled_object(0.0, object("minReplicaCount: 1, pollingInterval: 100", ", useCachedMetrics: true"), 1);
    assert_eq!(counts(&mut live, 150.0)[0].0, 30.1);
    let got = counts(&mut cached, 150.0);
    assert!((100.0..121.0).contains(&got[0].0), "{got:?}");
}

#[test]
fn annotations_pause_and_force() {
    let mut driver = driver(recorded_clocks(), &[(20.0, 50), (100.0, 5)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 10, cooldownPeriod: 30, maxReplicaCount: 4", ""), 0);
    driver.at(60.0, Happening::Input(annotate, "paused-scale-in=true".to_owned()));
    let got = counts(&mut driver, 600.0);
    assert_eq!(got, [(20.1, 1), (30.1, 4)]);
    driver.at(601.0, Happening::Input(annotate, "paused-scale-in=false".to_owned()));
    let got = counts(&mut driver, 700.0);
    assert_eq!(got.last().map(|(_, count)| *count), Some(1));

    let mut forced = self::driver(recorded_clocks(), &[]);
    forced.add_scaled_object(0.0, object("pollingInterval: 10", ""), 0);
    forced.at(33.0, Happening::Input(annotate, "force-activation=true".to_owned()));
    assert_eq!(counts(&mut forced, 100.0), [(40.1, 1)]);
}

#[test]
fn a_paused_scale_out_holds_both_writers() {
    let mut driver = driver(recorded_clocks(), &[(20.0, 50)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 10, maxReplicaCount: 8", ""), 0);
    driver.at(5.0, Happening::Input(annotate, "paused-scale-out=true".to_owned()));
    assert_eq!(counts(&mut driver, 100.0), []);
    // The executor activates at the next poll, the HPA goes on to the rest.
    driver.at(101.0, Happening::Input(annotate, "paused-scale-out=false".to_owned()));
    driver.at(131.0, Happening::Input(annotate, "paused-scale-out=true".to_owned()));
    let got = counts(&mut driver, 300.0);
    assert_eq!(got.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 4, 8][..got.len()], "{got:?}");
    assert!(got[0].0 < 111.0 && got.iter().all(|(at, _)| *at < 131.0), "{got:?}");
}

#[test]
fn an_idle_count_is_left_and_reached_in_one_step() {
    let mut driver = driver(recorded_clocks(), &[(35.0, 5), (95.0, 0)]);
    let spec = "pollingInterval: 10, cooldownPeriod: 30, minReplicaCount: 3, idleReplicaCount: 0, maxReplicaCount: 9";
    driver.add_scaled_object(0.0, object(spec, ""), 0);
    // Active at 40.1: up to the minimum. Last active poll 90.1: down to idle at the third poll after it, whatever the HPA holds.
    assert_eq!(counts(&mut driver, 200.0), [(40.1, 3), (120.1, 0)]);
}

#[test]
fn initial_cooldown_counts_until_the_first_activity() {
    let spec = |cooldown: u32| format!("pollingInterval: 10, cooldownPeriod: 30, initialCooldownPeriod: {cooldown}");
    for (cooldown, gone) in [(0, 0.1), (45, 50.1)] {
        let mut driver = driver(recorded_clocks(), &[]);
        driver.add_scaled_object(0.0, object(&spec(cooldown), ""), 4);
        let got = counts(&mut driver, 100.0);
        assert_eq!(
            got.last().map(|(at, count)| ((at - gone).abs() < 0.11, *count)),
            Some((true, 0)),
            "{cooldown}: {got:?}"
        );
    }
}

#[test]
fn deletion_restores_the_count_seen_at_first() {
    let mut driver = driver(recorded_clocks(), &[(0.0, 50)]);
    let spec = "advanced: {restoreToOriginalReplicaCount: true}, minReplicaCount: 1, maxReplicaCount: 6";
    driver.add_scaled_object(0.0, object(spec, ""), 2);
    fn delete(cluster: &mut Cluster, _: &str) {
        cluster.scaled_objects[0].deleted = true;
        cluster.announce(Change::ScaledObjectDeleted(ScaledObjectId(0)));
    }
    driver.at(50.0, Happening::Input(delete, String::new()));
    let got = counts(&mut driver, 200.0);
    assert_eq!(got.last(), Some(&(50.0, 2)));
    assert!(driver.cluster.hpas.iter().all(|hpa| !hpa.exists));
}

#[test]
fn an_hpa_that_someone_deletes_comes_back_with_its_memory() {
    let mut driver = driver(recorded_clocks(), &[(0.0, 50), (40.0, 5)]);
    driver.add_scaled_object(0.0, object("minReplicaCount: 1", ""), 10);
    fn delete(cluster: &mut Cluster, _: &str) {
        cluster.delete_hpa(forescale::cluster::HpaId(0));
    }
    driver.at(50.0, Happening::Input(delete, String::new()));
    let got = counts(&mut driver, 600.0);
    assert_eq!(driver.cluster.hpas.len(), 2);
    assert_eq!((got.len(), got[0].1), (1, 1));
    assert!((330.0..350.0).contains(&got[0].0), "{got:?}");
}

#[test]
fn errors_hold_the_count_and_freeze_the_cooldown() {
    let mut driver = driver(recorded_clocks(), &[(0.0, 50), (60.0, -1), (200.0, 0)]);
    driver.add_scaled_object(0.0, object("pollingInterval: 10, cooldownPeriod: 30, maxReplicaCount: 4", ""), 0);
    // The first clean inactive poll after the outage scales to zero at once: the last active poll is long past.
    assert_eq!(counts(&mut driver, 300.0), [(0.1, 1), (15.1, 4), (200.1, 0)]);
}

#[test]
fn a_series_drives_a_trigger_that_is_no_queue() {
    let mut scenario = recorded_clocks();
    scenario.series.push(decode_yaml("{scaledObject: so, times: [0s, 20s], values: [0, 37.5]}"));
    let mut driver = driver(scenario, &[]);
    let object: ScaledObject = decode_yaml(
        "{metadata: {name: so}, spec: {scaleTargetRef: {name: worker}, pollingInterval: 10, triggers: [{type: prometheus, metadata: {serverAddress: p, query: q, threshold: '2.5'}}]}}",
    );
    driver.add_scaled_object(0.0, object, 0);
    let got: Vec<i64> = counts(&mut driver, 120.0).into_iter().map(|(_, count)| count).collect();
    assert_eq!(got, [1, 4, 8, 15]);
}

#[test]
fn an_expression_drives_a_trigger() {
    let mut scenario = recorded_clocks();
    scenario.series.push(decode_yaml("{scaledObject: so, expression: 't < 20 ? 0.0 : 37.5'}"));
    let mut driver = driver(scenario, &[]);
    let object: ScaledObject = decode_yaml(
        "{metadata: {name: so}, spec: {scaleTargetRef: {name: worker}, pollingInterval: 10, triggers: [{type: prometheus, metadata: {serverAddress: p, query: q, threshold: '2.5'}}]}}",
    );
    driver.add_scaled_object(0.0, object, 0);
    let got: Vec<i64> = counts(&mut driver, 120.0).into_iter().map(|(_, count)| count).collect();
    assert_eq!(got, [1, 4, 8, 15]);
}

#[test]
fn cloudwatch_shows_the_mean_of_the_last_whole_period_and_no_sooner() {
    let mut scenario = recorded_clocks();
    scenario.series.push(decode_yaml("{scaledObject: so, times: [0s, 360s], values: [0, 40], delay: 60s}"));
    let mut driver = driver(scenario, &[]);
    let object: ScaledObject = decode_yaml(
        "{metadata: {name: so}, spec: {scaleTargetRef: {name: worker}, pollingInterval: 10, triggers: [{type: aws-cloudwatch, metadata: {namespace: ns, metricName: m, targetMetricValue: '4', minMetricValue: '0', awsRegion: r, metricStatPeriod: '300', metricCollectionTime: '900'}}]}}",
    );
    driver.add_scaled_object(0.0, object, 0);
    // The period from 300 to 600 s has one minute of 0 and four of 40: 32 in the mean, to be read from 660 s on: 8 replicas. The
    // next has 40 throughout, to be read from 960 s on.
    let got = counts(&mut driver, 1_100.0);
    assert_eq!((got[0].0, got[0].1), (660.1, 1), "{got:?}");
    assert_eq!(got[1..].iter().map(|(_, count)| *count).collect::<Vec<_>>(), [4, 8, 10], "{got:?}");
    assert!((960.0..976.0).contains(&got[3].0), "{got:?}");
}

#[test]
fn cpu_counts_through_the_samples_of_the_pods() {
    let mut driver = driver(recorded_clocks(), &[(0.0, 5)]);
    let object: ScaledObject = decode_yaml(&format!(
        "{{metadata: {{name: so}}, spec: {{scaleTargetRef: {{name: worker}}, minReplicaCount: 2, maxReplicaCount: 9, triggers: [{{type: cpu, metricType: Utilization, metadata: {{value: '50'}}}}, {{type: aws-sqs-queue, metadata: {QUEUE}}}]}}}}"
    ));
    driver.add_scaled_object(0.0, object, 2);
    // Pods that are on no node have no samples: the metric fails, and only blocks scaling down.
    assert_eq!(counts(&mut driver, 200.0), []);
    let failed = driver.hpa.status(forescale::cluster::HpaId(0)).map(|status| status.current_metrics.clone());
    assert_eq!(failed, Some(vec![Some(2500), None]));
}

#[test]
fn a_new_spec_of_a_scaled_job_deletes_the_old_jobs_unless_the_rollout_is_gradual() {
    assert_eq!(jobs_before_and_after_a_new_spec("immediate"), (2, 0));
    assert_eq!(jobs_before_and_after_a_new_spec("gradual"), (2, 2));
}

fn jobs_before_and_after_a_new_spec(rollout: &str) -> (usize, usize) {
    let mut scenario = recorded_clocks();
    scenario.clocks.keda_first_poll = Some(Duration::from_millis(150));
    let mut driver = driver(scenario, &[(15.0, 3), (35.0, 0)]);
    let job = |rollout: &str| -> ScaledJob {
        decode_yaml(&format!(
            "{{metadata: {{name: sj}}, spec: {{jobTargetRef: {{template: {{spec: {{containers: []}}}}}}, pollingInterval: 10, maxReplicaCount: 2, rollout: {{strategy: {rollout}}}, triggers: [{{type: aws-sqs-queue, metadata: {{queueURL: q, awsRegion: r, queueLength: '1'}}}}]}}}}"
        ))
    };
    driver.add_scaled_job(0.0, job(rollout));
    fn change(cluster: &mut Cluster, _: &str) {
        let record = &mut cluster.scaled_jobs[0];
        record.generation += 1;
        cluster.announce(Change::ScaledJobSpec(ScaledJobId(0)));
    }
    driver.at(40.0, Happening::JobSucceeded(0));
    driver.at(50.0, Happening::Input(change, String::new()));
    driver.run(49.0, |_, _| None);
    let before = driver.cluster.jobs.iter().filter(|job| job.gone.is_none()).count();
    driver.run(60.0, |_, _| None);
    (before, driver.cluster.jobs.iter().filter(|job| job.gone.is_none()).count())
}

#[test]
fn a_paused_scaled_job_keeps_its_jobs_and_polls_at_once_when_it_goes_on() {
    let mut scenario = recorded_clocks();
    scenario.clocks.keda_first_poll = Some(Duration::from_millis(150));
    let mut driver = driver(scenario, &[(15.0, 2), (40.0, 3)]);
    driver.add_scaled_job(
        0.0,
        decode_yaml(
            "{metadata: {name: sj}, spec: {jobTargetRef: {template: {spec: {containers: []}}}, pollingInterval: 10, maxReplicaCount: 9, triggers: [{type: aws-sqs-queue, metadata: {queueURL: q, awsRegion: r, queueLength: '1'}}]}}",
        ),
    );
    fn annotate(cluster: &mut Cluster, value: &str) {
        let object = ScaledJob {
            spec: (*cluster.scaled_jobs[0].spec).clone(),
            ..decode_yaml(&format!(
                "{{metadata: {{name: sj, annotations: {{autoscaling.keda.sh/paused: '{value}'}}}}, spec: {{jobTargetRef: {{template: {{spec: {{containers: []}}}}}}, triggers: []}}}}"
            ))
        };
        let object = forescale::scenario::kind::Object::ScaledJob(Box::new(object));
        let patch = forescale::scenario::changes::Patch { objects: vec![object], ..decode_yaml("{}") };
        let change = forescale::scenario::changes::TimedChange { patch, ..decode_yaml("{at: 0s}") };
        forescale::simulation::changes::apply(Time::ZERO, &change, &forescale::api::decode::defaults(), cluster);
    }
    driver.at(25.0, Happening::Input(annotate, "true".to_owned()));
    driver.at(63.0, Happening::Input(annotate, "false".to_owned()));
    // Two Jobs at 20.1; none while paused; the third as soon as it goes on, though all three polls of the old phase were missed.
    let got = counts(&mut driver, 100.0);
    let created: Vec<f64> = got.iter().map(|(at, _)| *at).collect();
    assert_eq!(created.len() + 1, 3, "{got:?}");
    assert!((63.0..63.3).contains(&created[1]), "{got:?}");
    assert!(driver.cluster.jobs.iter().all(|job| job.gone.is_none()), "annotations make no new generation");
}

/// A queue that is never empty, and how often it was asked.
struct Asked(u64);

impl QueueSource for Asked {
    fn attributes(&mut self, _queue: QueueId, _now: Time) -> Option<QueueAttributes> {
        self.0 += 1;
        Some(QueueAttributes { visible: 5, not_visible: 0, delayed: 0 })
    }

    fn cpu_time(&mut self, _: PodId, _: Cpu, _: Time) -> Option<f64> {
        None
    }

    fn memory(&mut self, _: PodId) -> Option<Memory> {
        None
    }
}

/// Each active poll patches a status: forty objects polled every 10 s need four patches a second.
#[test]
fn the_operators_client_limits_how_often_many_objects_are_polled() {
    let polls = |qps: u32| {
        let mut scenario = recorded_clocks();
        scenario.keda.kube_api_qps = qps;
        scenario.keda.kube_api_burst = 1;
        scenario.queues.push(decode_yaml("name: q"));
        let mut driver = Driver::new(scenario, Asked(0));
        for index in 0..40 {
            let mut object = object("minReplicaCount: 1, pollingInterval: 10", ", useCachedMetrics: true");
            object.metadata.name = Some(format!("so-{index}"));
            object.spec.scale_target_ref.name = format!("worker-{index}");
            driver.add_scaled_object(0.0, object, 1);
        }
        driver.run(400.0, |_, _| None);
        driver.queue.0
    };
    // 40 objects, 40 polls each; two patches a second are enough for half of them.
    assert!((1600..=1640).contains(&polls(20)), "{}", polls(20));
    assert!((780..=860).contains(&polls(2)), "{}", polls(2));
}

/// Twenty HPAs of one phase whose passes take a second each: five pass at a time, the others wait, none is lost.
#[test]
fn five_workers_share_all_hpas() {
    let mut scenario = recorded_clocks();
    scenario.clocks.hpa_pass_live = Duration::from_secs(1);
    let mut driver = driver(scenario, &[(0.0, 50)]);
    for index in 0..20 {
        let mut object = object("minReplicaCount: 1, maxReplicaCount: 10", "");
        object.metadata.name = Some(format!("so-{index}"));
        object.spec.scale_target_ref.name = format!("worker-{index}");
        driver.add_scaled_object(0.0, object, 10);
        // Each target has pods of its own.
        let selector = format!("matchLabels: {{app: worker-{index}}}");
        driver.cluster.deployments[index].selector = Arc::new(decode_yaml(&selector));
    }
    let mut passed_by = |until: f64| {
        driver.run(until, |_, _| None);
        let statuses = (0..20).filter_map(|hpa| driver.hpa.status(forescale::cluster::HpaId(hpa)));
        statuses.filter(|status| status.conditions.scaling_active.is_some_and(|active| active.status)).count()
    };
    assert_eq!([15.0, 15.5, 16.5, 17.5, 18.5].map(&mut passed_by), [0, 5, 10, 15, 20]);
}
