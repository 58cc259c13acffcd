//! What the loop tells about its decisions, each kind of event of an object once in a while as upstream's recorder does
//! (`pkg/controllers/disruption/events/events.go`).

use std::collections::BTreeMap;

use crate::api::karpenter::DisruptionReason;
use crate::cluster::{Action, Cluster, Controller, Counts, Decision, NodeClaimId, Rule, Subject};
use crate::karpenter::state::StateNode;
use crate::time::{Duration, Time};

use super::candidate::Rejection;
use super::command::Command;
use super::model::{Method, Observed};
use super::pass::Note;
use super::queue::Failure;
use super::snapshot::claim_of;
use super::validation::Invalid;

/// Time in which one object's `DisruptionBlocked` is told once, whatever the text.
const BLOCKED_DEDUPE: Duration = Duration::from_mins(2);
/// The same for `Unconsolidatable`.
const UNCONSOLIDATABLE_DEDUPE: Duration = Duration::from_mins(15);

/// Remembers what was told when.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    told: BTreeMap<(NodeClaimId, Rule), Time>,
}

impl Journal {
    fn may_tell(&mut self, claim: NodeClaimId, rule: Rule, dedupe: Duration, now: Time) -> bool {
        let known = self.told.get(&(claim, rule));
        if known.is_some_and(|told| now.since(*told) < dedupe) {
            return false;
        }
        self.told.insert((claim, rule), now);
        true
    }

    /// Nodes of Karpenter that could not be candidates of anything.
    pub fn blocked(&mut self, rejections: &[(u32, Rejection)], now: Time, cluster: &mut Cluster) {
        for (id, rejection) in rejections {
            let silent = matches!(rejection, Rejection::InCommand | Rejection::NotManaged);
            if let Some(claim) = claim_of(*id).filter(|_| !silent)
                && self.may_tell(claim, Rule::DisruptionBlocked, BLOCKED_DEDUPE, now)
            {
                cluster.decide(entry(now, claim, Action::Blocked, Rule::DisruptionBlocked, rejection.to_string()));
            }
        }
    }

    /// Why nodes stay.
    pub fn notes(&mut self, notes: &[Note], now: Time, cluster: &mut Cluster) {
        for note in notes {
            let Some(claim) = claim_of(note.node) else { continue };
            let (rule, detail) = match &note.reason {
                Some(reason) if note.method == Method::Drift => (Rule::DisruptionBlocked, reason.to_string()),
                Some(reason) => (Rule::Unconsolidatable, reason.to_string()),
                None => (Rule::Budget, format!("{}: the budget of its NodePool is used up", note.method.name())),
            };
            let dedupe = if rule == Rule::DisruptionBlocked { BLOCKED_DEDUPE } else { UNCONSOLIDATABLE_DEDUPE };
            if self.may_tell(claim, rule, dedupe, now) {
                cluster.decide(entry(now, claim, Action::Hold, rule, detail));
            }
        }
    }

    /// A NodeClaim is gone.
    pub fn forget(&mut self, claim: NodeClaimId) {
        self.told.retain(|(known, _), _| *known != claim);
    }
}

fn entry(at: Time, claim: NodeClaimId, action: Action, rule: Rule, detail: String) -> Decision {
    Decision::plain(at, Controller::Disruption, Subject::NodeClaim(claim), action, rule, detail)
}

const fn rule_of(reason: DisruptionReason) -> Rule {
    match reason {
        DisruptionReason::Underutilized => Rule::Underutilized,
        DisruptionReason::Empty => Rule::Empty,
        DisruptionReason::Drifted => Rule::Drifted,
    }
}

/// The subject of a command: its first node.
fn subject(command: &Command) -> Subject {
    let first = command.candidates.first().and_then(|candidate| claim_of(candidate.id));
    first.map_or(Subject::Cluster, Subject::NodeClaim)
}

/// Name of the node behind an id, also when it is gone.
fn name_of(id: u32, cluster: &Cluster) -> Option<&str> {
    let claim = claim_of(id)?;
    let node = cluster.nodeclaims[claim.index()].node;
    Some(StateNode { claim: Some(claim), node }.name(cluster))
}

fn told_of(command: &Command, observed: &Observed<'_>, cluster: &Cluster) -> String {
    let names: Vec<&str> = command.candidates.iter().filter_map(|c| name_of(c.id, cluster)).collect();
    let pods: usize = command.candidates.iter().map(|candidate| candidate.reschedulable_pods).sum();
    let savings = command.estimated_savings(observed.catalogue, observed.rules.savings_of_allowed_offerings);
    let by: Vec<String> = command
        .replacements
        .iter()
        .map(|replacement| {
            let first = replacement.types.iter().take(5).map(|id| observed.catalogue.get(*id).name.as_str());
            let more = replacement.types.len().saturating_sub(5);
            let rest = if more > 0 { format!(" and {more} other(s)") } else { String::new() };
            format!("{}{rest}", first.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join("; ")) };
    format!("{} {}{by} saves ${savings:.2} an hour, {pods} pods move", command.decision(), names.join(", "))
}

/// A command as it is told; made while the state that it refers to is at hand.
pub struct Told {
    subject: Subject,
    action: Action,
    rule: Rule,
    counts: Counts,
    detail: String,
}

impl Told {
    /// Of a command.
    #[must_use]
    pub fn of(command: &Command, observed: &Observed<'_>, cluster: &Cluster) -> Self {
        Told {
            subject: subject(command),
            action: if command.replacements.is_empty() { Action::Delete } else { Action::Replace },
            rule: rule_of(command.reason()),
            counts: Counts::change(command.candidates.len() as i64, command.replacements.len() as i64),
            detail: told_of(command, observed, cluster),
        }
    }

    /// The command begins.
    pub fn begins(self, at: Time, cluster: &mut Cluster) {
        let Told { subject, action, rule, counts, detail } = self;
        let decision = Decision::plain(at, Controller::Disruption, subject, action, rule, detail);
        cluster.decide(decision.about(counts));
    }

    /// The command was abandoned when it was looked at again.
    pub fn abandoned(self, invalid: &Invalid, at: Time, cluster: &mut Cluster) {
        let rule = Rule::ConsolidationRejected;
        let detail = format!("{} ({}): {}", invalid, invalid.as_str(), self.detail);
        cluster.decide(Decision::plain(at, Controller::Disruption, self.subject, Action::Abandon, rule, detail));
    }
}

/// A running command failed.
pub fn failed(claims: &[NodeClaimId], failure: Failure, at: Time, cluster: &mut Cluster) {
    let detail = match failure {
        Failure::ReplacementGone => "a replacement is gone: the nodes stay",
        Failure::Timeout => "a replacement was not ready in time: the nodes stay",
    };
    if let Some(first) = claims.first() {
        cluster.decide(entry(at, *first, Action::Abandon, Rule::CommandFailed, detail.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;
    use crate::karpenter::disruption::command::Unconsolidatable;

    #[test]
    fn one_kind_of_event_of_one_object_is_told_again_when_its_time_is_over() {
        let mut journal = Journal::default();
        let mut tell = |claim: u32, rule: Rule, second: i64| {
            journal.may_tell(NodeClaimId(claim), rule, BLOCKED_DEDUPE, Time::ZERO + Duration::from_secs(second))
        };
        assert!(tell(1, Rule::DisruptionBlocked, 0));
        assert!(!tell(1, Rule::DisruptionBlocked, 1) && !tell(1, Rule::DisruptionBlocked, 119));
        assert!(tell(2, Rule::DisruptionBlocked, 1) && tell(1, Rule::Budget, 1));
        assert!(tell(1, Rule::DisruptionBlocked, 120));
    }

    fn rules(cluster: &mut Cluster) -> Vec<(Subject, Rule)> {
        cluster.take_decisions().map(|decision| (decision.subject, decision.rule)).collect()
    }

    #[test]
    fn that_a_nodeclaim_is_gone_says_nothing_of_others() {
        let mut journal = Journal::default();
        let tell = |journal: &mut Journal| {
            journal.may_tell(NodeClaimId(1), Rule::DisruptionBlocked, BLOCKED_DEDUPE, Time::ZERO)
        };
        assert!(tell(&mut journal));
        journal.forget(NodeClaimId(2));
        assert!(!tell(&mut journal));
    }

    #[test]
    fn why_a_node_stays_is_told_by_kind_each_at_its_own_pace() {
        let mut cluster = Cluster::new(Streams::new(1, 0).open("uid", 0));
        let mut journal = Journal::default();
        let note = |node: u32, method: Method, reason: Option<Unconsolidatable>| Note { method, node, reason };
        let notes = [
            note(0, Method::Drift, Some(Unconsolidatable::Unschedulable("no place".to_owned()))),
            note(1, Method::SingleNodeConsolidation, Some(Unconsolidatable::NoCheaperNode)),
            note(2, Method::Drift, None),
            note(u32::MAX, Method::SingleNodeConsolidation, Some(Unconsolidatable::NoCheaperNode)),
        ];
        let mut told = |second: i64| {
            journal.notes(&notes, Time::ZERO + Duration::from_secs(second), &mut cluster);
            rules(&mut cluster)
        };
        let of = |claim: u32, rule: Rule| (Subject::NodeClaim(NodeClaimId(claim)), rule);
        let blocked = of(0, Rule::DisruptionBlocked);
        let (stays, budget) = (of(1, Rule::Unconsolidatable), of(2, Rule::Budget));
        assert_eq!(told(0), [blocked, stays, budget], "nothing of a node that Karpenter does not own");
        assert_eq!(told(119), []);
        assert_eq!(told(120), [blocked]);
        assert_eq!(told(899), [blocked]);
        assert_eq!(told(900), [stays, budget]);
    }

    #[test]
    fn nodes_that_are_no_candidates_are_told_unless_they_are_in_a_command_or_of_others() {
        let mut cluster = Cluster::new(Streams::new(1, 0).open("uid", 0));
        let reasons =
            [Rejection::InCommand, Rejection::NotManaged, Rejection::Nominated, Rejection::PodDoNotDisrupt(7)];
        let rejections: Vec<(u32, Rejection)> = (0..).zip(reasons).collect();
        Journal::default().blocked(&rejections, Time::ZERO, &mut cluster);
        let told = [2, 3].map(|claim| (Subject::NodeClaim(NodeClaimId(claim)), Rule::DisruptionBlocked));
        assert_eq!(rules(&mut cluster), told);
    }
}
