//! When KEDA's loops poll: their first poll, what moves their phase, what an outage leaves of them.

use forescale::api::keda::{ScaledJob, ScaledObject};
use forescale::cluster::state::Applied;
use forescale::cluster::{
    Change, Cluster, DeploymentId, PodId, QueueAttributes, QueueId, QueueSource, ScaledJobId, ScaledObjectId,
};
use forescale::scenario::Scenario;
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory};

use crate::driver::{Driver, Happening, decode_yaml, recorded_clocks};

/// A queue of so many messages, and when it was asked, in seconds.
struct Asked(u64, Vec<f64>);

impl QueueSource for Asked {
    fn attributes(&mut self, _: QueueId, now: Time) -> Option<QueueAttributes> {
        self.1.push(now.as_secs_f64());
        Some(QueueAttributes { visible: self.0, not_visible: 0, delayed: 0 })
    }

    fn cpu_time(&mut self, _: PodId, _: Cpu, _: Time) -> Option<f64> {
        None
    }

    fn memory(&mut self, _: PodId) -> Option<Memory> {
        None
    }
}

/// First polls come so long after the application, later ones exactly an interval after each other.
fn clocks(first_poll: Option<Duration>) -> Scenario {
    let mut scenario = recorded_clocks();
    scenario.clocks.keda_poll_slip = Duration::ZERO;
    scenario.clocks.keda_first_poll = first_poll;
    // Only KEDA asks the queue.
    scenario.clocks.hpa_first_pass = Some(Duration::from_hours(1));
    scenario.queues.push(decode_yaml("name: q"));
    scenario
}

fn with_fault(mut scenario: Scenario, kind: &str, at: &str, duration: &str) -> Scenario {
    scenario.faults.push(decode_yaml(&format!("{{kind: {kind}, at: {at}, duration: {duration}}}")));
    scenario
}

const TRIGGER: &str = "{type: aws-sqs-queue, metadata: {queueURL: q, awsRegion: r}}";

fn object(name: &str) -> ScaledObject {
    decode_yaml(&format!(
        "metadata: {{name: {name}}}\nspec: {{scaleTargetRef: {{name: {name}}}, minReplicaCount: 1, pollingInterval: 30, triggers: [{TRIGGER}]}}"
    ))
}

fn job(name: &str) -> ScaledJob {
    decode_yaml(&format!(
        "metadata: {{name: {name}}}\nspec: {{jobTargetRef: {{template: {{spec: {{containers: []}}}}}}, pollingInterval: 30, triggers: [{TRIGGER}]}}"
    ))
}

/// When the queue was asked until then, to the hundredth of a second.
fn polls(driver: &mut Driver<Asked>, until: f64) -> Vec<f64> {
    driver.run(until, |_, _| None);
    driver.queue.1.iter().map(|at| (at * 100.0).round() / 100.0).collect()
}

/// A new generation of every object.
fn new_spec(cluster: &mut Cluster, _: &str) {
    for index in 0..cluster.scaled_objects.len() {
        cluster.scaled_objects[index].generation += 1;
        cluster.announce(Change::ScaledObjectSpec(ScaledObjectId(index as u32)));
    }
    for index in 0..cluster.scaled_jobs.len() {
        cluster.scaled_jobs[index].generation += 1;
        cluster.announce(Change::ScaledJobSpec(ScaledJobId(index as u32)));
    }
}

/// The same for an object and for a ScaledJob, each alone in its cluster and applied at an instant.
fn each(scenario: &Scenario, applied: f64) -> [Driver<Asked>; 2] {
    let mut of_object = Driver::new(scenario.clone(), Asked(5, Vec::new()));
    of_object.add_scaled_object(applied, object("a"), 1);
    let mut of_job = Driver::new(scenario.clone(), Asked(5, Vec::new()));
    of_job.add_scaled_job(applied, job("a"));
    [of_object, of_job]
}

const GIVEN: Option<Duration> = Some(Duration::from_secs(2));

#[test]
fn the_first_poll_comes_as_late_as_given_and_a_new_spec_ends_the_old_loop() {
    for applied in [0.0, 10.0] {
        for mut driver in each(&clocks(GIVEN), applied) {
            driver.at(applied + 70.0, Happening::Input(new_spec, String::new()));
            let expected = [2.0, 32.0, 62.0, 72.0, 102.0, 132.0].map(|at| applied + at);
            assert_eq!(polls(&mut driver, applied + 140.0), expected);
        }
    }
}

#[test]
fn without_a_given_phase_loops_of_the_beginning_have_one_of_long_ago_and_later_ones_poll_at_once() {
    for mut driver in each(&clocks(None), 50.0) {
        driver.at(70.0, Happening::Input(new_spec, String::new()));
        assert_eq!(polls(&mut driver, 110.0), [50.09, 70.09, 100.09]);
    }
    let mut phases = [Vec::new(), Vec::new()];
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut of_object = Driver::new(clocks(None), Asked(5, Vec::new()));
        of_object.add_scaled_object(0.0, object(name), 1);
        let mut of_job = Driver::new(clocks(None), Asked(5, Vec::new()));
        of_job.add_scaled_job(0.0, job(name));
        for (mut driver, phases) in [of_object, of_job].into_iter().zip(&mut phases) {
            driver.at(70.0, Happening::Input(new_spec, String::new()));
            let all = polls(&mut driver, 105.0);
            let before: Vec<f64> = all.iter().copied().filter(|at| *at < 70.0).collect();
            assert!((0.08..30.0).contains(&before[0]), "{all:?}");
            assert!(before.windows(2).all(|pair| (pair[1] - pair[0] - 30.0).abs() < 0.011), "{all:?}");
            assert_eq!(all[before.len()..], [70.09, 100.09]);
            phases.push(before[0]);
        }
    }
    for phases in phases {
        let (least, most) = phases.iter().fold((30.0f64, 0.0f64), |(least, most), at| (least.min(*at), most.max(*at)));
        assert!(most - least > 10.0, "spread over the interval: {phases:?}");
    }
}

/// The loop's timer and query add a little to each interval.
#[test]
fn each_poll_slips() {
    let mut scenario = clocks(GIVEN);
    scenario.clocks.keda_poll_slip = Duration::from_millis(500);
    for mut driver in each(&scenario, 0.0) {
        assert_eq!(polls(&mut driver, 100.0), [2.0, 32.5, 63.0, 93.5]);
    }
}

#[test]
fn what_a_poll_starts_is_written_a_little_later() {
    let mut scenario = clocks(GIVEN);
    scenario.clocks.keda_scale_write = Duration::from_millis(700);
    let [_, mut of_job] = each(&scenario, 0.0);
    of_job.run(10.0, |_, _| None);
    assert_eq!(of_job.counts.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2.7], "one Job for five messages");
}

/// `rate.Limiter` of the client: ten reconciles at once, then three patches each at 20 a second. Old phases are gone.
#[test]
fn after_a_restart_ten_objects_poll_at_once_and_the_others_as_fast_as_the_client_allows() {
    let mut driver = Driver::new(with_fault(clocks(GIVEN), "kedaDown", "40s", "60s"), Asked(5, Vec::new()));
    for index in 0..13 {
        driver.add_scaled_object(0.0, object(&format!("so-{index}")), 1);
    }
    let all = polls(&mut driver, 140.0);
    let first = [vec![101.92; 10], vec![102.07, 102.22, 102.37]].concat();
    let second: Vec<f64> = first.iter().map(|at: &f64| ((at + 30.0) * 100.0).round() / 100.0).collect();
    assert_eq!(all[..26], [[2.0; 13], [32.0; 13]].concat(), "none is polled while the operator is down");
    assert_eq!(all[26..], [first, second].concat());
}

#[test]
fn after_a_restart_scaled_jobs_poll_at_once() {
    let [_, mut of_job] = each(&with_fault(clocks(None), "kedaDown", "40s", "60s"), 20.0);
    assert_eq!(polls(&mut of_job, 135.0), [20.09, 100.01, 130.01]);
}

/// The old loop's next poll, due after the restart, is not made.
#[test]
fn a_short_outage_moves_the_phase() {
    for mut driver in each(&with_fault(clocks(None), "kedaDown", "40s", "5s"), 20.0) {
        assert_eq!(polls(&mut driver, 100.0), [20.09, 45.01, 75.01]);
    }
}

/// What fell due while both were down comes to nothing.
#[test]
fn polls_wait_for_the_api_server_and_not_for_the_operator() {
    let phase = Some(Duration::from_secs(17));
    for mut driver in each(&with_fault(clocks(phase), "apiServerDown", "45s", "10s"), 0.0) {
        assert_eq!(polls(&mut driver, 90.0), [17.0, 55.0, 85.0]);
    }
    let both = with_fault(with_fault(clocks(phase), "kedaDown", "100s", "10s"), "apiServerDown", "105s", "10s");
    for mut driver in each(&both, 0.0) {
        assert_eq!(polls(&mut driver, 160.0), [17.0, 47.0, 77.0, 131.92]);
    }
    // The operator goes down and comes back whether the API server is there or not.
    let back = with_fault(with_fault(clocks(phase), "apiServerDown", "100s", "5s"), "kedaDown", "102s", "60s");
    for mut driver in each(&back, 0.0) {
        assert_eq!(polls(&mut driver, 190.0), [17.0, 47.0, 77.0, 178.92]);
    }
}

#[test]
fn nothing_is_activated_while_the_operator_is_down() {
    let mut driver = Driver::new(with_fault(clocks(GIVEN), "kedaDown", "40s", "100s"), Asked(0, Vec::new()));
    let mut sleeping = object("a");
    sleeping.spec.min_replica_count = None;
    driver.add_scaled_object(0.0, sleeping, 0);
    driver.run(50.0, |_, _| None);
    driver.queue.0 = 5;
    driver.run(200.0, |_, _| None);
    assert_eq!(driver.counts[1..], [(141.94, 1)]);
}

/// The reconcile that finds no target is tried again; the loop starts with the target.
#[test]
fn an_object_waits_for_its_target() {
    let mut driver = Driver::new(clocks(GIVEN), Asked(5, Vec::new()));
    driver.add_scaled_object(0.0, object("a"), 1);
    driver.add_scaled_object(0.0, object("b"), 1);
    driver.cluster.scaled_objects[0].target = Some(DeploymentId(2));
    let late = driver.cluster.deployments[0].clone();
    driver.cluster.deployments.push(late);
    driver.at(50.0, Happening::Apply(Applied::Deployment(DeploymentId(2))));
    assert_eq!(polls(&mut driver, 85.0), [2.0, 32.0, 50.08, 62.0, 80.08]);
}

/// `handlePause` runs when the annotation comes, not whenever somebody scales the target.
#[test]
fn a_count_set_by_hand_while_paused_stays() {
    let mut driver = Driver::new(clocks(GIVEN), Asked(5, Vec::new()));
    let mut paused = object("a");
    paused.metadata.annotations.insert("autoscaling.keda.sh/paused-replicas".to_owned(), "3".to_owned());
    driver.add_scaled_object(0.0, paused, 1);
    fn by_hand(cluster: &mut Cluster, _: &str) {
        cluster.scale_deployment(DeploymentId(0), 7);
    }
    driver.at(30.0, Happening::Input(by_hand, String::new()));
    driver.run(100.0, |_, _| None);
    let counts: Vec<i64> = driver.counts.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [1, 3, 7]);
}

/// Owned by it, its Jobs go with it.
#[test]
fn a_deleted_scaled_job_takes_its_jobs_along_and_polls_no_more() {
    let [_, mut of_job] = each(&clocks(GIVEN), 0.0);
    fn delete(cluster: &mut Cluster, _: &str) {
        cluster.scaled_jobs[0].deleted = true;
        cluster.announce(Change::ScaledJobDeleted(ScaledJobId(0)));
    }
    of_job.at(40.0, Happening::Input(delete, String::new()));
    assert_eq!(polls(&mut of_job, 100.0), [2.0, 32.0]);
    let gone: Vec<bool> = of_job.cluster.jobs.iter().map(|job| job.gone.is_some()).collect();
    assert!(!gone.is_empty() && gone.iter().all(|gone| *gone), "{gone:?}");
}
