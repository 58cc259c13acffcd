//! A whole scenario from a seed: of all features some, with settings that are now and then extreme.

use forescale::engine::{Stream, Streams};
use forescale::scenario::faults::FaultKind;

/// Random choices.
pub struct Choices(Stream);

impl Choices {
    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.below(of.len())]
    }

    /// From `from` to `to`, both included.
    pub fn number(&mut self, from: usize, to: usize) -> usize {
        from + self.0.below(to - from + 1)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.0.below(n) == 0
    }

    /// A setting, once in `n` times.
    fn maybe(&mut self, n: usize, name: &str, values: &[&str]) -> String {
        if self.once_in(n) { format!("{name} = {}\n", self.one(values)) } else { String::new() }
    }

    fn maybe_text(&mut self, n: usize, name: &str, values: &[&str]) -> String {
        if self.once_in(n) { format!("{name} = \"{}\"\n", self.one(values)) } else { String::new() }
    }

    fn processing(&mut self) -> &'static str {
        self.one(&[
            "\"200ms\"",
            "\"0s\"",
            "{ exponential = { mean = \"1s\" } }",
            "{ lognormal = { p50 = \"2s\", p99 = \"20s\" } }",
            "{ uniform = { min = \"1s\", max = \"3s\" } }",
            "{ gamma = { mean = \"2s\", shape = 2.0 } }",
            "{ lognormal = { p50 = \"15s\", p99 = \"90s\" } }",
        ])
    }
}

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

/// Types of the capacity reservations: some that pools of any kind take.
const RESERVED_TYPES: [&str; 4] = ["m5.xlarge", "m6g.xlarge", "t3.xlarge", "t4g.xlarge"];

/// Capacity reservations, Fargate and volumes, drawn apart from all else.
fn nodes_of_other_kinds(c: &mut Choices, frame: &Frame, parts: &mut Vec<String>) {
    if frame.pools > 0 && c.once_in(3) {
        let regions = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region));
        let zone = format!("{}a", regions.unwrap_or("us-east-1"));
        for index in 0..RESERVED_TYPES.len() {
            parts.push(reservation(c, frame, index, &zone));
        }
        let terms =
            c.one(&["[{ id = \"cr-0\" }]", "[{ instanceMatchCriteria = \"open\" }, { tags = { soak = \"*\" } }]"]);
        for part in parts.iter_mut() {
            *part = part
                .replace(
                    "alias = \"al2023@latest\" }]",
                    &format!("alias = \"al2023@latest\" }}], capacityReservationSelectorTerms = {terms}"),
                )
                .replace("values = [\"spot\", \"on-demand\"]", "values = [\"reserved\", \"spot\", \"on-demand\"]")
                .replace("values = [\"on-demand\"]", "values = [\"reserved\", \"on-demand\"]");
        }
        if c.once_in(3) {
            parts.push("[[changes]]\nat = \"2m\"\npatch = { \"EC2NodeClass/default.capacityReservationSelectorTerms\" = [{ id = \"cr-1\" }] }\n".to_owned());
        }
    }
    if c.once_in(5) {
        let text = "[[fargateProfiles]]\nname = \"some\"\nselectors = [{ namespace = \"default\", labels = { app = \"w0\" } }]\n";
        parts.push(text.to_owned());
    }
    if c.once_in(4) {
        let volumes = "spec = { volumes = [{ name = \"v\", ephemeral = {} }], containers = [";
        parts.iter_mut().for_each(|part| *part = part.replace("spec = { containers = [", volumes));
    }
}

/// Claims, volumes and classes of storage, and pods that mount them, drawn apart from all else.
fn storage(c: &mut Choices, parts: &mut Vec<String>) {
    if !c.once_in(4) {
        return;
    }
    let region = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region)).unwrap_or("us-east-1");
    let mode = c.one(&["WaitForFirstConsumer", "WaitForFirstConsumer", "Immediate"]);
    let provisioner = c.one(&["ebs.csi.aws.com", "ebs.csi.aws.com", "efs.csi.aws.com", "kubernetes.io/no-provisioner"]);
    let mut text = format!(
        "[[storageClasses]]\nmetadata = {{ name = \"soak\" }}\nprovisioner = \"{provisioner}\"\nvolumeBindingMode = \"{mode}\"\n"
    );
    if c.once_in(3) {
        let zone = |zone| {
            format!(
                "{{ matchLabelExpressions = [{{ key = \"topology.ebs.csi.aws.com/zone\", values = [\"{region}{zone}\"] }}] }}"
            )
        };
        text += &format!("allowedTopologies = [{}, {}]\n", zone("a"), zone("b"));
    }
    for number in 0..2 {
        text += &format!(
            "[[persistentVolumeClaims]]\nmetadata = {{ name = \"claim-{number}\" }}\nspec = {{ storageClassName = \"soak\" }}\n"
        );
    }
    if c.once_in(2) {
        text += &format!(
            "[[persistentVolumes]]\nmetadata = {{ name = \"volume\" }}\nspec = {{ storageClassName = \"soak\", nodeAffinity = {{ required = {{ nodeSelectorTerms = \
             [{{ matchExpressions = [{{ key = \"topology.kubernetes.io/zone\", operator = \"In\", values = [\"{region}a\"] }}] }}] }} }} }}\n"
        );
    }
    parts.push(text);
    let claim = |name: &str| format!("{{ name = \"{name}\", persistentVolumeClaim = {{ claimName = \"{name}\" }} }}");
    let own = "{ name = \"own\", ephemeral = { volumeClaimTemplate = { spec = { storageClassName = \"soak\" } } } }"
        .to_owned();
    let (first, second) = (claim("claim-0"), claim("claim-1"));
    for part in parts.iter_mut() {
        let mounted = match c.number(0, 5) {
            0 => first.clone(),
            1 => format!("{first}, {second}"),
            2 => format!("{own}, {second}"),
            3 => own.clone(),
            4 if c.once_in(4) => claim("no-claim"),
            _ => continue,
        };
        *part = part
            .replace("volumes = [{ name = \"v\", ephemeral = {} }], ", "")
            .replace("spec = { containers = [", &format!("spec = {{ volumes = [{mounted}], containers = ["));
    }
}

fn reservation(c: &mut Choices, frame: &Frame, index: usize, zone: &str) -> String {
    let instance_type = RESERVED_TYPES[index];
    let mut text = format!(
        "[[capacityReservations]]\nid = \"cr-{index}\"\ninstanceType = \"{instance_type}\"\nzone = \"{zone}\"\ninstanceCount = {}\n",
        c.number(1, 4)
    );
    text += &c.maybe_text(3, "from", &["1m", "5m"]);
    text += &c.maybe(4, "perHour", &["0", "1.5"]);
    text += &c.maybe_text(3, "instanceMatchCriteria", &["targeted"]);
    let until = c.number(6, frame.minutes + 45);
    match c.number(0, 3) {
        0 => text += &format!("until = \"{until}m\"\n"),
        1 => text += &format!("until = \"{until}m\"\nreservationType = \"capacity-block\"\n"),
        _ => {}
    }
    text + "tags = { soak = \"yes\" }\n"
}

/// AMIs, subnets and security groups that come and go, drawn apart from all else.
fn what_selectors_find(c: &mut Choices, frame: &Frame, parts: &mut Vec<String>) {
    if frame.pools == 0 || !c.once_in(3) {
        return;
    }
    let region = ["eu-west-1", "us-west-2"].into_iter().find(|region| parts[0].contains(region)).unwrap_or("us-east-1");
    let mut terms = String::new();
    if c.once_in(2) {
        terms += "subnetSelectorTerms = [{ tags = { soak = \"*\" } }], ";
        for (index, zone) in ["a", "b", "b"].iter().enumerate() {
            let place = format!("id = \"subnet-{index}\"\nzone = \"{region}{zone}\"\n");
            parts.push(format!("[[subnets]]\n{place}{}", while_there(c, frame)));
        }
    }
    if c.once_in(2) {
        terms += "securityGroupSelectorTerms = [{ name = \"web\" }, { tags = { soak = \"*\" } }], ";
        for index in 0..2 {
            parts.push(format!("[[securityGroups]]\nid = \"sg-{index}\"\n{}", while_there(c, frame)));
        }
    }
    parts.push(format!("[[amis]]\nalias = \"al2023@v2\"\nfrom = \"{}s\"\n", c.number(0, frame.minutes * 60)));
    parts.push(format!("[clocks]\namiAliasLookup = \"{}m\"\n", c.number(0, frame.minutes)));
    let own = c.once_in(2);
    if own {
        for (index, architecture) in ["x86_64", "x86_64", "arm64"].iter().enumerate() {
            let image = format!("id = \"ami-{index}\"\narchitecture = \"{architecture}\"\n");
            parts.push(format!("[[amis]]\n{image}{}", while_there(c, frame)));
        }
    }
    for part in parts.iter_mut() {
        *part = part.replace("amiSelectorTerms = [", &format!("{terms}amiSelectorTerms = ["));
        if own {
            *part = part.replace("{ alias = \"al2023@latest\" }", "{ tags = { soak = \"*\" } }");
        }
    }
}

/// Since when and until when something is there, and its tag; mostly always.
fn while_there(c: &mut Choices, frame: &Frame) -> String {
    let mut text = "tags = { soak = \"yes\" }\n".to_owned();
    if c.once_in(3) {
        text += &format!("from = \"{}s\"\n", c.number(0, frame.minutes * 30));
    }
    if c.once_in(3) {
        text += &format!("until = \"{}s\"\n", c.number(frame.minutes * 30 + 1, frame.minutes * 60 + 60));
    }
    text
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

fn queue(c: &mut Choices, frame: &Frame, workload: &Workload) -> Vec<String> {
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

fn queue_change(c: &mut Choices, frame: &Frame, dead_letters: bool) -> String {
    let at = c.number(0, frame.minutes * 60);
    let action = match c.number(0, 4) {
        0 => "action = \"purge\"\n".to_owned(),
        1 => format!("action = \"send\"\nmessages = {}\n", c.number(1, 300)),
        2 if dead_letters => "action = \"set\"\nmaxReceiveCount = 3\n".to_owned(),
        3 => {
            let later = at + c.number(60, 200);
            return format!(
                "[[queues.changes]]\nat = \"{at}s\"\naction = \"delete\"\n[[queues.changes]]\nat = \"{later}s\"\naction = \"create\"\n"
            );
        }
        _ => "action = \"set\"\nvisibilityTimeout = \"5s\"\n".to_owned(),
    };
    format!("[[queues.changes]]\nat = \"{at}s\"\n{action}")
}

fn arrivals(c: &mut Choices, frame: &Frame) -> String {
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

fn consumer(c: &mut Choices, index: usize, workload: &Workload) -> String {
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

fn template(c: &mut Choices, index: usize, job: bool) -> String {
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

fn trigger(c: &mut Choices, workload: &Workload) -> String {
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

fn controller(c: &mut Choices, index: usize, workload: &Workload) -> Vec<String> {
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

fn behavior(c: &mut Choices) -> String {
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

fn scaled_object(c: &mut Choices, index: usize, workload: &Workload) -> String {
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

fn scaled_job(c: &mut Choices, index: usize, workload: &Workload, template: &str) -> String {
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

fn pdb(c: &mut Choices, index: usize) -> String {
    let rule = c.one(&["minAvailable = 1", "maxUnavailable = 1", "minAvailable = \"50%\"", "maxUnavailable = 0"]);
    format!(
        "[[podDisruptionBudgets]]\nmetadata = {{ name = \"p{index}\" }}\n[podDisruptionBudgets.spec]\n\
         selector = {{ matchLabels = {{ app = \"w{index}\" }} }}\n{rule}\n"
    )
}

fn node_pool(c: &mut Choices, index: usize) -> String {
    let mut requirements = Vec::new();
    if c.once_in(2) {
        let values = c.one(&["[\"spot\"]", "[\"on-demand\"]", "[\"spot\", \"on-demand\"]"]);
        requirements.push(format!("{{ key = \"karpenter.sh/capacity-type\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(2) {
        let values = c.one(&["[\"c\", \"m\", \"r\"]", "[\"m\"]", "[\"t\"]"]);
        requirements
            .push(format!("{{ key = \"karpenter.k8s.aws/instance-category\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(3) {
        let values = c.one(&["[\"amd64\"]", "[\"arm64\"]", "[\"amd64\", \"arm64\"]"]);
        requirements.push(format!("{{ key = \"kubernetes.io/arch\", operator = \"In\", values = {values} }}"));
    }
    if c.once_in(4) {
        requirements
            .push("{ key = \"karpenter.k8s.aws/instance-cpu\", operator = \"Lt\", values = [\"9\"] }".to_owned());
    }
    let mut text = format!("[[nodePools]]\nmetadata = {{ name = \"pool{index}\" }}\n[nodePools.spec]\n");
    text += &c.maybe(4, "weight", &["1", "50"]);
    text +=
        &c.maybe(4, "limits", &["{ cpu = \"0\" }", "{ cpu = \"8\" }", "{ memory = \"40Gi\" }", "{ cpu = \"100\" }"]);
    text += "[nodePools.spec.disruption]\n";
    text += &c.maybe_text(2, "consolidationPolicy", &["WhenEmpty", "WhenEmptyOrUnderutilized"]);
    text += &c.maybe_text(2, "consolidateAfter", &["0s", "30s", "5m", "Never"]);
    text += &c.maybe(
        3,
        "budgets",
        &["[{ nodes = \"0\" }]", "[{ nodes = \"100%\" }]", "[{ nodes = \"1\", reasons = [\"Empty\"] }]"],
    );
    text += "[nodePools.spec.template.spec]\n";
    text += &format!("requirements = [{}]\n", requirements.join(", "));
    text += "nodeClassRef = { group = \"karpenter.k8s.aws\", kind = \"EC2NodeClass\", name = \"default\" }\n";
    text += &c.maybe_text(3, "expireAfter", &["5m", "30m", "Never"]);
    text += &c.maybe_text(4, "terminationGracePeriod", &["1s", "30s", "10m"]);
    text += &c.maybe(6, "taints", &["[{ key = \"team\", value = \"a\", effect = \"NoSchedule\" }]"]);
    text += &c.maybe(8, "startupTaints", &["[{ key = \"cni\", effect = \"NoExecute\" }]"]);
    text
}

fn node_group(c: &mut Choices, index: usize) -> String {
    let size = if c.once_in(2) {
        format!("instanceType = \"{}\"", c.one(&["m5.large", "c5.4xlarge", "m6g.xlarge"]))
    } else {
        format!("capacity = {{ cpu = \"{}\", memory = \"64Gi\", pods = 110 }}", c.number(2, 32))
    };
    let mut text = format!("[[nodeGroups]]\nname = \"group{index}\"\n{size}\ncount = {}\n", c.number(0, 4));
    text += &c.maybe(3, "max", &["4", "10"]);
    text += &c.maybe(6, "min", &["0"]);
    text += &c.maybe_text(4, "capacityType", &["spot"]);
    text += &c.maybe(6, "taints", &["[{ key = \"team\", value = \"a\", effect = \"NoSchedule\" }]"]);
    text
}

fn market(c: &mut Choices, frame: &Frame) -> String {
    let mut text = "[market]\n".to_owned();
    text += &c.maybe_text(2, "interruptions", &["never", "normal", "tight", "hostile"]);
    text += &c.maybe(3, "interruptionsPerHour", &["0.5", "10.0"]);
    text += &c.maybe(3, "correlated", &["true", "false"]);
    text += &c.maybe(4, "noticeLostProbability", &["0.5", "1.0"]);
    text += &c.maybe(3, "onDemandUnavailable", &["0.0", "0.5", "1.0"]);
    text += &c.maybe(3, "spotUnavailable", &["0.0", "0.5", "1.0"]);
    text += &c.maybe(5, "onDemandVcpus", &["8", "64"]);
    text += &c.maybe(5, "spotVcpus", &["0", "32"]);
    text += &c.maybe_text(5, "spotPriceStep", &["1m"]);
    text += &c.maybe(6, "launchBurst", &["1"]);
    if c.once_in(4) {
        let at = c.number(0, frame.minutes * 60);
        text += &format!("[[market.outages]]\nat = \"{at}s\"\nduration = \"{}s\"\n", c.number(30, 600));
    }
    if c.once_in(4) {
        let at = c.number(0, frame.minutes * 60);
        text += &format!("[[market.prices]]\nat = \"{at}s\"\nfactor = {}\n", c.one(&["0.5", "3.0"]));
    }
    text
}

fn fault(c: &mut Choices, frame: &Frame) -> String {
    let kind = FaultKind::ALL[c.number(0, FaultKind::ALL.len() - 1)];
    let at = c.number(0, frame.minutes * 60);
    let mut text = format!("[[faults]]\nat = \"{at}s\"\nkind = \"{}\"\n", kind.as_str());
    if !kind.is_sudden() {
        text += &c.maybe_text(1, "duration", &["10s", "2m", "20m"]);
    } else if kind == FaultKind::PodCrash {
        text += &c.maybe_text(2, "duration", &["10s", "2m", "20m"]);
    }
    if kind.has_share() {
        text += &c.maybe(2, "share", &["0.3", "0.9"]);
    }
    text
}

fn change(c: &mut Choices, frame: &Frame) -> String {
    let index = c.number(0, frame.workloads.len() - 1);
    let workload = &frame.workloads[index];
    let at = c.number(1, frame.minutes * 60);
    let mut text = format!("[[changes]]\nat = \"{at}s\"\n");
    text += &match c.number(0, 5) {
        0 if !workload.job => format!("scale = {{ w{index} = {} }}\n", c.number(0, 20)),
        1 if !workload.job => format!("delete = [\"Deployment/w{index}\"]\n"),
        2 if workload.scaled && !workload.job => format!("delete = [\"ScaledObject/w{index}\"]\n"),
        3 if workload.scaled && !workload.job => {
            format!("patch = {{ \"ScaledObject/w{index}.maxReplicaCount\" = {} }}\n", c.number(3, 80))
        }
        4 if workload.job => format!("delete = [\"ScaledJob/w{index}\"]\n"),
        _ if frame.pools > 0 => c
            .one(&[
                "patch = { \"NodePool/pool0.disruption.consolidateAfter\" = \"10s\" }\n",
                "patch = { \"NodePool/pool0.limits.cpu\" = 4 }\n",
                "patch = { \"NodePool/pool0.template.metadata.labels.version\" = \"two\" }\n",
                "patch = { \"EC2NodeClass/default.userData\" = \"two\" }\n",
                "patch = { \"EC2NodeClass/default.amiFamily\" = \"Bottlerocket\" }\n",
                "newAmis = [\"default\"]\n",
                "withdraw = [{ instanceTypes = [\"m5.*\", \"c7g.*\"] }]\n",
                "delete = [\"NodePool/pool0\"]\n",
            ])
            .to_owned(),
        _ if !workload.job => format!("patch = {{ \"Deployment/w{index}.replicas\" = {} }}\n", c.number(0, 9)),
        _ => format!("patch = {{ \"ScaledJob/w{index}.maxReplicaCount\" = {} }}\n", c.number(1, 50)),
    };
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
