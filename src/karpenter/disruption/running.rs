//! Commands from their start to their end (`pkg/controllers/disruption/queue.go`).

use crate::api::karpenter::DisruptionReason;
use crate::cluster::{Cluster, NodeClaimId, NodePoolId, World};
use crate::engine::Stream;
use crate::karpenter::lifecycle::taints;
use crate::karpenter::provisioning;
use crate::karpenter::scheduling::NewClaim;
use crate::time::{Duration, Time};

use super::execution::{StartStep, start_steps};
use super::journal;
use super::queue::{self, Progress, ReplacementState};

/// What a start needs, apart from the state that it was decided on.
pub struct Start {
    /// NodeClaims to remove.
    pub claims: Vec<NodeClaimId>,
    /// NodeClaims to create, with their pools.
    pub replacements: Vec<(NodePoolId, NewClaim)>,
    /// Existing nodes that are to receive pods.
    pub destinations: Vec<NodeClaimId>,
    /// Why.
    pub reason: DisruptionReason,
}

struct Running {
    claims: Vec<NodeClaimId>,
    replacements: Vec<(NodeClaimId, bool)>,
    reason: DisruptionReason,
    began: Time,
}

/// Commands under way.
#[derive(Default)]
pub struct Commands {
    running: Vec<Option<Running>>,
}

/// A replacement could not be created: its pool already exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded(pub NodePoolId);

impl Commands {
    /// Whether a NodeClaim belongs to a command.
    #[must_use]
    pub fn has(&self, claim: NodeClaimId) -> bool {
        self.running.iter().flatten().any(|command| command.claims.contains(&claim))
    }

    /// Forgets all, as a restart does.
    pub fn clear(&mut self) {
        self.running.iter_mut().for_each(|command| *command = None);
    }

    /// Starts a command; gives its number in the queue.
    ///
    /// # Errors
    /// When a limit forbids a replacement. Its nodes stay tainted until the next pass.
    pub fn start(
        &mut self,
        start: Start,
        nomination: Duration,
        world: &mut World<'_>,
        random: &mut Stream,
    ) -> Result<usize, LimitExceeded> {
        let mut created = Vec::new();
        for step in start_steps(!start.replacements.is_empty()) {
            match step {
                StartStep::Taint => start.claims.iter().for_each(|claim| set_taint(world.cluster, *claim, true)),
                StartStep::SetCondition => {}
                StartStep::CreateReplacements => {
                    for (pool, plan) in &start.replacements {
                        if provisioning::exceeded_limit(world.cluster, *pool).is_some() {
                            return Err(LimitExceeded(*pool));
                        }
                        let record = provisioning::node_claim(world.cluster, *pool, plan, world.now, random);
                        created.push((world.cluster.create_nodeclaim(record), false));
                    }
                }
                StartStep::Mark => {
                    start.claims.iter().for_each(|claim| world.cluster.mark_nodeclaim(*claim, Some(start.reason)));
                }
                StartStep::Nominate => {
                    let until = world.now + nomination;
                    start.destinations.iter().for_each(|claim| world.cluster.nominate_nodeclaim(*claim, until));
                }
                StartStep::Enqueue => {}
            }
        }
        let Start { claims, reason, .. } = start;
        self.running.push(Some(Running { claims, replacements: created, reason, began: world.now }));
        Ok(self.running.len() - 1)
    }

    /// Looks at a command; whether it is to be looked at again.
    pub fn poll(&mut self, number: usize, world: &mut World<'_>) -> bool {
        let queued: usize = self.running.iter().flatten().map(|command| command.claims.len()).sum();
        let Some(Some(command)) = self.running.get_mut(number) else { return false };
        let states: Vec<ReplacementState> = command
            .replacements
            .iter_mut()
            .map(|(claim, seen)| {
                let record = &world.cluster.nodeclaims[claim.index()];
                *seen |= record.initialized.is_some();
                match (*seen, record.exists()) {
                    (true, _) => ReplacementState::Initialized,
                    (false, true) => ReplacementState::Booting,
                    (false, false) => ReplacementState::Gone,
                }
            })
            .collect();
        match queue::progress(&states, command.began, queue::timeout(queued), world.now) {
            Progress::Wait => return true,
            Progress::Delete => {
                for claim in &command.claims {
                    world.cluster.delete_nodeclaim(world.now, *claim, command.reason.as_str());
                }
            }
            Progress::Fail(failure) => {
                journal::failed(&command.claims, failure, world.now, world.cluster);
                for claim in &command.claims {
                    set_taint(world.cluster, *claim, false);
                    world.cluster.mark_nodeclaim(*claim, None);
                }
            }
        }
        self.running[number] = None;
        false
    }

    /// Takes the taint from nodes that no command holds and nobody deletes: it heals failed starts and crashes.
    pub fn heal(&self, cluster: &mut Cluster) {
        let stale = |id: &NodeClaimId| {
            let claim = &cluster.nodeclaims[id.index()];
            let node = claim.node.map(|node| &cluster.nodes[node.index()]);
            !claim.leaving()
                && !self.has(*id)
                && node.is_some_and(|node| node.deleting.is_none() && node.has_taint(taints::DISRUPTED))
        };
        for claim in cluster.live_nodeclaims.iter().copied().filter(stale).collect::<Vec<_>>() {
            set_taint(cluster, claim, false);
        }
    }
}

/// Sets or removes `karpenter.sh/disrupted:NoSchedule` on the Node of a NodeClaim.
fn set_taint(cluster: &mut Cluster, claim: NodeClaimId, on: bool) {
    let Some(node) = cluster.nodeclaims[claim.index()].node else { return };
    let mut all = cluster.nodes[node.index()].taints.clone();
    let disrupted = taints::disrupted();
    all.retain(|taint| !taints::matches(taint, disrupted));
    if on {
        all.push(disrupted.clone());
    }
    cluster.set_taints(node, all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::cluster::node::Node;
    use crate::cluster::nodeclaim::NodeClaim;
    use crate::cluster::world::NoQueues;
    use crate::engine::Streams;
    use crate::karpenter::small_cluster;
    use crate::scenario::Scenario;

    const NOW: Time = Time::from_micros(100_000_000);

    /// A cluster of so many nodes of Karpenter's, and a command that removes the first and moves its pods to the second.
    fn started(nodes: usize) -> (Cluster, Vec<NodeClaimId>, Commands) {
        let mut cluster = small_cluster::cluster(Streams::new(1, 0), "", &[]);
        let claims: Vec<NodeClaimId> = (0..nodes)
            .map(|i| {
                let claim = cluster.create_nodeclaim(NodeClaim::new(format!("n{i}"), NodePoolId(0), Time::ZERO));
                cluster.create_node(Node { nodeclaim: Some(claim), ..Node::new(format!("n{i}"), Time::ZERO) });
                claim
            })
            .collect();
        let start = Start {
            claims: vec![claims[0]],
            replacements: Vec::new(),
            destinations: vec![claims[1]],
            reason: DisruptionReason::Underutilized,
        };
        let (mut commands, scenario): (Commands, Scenario) = (Commands::default(), defaults());
        let mut world = World { now: NOW, cluster: &mut cluster, scenario: &scenario, queues: &mut NoQueues };
        let mut names = Streams::new(1, 0).open("names", 0);
        commands.start(start, Duration::from_secs(20), &mut world, &mut names).expect("no limit");
        (cluster, claims, commands)
    }

    #[test]
    fn nodes_that_are_to_receive_pods_are_nominated_for_twenty_seconds() {
        let (cluster, claims, _) = started(2);
        let nominated = |claim: usize, seconds: i64| {
            cluster.nodeclaims[claims[claim].index()].nominated(NOW + Duration::from_secs(seconds))
        };
        assert_eq!([0, 19, 20].map(|seconds| nominated(1, seconds)), [true, true, false]);
        assert!(!nominated(0, 0));
    }

    #[test]
    fn a_taint_is_taken_off_unless_a_command_or_a_deletion_holds_the_node() {
        let (mut cluster, claims, commands) = started(5);
        for claim in &claims[2..] {
            set_taint(&mut cluster, *claim, true);
        }
        cluster.delete_nodeclaim(NOW, claims[3], "Manual");
        let node = cluster.nodeclaims[claims[4].index()].node.expect("a node");
        cluster.delete_node(NOW, node);
        commands.heal(&mut cluster);
        let tainted = claims.iter().map(|claim| {
            let node = cluster.nodeclaims[claim.index()].node.expect("a node");
            cluster.nodes[node.index()].has_taint(taints::DISRUPTED)
        });
        assert_eq!(tainted.collect::<Vec<_>>(), [true, false, false, true, true]);
    }

    #[test]
    fn a_restart_forgets_the_commands() {
        let (_, claims, mut commands) = started(2);
        assert_eq!([0, 1].map(|claim: usize| commands.has(claims[claim])), [true, false]);
        commands.clear();
        assert!(!commands.has(claims[0]));
    }
}
