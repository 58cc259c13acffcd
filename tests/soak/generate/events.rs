//! What happens in the course of a scenario.

use forescale::scenario::faults::FaultKind;

use super::Frame;
use super::choices::Choices;

/// Since when and until when something is there, and its tag; mostly always.
pub(super) fn while_there(c: &mut Choices, frame: &Frame) -> String {
    let mut text = "tags = { soak = \"yes\" }\n".to_owned();
    if c.once_in(3) {
        text += &format!("from = \"{}s\"\n", c.number(0, frame.minutes * 30));
    }
    if c.once_in(3) {
        text += &format!("until = \"{}s\"\n", c.number(frame.minutes * 30 + 1, frame.minutes * 60 + 60));
    }
    text
}

pub(super) fn queue_change(c: &mut Choices, frame: &Frame, dead_letters: bool) -> String {
    let at = c.number(0, frame.minutes * 60);
    let action = match c.number(0, 4) {
        0 => "action = \"purge\"\n".to_owned(),
        1 => format!("action = \"send\"\nmessages = {}\n", c.number(1, 300)),
        2 if dead_letters => "action = \"set\"\nmaxReceiveCount = 3\n".to_owned(),
        3 => {
            let later = at + c.number(60, 200);
            return format!(
                "[[queues.changes]]\nat = \"{at}s\"\naction = \"delete\"\n[[queues.changes]]\nat = \"{later}s\"\naction = \"create\"\n"
            );
        }
        _ => "action = \"set\"\nvisibilityTimeout = \"5s\"\n".to_owned(),
    };
    format!("[[queues.changes]]\nat = \"{at}s\"\n{action}")
}

pub(super) fn fault(c: &mut Choices, frame: &Frame) -> String {
    let kind = FaultKind::ALL[c.number(0, FaultKind::ALL.len() - 1)];
    let at = c.number(0, frame.minutes * 60);
    let mut text = format!("[[faults]]\nat = \"{at}s\"\nkind = \"{}\"\n", kind.as_str());
    if !kind.is_sudden() {
        text += &c.maybe_text(1, "duration", &["10s", "2m", "20m"]);
    } else if kind == FaultKind::PodCrash {
        text += &c.maybe_text(2, "duration", &["10s", "2m", "20m"]);
    }
    if kind.has_share() {
        text += &c.maybe(2, "share", &["0.3", "0.9"]);
    }
    text
}

pub(super) fn change(c: &mut Choices, frame: &Frame) -> String {
    let index = c.number(0, frame.workloads.len() - 1);
    let workload = &frame.workloads[index];
    let at = c.number(1, frame.minutes * 60);
    let mut text = format!("[[changes]]\nat = \"{at}s\"\n");
    text += &match c.number(0, 5) {
        0 if !workload.job => format!("scale = {{ w{index} = {} }}\n", c.number(0, 20)),
        1 if !workload.job => format!("delete = [\"Deployment/w{index}\"]\n"),
        2 if workload.scaled && !workload.job => format!("delete = [\"ScaledObject/w{index}\"]\n"),
        3 if workload.scaled && !workload.job => {
            format!("patch = {{ \"ScaledObject/w{index}.maxReplicaCount\" = {} }}\n", c.number(3, 80))
        }
        4 if workload.job => format!("delete = [\"ScaledJob/w{index}\"]\n"),
        _ if frame.pools > 0 => c
            .one(&[
                "patch = { \"NodePool/pool0.disruption.consolidateAfter\" = \"10s\" }\n",
                "patch = { \"NodePool/pool0.limits.cpu\" = 4 }\n",
                "patch = { \"NodePool/pool0.template.metadata.labels.version\" = \"two\" }\n",
                "patch = { \"EC2NodeClass/default.userData\" = \"two\" }\n",
                "patch = { \"EC2NodeClass/default.amiFamily\" = \"Bottlerocket\" }\n",
                "newAmis = [\"default\"]\n",
                "withdraw = [{ instanceTypes = [\"m5.*\", \"c7g.*\"] }]\n",
                "delete = [\"NodePool/pool0\"]\n",
            ])
            .to_owned(),
        _ if !workload.job => format!("patch = {{ \"Deployment/w{index}.replicas\" = {} }}\n", c.number(0, 9)),
        _ => format!("patch = {{ \"ScaledJob/w{index}.maxReplicaCount\" = {} }}\n", c.number(1, 50)),
    };
    text
}
