//! Commands as recordings describe them, and nodes that are interchangeable.

use forescale::cluster::catalogue::CapacityType;
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::cost::node_price;
use serde_json::{Value, json};

use super::Replay;

impl Replay<'_> {
    /// Where nodes are interchangeable, takes those that the recording took.
    pub(super) fn follow_the_recording(&self, command: &mut Command) {
        let Some(recorded) = self.case["commands"].get(self.began.len()) else { return };
        let names: Vec<&str> = recorded["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let find = |name: &&str| self.names.iter().position(|known| known == name);
        let Some(wanted) = names.iter().map(find).collect::<Option<Vec<usize>>>() else { return };
        let mut mine: Vec<Value> = command.ids().iter().map(|id| self.key(*id as usize)).collect();
        let mut theirs: Vec<Value> = wanted.iter().map(|node| self.key(*node)).collect();
        mine.sort_by_key(Value::to_string);
        theirs.sort_by_key(Value::to_string);
        let gone = wanted.iter().any(|node| self.cluster.nodes[*node].view.marked_for_deletion);
        if mine == theirs && !gone {
            let fresh = wanted.iter().map(|node| {
                let id = *node as u32;
                let twin =
                    command.candidates.iter().find(|c| self.key(c.id as usize) == self.key(*node)).expect("a twin");
                let mut candidate = twin.clone();
                candidate.id = id;
                candidate
            });
            command.candidates = fresh.collect();
        }
    }

    /// What makes nodes interchangeable: pool, type, price and pods.
    fn key(&self, node: usize) -> Value {
        let view = &self.cluster.nodes[node].view;
        let mut pods: Vec<usize> = self.cluster.nodes[node].identities.iter().map(|identity| identity.shape).collect();
        pods.sort_unstable();
        let price = node_price(view, &self.cluster.catalogue);
        json!([view.pool.map(|pool| pool.0), view.instance_type.map(|id| id.0), price.to_string(), pods])
    }

    pub(super) fn describe(&self, command: &Command) -> Value {
        let types: Vec<Value> = command
            .replacements
            .iter()
            .map(|replacement| {
                let mut names: Vec<&str> =
                    replacement.types.iter().map(|id| self.cluster.catalogue.get(*id).name.as_str()).collect();
                names.sort_unstable();
                json!(names)
            })
            .collect();
        let mut nodes: Vec<String> = command
            .candidates
            .iter()
            .map(|candidate| {
                let instance_type = candidate.instance_type.map_or("?", |id| &self.cluster.catalogue.get(id).name);
                let capacity_type = candidate.capacity_type.map_or("?", CapacityType::as_str);
                format!("{instance_type} {capacity_type} in {}", self.cluster.pools[candidate.pool.0].name)
            })
            .collect();
        nodes.sort();
        let mut loads: Vec<String> = command.ids().iter().map(|id| self.load(*id as usize)).collect();
        loads.sort();
        let pods: usize = command.candidates.iter().map(|candidate| candidate.reschedulable_pods).sum();
        let savings =
            command.estimated_savings(&self.cluster.catalogue, self.cluster.rules.savings_of_allowed_offerings);
        json!({
            "reason": command.reason().as_str(), "decision": command.decision(), "nodes": nodes, "pods": pods,
            "savings": format!("${savings:.2}"), "replacements": types, "loads": loads,
            "names": command.ids().iter().map(|id| self.names[*id as usize].clone()).collect::<Vec<_>>(),
        })
    }

    /// The pods of a node by shape, as recordings write them.
    fn load(&self, node: usize) -> String {
        let mut counts = serde_json::Map::new();
        for identity in &self.cluster.nodes[node].identities {
            let name = self.case["shapes"][identity.shape]["name"].as_str().expect("a name");
            let count = counts.get(name).and_then(Value::as_u64).unwrap_or(0) + 1;
            counts.insert(name.to_owned(), count.into());
        }
        Value::Object(counts).to_string()
    }
}
