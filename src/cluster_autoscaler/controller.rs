//! Cluster Autoscaler at work (`core/static_autoscaler.go: RunOnce`): a scan first grows a group, or else looks for nodes to
//! remove.

use std::collections::BTreeMap;

use super::deletion::{self, Deletion, Step};
use super::fit::{Room, filter_out_schedulable};
use super::groups::{Groups, Launch};
use super::observe;
use super::outlook::Outlooks;
use super::scale_down::{Candidate, Kept, Unneeded, judge, removable};
use super::scale_up::{self, ScaleUp};
use crate::cluster::instance::InstanceState;
use crate::cluster::outlook::Provider;
use crate::cluster::{Action, Change, Controller, Counts, Decision, NodeId, Rule, Subject, World, node_group};
use crate::engine::{Agenda, Distribution, Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// No node is removed for so long after a removal failed (`--scale-down-delay-after-failure`).
const DELAY_AFTER_FAILURE: Duration = Duration::from_mins(3);
/// An Auto Scaling group that gets no instance asks again after this.
const LAUNCH_RETRY: Duration = Duration::from_mins(1);

/// What happens at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A scan begins.
    Scan,
    /// An Auto Scaling group launches an instance.
    Launch(u32),
    /// An instance runs.
    Runs(u32),
    /// An instance's Node joins.
    Registers(u32),
    /// A node that goes gets its taint.
    Taint(NodeId),
    /// A node that goes is looked at.
    Drain(NodeId),
    /// It starts again.
    Start,
}

/// Cluster Autoscaler and the Auto Scaling groups that it sizes.
pub struct ClusterAutoscaler {
    groups: Groups,
    streams: Streams,
    expander: Stream,
    scans: Stream,
    cluster_factor: f64,
    last_scale_up: Option<Time>,
    last_failure: Option<Time>,
    unneeded: BTreeMap<NodeId, Time>,
    kept: BTreeMap<NodeId, (Time, Kept)>,
    deletions: BTreeMap<NodeId, Deletion>,
    /// What the log last said of pods that no group could help.
    blocked: String,
}

impl ClusterAutoscaler {
    /// Of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        let sigma = scenario.latencies.cluster_factor_sigma;
        // The same factor as that of other nodes of the run.
        let factor = || Distribution::lognormal_factor(sigma, &mut streams.open("cluster-factor", 0));
        ClusterAutoscaler {
            groups: Groups::new(scenario),
            streams,
            expander: streams.open("expander", 0),
            scans: streams.open("autoscaler-scan", 0),
            cluster_factor: if sigma > 0.0 { factor() } else { 1.0 },
            last_scale_up: None,
            last_failure: None,
            unneeded: BTreeMap::new(),
            kept: BTreeMap::new(),
            deletions: BTreeMap::new(),
            blocked: String::new(),
        }
    }

    /// Begins to scan, where a group's size may change at all.
    pub fn start(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        if !self.groups.list.is_empty() {
            let interval = world.scenario.cluster_autoscaler.scan_interval.as_secs_f64();
            agenda.at(world.now + Duration::from_secs_f64(interval * self.scans.unit()), Event::Scan);
            for (_, until) in world.scenario.outages(FaultKind::ClusterAutoscalerDown) {
                agenda.at(until, Event::Start);
            }
        }
    }

    /// Handles one of its events.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let stopped_by = match event {
            Event::Scan | Event::Taint(_) | Event::Drain(_) => Some(FaultKind::ClusterAutoscalerDown),
            Event::Registers(_) => Some(FaultKind::ApiServerDown),
            Event::Launch(_) | Event::Runs(_) | Event::Start => None,
        };
        if let Some(end) = stopped_by.and_then(|kind| world.scenario.outage_end(kind, world.now)) {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Start => self.restart(world),
            Event::Scan => self.scan(world, agenda),
            Event::Launch(number) => self.launch(number, world, agenda),
            Event::Runs(number) => {
                if let Some(instance) = self.groups.launches[number as usize].instance {
                    world.cluster.set_instance_state(world.now, instance, InstanceState::Running);
                }
            }
            Event::Registers(number) => self.register(number, world),
            Event::Taint(node) => self.taint(node, world, agenda),
            Event::Drain(node) => self.drain(node, world, agenda),
        }
    }

    /// Watches nodes: one that was lost is replaced by its Auto Scaling group.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Change::NodeGone(node) = *change else { return };
        self.unneeded.remove(&node);
        self.kept.remove(&node);
        if self.deletions.remove(&node).is_none()
            && let Some(group) = observe::group_of(&self.groups, node, world)
        {
            let numbers = self.groups.replace(group, 1, world.now);
            self.ask(numbers, world.now, world, agenda);
        }
    }

    /// Nothing is remembered; nodes that were about to go stay for now, without their taint (`StaticAutoscaler.cleanUpIfRequired`).
    fn restart(&mut self, world: &mut World<'_>) {
        (self.last_scale_up, self.last_failure) = (None, None);
        self.unneeded.clear();
        self.kept.clear();
        self.blocked.clear();
        let leaving = |node: &NodeId, deletion: &mut Deletion| {
            if !deletion.terminating {
                deletion::set_taint(world.cluster, *node, None);
            }
            deletion.terminating
        };
        self.deletions.retain(leaving);
    }

    fn scan(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let flags = &world.scenario.cluster_autoscaler;
        let length = flags.scan_duration.sample(&mut self.scans);
        let end = world.now + length;
        agenda.at(end.max(world.now + flags.scan_interval), Event::Scan);
        self.give_up_late_launches(flags.max_node_provision_time, world);
        if self.scale_up(end, world, agenda) {
            return;
        }
        let chosen = self.scale_down(world);
        for node in chosen {
            agenda.at(end, Event::Taint(node));
        }
    }

    /// `deleteCreatedNodesWithErrors, removeOldUnregisteredNodes`.
    fn give_up_late_launches(&mut self, longest: Duration, world: &mut World<'_>) {
        for launch in self.groups.update(world.cluster, longest, world.now) {
            if let (None, Some(instance)) = (launch.node, launch.instance) {
                world.cluster.announce(Change::InstanceTerminateRequested(instance));
            }
            let name = &self.groups.spec(launch.group, world.scenario).name;
            let group = &self.groups.list[launch.group];
            let until = group.backoff.until().unwrap_or(world.now);
            let detail = format!(
                "{name}: node {} asked for at {} did not get ready within {longest}; the group rests until {until}",
                launch.index, launch.asked
            );
            log(world, Subject::Cluster, Action::Backoff, Rule::FailedScaleUp, None, detail);
        }
    }

    /// Grows one group if that helps pending pods; tells whether it did.
    fn scale_up(&mut self, end: Time, world: &mut World<'_>, agenda: &mut Agenda<Event>) -> bool {
        let flags = &world.scenario.cluster_autoscaler;
        let pending = observe::pending(world.cluster, flags.new_pod_scale_up_delay, world.now);
        if pending.is_empty() {
            self.blocked.clear();
            world.cluster.publish_outlooks(Provider::ClusterAutoscaler, BTreeMap::new());
            return false;
        }
        let count = pending.len();
        let views = observe::group_views(&self.groups, world);
        let mut rooms: Vec<Room> =
            observe::rooms(world.cluster, |node| self.deletions.contains_key(&node)).into_values().collect();
        let waiting = filter_out_schedulable(pending, &mut rooms);
        let mut outlooks = Outlooks::default();
        let mut left = waiting;
        for ((group, view), upcoming) in views.iter().enumerate().zip(self.groups.upcoming()) {
            let mut rooms: Vec<Room> = (0..upcoming).map(|_| view.template.clone()).collect();
            let before = left.clone();
            left = filter_out_schedulable(left, &mut rooms);
            outlooks.come(self.groups.list[group].place, &before, &left);
        }
        let decided = scale_up::decide(&left, &views, flags.expander, world.now, &mut self.expander);
        let Some(choice) = decided.grows else {
            outlooks.refuse(&left, &decided.skipped);
            world.cluster.publish_outlooks(Provider::ClusterAutoscaler, outlooks.0);
            self.log_blocked(&decided, left.len(), world);
            return false;
        };
        outlooks.grow(self.groups.list[choice.group].place, &left, &views[choice.group].template, choice.estimate.pods);
        world.cluster.publish_outlooks(Provider::ClusterAutoscaler, outlooks.0);
        let size = self.groups.list[choice.group].target;
        let nodes = choice.estimate.nodes;
        let name = &self.groups.spec(choice.group, world.scenario).name;
        let detail = format!(
            "{name} grows by {nodes} for {} of {count} pending pods ({} have room on nodes that are there or on their way)",
            choice.estimate.pods,
            count - left.len()
        );
        let sizes = Some((i64::from(size), i64::from(size + nodes)));
        log(world, Subject::Cluster, Action::Scale, Rule::TriggeredScaleUp, sizes, detail);
        self.blocked.clear();
        self.last_scale_up = Some(world.now);
        let numbers = self.groups.grow(choice.group, nodes, world.now);
        self.ask(numbers, end, world, agenda);
        true
    }

    fn log_blocked(&mut self, decided: &ScaleUp, pods: usize, world: &mut World<'_>) {
        let reason = |(group, skip): &(usize, scale_up::Skip)| {
            format!("{}: {}", self.groups.spec(*group, world.scenario).name, skip.text())
        };
        let reasons = decided.skipped.iter().map(reason).collect::<Vec<_>>().join("; ");
        if pods > 0 && reasons != self.blocked {
            let detail = format!("{pods} pending pods stay: {reasons}");
            log(world, Subject::Cluster, Action::Blocked, Rule::NotTriggerScaleUp, None, detail);
        }
        self.blocked = reasons;
    }

    /// The Auto Scaling group launches what it was asked for at `from`.
    fn ask(&self, numbers: std::ops::Range<u32>, from: Time, world: &World<'_>, agenda: &mut Agenda<Event>) {
        for number in numbers {
            let mut stream = self.stream("group-launch", number, world);
            agenda.at(from + world.scenario.cluster_autoscaler.group_launch.sample(&mut stream), Event::Launch(number));
        }
    }

    /// Draws of one node of a group: the same whatever else happens.
    fn stream(&self, label: &str, number: u32, world: &World<'_>) -> Stream {
        let Launch { group, index, .. } = self.groups.launches[number as usize];
        self.streams.family(label, &self.groups.spec(group, world.scenario).name).member(u64::from(index))
    }

    fn launch(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let launch = self.groups.launches[number as usize];
        if launch.over {
            return;
        }
        if world.scenario.outage_end(FaultKind::InsufficientCapacity, world.now).is_some() {
            world.cluster.set_group_dry(self.groups.list[launch.group].place as u32, true);
            agenda.at(world.now + LAUNCH_RETRY, Event::Launch(number));
            return;
        }
        world.cluster.set_group_dry(self.groups.list[launch.group].place as u32, false);
        let latencies = &world.scenario.latencies;
        let registered = latencies.node_registered.sample(&mut self.stream("group-registered", number, world));
        let registered = Duration::from_secs_f64(registered.as_secs_f64() * self.cluster_factor);
        let running = latencies.instance_running.sample(&mut self.stream("group-running", number, world));
        let spec = self.groups.spec(launch.group, world.scenario);
        let instance = node_group::instance(&world.cluster.catalogues[0], spec, launch.index, world.now);
        self.groups.launches[number as usize].instance = instance.map(|instance| world.cluster.add_instance(instance));
        agenda.at(world.now + running.min(registered), Event::Runs(number));
        agenda.at(world.now + registered, Event::Registers(number));
    }

    fn register(&mut self, number: u32, world: &mut World<'_>) {
        let launch = self.groups.launches[number as usize];
        if launch.over {
            return;
        }
        let spec = self.groups.spec(launch.group, world.scenario);
        let mut node = node_group::node(&world.cluster.catalogues[0], world.scenario, spec, launch.index, world.now);
        node.instance = launch.instance;
        node.taints.push(deletion::not_ready());
        self.groups.launches[number as usize].node = Some(world.cluster.create_node(node));
    }

    /// Finds nodes that are not needed; gives those that go now.
    fn scale_down(&mut self, world: &mut World<'_>) -> Vec<NodeId> {
        let flags = &world.scenario.cluster_autoscaler;
        let mut rooms = observe::rooms(world.cluster, |node| self.deletions.contains_key(&node));
        let mut candidates: Vec<(usize, Candidate)> = Vec::new();
        for node in rooms.keys() {
            if let Some(group) = observe::group_of(&self.groups, *node, world) {
                let kept_at =
                    self.kept.get(node).filter(|(_, kept)| *kept != Kept::NotUnderutilized).map(|(at, _)| *at);
                candidates.push((group, observe::candidate(world.cluster, *node, kept_at)));
            }
        }
        // Empty nodes first, then those that were not needed before (`scaledowncandidates: sorting processors`).
        candidates.sort_by_key(|(_, one)| (!one.movers.is_empty(), !self.unneeded.contains_key(&one.node), one.node));
        let (groups, candidates): (Vec<usize>, Vec<Candidate>) = candidates.into_iter().unzip();
        let mut budgets = observe::budgets(world.cluster);
        let threshold = flags.scale_down_utilization_threshold;
        let verdicts = judge(&candidates, &mut rooms, &mut budgets, threshold, world.now);
        let mut unneeded = Vec::new();
        for ((node, verdict), (candidate, group)) in verdicts.into_iter().zip(candidates.iter().zip(groups)) {
            if verdict.is_ok() {
                let since = self.unneeded.get(&node).copied().unwrap_or(world.now);
                unneeded.push(Unneeded { node, since, group, empty: candidate.movers.is_empty() });
            }
            self.note(candidate, verdict, world);
        }
        self.unneeded = unneeded.iter().map(|node| (node.node, node.since)).collect();
        if self.cools_down(flags.scale_down_delay_after_add, world.now) {
            return Vec::new();
        }
        self.choose(&unneeded, world)
    }

    /// `isScaleDownInCooldown`.
    fn cools_down(&self, after_add: Duration, now: Time) -> bool {
        self.last_scale_up.is_some_and(|at| now < at + after_add)
            || self.last_failure.is_some_and(|at| now < at + DELAY_AFTER_FAILURE)
    }

    fn choose(&mut self, unneeded: &[Unneeded], world: &mut World<'_>) -> Vec<NodeId> {
        let mut spare: Vec<u32> = self.groups.list.iter().map(|group| group.target.saturating_sub(group.min)).collect();
        for deletion in self.deletions.values().filter(|deletion| !deletion.terminating) {
            spare[deletion.group] = spare[deletion.group].saturating_sub(1);
        }
        let under_way = self.deletions.values().filter(|deletion| !deletion.terminating);
        let draining = under_way.clone().filter(|deletion| deletion.drains).count();
        let time = world.scenario.cluster_autoscaler.scale_down_unneeded_time;
        let chosen = removable(unneeded, &mut spare, time, under_way.count(), draining, world.now);
        for node in unneeded.iter().filter(|node| chosen.contains(&node.node)) {
            let begun = world.now;
            let deletion = Deletion { group: node.group, begun, drains: !node.empty, terminating: false };
            self.deletions.insert(node.node, deletion);
            self.unneeded.remove(&node.node);
            let rule = if node.empty { Rule::ScaleDownEmpty } else { Rule::ScaleDown };
            let detail = format!("not needed for {}: its pods fit elsewhere", world.now.since(node.since));
            log(world, Subject::Node(node.node), Action::Delete, rule, None, detail);
        }
        chosen
    }

    /// Remembers a verdict, and logs it where it is another than before.
    fn note(&mut self, candidate: &Candidate, verdict: Result<(), Kept>, world: &mut World<'_>) {
        let node = candidate.node;
        let share = candidate.utilization * 100.0;
        match verdict {
            Ok(()) => {
                self.kept.remove(&node);
                if !self.unneeded.contains_key(&node) {
                    let detail = format!("{share:.0} % of it requested, its pods fit elsewhere");
                    log(world, Subject::Node(node), Action::Mark, Rule::Unneeded, None, detail);
                }
            }
            Err(Kept::RecentlyUnremovable) => {}
            Err(kept) => {
                let before = self.kept.insert(node, (world.now, kept));
                if before.is_none_or(|(_, before)| before != kept) && kept != Kept::NotUnderutilized {
                    let detail = format!("{share:.0} % of it requested");
                    log(world, Subject::Node(node), Action::Hold, kept.rule(), None, detail);
                }
            }
        }
    }

    fn taint(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(deletion) = self.deletions.get_mut(&node) else { return };
        deletion.begun = world.now + deletion::DELAY_AFTER_TAINT;
        deletion::set_taint(world.cluster, node, Some(world.now));
        agenda.at(deletion.begun, Event::Drain(node));
    }

    fn drain(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(deletion) = self.deletions.get_mut(&node) else { return };
        if !world.cluster.nodes[node.index()].exists() {
            return;
        }
        let grace = world.scenario.cluster_autoscaler.max_graceful_termination;
        let (waiting, leaving) = deletion::evict_all(world.cluster, node, grace, world.now);
        match deletion::step(waiting, leaving, world.now.since(deletion.begun), grace) {
            Step::Wait(pause) => agenda.at(world.now + pause, Event::Drain(node)),
            Step::Delete => {
                deletion.terminating = true;
                let group = &mut self.groups.list[deletion.group];
                let before = group.target;
                group.target -= 1;
                let sizes = Some((i64::from(before), i64::from(group.target)));
                let name = &self.groups.spec(deletion.group, world.scenario).name;
                log(
                    world,
                    Subject::Node(node),
                    Action::Terminate,
                    Rule::ScaleDown,
                    sizes,
                    format!("{name} shrinks by this node"),
                );
                match world.cluster.nodes[node.index()].instance {
                    Some(instance) => world.cluster.announce(Change::InstanceTerminateRequested(instance)),
                    None => world.cluster.remove_node(world.now, node),
                }
            }
            Step::GiveUp => {
                self.deletions.remove(&node);
                self.last_failure = Some(world.now);
                deletion::set_taint(world.cluster, node, None);
                let detail = format!("{waiting} evictions refused, {leaving} pods still there");
                log(world, Subject::Node(node), Action::Hold, Rule::ScaleDownFailed, None, detail);
            }
        }
    }
}

fn log(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, sizes: Option<(i64, i64)>, detail: String) {
    let decision = Decision::plain(world.now, Controller::ClusterAutoscaler, subject, action, rule, detail);
    world.cluster.decide(decision.about(sizes.map(|(from, to)| Counts::change(from, to))));
}
