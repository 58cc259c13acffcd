//! A Job: pods until enough have succeeded, or too many failed (`pkg/controller/job/job_controller.go: syncJob, manageJob`).

use crate::cluster::Rule;
use crate::time::{Duration, Time};

/// First delay of a replacement after a failed pod (`DefaultJobPodFailureBackOff`).
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// Longest delay (`MaxJobPodFailureBackOff`).
const MAX_BACKOFF: Duration = Duration::from_mins(10);
/// How long the controller gathers changes of a Job's pods before it looks at them (`syncJobBatchPeriod`).
pub const BATCH_PERIOD: Duration = Duration::from_secs(1);

/// A Job as its controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Pods at a time. Default 1.
    pub parallelism: u32,
    /// Successes needed. Default 1.
    pub completions: u32,
    /// Retries before it fails. Default 6.
    pub backoff_limit: u32,
    /// Time after its start at which it is failed.
    pub active_deadline: Option<Duration>,
    /// When it started.
    pub started: Time,
    /// Pods neither terminal nor terminating.
    pub active: u32,
    /// Pods that succeeded.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// When the last pod failed.
    pub last_failure: Option<Time>,
}

/// What the controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAction {
    /// Nothing now.
    Wait,
    /// Nothing until this instant: a failure's backoff runs.
    WaitUntil(Time),
    /// Create this many pods.
    Create(u32),
    /// Delete this many active pods: `parallelism` shrank, or fewer successes are missing.
    Delete(u32),
    /// The Job has succeeded.
    Complete,
    /// The Job has failed: its active pods are deleted. `BackoffLimitExceeded` or `DeadlineExceeded`.
    Fail(Rule),
}

/// Decides about a Job.
#[must_use]
pub fn decide(job: &JobView, now: Time) -> JobAction {
    if job.failed > job.backoff_limit {
        return JobAction::Fail(Rule::BackoffLimitExceeded);
    }
    if job.active_deadline.is_some_and(|deadline| now.since(job.started) >= deadline) {
        return JobAction::Fail(Rule::DeadlineExceeded);
    }
    if job.succeeded >= job.completions && job.active == 0 {
        return JobAction::Complete;
    }
    let wanted = job.parallelism.min(job.completions.saturating_sub(job.succeeded));
    match job.active.cmp(&wanted) {
        std::cmp::Ordering::Equal => JobAction::Wait,
        std::cmp::Ordering::Greater => JobAction::Delete(job.active - wanted),
        std::cmp::Ordering::Less => match backoff_end(job).filter(|end| *end > now) {
            Some(end) => JobAction::WaitUntil(end),
            None => JobAction::Create(wanted - job.active),
        },
    }
}

/// 10 s · 2^(failures − 1), at most 10 min, after the last failure (`getRemainingTimeForFailures`).
fn backoff_end(job: &JobView) -> Option<Time> {
    let exponent = job.failed.checked_sub(1)?.min(20);
    Some(job.last_failure? + (FIRST_BACKOFF * (1 << exponent)).min(MAX_BACKOFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_pod_is_replaced_after_its_backoff_until_the_limit() {
        let mut job = JobView {
            parallelism: 1,
            completions: 1,
            backoff_limit: 2,
            active_deadline: None,
            started: Time::ZERO,
            active: 0,
            succeeded: 0,
            failed: 0,
            last_failure: None,
        };
        let at = Time::from_secs_f64;
        assert_eq!(decide(&job, at(0.0)), JobAction::Create(1));
        job.active = 1;
        assert_eq!(decide(&job, at(1.0)), JobAction::Wait);
        (job.active, job.failed, job.last_failure) = (0, 2, Some(at(5.0)));
        assert_eq!(decide(&job, at(6.0)), JobAction::WaitUntil(at(25.0)));
        assert_eq!(decide(&job, at(25.0)), JobAction::Create(1));
        job.failed = 3;
        assert_eq!(decide(&job, at(26.0)), JobAction::Fail(Rule::BackoffLimitExceeded));
        (job.failed, job.succeeded) = (1, 1);
        assert_eq!(decide(&job, at(27.0)), JobAction::Complete);
    }
}
