//! Queues, and what consumes them.

use super::choices::Choices;
use super::events::queue_change;
use super::{Frame, Workload};

pub(super) fn queue(c: &mut Choices, frame: &Frame, workload: &Workload) -> Vec<String> {
    let mut text = format!("[[queues]]\nname = \"{}\"\n", workload.queue);
    let dead_letters = c.once_in(2);
    if workload.fifo {
        text += "fifo = true\n";
        text += &c.maybe_text(3, "throughput", &["standard", "high", "unlimited"]);
        text += &c.maybe(4, "lookAhead", &["1", "20"]);
        text += &c.maybe(3, "backlogGroups", &["3", "50"]);
    } else {
        text += &c.maybe(8, "fair", &["true"]);
        text += &c.maybe(3, "shards", &["1", "64"]);
        text += &c.maybe(4, "emptyLongPolls", &["0.0", "0.3"]);
        text += &c.maybe_text(5, "delay", &["0s", "7s", "15m"]);
    }
    text += c.one(&["duplicates = 0.0\n", "duplicates = 0.0\n", "duplicates = 0.0\n", "duplicates = 0.05\n"]);
    text += &c.maybe_text(4, "service", &["moto"]);
    text += &c.maybe_text(2, "visibilityTimeout", &["1s", "10s", "1m", "10m"]);
    text += &c.maybe_text(6, "retention", &["60s", "5m"]);
    text += &c.maybe_text(3, "receiveWaitTime", &["0s", "3s", "20s"]);
    text += &c.maybe(6, "inFlightLimit", &["1", "20"]);
    text += &c.maybe(3, "backlog", &["1", "50", "2000"]);
    if dead_letters {
        text += &format!("maxReceiveCount = {}\n", c.one(&["1", "2", "5"]));
    }
    for _ in 0..c.number(0, 2) {
        text += &arrivals(c, frame);
    }
    for _ in 0..c.number(0, 3).saturating_sub(2) {
        text += &queue_change(c, frame, dead_letters);
    }
    vec![text]
}

pub(super) fn arrivals(c: &mut Choices, frame: &Frame) -> String {
    let rate = c.one(&["1/s", "5/s", "20/m", "30/h", "0.2/s", "12/s"]);
    let at = c.number(0, frame.minutes * 40);
    let pattern = match c.number(0, 9) {
        0 => format!("pattern = \"poisson\"\nrate = \"{rate}\"\n"),
        1 => format!("pattern = \"constant\"\nrate = \"{rate}\"\n"),
        2 => format!("pattern = \"ramp\"\nfrom = \"0/s\"\nto = \"{rate}\"\nover = \"{}s\"\n", c.number(1, 600)),
        3 => format!(
            "pattern = \"steps\"\nsteps = [{{ at = \"0s\", rate = \"{rate}\" }}, {{ at = \"2m\", rate = \"0/s\" }}]\nevery = \"5m\"\n"
        ),
        4 => format!("pattern = \"sine\"\nrate = \"{rate}\"\namplitude = \"3/s\"\nperiod = \"{}m\"\n", c.number(1, 30)),
        5 => format!(
            "pattern = \"burst\"\nat = \"{at}s\"\nmessages = {}\nover = \"{}s\"\n",
            c.number(1, 2000),
            c.number(0, 60)
        ),
        6 => format!(
            "pattern = \"onOff\"\nrate = \"{rate}\"\non = \"30s\"\noff = {{ exponential = {{ mean = \"1m\" }} }}\n"
        ),
        7 => format!(
            "pattern = \"mmpp\"\nstates = [{{ rate = \"{rate}\", mean = \"1m\" }}, {{ rate = \"0/s\", mean = \"2m\" }}]\n"
        ),
        8 => format!("pattern = \"batch\"\nmessages = {}\nrate = \"2/m\"\n", c.number(1, 100)),
        _ => format!("pattern = \"spike\"\nat = \"{at}s\"\npeak = \"{rate}\"\nrise = \"20s\"\nhalfLife = \"1m\"\n"),
    };
    let mut text = format!("[[queues.arrivals]]\n{pattern}");
    text += &c.maybe(3, "groups", &["1", "5", "100"]);
    text += &c.maybe(5, "poison", &["0.01", "0.5"]);
    text += &c.maybe(5, "work", &["0.1", "3.0"]);
    text += &c.maybe(4, "sendBatch", &["10"]);
    text += &c.maybe_text(6, "size", &["100Ki"]);
    text
}

pub(super) fn consumer(c: &mut Choices, index: usize, workload: &Workload) -> String {
    let who = if workload.job { "job" } else { "deployment" };
    let mut text = format!("[[consumers]]\n{who} = \"w{index}\"\nqueue = \"{}\"\n", workload.queue);
    text += &format!("processing = {}\n", c.processing());
    if workload.job {
        text += &c.maybe_text(3, "client", &["keda-job"]);
        text += &c.maybe(4, "maxMessages", &["1", "20"]);
    } else {
        text += &c.maybe_text(3, "client", &["boto3", "celery", "shoryuken", "spring-cloud-aws", "sqs-consumer"]);
        text += &c.maybe(10, "maxMessages", &["3", "100"]);
    }
    text += &c.maybe(2, "batchSize", &["1", "3", "10"]);
    text += &c.maybe_text(2, "waitTime", &["0s", "5s", "20s"]);
    text += &c.maybe(4, "slots", &["1", "4", "16"]);
    text += &c.maybe(6, "threads", &["2", "4"]);
    text += &c.maybe(5, "prefetch", &["0", "4"]);
    text += &c.maybe_text(4, "pollMode", &["continuous", "afterBatch"]);
    text += &c.maybe_text(4, "idlePoll", &["100ms", "10s"]);
    text += &c.maybe_text(3, "ack", &["early", "late", "batched"]);
    text += &c.maybe_text(5, "visibilityTimeout", &["2s", "30s", "5m"]);
    text += &c.maybe(5, "heartbeat", &["{ every = \"5s\", to = \"15s\" }", "{ every = \"1s\", to = \"2s\" }"]);
    text += &c.maybe_text(2, "onTerm", &["die", "drain", "release", "requeue"]);
    text += &c.maybe_text(5, "drainLimit", &["0s", "10s", "1m"]);
    text += &c.maybe(4, "finishPoll", &["true", "false"]);
    text += &c.maybe(6, "orphanedPolls", &["true"]);
    text += &c.maybe_text(3, "onError", &["timeout", "release", "backoff", "delete"]);
    text += &c.maybe(4, "failures", &["0.02", "0.5", "1.0"]);
    text += &c.maybe(8, "poison", &["0.01"]);
    text += &c.maybe(8, "crashes", &["0.001", "0.1"]);
    text += &c.maybe(8, "lostReceives", &["0.05"]);
    text += &c.maybe_text(6, "batchOverhead", &["500ms", "5s"]);
    text += &c.maybe_text(4, "memoryIdle", &["100Mi", "1Gi"]);
    text += &c.maybe(6, "warmUp", &["\"10s\"", "{ exponential = { mean = \"5s\" } }"]);
    text += &c.maybe_text(10, "idleExit", &["30s"]);
    text
}

pub(super) fn template(c: &mut Choices, index: usize, job: bool) -> String {
    let cpu = c.one(&["50m", "250m", "1", "3", "7500m"]);
    let memory = c.one(&["64Mi", "512Mi", "2Gi", "12Gi"]);
    let mut container = format!(
        "name = \"c\", image = \"app:{index}\", resources = {{ requests = {{ cpu = \"{cpu}\", memory = \"{memory}\" }} }}"
    );
    if c.once_in(5) {
        container += ", readinessProbe = { initialDelaySeconds = 3, periodSeconds = 5 }";
    }
    if c.once_in(5) {
        container += ", lifecycle = { preStop = { sleep = { seconds = 5 } } }";
    }
    let mut spec = format!("containers = [{{ {container} }}]");
    if job {
        spec += c.one(&[", restartPolicy = \"Never\"", ", restartPolicy = \"OnFailure\""]);
    }
    if c.once_in(3) {
        spec += &format!(", terminationGracePeriodSeconds = {}", c.one(&["0", "1", "10", "120"]));
    }
    if c.once_in(5) {
        spec += ", tolerations = [{ operator = \"Exists\" }]";
    }
    let selector = format!("labelSelector = {{ matchLabels = {{ app = \"w{index}\" }} }}");
    if c.once_in(5) {
        let key = c.one(&["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
        let when = c.one(&["DoNotSchedule", "ScheduleAnyway"]);
        spec += &format!(
            ", topologySpreadConstraints = [{{ maxSkew = 1, topologyKey = \"{key}\", whenUnsatisfiable = \"{when}\", {selector} }}]"
        );
    } else if c.once_in(8) {
        spec += &format!(
            ", affinity = {{ podAntiAffinity = {{ requiredDuringSchedulingIgnoredDuringExecution = [{{ topologyKey = \"kubernetes.io/hostname\", {selector} }}] }} }}"
        );
    }
    if c.once_in(8) {
        spec += c.one(&[
            ", nodeSelector = { \"karpenter.sh/capacity-type\" = \"spot\" }",
            ", nodeSelector = { \"kubernetes.io/arch\" = \"arm64\" }",
        ]);
    }
    if c.once_in(8) {
        spec += ", priorityClassName = \"system-cluster-critical\"";
    }
    let annotations = if c.once_in(12) { ", annotations = { \"karpenter.sh/do-not-disrupt\" = \"true\" }" } else { "" };
    format!("template = {{ metadata = {{ labels = {{ app = \"w{index}\" }}{annotations} }}, spec = {{ {spec} }} }}")
}

pub(super) fn trigger(c: &mut Choices, workload: &Workload) -> String {
    let mut text = format!(
        "{{ type = \"aws-sqs-queue\", metadata = {{ queueURL = \"https://sqs.us-east-1.amazonaws.com/123456789012/{}\", awsRegion = \"us-east-1\", queueLength = \"{}\"",
        workload.queue,
        c.one(&["1", "5", "10", "100"])
    );
    if c.once_in(3) {
        text += &format!(", scaleOnInFlight = \"{}\"", c.one(&["true", "false"]));
    }
    if c.once_in(4) {
        text += ", scaleOnDelayed = \"true\"";
    }
    if c.once_in(4) {
        text += &format!(", activationQueueLength = \"{}\"", c.one(&["0", "5", "50"]));
    }
    text += " }";
    if c.once_in(6) {
        text += ", useCachedMetrics = true";
    }
    text + " }"
}

pub(super) fn controller(c: &mut Choices, index: usize, workload: &Workload) -> Vec<String> {
    let template = template(c, index, workload.job);
    if workload.job {
        return vec![scaled_job(c, index, workload, &template)];
    }
    let replicas = c.number(0, 6);
    let mut parts = vec![format!(
        "[[deployments]]\nmetadata = {{ name = \"w{index}\" }}\n[deployments.spec]\nreplicas = {replicas}\n\
         selector = {{ matchLabels = {{ app = \"w{index}\" }} }}\n{template}\n"
    )];
    if workload.scaled {
        parts.push(scaled_object(c, index, workload));
    } else if c.once_in(2) {
        let target = c.number(20, 90);
        let resource = c.one(&["cpu", "cpu", "memory"]);
        parts.push(format!(
            "[[horizontalPodAutoscalers]]\nmetadata = {{ name = \"h{index}\" }}\n[horizontalPodAutoscalers.spec]\n\
             scaleTargetRef = {{ kind = \"Deployment\", name = \"w{index}\", apiVersion = \"apps/v1\" }}\nminReplicas = {}\nmaxReplicas = {}\n\
             metrics = [{{ type = \"Resource\", resource = {{ name = \"{resource}\", target = {{ type = \"Utilization\", averageUtilization = {target} }} }} }}]\n{}",
            c.number(1, 3),
            c.number(3, 30),
            behavior(c)
        ));
    }
    parts
}

pub(super) fn behavior(c: &mut Choices) -> String {
    if !c.once_in(3) {
        return String::new();
    }
    let rules = |c: &mut Choices| {
        format!(
            "{{ stabilizationWindowSeconds = {}, selectPolicy = \"{}\", policies = [{{ type = \"{}\", value = {}, periodSeconds = {} }}] }}",
            c.one(&["0", "30", "300"]),
            c.one(&["Max", "Min", "Disabled"]),
            c.one(&["Pods", "Percent"]),
            c.number(1, 100),
            c.one(&["15", "60", "180"])
        )
    };
    format!("behavior = {{ scaleUp = {}, scaleDown = {} }}\n", rules(c), rules(c))
}

pub(super) fn scaled_object(c: &mut Choices, index: usize, workload: &Workload) -> String {
    let minimum = c.number(0, 2);
    let mut text = format!(
        "[[scaledObjects]]\nmetadata = {{ name = \"w{index}\" }}\n[scaledObjects.spec]\nscaleTargetRef = {{ name = \"w{index}\" }}\n\
         minReplicaCount = {minimum}\nmaxReplicaCount = {}\n",
        c.number(minimum.max(1), 60)
    );
    text += &c.maybe(2, "pollingInterval", &["1", "5", "15", "60"]);
    text += &c.maybe(2, "cooldownPeriod", &["0", "10", "60"]);
    text += &c.maybe(6, "initialCooldownPeriod", &["30"]);
    if minimum > 0 {
        text += &c.maybe(3, "idleReplicaCount", &["0"]);
    }
    text += &c.maybe(4, "fallback", &["{ failureThreshold = 3, replicas = 4 }"]);
    text += &format!("triggers = [{}]\n", trigger(c, workload));
    let behavior = behavior(c);
    if !behavior.is_empty() {
        text += &format!("[scaledObjects.spec.advanced.horizontalPodAutoscalerConfig]\n{behavior}");
    }
    text
}

pub(super) fn scaled_job(c: &mut Choices, index: usize, workload: &Workload, template: &str) -> String {
    let mut text = format!("[[scaledJobs]]\nmetadata = {{ name = \"w{index}\" }}\n[scaledJobs.spec]\n");
    text += &c.maybe(2, "pollingInterval", &["1", "5", "15"]);
    text += &format!("maxReplicaCount = {}\n", c.number(1, 40));
    text += &c.maybe(5, "minReplicaCount", &["0", "1"]);
    text += &c.maybe(4, "successfulJobsHistoryLimit", &["0", "3"]);
    text += &c.maybe(
        2,
        "scalingStrategy",
        &["{ strategy = \"accurate\" }", "{ strategy = \"eager\" }", "{ strategy = \"default\" }"],
    );
    text += &format!("triggers = [{}]\n[scaledJobs.spec.jobTargetRef]\n", trigger(c, workload));
    text += &c.maybe(4, "backoffLimit", &["0", "2"]);
    text += &c.maybe(6, "activeDeadlineSeconds", &["20", "120"]);
    text += &c.maybe(6, "ttlSecondsAfterFinished", &["0", "30"]);
    text += &c.maybe(8, "parallelism", &["2"]);
    text + template + "\n"
}

pub(super) fn pdb(c: &mut Choices, index: usize) -> String {
    let rule = c.one(&["minAvailable = 1", "maxUnavailable = 1", "minAvailable = \"50%\"", "maxUnavailable = 0"]);
    format!(
        "[[podDisruptionBudgets]]\nmetadata = {{ name = \"p{index}\" }}\n[podDisruptionBudgets.spec]\n\
         selector = {{ matchLabels = {{ app = \"w{index}\" }} }}\n{rule}\n"
    )
}
