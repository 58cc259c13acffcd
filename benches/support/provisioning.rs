//! Pending pods before an empty cluster: what one scheduling pass of Karpenter is asked.

use std::sync::Arc;

use forescale::api::decode::defaults;
use forescale::api::karpenter::{AmiFamily, NodePoolSpec};
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::Catalogue;
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::catalogue::build;
use forescale::ec2::prices::Prices;
use forescale::engine::{Stream, Streams};
use forescale::karpenter::scheduling::{Input, Pod, Pool, Shape};
use forescale::time::Time;

use super::parse::parse;

/// All instance types of us-east-1, in three zones.
pub fn whole_catalogue() -> Catalogue {
    let mut prices = Prices::new(&defaults(), Streams::new(1, 0));
    build("us-east-1", &[], &NodeSettings::of_family(AmiFamily::Al2023), &mut prices, Time::ZERO).expect("prices")
}

pub fn ties() -> Stream {
    Streams::new(1, 0).open("bench", 0)
}

/// What a measurement gives for so many pending pods of so many shapes, a pool of everything and no node.
pub fn with_pending<T>(
    catalogue: &Arc<Catalogue>,
    pods: usize,
    shapes: usize,
    measure: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let pool: NodePoolSpec = parse("template = { spec = { requirements = [] } }");
    let labels = Labels::from([("app".to_owned(), "a".to_owned())]);
    let spec = |i: usize| -> PodSpec {
        let requests = format!("{{ cpu = \"{}m\", memory = \"{}Mi\" }}", 1000 + 10 * i, 1024 + 7 * i);
        parse(&format!("containers = [{{ resources = {{ requests = {requests} }} }}]"))
    };
    let specs: Vec<PodSpec> = (0..shapes).map(spec).collect();
    let pod = |i: usize| Pod { shape: i % shapes, created: Time::ZERO, uid: i as u64, gated: false };
    let input = Input {
        catalogues: vec![Arc::clone(catalogue)],
        pools: vec![Pool { name: "workers", spec: &pool, catalogue: Some(0) }],
        shapes: specs
            .iter()
            .map(|spec| Shape { labels: &labels, spec, volumes: 0, volume_topology: Vec::new() })
            .collect(),
        pods: (0..pods).map(pod).collect(),
        ..Input::default()
    };
    measure(&input)
}
