//! PersistentVolumeClaims, PersistentVolumes, StorageClasses, and the volumes of pods.

use super::context::{At, Context};
use super::node_pools::{known_requirement, known_values};
use super::pods::check_requirements;
use crate::api::decode::{Problems, closest};
use crate::api::pod::PodSpec;
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, StorageClass};
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;

const UNUSABLE: &str = "no pod with this volume can be placed";
/// Most places in which a volume may be.
const MAX_PLACES: usize = 100;
/// Most ways to choose a place for each of a pod's volumes: Karpenter tries all of them.
const MAX_CHOICES: usize = 1000;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (volume, at) in cx.elements("persistentVolumes", &cx.scenario.persistent_volumes) {
        let required = volume.spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        let Some(required) = required else { continue };
        let at = at.into(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]);
        places(required.node_selector_terms.len(), at, problems);
        for (index, term) in required.node_selector_terms.iter().enumerate() {
            let at = at.into(&[&index.to_string(), "matchExpressions"]);
            check_requirements(&term.match_expressions, at, false, problems);
            for (number, requirement) in term.match_expressions.iter().enumerate() {
                known_requirement(requirement, at.into(&[&number.to_string()]), cx, problems);
            }
        }
    }
    for (class, at) in cx.elements("storageClasses", &cx.scenario.storage_classes) {
        let at = at.into(&["allowedTopologies"]);
        places(class.allowed_topologies.len(), at, problems);
        for (index, term) in class.allowed_topologies.iter().enumerate() {
            for (number, label) in term.match_label_expressions.iter().enumerate() {
                let at = at.into(&[&index.to_string(), "matchLabelExpressions", &number.to_string()]);
                if label.values.is_empty() {
                    problems.error(at.span(&["values"]), "a topology needs values", "no values");
                }
                known_values(&label.key, &label.values, at, cx, problems);
            }
        }
    }
}

fn places(count: usize, at: At<'_>, problems: &mut Problems) {
    if count > MAX_PLACES {
        let label = format!("{count}, at most {MAX_PLACES}");
        problems.error(at.span(&[]), "too many places of one volume", label);
    }
}

/// Volumes of a pod: claims that cannot be used, and more places than can be tried.
pub(super) fn check_pod(spec: &PodSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let scenario = cx.scenario;
    let storage = Storage {
        claims: &scenario.persistent_volume_claims,
        volumes: &scenario.persistent_volumes,
        classes: &scenario.storage_classes,
    };
    if storage.is_empty() {
        return;
    }
    let mut choices = 1_usize;
    for (index, volume) in spec.volumes.iter().enumerate() {
        let at = at.into(&["volumes", &index.to_string()]);
        let fault = if let Some(source) = &volume.persistent_volume_claim {
            let Some(claim) = storage.claim(&source.claim_name) else {
                no_claim(&source.claim_name, at, cx, problems);
                continue;
            };
            choices = choices.saturating_mul(storage.places(&claim.spec));
            storage.fault(&source.claim_name, &claim.spec)
        } else if let Some(source) = &volume.ephemeral {
            let template = source.volume_claim_template.as_ref().map(|template| &template.spec);
            choices = choices.saturating_mul(template.map_or(1, |spec| storage.places(spec)));
            template.and_then(|spec| storage.fault("", spec))
        } else {
            continue;
        };
        if let Some(fault) = fault {
            Rule::ClaimUnusable.report(problems, at.span(&[]), UNUSABLE, fault, None);
        }
    }
    if choices > MAX_CHOICES {
        let label = format!("at most {MAX_CHOICES} ways to choose one for each volume");
        problems.error(at.span(&["volumes"]), "too many places of the pod's volumes", label);
    }
}

fn no_claim(name: &str, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let names = cx.names(Kind::PersistentVolumeClaim);
    let near = closest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let label = format!("there is no PersistentVolumeClaim `{name}`");
    Rule::ClaimUnusable.report(problems, at.span(&[]), UNUSABLE, label, near);
}

struct Storage<'s> {
    claims: &'s [PersistentVolumeClaim],
    volumes: &'s [PersistentVolume],
    classes: &'s [StorageClass],
}

impl Storage<'_> {
    fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.volumes.is_empty() && self.classes.is_empty()
    }

    fn claim(&self, name: &str) -> Option<&PersistentVolumeClaim> {
        self.claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(name))
    }

    fn class(&self, name: Option<&str>) -> Option<&StorageClass> {
        let default = |class: &&StorageClass| {
            class.metadata.annotations.get("storageclass.kubernetes.io/is-default-class").is_some_and(|v| v == "true")
        };
        match name {
            Some(name) => self.classes.iter().find(|class| class.metadata.name.as_deref() == Some(name)),
            None => self.classes.iter().find(default),
        }
    }

    /// Volumes that the claim names, or whose class it has.
    fn volumes_of<'v>(&'v self, spec: &'v PersistentVolumeClaimSpec) -> impl Iterator<Item = &'v PersistentVolume> {
        let class = self.class(spec.storage_class_name.as_deref()).and_then(|class| class.metadata.name.as_deref());
        let class = spec.storage_class_name.as_deref().or(class).unwrap_or_default();
        self.volumes.iter().filter(move |volume| match spec.volume_name.as_deref() {
            Some(name) if !name.is_empty() => volume.metadata.name.as_deref() == Some(name),
            _ => volume.spec.storage_class_name.as_deref().unwrap_or_default() == class,
        })
    }

    /// In how many places a volume of the claim may be, at most.
    fn places(&self, spec: &PersistentVolumeClaimSpec) -> usize {
        let required = |volume: &PersistentVolume| {
            let affinity = volume.spec.node_affinity.as_ref()?;
            Some(affinity.required.as_ref()?.node_selector_terms.len())
        };
        let of_volumes = self.volumes_of(spec).filter_map(required);
        let of_class = self.class(spec.storage_class_name.as_deref()).map(|class| class.allowed_topologies.len());
        of_volumes.chain(of_class).max().unwrap_or(1).max(1)
    }

    /// Why the claim can never be bound, as far as names tell.
    fn fault(&self, claim: &str, spec: &PersistentVolumeClaimSpec) -> Option<String> {
        let kept = |volume: &&PersistentVolume| volume.spec.claim_ref.as_ref().is_some_and(|own| own.name == claim);
        if let Some(name) = spec.volume_name.as_deref().filter(|name| !name.is_empty()) {
            let there = self.volumes_of(spec).next().is_some();
            return (!there).then(|| format!("its claim names the PersistentVolume `{name}`, which is not there"));
        }
        if self.volumes.iter().any(|volume| kept(&volume)) || self.volumes_of(spec).next().is_some() {
            return None;
        }
        match (spec.storage_class_name.as_deref(), self.class(spec.storage_class_name.as_deref())) {
            (_, Some(class)) if class.provisioner == "kubernetes.io/no-provisioner" => {
                Some("no PersistentVolume of its class, which makes none".to_owned())
            }
            (_, Some(_)) => None,
            (None | Some(""), None) => Some("its claim has no StorageClass".to_owned()),
            (Some(name), None) => Some(format!("its claim names the StorageClass `{name}`, which is not there")),
        }
    }
}
