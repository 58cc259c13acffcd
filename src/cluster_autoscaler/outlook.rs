//! What a scan tells about the pods that have no node.

use std::collections::BTreeMap;

use super::fit::{Need, Room};
use super::scale_up::Skip;
use crate::cluster::ShapeId;
use crate::cluster::outlook::{Coming, Outlook, Refusal};

/// By template.
#[derive(Debug, Default)]
pub struct Outlooks(pub BTreeMap<ShapeId, Outlook>);

impl Outlooks {
    /// Those of `before` that are not `left` have room on nodes of the group that are on their way.
    pub fn come(&mut self, group: usize, before: &[Need], left: &[Need]) {
        let mut placed: BTreeMap<ShapeId, u32> = BTreeMap::new();
        before.iter().for_each(|need| *placed.entry(need.shape).or_default() += 1);
        left.iter().for_each(|need| *placed.entry(need.shape).or_default() -= 1);
        for (shape, pods) in placed.into_iter().filter(|(_, pods)| *pods > 0) {
            self.0.entry(shape).or_default().add_coming(Coming::NodeGroup(group as u32), pods);
        }
    }

    /// The group grows for so many of the pods.
    pub fn grow(&mut self, group: usize, pods: &[Need], template: &Room, count: usize) {
        for need in pods.iter().filter(|need| template.takes(need)).take(count) {
            self.0.entry(need.shape).or_default().add_coming(Coming::NodeGroup(group as u32), 1);
        }
    }

    /// No group grows for the pods.
    pub fn refuse(&mut self, pods: &[Need], skipped: &[(usize, Skip)]) {
        let reason = skipped.iter().map(|(_, skip)| match skip {
            Skip::MaxSize => Refusal::PoolLimit,
            Skip::Backoff => Refusal::NoCapacity,
            Skip::NoFit => Refusal::Unfit,
        });
        let refusal = reason.min().unwrap_or(Refusal::Unfit);
        for need in pods {
            self.0.entry(need.shape).or_default().add_refused(refusal, 1);
        }
    }
}
