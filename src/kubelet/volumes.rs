//! Volumes of claims: attached before a pod is set up, detached after it is gone (`pkg/controller/volume/attachdetach`).

use super::controller::Event;
use crate::api::pod::PodSpec;
use crate::cluster::{PodId, World};
use crate::engine::{Agenda, Distribution, Stream, Streams};
use crate::time::Duration;

/// The attach-detach controller and the volume manager of kubelets.
pub struct Volumes {
    attach: Stream,
    detach: Stream,
}

impl Volumes {
    pub fn new(streams: Streams) -> Self {
        Volumes { attach: streams.open("volume attach", 0), detach: streams.open("volume detach", 0) }
    }

    /// Attaches the volumes of a pod that was bound; how long it waits for them (`WaitForAttachAndMount`).
    pub fn attach(&mut self, pod: PodId, spec: &PodSpec, world: &mut World<'_>) -> Duration {
        let count = spec.attached_volumes();
        let Some(node) = world.cluster.pods[pod.index()].node.filter(|_| count > 0) else { return Duration::ZERO };
        world.cluster.attached.insert((node, pod));
        longest(count, &world.scenario.latencies.volume_attach, &mut self.attach)
    }

    /// Detaches the volumes of a pod that is gone.
    pub fn detach(&mut self, pod: PodId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let Some(node) = world.cluster.pods[pod.index()].node else { return };
        if world.cluster.attached.contains(&(node, pod)) {
            let count = world.cluster.shape_of(pod).spec.attached_volumes();
            let takes = longest(count, &world.scenario.latencies.volume_detach, &mut self.detach);
            agenda.at(world.now + takes, Event::VolumesDetached(node, pod));
        }
    }
}

/// All volumes of a pod at once: the slowest counts.
fn longest(count: usize, latency: &Distribution, stream: &mut Stream) -> Duration {
    (0..count).map(|_| latency.sample(stream).max_zero()).max().unwrap_or(Duration::ZERO)
}
