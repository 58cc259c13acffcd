//! Fargate profiles and what Fargate costs.

use super::context::Context;
use super::queues::number_within;
use crate::api::decode::Problems;
use crate::api::meta::{Labels, ObjectMeta};
use crate::api::pod::PodTemplate;
use crate::scenario::fargate::selects;
use crate::scenario::lint::Rule;

/// Most selectors of a profile (Amazon EKS User Guide, "Define which Pods use AWS Fargate when launched").
const MAX_SELECTORS: usize = 5;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    if let Some(at) = cx.section("fargate") {
        let flags = &cx.scenario.fargate;
        number_within(at, "vcpuHour", flags.vcpu_hour, 0.0, 1000.0, problems);
        number_within(at, "gigabyteHour", flags.gigabyte_hour, 0.0, 1000.0, problems);
        number_within(at, "launchBurst", f64::from(flags.launch_burst), 1.0, 1e6, problems);
        number_within(at, "launchesPerSecond", f64::from(flags.launches_per_second), 1.0, 1e6, problems);
    }
    let templates: Vec<(Option<&str>, &Labels)> = templates(cx);
    for (profile, at) in cx.elements("fargateProfiles", &cx.scenario.fargate_profiles) {
        if profile.selectors.is_empty() || profile.selectors.len() > MAX_SELECTORS {
            let message = format!("{} selectors", profile.selectors.len());
            problems.error(at.span(&["selectors"]), message, "a profile has one to five");
        }
        for (index, selector) in profile.selectors.iter().enumerate() {
            if selector.namespace.is_empty() {
                let at = at.into(&["selectors", &index.to_string()]);
                problems.error(at.span(&["namespace"]), "an empty namespace", "every selector names one");
            }
        }
        let own = std::slice::from_ref(profile);
        if !templates.iter().any(|(namespace, labels)| selects(own, *namespace, labels)) {
            let message = format!("no pod of the scenario matches Fargate profile `{}`", profile.name);
            Rule::SelectsNothing.report(problems, at.span(&["selectors"]), message, "selects nothing", None);
        }
    }
}

/// Whether pods of the template run on Fargate.
pub(super) fn takes(cx: &Context<'_>, metadata: &ObjectMeta, template: &PodTemplate) -> bool {
    selects(&cx.scenario.fargate_profiles, metadata.namespace.as_deref(), &template.metadata.labels)
}

/// Namespace and labels of all pod templates that Fargate may take.
fn templates<'a>(cx: &Context<'a>) -> Vec<(Option<&'a str>, &'a Labels)> {
    let deployments = cx.scenario.deployments.iter().map(|object| (&object.metadata, &object.spec.template));
    let jobs = cx.scenario.scaled_jobs.iter().map(|object| (&object.metadata, &object.spec.job_target_ref.template));
    deployments.chain(jobs).map(|(own, template)| (own.namespace.as_deref(), &template.metadata.labels)).collect()
}
