//! NodeOverlays: what a user wants Karpenter to believe of prices and extended resources (gate `NodeOverlay`; kubernetes-sigs/karpenter
//! `pkg/controllers/nodeoverlay`, `pkg/cloudprovider/types.go: AdjustedPrice`). Bills do not change.

use crate::api::karpenter::{NodeOverlay, NodeOverlaySpec, PriceOverlay};
use crate::cluster::catalogue::{CapacityType, Catalogue, TypeLabels};
use crate::scenario::Scenario;
use crate::units::{Resource, Resources};

/// The overlays of a scenario, the one that takes precedence first.
#[derive(Clone, Debug, Default)]
pub struct Overlays(Vec<NodeOverlaySpec>);

impl Overlays {
    /// Those of a scenario; none while the gate is off.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        if scenario.karpenter.node_overlay { Overlays::new(&scenario.node_overlays) } else { Overlays::default() }
    }

    /// Orders overlays by weight, then by name, the later one first (`OrderByWeight`).
    #[must_use]
    pub fn new(overlays: &[NodeOverlay]) -> Self {
        let mut ordered: Vec<&NodeOverlay> = overlays.iter().collect();
        ordered.sort_by(|a, b| {
            b.spec.weight.unwrap_or(0).cmp(&a.spec.weight.unwrap_or(0)).then(b.metadata.name.cmp(&a.metadata.name))
        });
        Overlays(ordered.into_iter().map(|overlay| overlay.spec.clone()).collect())
    }

    /// Price of an offering as Karpenter sees it: the first overlay that matches and says something of prices decides.
    #[must_use]
    pub fn price(&self, labels: &TypeLabels, zone: &str, capacity_type: CapacityType, price: f64) -> f64 {
        let offering = [("topology.kubernetes.io/zone", zone), ("karpenter.sh/capacity-type", capacity_type.as_str())];
        let of_prices = self.0.iter().filter_map(|overlay| Some((overlay, overlay.price_overlay()?)));
        let mut matching = of_prices.filter(|(overlay, _)| matches(overlay, labels, Some(&offering)));
        match matching.next() {
            None => price,
            Some((_, PriceOverlay::Price(own))) => own,
            Some((_, PriceOverlay::Add(amount))) => (price + amount).max(0.0),
            Some((_, PriceOverlay::Percent(percent))) => (price * (1.0 + percent / 100.0)).max(0.0),
        }
    }

    /// Extended resources that the nodes of a type have beside their own: of each, the amount of the first overlay that names it.
    #[must_use]
    pub fn capacity(&self, labels: &TypeLabels) -> Resources {
        let mut added = Resources::ZERO;
        for overlay in self.0.iter().filter(|overlay| matches(overlay, labels, None)) {
            for resource in Resource::ALL.into_iter().filter(|resource| overlay.capacity.get(*resource) != 0) {
                if added.get(resource) == 0 {
                    added = added.with(resource, overlay.capacity.get(resource));
                }
            }
        }
        added
    }

    /// Changes a catalogue whose prices are the cloud's.
    pub fn apply(&self, catalogue: &mut Catalogue) {
        if self.0.is_empty() {
            return;
        }
        for instance_type in &mut catalogue.types {
            for offering in &mut instance_type.offerings {
                let zone = &catalogue.zones[usize::from(offering.zone.0)];
                offering.price = self.price(&instance_type.labels, zone, offering.capacity_type, offering.price);
            }
        }
        self.extend(catalogue);
    }

    /// Adds the extended resources to the types of a catalogue.
    pub fn extend(&self, catalogue: &mut Catalogue) {
        for instance_type in &mut catalogue.types {
            let added = self.capacity(&instance_type.labels);
            for resource in Resource::ALL.into_iter().filter(|resource| added.get(*resource) != 0) {
                instance_type.capacity = instance_type.capacity.with(resource, added.get(resource));
                instance_type.allocatable = instance_type.allocatable.with(resource, added.get(resource));
            }
        }
    }
}

/// Whether some node of the type, in that offering if one is given, meets all requirements.
fn matches(overlay: &NodeOverlaySpec, labels: &TypeLabels, offering: Option<&[(&str, &str); 2]>) -> bool {
    overlay.requirements.iter().all(|requirement| {
        let own = offering.and_then(|offering| offering.iter().find(|(key, _)| *key == requirement.key));
        let values: Vec<&str> = match (own, labels.binary_search_by(|(key, _)| key.cmp(&requirement.key))) {
            (Some((_, value)), _) => vec![value],
            (None, Ok(place)) => labels[place].1.iter().map(String::as_str).collect(),
            // What an offering decides is open as long as none is chosen.
            (None, Err(_)) if offering.is_none() && OF_OFFERINGS.contains(&requirement.key.as_str()) => return true,
            (None, Err(_)) => Vec::new(),
        };
        if values.is_empty() { requirement.holds(None) } else { values.iter().any(|v| requirement.holds(Some(v))) }
    })
}

/// Labels that offerings decide.
const OF_OFFERINGS: [&str; 2] = ["karpenter.sh/capacity-type", "topology.kubernetes.io/zone"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::meta::ObjectMeta;
    use crate::api::pod::{NodeOperator, NodeRequirement};

    fn overlay(name: &str, weight: u32, family: &str, spec: NodeOverlaySpec) -> NodeOverlay {
        let key = "karpenter.k8s.aws/instance-family".to_owned();
        let requirement =
            NodeRequirement { key, operator: NodeOperator::In, values: vec![family.to_owned()], min_values: None };
        NodeOverlay {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..defaults() },
            spec: NodeOverlaySpec { requirements: vec![requirement], weight: Some(weight), ..spec },
        }
    }

    fn adjusted(change: &str) -> NodeOverlaySpec {
        NodeOverlaySpec { price_adjustment: Some(change.to_owned()), ..defaults() }
    }

    fn labels(family: &str) -> TypeLabels {
        vec![("karpenter.k8s.aws/instance-family".to_owned(), vec![family.to_owned()])]
    }

    fn price(overlays: &Overlays, family: &str) -> f64 {
        overlays.price(&labels(family), "us-east-1a", CapacityType::OnDemand, 1.0)
    }

    #[test]
    fn the_heaviest_overlay_that_matches_decides_the_price() {
        let fixed = NodeOverlaySpec { price: Some("0.25".to_owned()), ..defaults() };
        let overlays = [
            overlay("a", 10, "m5", adjusted("-20%")),
            overlay("b", 20, "m5", adjusted("+0.5")),
            overlay("c", 10, "c5", adjusted("-5")),
            overlay("d", 1, "r5", adjusted("+10%")),
            overlay("e", 1, "r5", fixed),
        ];
        let overlays = Overlays::new(&overlays);
        let prices = ["m5", "c5", "r5", "t3"].map(|family| price(&overlays, family));
        assert_eq!(prices, [1.5, 0.0, 0.25, 1.0]);
    }

    #[test]
    fn capacity_comes_from_all_overlays_that_match() {
        let gpus = |resource, count| NodeOverlaySpec { capacity: Resources::ZERO.with(resource, count), ..defaults() };
        let overlays = [
            overlay("a", 10, "m5", gpus(Resource::NvidiaGpu, 1)),
            overlay("b", 20, "m5", gpus(Resource::NvidiaGpu, 2)),
            overlay("c", 10, "m5", gpus(Resource::Neuron, 4)),
        ];
        let added = Overlays::new(&overlays).capacity(&labels("m5"));
        assert_eq!((added.get(Resource::NvidiaGpu), added.get(Resource::Neuron)), (2, 4));
    }
}
