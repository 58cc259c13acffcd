//! Turns a recorded run into an ordinary scenario: one TOML text and one file of manifests.

use std::collections::BTreeMap;
use std::fmt::Write;

use forescale::api::tree::{Node, Value};

use crate::folder::{Folder, Row, as_bool, as_number, items};

/// The texts of a scenario by path; `scenario.toml` is the main one.
pub fn scenario(folder: &Folder, catalogue: &str) -> Result<BTreeMap<String, String>, String> {
    let mut toml = String::new();
    let mut manifests: Vec<String> = Vec::new();
    let mut applied: Vec<(String, f64)> = Vec::new();
    simulation(folder, &mut toml);
    let mut changes = String::new();
    objects(folder, &mut manifests, &mut applied, &mut changes);
    deployments(folder, &mut manifests, &mut applied);
    worker(folder, &mut manifests, &mut toml);
    let queue_changes = inputs(folder, &mut changes)?;
    queues(folder, &mut toml, &queue_changes);
    clocks(folder, &applied, &mut toml);
    toml.push_str(&changes);
    Ok(BTreeMap::from([
        ("scenario.toml".to_owned(), toml),
        ("objects.yaml".to_owned(), manifests.join("\n---\n")),
        ("catalogue.json".to_owned(), catalogue.to_owned()),
    ]))
}

/// The recorder's machine, not the client rates, limited its controllers: bursts of pods were created and deleted at about 45 a second,
/// with an event for each. Karpenter's worker of pod events took 30 ms (5 of 100) to 370 ms (95 of 100) from NodeClaim to NodeClaim, half of the times
/// up to 90 ms, of which a third before the clock is read is an assumption; a pass of its disruption loop that found nothing came 10.011 s after the one before (median of stretches of eight and more).
fn simulation(folder: &Folder, toml: &mut String) {
    let length = folder.length();
    let _ = write!(
        toml,
        "[simulation]\nduration = \"{length}s\"\nseed = 1\nprofile = \"kwok\"\nmanifests = [\"objects.yaml\"]\n\n\
         [cloud]\nprovider = \"kwok\"\ncatalogue = \"catalogue.json\"\n\n\
         [latencies]\npodStart = \"1.99s\"\nappStart = \"0s\"\npodCleanup = \"1s\"\nschedulerAttempt = \"20ms\"\n\
         provisionerSolve = \"20ms\"\nprovisionerSolvePerPod = \"0s\"\npodEvent = {{ lognormal = {{ p50 = \"30ms\", p99 = \"130ms\" }} }}\npodEventWrite = {{ lognormal = {{ p50 = \"60ms\", p99 = \"260ms\" }} }}\ndeploymentSync = \"10ms\"\npodCreateCall = \"20ms\"\ndisruptionPass = \"9ms\"\n\n\
         [scheduler]\nclientQPS = 200\nclientBurst = 300\n\n[controllerManager]\nkubeAPIQPS = 90\nkubeAPIBurst = 4\n\n"
    );
    if !folder.name.starts_with('n') {
        toml.push_str(
            "[[nodeGroups]]\nname = \"static\"\nlabels = { static = \"true\" }\n\
             capacity = { cpu = \"2000\", memory = \"8000Gi\", pods = 10000 }\n\n",
        );
    }
}

/// Objects applied with the run; the same object applied again is a timed change of its spec.
fn objects(folder: &Folder, manifests: &mut Vec<String>, applied: &mut Vec<(String, f64)>, changes: &mut String) {
    manifests.push(
        r#"{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "pause"}, "value": -10, "preemptionPolicy": "Never"}"#
            .to_owned(),
    );
    for entry in items(folder.run.get("applied")) {
        let at = entry.get("t_s").and_then(as_number).unwrap_or(0.0);
        let Some(object) = entry.get("object") else { continue };
        let kind = object.get("kind").and_then(Node::as_str).unwrap_or_default();
        if kind == "KWOKNodeClass" {
            let name = object.get("name").and_then(Node::as_str).unwrap_or_default();
            let delay = object.get("delay").and_then(Node::as_str).unwrap_or("0s");
            manifests.push(format!(
                r#"{{"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {{"name": "{name}"}}, "spec": {{"nodeRegistrationDelay": "{delay}"}}}}"#
            ));
            continue;
        }
        let name = object.at(&["metadata", "name"]).and_then(Node::as_str).unwrap_or_default();
        let path = format!("{kind}/{name}");
        if applied.iter().any(|(known, _)| *known == path) {
            if let Some(spec) = object.get("spec") {
                let _ = write!(
                    changes,
                    "[[changes]]\nat = \"{at}s\"\npatch = {{ \"{path}.spec\" = {} }}\n\n",
                    inline(spec, " = ")
                );
            }
            continue;
        }
        manifests.push(inline(object, ": "));
        applied.push((path, at));
    }
}

/// The workloads of the `n` runs; one without a name is the DaemonSet.
fn deployments(folder: &Folder, manifests: &mut Vec<String>, applied: &mut Vec<(String, f64)>) {
    for entry in items(folder.run.get("deployments")) {
        let text = |key: &str| entry.get(key).and_then(Node::as_str);
        let (cpu, memory) = (text("cpu").unwrap_or("0"), text("mem").unwrap_or("0"));
        let at = entry.get("t").and_then(as_number).unwrap_or(0.0);
        let (kind, name, replicas, tolerate) = match text("name") {
            Some(name) => {
                let replicas = entry.get("n").and_then(as_number).unwrap_or(0.0);
                ("Deployment", name, format!("\"replicas\": {replicas}, "), "")
            }
            None => (
                "DaemonSet",
                "daemon",
                String::new(),
                r#""tolerations": [{"operator": "Exists"}], "nodeSelector": {"karpenter.sh/nodepool": "np"}, "#,
            ),
        };
        let spec = pod_spec(entry.get("podspec"));
        let annotations = entry.get("annotations").map_or_else(|| "{}".to_owned(), |node| inline(node, ": "));
        let grace =
            if spec.contains("terminationGracePeriodSeconds") { "" } else { "\"terminationGracePeriodSeconds\": 60, " };
        manifests.push(format!(
            r#"{{"apiVersion": "apps/v1", "kind": "{kind}", "metadata": {{"name": "{name}"}}, "spec": {{{replicas}"selector": {{"matchLabels": {{"app": "{name}"}}}}, "template": {{"metadata": {{"labels": {{"app": "{name}"}}, "annotations": {annotations}}}, "spec": {{{tolerate}{spec}{grace}"containers": [{{"name": "c", "image": "w", "resources": {{"requests": {{"cpu": "{cpu}", "memory": "{memory}"}}}}}}]}}}}}}}}"#
        ));
        applied.push((format!("{kind}/{name}"), at));
    }
}

/// The Deployment of the `k` and `f` runs, and what its pods do. A ScaledJob brings its own template.
fn worker(folder: &Folder, manifests: &mut Vec<String>, toml: &mut String) {
    let Some(worker) = folder.run.get("worker").filter(|node| node.entries().is_some()) else { return };
    let head = |key: &str| folder.run.at(&["head", key]);
    let seconds = |key: &str| head(key).and_then(as_number).unwrap_or(0.0);
    let graceful = head("graceful").and_then(as_bool).unwrap_or(true);
    let is_job = worker.get("kind").and_then(Node::as_str) == Some("Job");
    let whose = if is_job {
        format!("job = \"{}\"", name_of(folder, "ScaledJob").unwrap_or("sj"))
    } else {
        "deployment = \"worker\"".to_owned()
    };
    let on_term = if graceful { "drain" } else { "die" };
    let client = if is_job { "client = \"keda-job\"\n" } else { "" };
    let _ = write!(
        toml,
        "[[consumers]]\n{whose}\nqueue = \"{}\"\n{client}batchSize = 1\nwaitTime = \"0s\"\nslots = 1\nthreads = 1\n\
         pollMode = \"afterBatch\"\nidlePoll = \"{}s\"\nvisibilityTimeout = \"{}s\"\nonTerm = \"{on_term}\"\nfinishPoll = false\n\
         processing = \"{}s\"\nreceiveLatency = \"10ms\"\ndeleteLatency = \"10ms\"\nemptyLatency = \"10ms\"\nwarmUp = \"20ms\"\n\n",
        queue_names(folder).first().map_or("q", String::as_str),
        seconds("idle_poll"),
        seconds("vt"),
        seconds("service"),
    );
    if is_job {
        return;
    }
    let replicas =
        replicas_at_first(folder).unwrap_or_else(|| worker.get("replicas").and_then(as_number).unwrap_or(0.0));
    let grace = worker.get("terminationGracePeriodSeconds").and_then(as_number).unwrap_or(30.0);
    // The recorder's workers are not killed: they stop when their message is done.
    let grace = if graceful { grace.max((seconds("service") + 5.0).ceil()) } else { grace };
    let requests = worker.get("requests").map(|node| inline(node, ": ")).unwrap_or_else(|| "{}".to_owned());
    let spec = pod_spec(worker.get("podSpec"));
    manifests.push(format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "worker"}}, "spec": {{"replicas": {replicas}, "selector": {{"matchLabels": {{"app": "worker"}}}}, "template": {{"metadata": {{"labels": {{"app": "worker", "kind": "worker"}}}}, "spec": {{{spec}"terminationGracePeriodSeconds": {grace}, "containers": [{{"name": "c", "image": "w", "resources": {{"requests": {requests}}}}}]}}}}}}}}"#
    ));
}

/// What KEDA's first write replaced, when no row tells of a replica count before it: the recording outranks `worker.replicas`.
fn replicas_at_first(folder: &Folder) -> Option<f64> {
    let is_scale = |row: &&Row| row.actor == "keda" && row.object == "scale" && row.what.contains("->");
    let first = folder.timeline.iter().find(is_scale)?;
    let told =
        folder.timeline.iter().any(|row| row.actor == "deployment" && row.what == "replicas" && row.at < first.at);
    if told { None } else { first.what.split("->").next()?.parse().ok() }
}

/// The fields of a pod spec, each followed by a comma.
fn pod_spec(node: Option<&Node>) -> String {
    let entries = node.and_then(Node::entries).unwrap_or(&[]);
    entries.iter().map(|(key, value)| format!("\"{}\": {}, ", key.name, inline(value, ": "))).collect()
}

/// Full names of the queues, as the triggers' URLs say; the recorder calls `<run>-<queue>` (and `.fifo`) just `<queue>`.
fn queue_names(folder: &Folder) -> Vec<String> {
    let mut known: Vec<&str> = Vec::new();
    for entry in items(folder.run.get("applied")) {
        for trigger in items(entry.at(&["object", "spec", "triggers"])) {
            if let Some(url) = trigger.at(&["metadata", "queueURL"]).and_then(Node::as_str) {
                known.push(url.rsplit('/').next().unwrap_or(url));
            }
        }
    }
    let full = |queue: &String| {
        let is_it = |name: &&&str| name.trim_end_matches(".fifo").ends_with(&format!("-{queue}"));
        known.iter().find(is_it).map_or_else(|| format!("{}-{queue}", folder.name), |name| (*name).to_owned())
    };
    folder.queues.iter().map(full).collect()
}

/// All queues with what is sent to them; the first one is what the workers read.
fn queues(folder: &Folder, toml: &mut String, queue_changes: &str) {
    let fifo = folder.run.at(&["worker", "fifo"]).and_then(as_bool).unwrap_or(false);
    for (index, (short, name)) in folder.queues.iter().zip(queue_names(folder)).enumerate() {
        let fifo = fifo && (index == 0 || name.ends_with(".fifo"));
        let _ = write!(toml, "[[queues]]\nname = \"{name}\"\nservice = \"moto\"\nfifo = {fifo}\n");
        if index == 0 {
            toml.push_str(queue_changes);
        }
        let mut sends = folder.sends.iter().filter(|send| send.queue == *short).peekable();
        if sends.peek().is_none() {
            toml.push('\n');
            continue;
        }
        let group = if fifo { "groups = 1\n" } else { "" };
        let _ = writeln!(toml, "[[queues.arrivals]]\npattern = \"list\"\n{group}sends = [");
        for send in sends {
            let delay = if send.delay > 0.0 { format!(", delay = \"{}s\"", send.delay) } else { String::new() };
            let over = (send.last - send.first).max(0.0);
            let _ = writeln!(
                toml,
                "  {{ at = \"{}s\", messages = {}, over = \"{over}s\"{delay} }},",
                send.first, send.count
            );
        }
        toml.push_str("]\n\n");
    }
}

/// Name of the first applied object of a kind.
pub fn name_of<'a>(folder: &'a Folder, kind: &str) -> Option<&'a str> {
    let objects = items(folder.run.get("applied")).iter().filter_map(|entry| entry.get("object"));
    let mut of_kind = objects.filter(|object| object.get("kind").and_then(Node::as_str) == Some(kind));
    of_kind.next()?.at(&["metadata", "name"])?.as_str()
}

/// Hand scaling and actions; returns what is done to the queue.
fn inputs(folder: &Folder, changes: &mut String) -> Result<String, String> {
    let mut queue = Vec::new();
    for input in items(folder.run.get("inputs")) {
        let at = input.get("t").and_then(as_number).unwrap_or(0.0);
        let text = |key: &str| input.get(key).and_then(Node::as_str).unwrap_or_default();
        match (text("kind"), text("what")) {
            ("scale", _) => {
                let replicas = input.get("n").and_then(as_number).unwrap_or(0.0);
                let _ =
                    write!(changes, "[[changes]]\nat = \"{at}s\"\nscale = {{ \"{}\" = {replicas} }}\n\n", text("name"));
            }
            ("action", "queue deleted") => queue.push(format!("{{ at = \"{at}s\", action = \"delete\" }}")),
            ("action", "queue created") => queue.push(format!("{{ at = \"{at}s\", action = \"create\" }}")),
            ("action", "queue purged") => queue.push(format!("{{ at = \"{at}s\", action = \"purge\" }}")),
            ("action", what) if what.contains(' ') => return Err(format!("action `{what}` is not understood")),
            ("action", what) => {
                let annotations = match what.split_once('=') {
                    _ if what == "unpaused" => String::new(),
                    Some((key, value)) => format!(" \"autoscaling.keda.sh/{key}\" = \"{value}\" "),
                    None => format!(" \"autoscaling.keda.sh/{what}\" = \"true\" "),
                };
                let object = match (name_of(folder, "ScaledObject"), name_of(folder, "ScaledJob")) {
                    (None, Some(job)) => format!("ScaledJob/{job}"),
                    (object, _) => format!("ScaledObject/{}", object.unwrap_or("so")),
                };
                let _ = write!(
                    changes,
                    "[[changes]]\nat = \"{at}s\"\npatch = {{ \"{object}.metadata.annotations\" = {{{annotations}}} }}\n\n"
                );
            }
            (kind, what) => return Err(format!("input `{kind}` `{what}` is not understood")),
        }
    }
    Ok(if queue.is_empty() { String::new() } else { format!("changes = [{}]\n", queue.join(", ")) })
}

/// Phases of the run: when the loops began, as the recording shows it.
fn clocks(folder: &Folder, applied: &[(String, f64)], toml: &mut String) {
    let so = applied.iter().find(|(path, _)| path.starts_with("Scaled")).map_or(0.0, |(_, at)| *at);
    let after = |found: Option<f64>, usual: f64| found.map_or(usual, |at| (at - so).max(0.001));
    let first = |wanted: fn(&Row) -> bool| folder.timeline.iter().find(|row| wanted(row)).map(|row| row.at);
    let poll = if applied.iter().any(|(path, _)| path.starts_with("ScaledJob")) {
        // The second of two reconciles sets the phase.
        folder.timeline.iter().filter(|row| row.what == "poll").nth(1).map(|row| row.at)
    } else {
        first(|row| row.what == "poll")
    };
    let hpa = first(|row| row.actor == "hpa");
    let _ = writeln!(
        toml,
        "[clocks]\nkedaFirstPoll = \"{:.3}s\"\nkedaHpaCreated = \"{:.3}s\"\nkedaPollSlip = \"0.5ms\"\nhpaFirstPass = \"15s\"",
        after(poll, 0.09),
        after(hpa.filter(|at| *at < so + 2.0), 0.08),
    );
    if let Some(at) = folder.number(&["clocks", "whole_second_t_s"]) {
        let _ = writeln!(toml, "wholeSecond = \"{at}s\"");
    }
    if let Some(at) = folder.number(&["clocks", "disruption_pass_t_s"]) {
        let _ = writeln!(toml, "disruptionFirstPass = \"{at}s\"");
    }
    toml.push_str("[clocks.applied]\n");
    for (path, at) in applied {
        let _ = writeln!(toml, "\"{path}\" = \"{at}s\"");
    }
    toml.push('\n');
}

/// A tree on one line: JSON with `: ` between key and value, an inline TOML table with ` = `.
fn inline(node: &Node, equals: &str) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Str(text) => format!("{text:?}"),
        Value::List(list) => {
            format!("[{}]", list.iter().map(|item| inline(item, equals)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let fields: Vec<String> =
                entries.iter().map(|(key, value)| format!("{:?}{equals}{}", key.name, inline(value, equals))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
