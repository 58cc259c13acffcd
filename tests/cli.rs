//! The program as a user meets it.

use assert_cmd::Command;

type Checked = Result<(), Box<dyn std::error::Error>>;

fn forescale() -> Result<Command, Box<dyn std::error::Error>> {
    let mut command = Command::cargo_bin("forescale")?;
    command.env_remove("NO_COLOR").env("COLUMNS", "100");
    Ok(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A scenario with one queue and nothing else wrong than what `extra` adds.
fn scenario(folder: &std::path::Path, extra: &str) -> std::io::Result<std::path::PathBuf> {
    let path = folder.join("orders.toml");
    let toml = format!(
        "[simulation]\nduration = \"5m\"\n{extra}\n\n[[queues]]\nname = \"orders\"\n\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"2/s\"\n"
    );
    std::fs::write(&path, toml)?;
    Ok(path)
}

#[test]
fn a_wrong_key_is_shown_where_it_stands() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = scenario(folder.path(), "sead = 3")?;
    let output = forescale()?.arg("check").arg(&path).output()?;
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("orders.toml:3:1") && error.contains("sead = 3"), "{error}");
    assert!(error.contains("seed"), "no hint in:\n{error}");
    assert_eq!(text(&output.stdout), "");
    Ok(())
}

#[test]
fn a_missing_file_is_bad_input() -> Checked {
    let output = forescale()?.args(["check", "nowhere.toml"]).output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nowhere.toml"));
    Ok(())
}

#[test]
fn a_good_scenario_is_fine() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = scenario(folder.path(), "")?;
    let output = forescale()?.arg("check").arg(&path).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 queue"));
    Ok(())
}

#[test]
fn findings_carry_their_rule_for_people_programs_and_gates() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = scenario(folder.path(), "")?;
    let rate = "queues.orders.arrivals[0].rate=0/s";
    let check = |more: &[&str]| -> Result<std::process::Output, Box<dyn std::error::Error>> {
        Ok(forescale()?.arg("check").arg(&path).args(["--set", rate]).args(more).output()?)
    };
    let plain = check(&[])?;
    assert_eq!(plain.status.code(), Some(0));
    assert!(text(&plain.stderr).contains("warning[sends-nothing]"), "{}", text(&plain.stderr));
    let strict = check(&["--strict", "--json"])?;
    assert_eq!((strict.status.code(), text(&strict.stderr)), (Some(1), String::new()));
    let report: serde_json::Value = serde_json::from_slice(&strict.stdout)?;
    assert_eq!((&report["valid"], &report["warnings"]), (&true.into(), &1.into()));
    assert_eq!(report["diagnostics"][0]["rule"], "sends-nothing");
    assert_eq!(report["diagnostics"][0]["explanation"], "docs/lints.md#sends-nothing");
    let explained = forescale()?.args(["check", "--explain", "sends-nothing"]).output()?;
    assert!(text(&explained.stdout).starts_with("sends-nothing\n\n*warning* - "), "{}", text(&explained.stdout));
    let unknown = forescale()?.args(["check", "--explain", "send-nothing"]).output()?;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean `sends-nothing`?"), "{}", text(&unknown.stderr));
    Ok(())
}

#[test]
fn wrong_arguments_are_bad_input() -> Checked {
    for arguments in [vec![], vec!["rum"], vec!["check"], vec!["check", "a.toml", "--set", "novalue"]] {
        let output = forescale()?.args(&arguments).output()?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
    }
    assert_eq!(forescale()?.arg("--version").output()?.status.code(), Some(0));
    Ok(())
}

#[test]
fn the_catalog_filters_and_sorts() -> Checked {
    let arguments =
        ["catalog", "--json", "--arch", "arm64", "--category", "c", "--min-cpu", "3", "--max-cpu", "8", "--spot"];
    let output = forescale()?.args(arguments).args(["--sort", "spot-price", "--limit", "5"]).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
    assert_eq!(rows.len(), 5);
    let mut last = 0.0;
    for row in &rows {
        assert_eq!(row["arch"], "arm64");
        assert!(row["name"].as_str().is_some_and(|name| name.starts_with('c')));
        assert!(row["allocatable_cpu_milli"].as_i64().is_some_and(|cpu| (3000..8000).contains(&cpu)));
        let price = row["spot_usd_per_h"].as_f64().ok_or("no Spot price")?;
        assert!(price >= last);
        last = price;
    }
    Ok(())
}

#[test]
fn an_unknown_region_is_bad_input_and_the_known_ones_are_named() -> Checked {
    let output = forescale()?.args(["catalog", "--region", "us-east-9"]).output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("us-east-1"));
    Ok(())
}

#[test]
fn completions_name_the_subcommands() -> Checked {
    let output = forescale()?.args(["completions", "bash"]).output()?;
    assert!(text(&output.stdout).contains("catalog"));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_early_is_no_error() -> Checked {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("forescale"))
        .arg("catalog")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    Ok(())
}

/// A small chain from traffic to nodes.
const CHAIN: &str = r#"
[simulation]
duration = "15m"

[[queues]]
name = "orders"
visibilityTimeout = "60s"

[[queues.arrivals]]
pattern = "poisson"
rate = "4/s"

[[consumers]]
deployment = "orders"
queue = "orders"
processing = { lognormal = { p50 = "400ms", p99 = "2s" } }

[[deployments]]
metadata = { name = "orders" }
spec.replicas = 1
spec.selector.matchLabels = { app = "orders" }
spec.template.metadata.labels = { app = "orders" }
spec.template.spec.containers = [{ name = "app", image = "orders", resources = { requests = { cpu = "500m", memory = "256Mi" } } }]

[[scaledObjects]]
metadata = { name = "orders" }
spec.scaleTargetRef.name = "orders"
spec.minReplicaCount = 1
spec.maxReplicaCount = 8
spec.triggers = [{ type = "aws-sqs-queue", metadata = { queueURL = "https://sqs.us-east-1.amazonaws.com/1/orders", queueLength = "5", awsRegion = "us-east-1" } }]

[[nodeGroups]]
name = "base"
instanceType = "m5.large"
count = 2

[[nodePools]]
metadata = { name = "workers" }
spec.template.spec.nodeClassRef = { group = "karpenter.k8s.aws", kind = "EC2NodeClass", name = "default" }
spec.template.spec.requirements = [{ key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.large", "m5.xlarge"] }]

[objectives]
p95Wait = "10m"
maxNodes = 0

[sweep]
replications = 2
"ScaledObject/orders.maxReplicaCount" = [1, 8]
"#;

fn chain(folder: &std::path::Path) -> std::io::Result<std::path::PathBuf> {
    let path = folder.join("chain.toml");
    std::fs::write(&path, CHAIN)?;
    Ok(path)
}

#[test]
fn a_run_leaves_its_folder_and_ends_with_one_screen() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let output = forescale()?.current_dir(folder.path()).arg("run").arg(&path).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let screen = text(&output.stdout);
    for word in ["Messages", "p95", "Pods", "Nodes", "Money", "Objectives", "MISSED", "output/chain"] {
        assert!(screen.contains(word), "no `{word}` in:\n{screen}");
    }
    assert!(screen.lines().count() <= 40);
    for name in [
        "summary.json",
        "timeline.csv",
        "decisions.csv",
        "nodes.csv",
        "pods.csv",
        "blame.csv",
        "chart.svg",
        "chart.png",
    ] {
        assert!(folder.path().join("output/chain").join(name).metadata()?.len() > 0, "{name}");
    }
    Ok(())
}

#[test]
fn an_objective_missed_matters_only_when_strict() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let mut command = forescale()?;
    command.current_dir(folder.path()).arg("run").arg(&path).args(["--strict", "--no-charts", "--quiet"]);
    let output = command.output()?;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    assert!(!folder.path().join("output/chain/chart.png").exists());
    Ok(())
}

#[test]
fn json_is_all_that_is_printed_and_equals_the_file() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let mut command = forescale()?;
    command
        .arg("run")
        .arg(&path)
        .args(["--json", "--no-charts", "--seed", "7", "--out"])
        .arg(folder.path().join("out"));
    let output = command.output()?;
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(summary["seed"], 7);
    assert!(summary["messages"]["processed"].as_u64().is_some_and(|processed| processed > 2500), "{summary}");
    assert_eq!(std::fs::read(folder.path().join("out/summary.json"))?, output.stdout);
    Ok(())
}

#[test]
fn bad_input_leaves_nothing_behind() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    for bad in [["--set", "ScaledObject/orders.maxReplicaCount=-1"], ["--duration", "long"]] {
        let output = forescale()?.current_dir(folder.path()).arg("run").arg(&path).args(bad).output()?;
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        assert!(!text(&output.stderr).is_empty() && output.stdout.is_empty());
        assert!(!folder.path().join("output").exists());
    }
    Ok(())
}

/// All files of a folder with their bytes.
fn contents(folder: &std::path::Path) -> std::io::Result<std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                found.insert(name, std::fs::read(path)?);
            }
        }
    }
    Ok(found)
}

#[test]
fn the_same_run_gives_the_same_bytes_on_any_number_of_threads() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let run = |threads: &str, name: &str| -> Result<_, Box<dyn std::error::Error>> {
        let out = folder.path().join(name);
        let mut command = forescale()?;
        command
            .env("RAYON_NUM_THREADS", threads)
            .arg("run")
            .arg(&path)
            .args(["--replications", "3", "--out"])
            .arg(&out);
        assert_eq!(command.output()?.status.code(), Some(0));
        Ok(contents(&out)?)
    };
    let first = run("1", "first")?;
    assert_eq!(first.len(), 3 * 8 + 4);
    assert!(first == run("1", "again")?, "the second run differs");
    assert!(first == run("2", "parallel")?, "two threads differ from one");
    Ok(())
}

#[test]
fn shards_of_a_sweep_merge_to_the_whole() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let sweep = |out: &str, arguments: &[&str]| -> Result<String, Box<dyn std::error::Error>> {
        let mut command = forescale()?;
        command.arg("sweep").arg(&path).args(arguments).arg("--out").arg(folder.path().join(out));
        let output = command.output()?;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    };
    let screen = sweep("whole", &[])?;
    assert!(screen.contains("maxReplicaCount") && screen.contains("p95 wait"), "{screen}");
    sweep("parts", &["--shard", "0/2"])?;
    sweep("parts", &["--shard", "1/2"])?;
    sweep("parts", &["--merge", "2"])?;
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    for name in ["points.csv", "means.csv", "effects.csv", "trade-off.svg", "response.png"] {
        assert_eq!(std::fs::read(whole.join(name))?, std::fs::read(parts.join(name))?, "{name}");
    }
    Ok(())
}

#[test]
fn a_scenario_compared_with_itself_does_not_differ() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let mut command = forescale()?;
    command.current_dir(folder.path()).arg("compare").arg(&path).arg(&path);
    command.args(["--replications", "2", "--fail-if-worse", "0%", "--json"]);
    let output = command.output()?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let comparison: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    for line in comparison["lines"].as_array().ok_or("no lines")? {
        assert_eq!(line["differences"][0]["mean"], 0.0, "{line}");
    }
    Ok(())
}

#[test]
fn checking_the_laws_changes_nothing() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let summary = |command: &str, arguments: &[&str], file: &str| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let out = folder.path().join("out");
        let mut program = forescale()?;
        let output =
            program.arg(command).arg(&path).args(arguments).args(["-q", "--no-charts", "--out"]).arg(&out).output()?;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        Ok(std::fs::read(out.join(file))?)
    };
    assert_eq!(summary("run", &[], "summary.json")?, summary("run", &["--check-invariants"], "summary.json")?);
    assert_eq!(summary("sweep", &[], "means.csv")?, summary("sweep", &["--check-invariants"], "means.csv")?);
    Ok(())
}

#[test]
fn decisions_are_explained() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = chain(folder.path())?;
    let run = forescale()?.current_dir(folder.path()).arg("run").arg(&path).args(["-q", "--no-charts"]).output()?;
    assert_eq!(run.status.code(), Some(0));
    let explain = |arguments: &[&str]| -> Result<String, Box<dyn std::error::Error>> {
        let output = forescale()?.current_dir(folder.path()).arg("explain").args(arguments).output()?;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        Ok(text(&output.stdout))
    };
    assert!(explain(&["chain.toml"])?.contains("controller"));
    let hpa = explain(&["output/chain", "--controller", "hpa", "--limit", "3"])?;
    assert!(hpa.contains("hpa") && !hpa.contains("scheduler"), "{hpa}");
    assert!(explain(&["output/chain", "--at", "5m"])?.contains("HorizontalPodAutoscaler/"));
    let pods = std::fs::read_to_string(folder.path().join("output/chain/pods.csv"))?;
    let last = pods.lines().rfind(|line| line.contains("chain") || line.starts_with("orders"));
    let last = last.and_then(|line| line.split(',').next()).ok_or("no pod")?;
    let pod = explain(&["chain.toml", "pod", last])?;
    for word in [last, "created", "HorizontalPodAutoscaler/", "selectHost", "rule: ", "otherwise: "] {
        assert!(pod.contains(word), "no `{word}` in:\n{pod}");
    }
    let nodes = std::fs::read_to_string(folder.path().join("output/chain/nodes.csv"))?;
    let node = nodes.lines().last().and_then(|line| line.split(',').next()).ok_or("no node")?;
    assert!(explain(&["chain.toml", "node", node])?.contains("ready for pods"));
    assert!(explain(&["chain.toml", "at", "5m"])?.contains("\nmessages  "));
    assert!(explain(&["chain.toml", "hpa"])?.contains("horizontal.go"));
    let unknown = forescale()?.current_dir(folder.path()).args(["explain", "chain.toml", "pod", "nobody"]).output()?;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("no pod `nobody`"));
    let missing = forescale()?.current_dir(folder.path()).args(["explain", "other.toml"]).output()?;
    assert_eq!(missing.status.code(), Some(2));
    Ok(())
}
