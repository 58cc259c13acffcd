//! Small clusters of EC2 nodes without accidents, as texts of scenarios, and what became of their nodes.

use std::collections::BTreeMap;

use forescale::scenario::load::{Options, load_texts};
use forescale::simulation;
use forescale::telemetry::{NodeRecord, Outcome};

/// Latencies that do not vary, EC2 without accidents.
const BASE: &str = r#"
[simulation]
duration = "{duration}"
region   = "us-east-1"

[market]
interruptions       = "never"
onDemandUnavailable = 0
spotUnavailable     = 0

[latencies]
createFleet         = "2s"
instanceRunning     = "5s"
nodeRegistered      = "25s"
nodeReady           = "15s"
slowNodeProbability = 0
clusterFactorSigma  = 0
"#;

pub fn run(text: &str) -> Outcome {
    run_for("30m", text)
}

pub fn run_for(duration: &str, text: &str) -> Outcome {
    run_with(duration, text, &[])
}

/// With settings changed, as `--set` takes them.
pub fn run_with(duration: &str, text: &str, settings: &[(&str, &str)]) -> Outcome {
    let base = BASE.replace("{duration}", duration);
    let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned()));
    let options = Options { settings: settings.collect(), ..Options::default() };
    let texts = BTreeMap::from([("scenario.toml".to_owned(), format!("{text}\n{base}"))]);
    let loaded = load_texts("scenario.toml", texts, &options).unwrap_or_else(|invalid| panic!("{invalid}"));
    simulation::run(&loaded.scenario, simulation::Options::replication(0)).unwrap_or_else(|error| panic!("{error}"))
}

pub fn pool(name: &str, types: &[&str], capacity_types: &[&str], spec: &str) -> String {
    format!(
        "[[nodePools]]\nmetadata = {{ name = \"{name}\" }}\n[nodePools.spec]\n{spec}\n[nodePools.spec.template.spec]\n\
         nodeClassRef = {{ group = \"karpenter.k8s.aws\", kind = \"EC2NodeClass\", name = \"default\" }}\n\
         requirements = [\n\
         {{ key = \"node.kubernetes.io/instance-type\", operator = \"In\", values = {types:?} }},\n\
         {{ key = \"karpenter.sh/capacity-type\", operator = \"In\", values = {capacity_types:?} }},\n]\n"
    )
}

pub fn class(spec: &str) -> String {
    format!(
        "[[ec2NodeClasses]]\nmetadata = {{ name = \"default\" }}\n[ec2NodeClasses.spec]\n\
         amiSelectorTerms = [{{ alias = \"al2023@latest\" }}]\n{spec}\n"
    )
}

pub fn deployment(name: &str, replicas: u32, cpu: &str) -> String {
    format!(
        "[[deployments]]\nmetadata = {{ name = \"{name}\" }}\n[deployments.spec]\nreplicas = {replicas}\n\
         selector = {{ matchLabels = {{ app = \"{name}\" }} }}\n\
         [deployments.spec.template]\nmetadata = {{ labels = {{ app = \"{name}\" }} }}\n[deployments.spec.template.spec]\n\
         containers = [{{ name = \"c\", image = \"x:1\", resources = {{ requests = {{ cpu = \"{cpu}\", memory = \"1Gi\" }} }} }}]\n"
    )
}

pub fn nodes_of<'o>(outcome: &'o Outcome, pool: &str) -> Vec<&'o NodeRecord> {
    outcome.nodes.iter().filter(|node| node.info.pool == pool && node.launched.is_some()).collect()
}

pub fn running_at(nodes: &[&NodeRecord], seconds: f64) -> usize {
    let at = |time: Option<forescale::time::Time>| time.map(|time| time.as_secs_f64());
    let runs = |node: &&&NodeRecord| {
        at(node.launched).is_some_and(|launched| launched <= seconds)
            && at(node.terminated).is_none_or(|terminated| terminated > seconds)
    };
    nodes.iter().filter(runs).count()
}
