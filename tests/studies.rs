//! Sweeps as a user runs them: stopped and continued, in parts, over all designs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

type Checked = Result<(), Box<dyn std::error::Error>>;

/// A consumer that no autoscaler touches, on one node: a run takes moments.
const SCENARIO: &str = r#"
[simulation]
duration = "20m"

[[queues]]
name = "orders"

[[queues.arrivals]]
pattern = "poisson"
rate = "3/s"

[[consumers]]
deployment = "orders"
queue = "orders"
processing = { lognormal = { p50 = "400ms", p99 = "2s" } }

[[deployments]]
metadata = { name = "orders" }
spec.replicas = 3
spec.selector.matchLabels = { app = "orders" }
spec.template.metadata.labels = { app = "orders" }
spec.template.spec.containers = [{ name = "app", image = "orders", resources = { requests = { cpu = "100m", memory = "128Mi" } } }]

[[nodeGroups]]
name = "base"
instanceType = "m5.large"
count = 1

[sweep]
replications = 6
"Deployment/orders.replicas" = [1, 2, 3, 4]
"consumers.orders.batchSize" = [1, 10]
"#;

/// An autoscaled consumer with manifests in a file of their own.
const SCALED: &str = r#"
[simulation]
duration = "20m"
manifests = ["orders.yaml"]

[[queues]]
name = "orders"

[[queues.arrivals]]
pattern = "poisson"
rate = "6/s"

[[consumers]]
deployment = "orders"
queue = "orders"
processing = { lognormal = { p50 = "400ms", p99 = "2s" } }

[[nodeGroups]]
name = "base"
instanceType = "m5.large"
count = 1

[objectives]
p95Wait = "1m"

[tune]
replications = 4
budget = 60
minimize = "p95Wait"
"ScaledObject/orders.maxReplicaCount" = [4, 6]
"ScaledObject/orders.cooldownPeriod" = [60, 300]
"#;
const MANIFEST: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  replicas: 1
  selector:
    matchLabels: { app: orders }
  template:
    metadata:
      labels: { app: orders }
    spec:
      containers:
        - name: app
          image: orders
          resources: { requests: { cpu: 100m, memory: 128Mi } }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
  namespace: shop
spec:
  scaleTargetRef:
    name: orders
  minReplicaCount: 1
  maxReplicaCount: 2  # pods
  pollingInterval: 30
  triggers:
    - type: aws-sqs-queue
      metadata:
        queueURL: https://sqs.us-east-1.amazonaws.com/1/orders
        queueLength: "5"
        awsRegion: us-east-1
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("orders.toml"), SCENARIO)?;
        Ok(Folder(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sweep(&self, out: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("forescale"));
        command.arg("sweep").arg(self.path("orders.toml")).arg("--out").arg(self.path(out)).args(arguments);
        command
    }

    fn output(&self, out: &str, arguments: &[&str]) -> std::io::Result<Output> {
        self.sweep(out, arguments).output()
    }

    fn fine(&self, out: &str, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.output(out, arguments)?;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("forescale"));
        command.current_dir(self.0.path()).args(arguments).output()
    }

    fn points(&self, out: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.path(out).join("points.csv"))
    }
}

/// Values of a column of `points.csv` at replication 0.
fn column(points: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(points.as_bytes());
    let index = |reader: &mut csv::Reader<&[u8]>, name: &str| {
        reader.headers().ok().and_then(|headers| headers.iter().position(|header| header == name)).unwrap_or(usize::MAX)
    };
    let (at, replication) = (index(&mut reader, name), index(&mut reader, "replication"));
    let records = reader.records().flatten().filter(|record| record.get(replication) == Some("0"));
    records.map(|record| record.get(at).unwrap_or_default().to_owned()).collect()
}

fn rows(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count().saturating_sub(1))
}

#[test]
fn a_sweep_killed_in_the_middle_continues_to_the_same_bytes() -> Checked {
    let folder = Folder::new()?;
    folder.fine("undisturbed", &["--quiet"])?;
    let journal = folder.path("killed/points.csv.part");
    let mut kills = 0;
    // Killed twice: a continued sweep can be killed, too.
    for resume in [&["--quiet"][..], &["--quiet", "--resume"]] {
        let before = rows(&journal);
        let mut child = folder.sweep("killed", resume).env("RAYON_NUM_THREADS", "2").stdout(Stdio::null()).spawn()?;
        while rows(&journal) < before + 8 && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL: the program has no chance to tidy up.
        child.kill()?;
        kills += usize::from(child.wait()?.code().is_none());
    }
    assert!(kills == 2 && !folder.path("killed/points.csv").exists(), "finished before it was killed");
    let done = rows(&journal);
    assert!((16..48).contains(&done), "{done} of 48 runs");
    // What a kill in the middle of a write leaves.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"7,5,4,10,0.0"))?;
    folder.fine("killed", &["--quiet", "--resume"])?;
    for name in ["points.csv", "means.csv"] {
        let [killed, undisturbed] = ["killed", "undisturbed"].map(|out| std::fs::read(folder.path(out).join(name)));
        assert!(killed? == undisturbed?, "{name} differs");
    }
    assert!(!journal.exists());
    Ok(())
}

#[test]
fn a_finished_sweep_grows_when_more_replications_are_wanted() -> Checked {
    let folder = Folder::new()?;
    folder.fine("grown", &["--quiet", "--replications", "1"])?;
    folder.fine("grown", &["--quiet", "--replications", "2", "--resume"])?;
    folder.fine("once", &["--quiet", "--replications", "2"])?;
    assert!(folder.points("grown")? == folder.points("once")?);
    Ok(())
}

#[test]
fn shards_named_by_the_environment_merge_to_the_whole() -> Checked {
    let folder = Folder::new()?;
    folder.fine("whole", &["--quiet", "--replications", "1"])?;
    let environments: [&[(&str, &str)]; 3] = [
        &[("JOB_COMPLETION_INDEX", "0")],
        &[("AWS_BATCH_JOB_ARRAY_INDEX", "1"), ("AWS_BATCH_JOB_ARRAY_SIZE", "3")],
        &[("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "3")],
    ];
    for (environment, shard) in environments.into_iter().zip(["auto/3", "auto", "auto"]) {
        let mut command = folder.sweep("parts", &["--quiet", "--replications", "1", "--shard", shard]);
        for name in ["JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID"] {
            command.env_remove(name);
        }
        let output = command.envs(environment.iter().copied()).output()?;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder.fine("parts", &["--quiet", "--replications", "1", "--merge", "3"])?;
    assert!(folder.points("whole")? == folder.points("parts")?);
    Ok(())
}

#[test]
fn results_of_different_sweeps_do_not_mix() -> Checked {
    let folder = Folder::new()?;
    let first = ["--quiet", "--replications", "1", "--shard", "0/2"];
    folder.fine("parts", &first)?;
    let other =
        folder.output("parts", &["--quiet", "--replications", "1", "--shard", "1/2", "--set", "simulation.seed=9"])?;
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another sweep"));
    let missing = folder.output("parts", &["--quiet", "--replications", "1", "--merge", "2"])?;
    assert_eq!(missing.status.code(), Some(2));
    Ok(())
}

#[test]
fn axes_and_designs_come_from_the_command_line_or_the_file() -> Checked {
    let folder = Folder::new()?;
    let replicas = ["--vary", "Deployment/orders.replicas=1,2,3"];
    let batch = ["--vary", "consumers.orders.batchSize=1,5,10"];
    let sweep = |out: &str, extra: &[&str]| -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
        let arguments = [&["--quiet", "--replications", "1", "--set", "simulation.duration=1m"], extra].concat();
        folder.fine(out, &arguments)?;
        let points = folder.points(out)?;
        let pairs = column(&points, "Deployment/orders.replicas").into_iter();
        Ok(pairs.zip(column(&points, "consumers.orders.batchSize")).collect())
    };
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let varied = [replicas, batch].concat();
    assert_eq!(sweep("cross", &varied)?.len(), 9);
    let zip = sweep("zip", &[&varied[..], &["--design", "zip"]].concat())?;
    assert_eq!(zip, pairs(&[("1", "1"), ("2", "5"), ("3", "10")]));
    let cube = sweep("cube", &[&varied[..], &["--design", "latin-hypercube", "--points", "6"]].concat())?;
    assert_eq!(cube.iter().filter(|(replicas, _)| replicas == "2").count(), 2, "{cube:?}");
    let sobol = sweep("sobol", &[&varied[..], &["--design", "sobol", "--points", "4"]].concat())?;
    assert_eq!(sobol[..2], pairs(&[("1", "1"), ("2", "5")]));
    // The same, written in the file.
    let text = SCENARIO.replace("replications = 6", "replications = 1\ndesign = \"sobol\"\npoints = 5");
    std::fs::write(folder.path("orders.toml"), text)?;
    assert_eq!(sweep("file", &[])?.len(), 5);
    let unequal = folder.output("bad", &["--design", "zip"])?;
    assert_eq!(unequal.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unequal.stderr).contains("same number of values"));
    Ok(())
}

#[test]
fn tuning_says_what_to_change_and_what_it_gains_on_fresh_and_held_out_traffic() -> Checked {
    let folder = Folder::new()?;
    std::fs::write(folder.path("orders.yaml"), MANIFEST)?;
    std::fs::write(folder.path("scaled.toml"), SCALED)?;
    std::fs::write(folder.path("other.toml"), SCALED.replace("6/s", "7/s"))?;
    let output = folder.command(&["tune", "scaled.toml", "--hold-out", "other.toml", "--fresh", "6", "--strict"])?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let screen = String::from_utf8(output.stdout)?;
    for word in ["Recommended settings", "6 fresh runs", "Traffic held out", "does nothing", "changes.diff"] {
        assert!(screen.contains(word), "no `{word}` in:\n{screen}");
    }
    let out = folder.path("output/scaled/tune");
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("tune.json"))?)?;
    assert_eq!(found["settings"][0]["present"], "2");
    // minReplicaCount is 1: cooldownPeriod has no effect, and the report says so.
    let effects: Vec<_> =
        found["knobs"].as_array().ok_or("no knobs")?.iter().map(|knob| knob["effect"].clone()).collect();
    assert_eq!(effects[1], "nothing", "{effects:?}");
    for traffic in ["fresh", "hold_out"] {
        let change = &found[traffic]["wait_p95_s"]["change"];
        let [mean, width] = ["mean", "half_width"].map(|key| change[key].as_f64().unwrap_or(f64::NAN));
        assert!(mean < -width && width > 0.0, "{traffic}: {change}");
    }
    let diff = std::fs::read_to_string(out.join("changes.diff"))?;
    assert!(diff.starts_with("--- a/orders.yaml\n+++ b/orders.yaml\n@@ -"), "{diff}");
    assert!(
        diff.contains("\n-  maxReplicaCount: 2  # pods\n+  maxReplicaCount: ") && !diff.contains("cooldown"),
        "{diff}"
    );
    let patch = std::fs::read_to_string(out.join("patches/ScaledObject-orders.yaml"))?;
    assert!(patch.contains("namespace: shop\nspec:\n  maxReplicaCount: "), "{patch}");
    Ok(())
}

#[test]
fn a_comparison_is_a_gate_for_changes() -> Checked {
    let folder = Folder::new()?;
    let scenario = |name: &str, replicas: u32, objectives: &str| {
        let text =
            SCENARIO.replace("spec.replicas = 3", &format!("spec.replicas = {replicas}")).replace("3/s", "2.4/s");
        std::fs::write(folder.path(name), format!("{text}\n[objectives]\n{objectives}\n"))
    };
    scenario("base.toml", 3, "maxCost = 100")?;
    scenario("slow.toml", 1, "maxCost = 100")?;
    scenario("strict.toml", 3, "p95Wait = \"1ms\"")?;
    let gate = |files: [&str; 2], extra: &[&str]| -> Result<(Option<i32>, String), Box<dyn std::error::Error>> {
        let arguments = [&["compare", files[0], files[1], "--replications", "3", "--no-charts"], extra].concat();
        let output = folder.command(&arguments)?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    assert_eq!(gate(["base.toml", "slow.toml"], &[])?.0, Some(0), "without a gate nothing fails");
    let (code, said) = gate(["base.toml", "slow.toml"], &["--strict"])?;
    assert!(code == Some(1) && said.contains("slow: wait_p95_s is"), "{code:?} {said}");
    assert_eq!(gate(["slow.toml", "base.toml"], &["--strict"])?.0, Some(0), "better is no regression");
    assert_eq!(gate(["base.toml", "slow.toml"], &["--strict", "--measure", "cost_usd"])?.0, Some(0));
    assert_eq!(
        gate(["base.toml", "slow.toml"], &["--strict", "--measure", "wait_p95_s", "--fail-if-worse", "1000000%"])?.0,
        Some(0)
    );
    let (code, said) = gate(["base.toml", "strict.toml"], &["--strict"])?;
    assert!(code == Some(1) && said.contains("strict: p95Wait is missed"), "{code:?} {said}");
    assert_eq!(gate(["strict.toml", "base.toml"], &["--strict"])?.0, Some(0), "what is replaced may miss them");
    assert_eq!(gate(["base.toml", "slow.toml"], &["--measure", "processed"])?.0, Some(2));
    Ok(())
}

#[test]
fn a_comparison_leaves_its_numbers_and_a_chart_of_all_scenarios() -> Checked {
    let folder = Folder::new()?;
    let output = folder.command(&["compare", "orders.toml", "orders.toml", "--replications", "2", "--out", "both"])?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.path("both/comparison.json"))?)?;
    assert_eq!(json["lines"][0]["pairing_gain"][0], serde_json::Value::Null, "equal scenarios differ by nothing");
    for name in ["compare.svg", "compare.png"] {
        assert!(folder.path("both").join(name).metadata()?.len() > 0, "{name}");
    }
    Ok(())
}
