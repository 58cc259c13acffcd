//! Speed of one scheduling pass of Karpenter over 10,000 pending pods on the whole catalogue of a region.
//!
//! `cargo bench --bench solver` prints milliseconds per pass.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the wall clock")]

use std::sync::Arc;
use std::time::Instant;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::ec2::kwok;
use forescale::engine::Streams;
use forescale::karpenter::scheduling::{Input, Pod, Pool, Shape, solve};
use forescale::time::Time;

#[path = "support/parse.rs"]
mod parse;

use parse::parse;

const PODS: usize = 10_000;

fn main() {
    let text = include_str!("../tests/data/recorded/catalogue.json");
    let catalogue = kwok::parse_catalogue(text).expect("a catalogue");
    let pool: NodePoolSpec = parse("template = { spec = { requirements = [] } }");
    let spread = |key: &str| {
        format!(
            "topologySpreadConstraints = [{{ maxSkew = 1, topologyKey = \"{key}\", whenUnsatisfiable = \"DoNotSchedule\", \
             labelSelector = {{ matchLabels = {{ app = \"a\" }} }} }}]"
        )
    };
    let scenes = [
        ("one shape", 1, String::new()),
        ("100 shapes", 100, String::new()),
        ("one shape spread over zones", 1, spread("topology.kubernetes.io/zone")),
        ("one shape, one pod a node", 1, spread("kubernetes.io/hostname")),
    ];
    for (name, count, parts) in scenes {
        let labels = Labels::from([("app".to_owned(), "a".to_owned())]);
        let spec = |i: usize| -> PodSpec {
            let requests = format!("{{ cpu = \"{}m\", memory = \"{}Mi\" }}", 1000 + 10 * i, 1024 + 7 * i);
            parse(&format!("containers = [{{ resources = {{ requests = {requests} }} }}]\n{parts}"))
        };
        let specs: Vec<PodSpec> = (0..count).map(spec).collect();
        let pod = |i: usize| Pod { shape: i % count, created: Time::ZERO, uid: i as u64, gated: false };
        let input = Input {
            catalogues: vec![Arc::new(catalogue.clone())],
            pools: vec![Pool { name: "workers", spec: &pool, catalogue: Some(0) }],
            shapes: specs
                .iter()
                .map(|spec| Shape { labels: &labels, spec, volumes: 0, volume_topology: Vec::new() })
                .collect(),
            pods: (0..PODS).map(pod).collect(),
            ..Input::default()
        };
        let mut fastest = f64::INFINITY;
        let mut claims = 0;
        for _ in 0..5 {
            let start = Instant::now();
            claims = solve(&input, &mut Streams::new(1, 0).open("bench", 0)).claims.len();
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        println!("{name:30} {:8.2} ms, {claims} claims", fastest * 1e3);
    }
}
