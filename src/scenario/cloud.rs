//! `[cloud]`: who makes the nodes.

use super::Scenario;
use super::simulation::Profile;
use crate::api::decode::Problems;
use crate::api::tree::{Node, Value};
use crate::engine::Distribution;
use crate::time::Duration;
use crate::{choice, object};

choice! {
    /// Karpenter's cloud provider.
    pub enum Provider {
        /// EC2.
        Aws = "aws",
        /// Nodes made of nothing, as in Karpenter's own tests at scale.
        Kwok = "kwok",
    }
}

object! {
    /// Karpenter's cloud provider and what it offers.
    pub struct Cloud {
        /// Provider; absent = by `profile` of `[simulation]`.
        pub provider: Option<Provider>,
        /// Whether every node runs the DaemonSets of EKS's default add-ons: `aws-node` (50m CPU), `kube-proxy` (100m), `ebs-csi-node` (30m, 120Mi). One that the scenario holds by the same name takes the place of the add-on's.
        pub eks_add_ons: bool = false,
        /// Most volumes of pods attached to a node at a time, the EBS CSI driver's `--volume-attach-limit`; absent = no limit. It counts `ephemeral` volumes; Karpenter's new nodes are planned without it.
        pub volume_attach_limit: Option<u32>,
        /// KWOK only: JSON file with the instance types, in the form of the provider's `instance_types.json`; absent = those of EC2.
        pub catalogue: Option<String>,
        /// KWOK only: from a NodeClaim's creation to its Launched condition.
        pub kwok_launched: Distribution = Distribution::Constant(Duration::from_millis(140)),
        /// KWOK only: from a Node's creation to Ready.
        pub kwok_ready: Distribution = Distribution::Uniform { min: Duration::from_millis(50), max: Duration::from_millis(300) },
    }
}

impl Scenario {
    /// Who makes the nodes of pools that name no node class.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.cloud.provider.unwrap_or(match self.simulation.profile {
            Profile::Aws => Provider::Aws,
            Profile::Kwok => Provider::Kwok,
        })
    }
}

/// Replaces the path in `cloud.catalogue` of a scenario by the text of that file, which is what [`Cloud::catalogue`] holds.
/// `read` gives the text of a file, or why it cannot.
pub fn read_catalogue_file(
    scenario: &mut Node,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    problems: &mut Problems,
) {
    let Value::Map(sections) = &mut scenario.value else { return };
    let Some((_, cloud)) = sections.iter_mut().find(|(key, _)| key.name == "cloud") else { return };
    let Value::Map(fields) = &mut cloud.value else { return };
    let Some((_, field)) = fields.iter_mut().find(|(key, _)| key.name == "catalogue") else { return };
    let Value::Str(path) = &field.value else { return };
    match read(path) {
        Ok(text) => field.value = Value::Str(text),
        Err(reason) => problems.error(field.span, format!("cannot read `{path}`"), reason),
    }
}
