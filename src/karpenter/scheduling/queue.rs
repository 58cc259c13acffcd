//! The order in which pods are tried (`pkg/controllers/provisioning/scheduling/queue.go: Queue`).

use std::collections::VecDeque;

use super::input::Pod;
use crate::units::Resources;

/// Pods still to place. It ends when all are placed or a full round placed none.
pub(super) struct Queue {
    pods: VecDeque<usize>,
    /// By pod: length of the queue when it was last put back.
    last_length: Vec<usize>,
}

/// Positions of pods, largest CPU request first, then largest memory request, oldest, smallest UID
/// (`byCPUAndMemoryDescending`).
pub fn order(pods: &[Pod], requests: impl Fn(&Pod) -> Resources) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by_cached_key(|index| {
        let pod = &pods[*index];
        let requests = requests(pod);
        (std::cmp::Reverse((requests.cpu(), requests.memory())), pod.created, pod.uid)
    });
    order
}

impl Queue {
    pub(super) fn new(order: Vec<usize>) -> Self {
        let last_length = vec![0; order.len()];
        Queue { pods: order.into(), last_length }
    }

    /// The next pod, unless no pod was placed since it was put back.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let pod = *self.pods.front()?;
        if self.last_length[pod] == self.pods.len() {
            return None;
        }
        self.pods.pop_front()
    }

    /// Puts a pod back to be tried after all others.
    pub(super) fn push(&mut self, pod: usize) {
        self.pods.push_back(pod);
        self.last_length[pod] = self.pods.len();
    }
}
