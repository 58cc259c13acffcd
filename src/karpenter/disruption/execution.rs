//! The start of a command, in upstream's order (`pkg/controllers/disruption/queue.go: StartCommand`).

/// One step of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// Taint the candidates `karpenter.sh/disrupted:NoSchedule`: kube-scheduler stays away.
    Taint,
    /// Set condition DisruptionReason on their NodeClaims.
    SetCondition,
    /// Create the replacements' NodeClaims.
    CreateReplacements,
    /// Mark the candidates for deletion in memory: from here on the provisioner plans for their pods.
    Mark,
    /// Nominate every existing node that the simulation gave pods to.
    Nominate,
    /// Hand the command to the queue.
    Enqueue,
}

/// The steps of a start. Candidates are marked only after the replacements exist: else the provisioner would launch capacity for
/// the same pods a second time.
#[must_use]
pub fn start_steps(has_replacements: bool) -> &'static [StartStep] {
    use StartStep::{CreateReplacements, Enqueue, Mark, Nominate, SetCondition, Taint};
    if has_replacements {
        &[Taint, SetCondition, CreateReplacements, Mark, Nominate, Enqueue]
    } else {
        &[Taint, SetCondition, Mark, Nominate, Enqueue]
    }
}

impl StartStep {
    /// Short name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StartStep::Taint => "taint",
            StartStep::SetCondition => "condition",
            StartStep::CreateReplacements => "create",
            StartStep::Mark => "mark",
            StartStep::Nominate => "nominate",
            StartStep::Enqueue => "enqueue",
        }
    }
}
