//! `[[fargateProfiles]]` and `[fargate]`: pods that run on machines of their own.

use super::files::name_matches;
use crate::api::meta::Labels;
use crate::object;

object! {
    /// An EKS Fargate profile: pods that it selects run on Fargate, each on a node of its own.
    pub struct FargateProfile {
        /// Name, unique.
        pub name: String,
        /// Which pods; one that fits any of them is selected (at most 5).
        pub selectors: Vec<FargateSelector>,
    }
}

object! {
    /// Pods of a namespace, with all of the labels.
    pub struct FargateSelector {
        /// Namespace; `*` stands for any text.
        pub namespace: String,
        /// Labels of the pods; `*` in a value stands for any text.
        pub labels: Labels,
    }
}

object! {
    /// What Fargate costs and how fast it starts pods. How long a machine takes is `latencies.fargateStart`.
    pub struct FargateFlags {
        /// USD per vCPU and hour (us-east-1's price in every region).
        pub vcpu_hour: f64 = 0.04048,
        /// USD per gigabyte and hour (us-east-1's price in every region).
        pub gigabyte_hour: f64 = 0.004_445,
        /// Pods that may be started at once before the account is throttled.
        pub launch_burst: u32 = 10,
        /// Pods started a second after that.
        pub launches_per_second: u32 = 1,
    }
}

/// Whether a profile selects pods of that namespace and with these labels.
#[must_use]
pub fn selects(profiles: &[FargateProfile], namespace: Option<&str>, labels: &Labels) -> bool {
    let namespace = namespace.unwrap_or("default");
    profiles.iter().flat_map(|profile| &profile.selectors).any(|selector| {
        name_matches(&selector.namespace, namespace)
            && selector.labels.iter().all(|(key, wanted)| labels.get(key).is_some_and(|own| name_matches(wanted, own)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_selects_by_namespace_and_labels() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let selector =
            |namespace: &str, pairs| FargateSelector { namespace: namespace.to_owned(), labels: labels(pairs) };
        let selectors = vec![selector("karpenter", &[]), selector("shop-*", &[("tier", "web*"), ("on", "fargate")])];
        let profiles = [FargateProfile { name: "p".to_owned(), selectors }];
        let web = labels(&[("tier", "web-1"), ("on", "fargate"), ("x", "y")]);
        assert!(selects(&profiles, Some("karpenter"), &labels(&[])));
        assert!(selects(&profiles, Some("shop-a"), &web));
        assert!(!selects(&profiles, Some("shop-a"), &labels(&[("tier", "web-1")])));
        assert!(!selects(&profiles, None, &web));
        assert!(!selects(&[], Some("karpenter"), &labels(&[])));
    }
}
