//! Which volume a claim gets, and where a new one is made.

use crate::api::meta::Labels;
use crate::api::pod::{NodeSelectorTerm, PodSpec};
use crate::cluster::{PodId, ShapeId};

use super::objects::{self, Class, VolumeId};
use super::{Claim, Storage, Variant, VariantId, Volume, ZONE, zone_of};

impl Storage {
    /// At the beginning: a claim that a volume is kept for gets it; one that waits for nothing gets the smallest volume that suits it, or
    /// a new one (`pv_controller.go: syncUnboundClaim`).
    pub(super) fn bind_early(&mut self, name: &str) {
        let Some(claim) = self.claims.get(name).cloned() else { return };
        if let Some(volume) = claim.volume {
            return self.volumes[volume.0].take(name);
        }
        let volume = self.early_volume(&claim, spread(name));
        self.give(name, volume);
    }

    /// The volume that a claim gets without waiting for a pod; `turn` chooses among the zones.
    fn early_volume(&mut self, claim: &Claim, turn: u64) -> Option<VolumeId> {
        if claim.missing.is_some() {
            return None;
        }
        let waits = self.class(&claim.class).is_some_and(|class| class.waits);
        let there = self.matching(claim).find(|(_, volume)| !waits || volume.claim.is_some()).map(|(id, _)| id);
        there.or_else(|| self.make_early(claim, turn))
    }

    fn make_early(&mut self, claim: &Claim, turn: u64) -> Option<VolumeId> {
        let class = self.class(&claim.class).filter(|class| class.makes && !class.waits)?;
        let zone = if class.zonal { self.zone_at(class, turn) } else { String::new() };
        Some(self.make(&zone))
    }

    /// When a pod with the claim gets this node; whether the claim is bound by that.
    pub(super) fn bind_late(&mut self, name: &str, labels: &Labels, node: &str) -> bool {
        let Some(claim) = self.claims.get(name).filter(|claim| claim.volume.is_none()).cloned() else { return false };
        let volume = self.late_volume(&claim, labels, node);
        self.give(name, volume);
        volume.is_some()
    }

    fn late_volume(&mut self, claim: &Claim, labels: &Labels, node: &str) -> Option<VolumeId> {
        self.class(&claim.class).filter(|class| class.waits && claim.missing.is_none())?;
        let there = self.matching(claim).find(|(_, volume)| volume.reached_from(labels, node)).map(|(id, _)| id);
        there.or_else(|| self.make_late(claim, labels))
    }

    fn make_late(&mut self, claim: &Claim, labels: &Labels) -> Option<VolumeId> {
        let class = self.class(&claim.class).filter(|class| class.makes && class.waits)?;
        let zone = zone_of(labels).filter(|_| class.zonal).unwrap_or_default();
        Some(self.make(zone))
    }

    fn give(&mut self, name: &str, volume: Option<VolumeId>) {
        if let (Some(claim), Some(id)) = (self.claims.get_mut(name), volume) {
            claim.volume = Some(id);
            if self.made.values().all(|made| *made != id) {
                self.volumes[id.0].take(name);
            }
        }
    }

    fn make(&mut self, zone: &str) -> VolumeId {
        if let Some(known) = self.made.get(zone) {
            return *known;
        }
        let id = VolumeId(self.volumes.len());
        self.volumes.push(Volume::made(zone));
        self.made.insert(zone.to_owned(), id);
        id
    }

    /// Volumes of a pod that gets this node and whose own claims wait for one.
    pub(super) fn make_ephemeral(&mut self, pod: PodId, shape: ShapeId, spec: &PodSpec, labels: &Labels) {
        self.make_for(pod, shape, spec, |storage, claim| storage.make_late(claim, labels));
    }

    /// Volumes of a pod that has just been created and whose own claims wait for nothing. Their names end in chance, and so in which
    /// zone they are.
    pub(super) fn make_ephemeral_early(&mut self, pod: PodId, shape: ShapeId, uid: u64, spec: &PodSpec) {
        self.make_for(pod, shape, spec, |storage, claim| {
            let turn = spread(&format!("{uid:016x}-{}", claim.name));
            storage.make_early(claim, turn)
        });
    }

    /// Gives a pod those of its ephemeral volumes that can be had now.
    fn make_for(
        &mut self,
        pod: PodId,
        shape: ShapeId,
        spec: &PodSpec,
        mut volume: impl FnMut(&mut Self, &Claim) -> Option<VolumeId>,
    ) {
        let own =
            spec.volumes.iter().filter_map(|v| Some((v.name.as_deref().unwrap_or_default(), v.ephemeral.as_ref()?)));
        let claims: Vec<Claim> = own.map(|(name, source)| self.new_claim(name, &objects::template(source))).collect();
        let known = self.variant_of(pod).map(|variant| self.variants[variant.0 as usize].volumes.clone());
        let mut volumes = known.unwrap_or_else(|| vec![None; claims.len()]);
        for (claim, place) in claims.iter().zip(&mut volumes) {
            *place = place.or_else(|| volume(self, claim));
        }
        if volumes.iter().all(Option::is_none) {
            return;
        }
        let variant = Variant { shape, volumes };
        let known = self.variants.iter().position(|known| *known == variant);
        let index = known.unwrap_or_else(|| {
            self.variants.push(variant);
            self.variants.len() - 1
        });
        self.of_pods.insert(pod, VariantId(index as u32));
    }

    /// The zone of a volume that is made before a node is known: those that the class allows take turns
    /// (external-provisioner `pkg/controller/topology.go: GenerateAccessibilityRequirements`; EBS takes the first of the preferred ones).
    fn zone_at(&self, class: &Class, turn: u64) -> String {
        let of_term = |term: &NodeSelectorTerm| {
            let zones = term.match_expressions.iter().find(|expression| expression.key == ZONE);
            zones.map_or(&[][..], |expression| &expression.values).to_vec()
        };
        let mut allowed: Vec<String> = class.allowed.iter().flat_map(of_term).collect();
        if allowed.is_empty() {
            allowed.clone_from(&self.zones);
        }
        allowed.sort_unstable();
        allowed.dedup();
        let turn = turn % allowed.len().max(1) as u64;
        allowed.get(turn as usize).cloned().unwrap_or_default()
    }
}

/// Which turn a claim has among zones: by the hash of its name, and by the number at its end, so that the claims of a StatefulSet take
/// turns and several claims of one of its pods share a zone (`getPVCNameHashAndIndexOffset`).
fn spread(name: &str) -> u64 {
    let numbered = name.rsplit_once('-').and_then(|(base, number)| Some((base, number.parse::<u32>().ok()?)));
    let (hashed, number) = match numbered {
        Some((base, number)) => (base.rsplit_once('-').map_or(base, |(_, set)| set), number),
        None => (name, 0),
    };
    let fnv = |hash: u32, byte: u8| hash.wrapping_mul(16_777_619) ^ u32::from(byte);
    u64::from(hashed.bytes().fold(2_166_136_261, fnv).wrapping_add(number))
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn claims_of_a_stateful_set_take_turns_and_those_of_a_pod_share_theirs() {
        assert_eq!(spread(""), 2_166_136_261);
        assert_eq!(spread("a"), 0x050c_5d7e);
        assert_eq!(spread("data-db-1"), spread("data-db-0") + 1);
        assert_eq!(spread("data-db-1"), spread("logs-db-1"));
        assert_eq!(spread("db-3"), spread("db") + 3);
    }
}
