//! The recorded cluster before the first decision.

use forescale::api::meta::{LabelSelector, Labels};
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::CapacityType;
use forescale::karpenter::disruption::pass::POLLING_PERIOD;
use forescale::karpenter::scheduling::requirement::Requirement;
use forescale::karpenter::scheduling::requirements::Requirements;
use forescale::scheduler::shape::PodTraits;
use forescale::scheduler::volumes::Claims;
use forescale::time::{Duration, Time};
use serde_json::{Value, json};

use super::super::disruption_world::decode;
use super::{Event, ORIGIN, Replay, Untold};

impl Replay<'_> {
    pub(super) fn read_shapes(&mut self) {
        for shape in self.case["shapes"].as_array().expect("shapes") {
            let name = shape["name"].as_str().expect("a name");
            let (cpu, memory) = (format!("{}m", shape["cpu_m"]), format!("{}Mi", shape["mem_mi"]));
            let spec: PodSpec = decode(&json!({
                "containers": [{ "resources": { "requests": { "cpu": cpu, "memory": memory } } }],
                "terminationGracePeriodSeconds": 60
            }));
            let labels: Labels = [("app".to_owned(), name.to_owned())].into();
            let selector: LabelSelector = decode(&json!({ "matchLabels": { "app": name } }));
            let traits = PodTraits {
                labels: labels.clone(),
                spec: spec.clone(),
                priority: 0,
                preempts: true,
                workload_selector: Some(selector),
                claims: Claims::default(),
            };
            self.shapes.push(self.kube.shape(&traits));
            self.cluster.shape(labels, spec);
        }
    }

    /// The recorded nodes, in a random order and with random names, as ties and first fits are random in reality.
    pub(super) fn read_nodes(&mut self) {
        let before = self.case["before"].as_object().expect("nodes");
        let mut order: Vec<&String> = before.keys().collect();
        self.ties.shuffle(&mut order);
        let mut labels: Vec<usize> = (0..order.len()).collect();
        self.ties.shuffle(&mut labels);
        for (name, label) in order.into_iter().zip(labels) {
            let node = &before[name];
            let id = self.cluster.find_type(node["type"].as_str().expect("a type"));
            let zone = self.cluster.find_zone(node["zone"].as_str().expect("a zone"));
            let capacity_type = CapacityType::parse(node["ct"].as_str().expect("a capacity type")).expect("known");
            let pool = node["pool"].as_str().expect("a pool");
            let index = self.add_node(name, &format!("{pool}-{label:05}"), (id, zone, capacity_type));
            let view = &mut self.cluster.nodes[index].view;
            view.pool = None;
            let known = self.cluster.pool(pool);
            let view = &mut self.cluster.nodes[index].view;
            view.pool = known;
            if !self.belongs(index) {
                // A leftover of the case before, on its way out.
                self.cluster.nodes[index].view.marked_for_deletion = true;
            }
            self.cluster.nodes[index].labels = self.cluster.labels_of(&self.cluster.nodes[index].view);
            for (shape, count) in node["pods"].as_object().into_iter().flatten() {
                let shape = self.shape_named(shape);
                for _ in 0..count.as_u64().expect("a count") {
                    self.pods += 1;
                    self.place(self.pods, shape, index);
                }
            }
        }
    }

    fn shape_named(&self, name: &str) -> usize {
        let shapes = self.case["shapes"].as_array().expect("shapes");
        shapes.iter().position(|shape| shape["name"] == name).expect("a known shape")
    }

    /// Whether the node's pool could have made it.
    fn belongs(&self, index: usize) -> bool {
        let view = &self.cluster.nodes[index].view;
        let Some(pool) = view.pool else { return false };
        let mut node = Requirements::of_labels(&self.cluster.labels_of(view));
        node.set("karpenter.sh/capacity-type", Requirement::is(view.capacity_type.expect("known").as_str()));
        let wanted = Requirements::of_list(&self.cluster.pools[pool.0].spec.template.spec.requirements);
        node.intersect(&wanted).is_ok()
    }

    /// Sets what is untold, and lets the first pass that may find something begin at `first`.
    pub fn prepare(&mut self, first: Time, untold: Untold, nominated: bool) {
        let after = self.cluster.pools[0].spec.disruption.consolidate_after.0.unwrap_or(Duration::ZERO);
        let early: Vec<String> = match self.case["commands"].get(0) {
            Some(command) => command["nodes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            None => Vec::new(),
        };
        let lot = self.ties.below(self.names.len());
        let early = if untold == Untold::OneQuiet { vec![self.names[lot].clone()] } else { early };
        let quiet = first - after - Duration::from_secs(1);
        for (node, name) in self.cluster.nodes.iter_mut().zip(&self.names) {
            let view = &mut node.view;
            view.last_pod_event = Some(quiet.min(ORIGIN));
            if nominated {
                view.nominated_until = Some(first - Duration::from_millis(1));
            }
            if untold != Untold::Nothing && !early.contains(name) {
                if untold == Untold::OthersUnquiet || untold == Untold::OneQuiet {
                    view.last_pod_event = Some(ORIGIN.max(first - after + Duration::from_millis(500)));
                } else {
                    view.nominated_until = Some(first + Duration::from_millis(1));
                }
            }
        }
        let mut start = first;
        while start - POLLING_PERIOD >= ORIGIN {
            start = start - POLLING_PERIOD;
        }
        self.now = ORIGIN;
        self.memory.state.mark_unconsolidated(ORIGIN + Duration::from_secs(1));
        self.at(start, Event::Pass);
    }
}

pub fn pool_spec(case: &Value, pool: &Value) -> Value {
    let mut disruption = json!({
        "consolidationPolicy": case["policy"], "consolidateAfter": case["consolidate_after"],
    });
    if !pool["budgets"].is_null() {
        disruption["budgets"] = pool["budgets"].clone();
    }
    let mut spec = json!({
        "template": { "spec": { "requirements": pool["requirements"] } },
        "disruption": disruption,
    });
    if !pool["weight"].is_null() {
        spec["weight"] = pool["weight"].clone();
    }
    spec
}
