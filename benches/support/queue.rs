//! Queues with fixed servers as scenarios, and how a scenario is loaded and run.

use std::collections::BTreeMap;

use forescale::scenario::load::load_texts;
use forescale::scenario::{Options, Scenario};
use forescale::simulation;
use forescale::telemetry::Outcome;

/// Load of a server.
pub const LOAD: f64 = 0.8;

/// M/M/c on a Deployment of fixed size.
pub fn queue_of(servers: u32, messages: u64, queue: &str) -> Scenario {
    let rate = LOAD * f64::from(servers);
    let seconds = messages as f64 / rate;
    let nodes = servers.div_ceil(500);
    load_text(&format!(
        "[simulation]\nduration = \"{seconds}s\"\nmaxPods = 1000000\n\
         [[queues]]\nname = \"q\"\n{queue}\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"{rate}/s\"\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\nbatchSize = 1\nwaitTime = \"20s\"\nvisibilityTimeout = \"5m\"\n\
         processing = {{ exponential = {{ mean = \"1s\" }} }}\n\
         [[deployments]]\nmetadata = {{ name = \"d\" }}\n[deployments.spec]\nreplicas = {servers}\n\
         template = {{ metadata = {{ labels = {{ app = \"d\" }} }}, spec = {{ containers = [{{ name = \"c\", image = \"c:1\", resources = {{ requests = {{ cpu = \"50m\" }} }} }}] }} }}\n\
         selector = {{ matchLabels = {{ app = \"d\" }} }}\n\
         [[nodeGroups]]\nname = \"fixed\"\ncount = {nodes}\ncapacity = {{ cpu = \"64\", memory = \"256Gi\", pods = 600 }}\n"
    ))
}

pub fn load_text(toml: &str) -> Scenario {
    load_with(toml, BTreeMap::new())
}

pub fn load_with(toml: &str, mut texts: BTreeMap<String, String>) -> Scenario {
    texts.insert("bench.toml".to_owned(), toml.to_owned());
    match load_texts("bench.toml", texts, &Options::default()) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{invalid}"),
    }
}

pub fn run(scenario: &Scenario) -> Outcome {
    let options = simulation::Options { check_invariants: false, ..simulation::Options::replication(0) };
    simulation::run(scenario, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Almost all messages must have been processed: otherwise less work was measured than is said.
pub fn assert_about(outcome: &Outcome, messages: u64) {
    let processed = outcome.processed() as f64 / messages as f64;
    assert!((0.97..1.03).contains(&processed), "{processed} of the messages were processed");
}
