//! `autoscaling.x-k8s.io/v1beta1 CapacityBuffer` and the `v1 PodTemplate` that it may name.

use super::karpenter::Limits;
use super::meta::ObjectMeta;
use super::pod::PodTemplate;
use crate::object;

object! {
    /// Room that is kept free for pods to come.
    pub struct CapacityBuffer {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: CapacityBufferSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// CapacityBuffer spec (kubernetes-sigs/karpenter `pkg/apis/autoscaling/v1beta1/capacitybuffer.go`). One of `podTemplateRef` and `scalableRef`.
    pub struct CapacityBufferSpec {
        /// PodTemplate of the pods that there is to be room for.
        pub pod_template_ref: Option<PodTemplateRef>,
        /// Deployment whose pods there is to be room for.
        pub scalable_ref: Option<ScalableRef>,
        /// For how many pods.
        pub replicas: Option<u32>,
        /// The same in percent of the Deployment's replicas, rounded up; the greater of both counts.
        pub percentage: Option<u32>,
        /// Most that the pods may request in all; alone, as many pods as fit it.
        pub limits: Option<Limits>,
        /// Read and without effect: Karpenter knows one strategy.
        pub provisioning_strategy: Option<String>,
    }
}

object! {
    /// Names a PodTemplate.
    pub struct PodTemplateRef {
        /// Name.
        pub name: String,
    }
}

object! {
    /// Names an object with replicas.
    pub struct ScalableRef {
        /// API group.
        pub api_group: Option<String>,
        /// Kind.
        pub kind: String,
        /// Name.
        pub name: String,
    }
}

object! {
    /// `v1 PodTemplate`.
    pub struct PodTemplateObject {
        /// Name.
        pub metadata: ObjectMeta,
        /// The template.
        pub template: PodTemplate,
    }
    ignore ["apiVersion", "kind"]
}
