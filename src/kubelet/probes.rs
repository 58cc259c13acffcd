//! When a pod becomes ready (`pkg/kubelet/prober/worker.go`).

use crate::api::pod::{Container, PodSpec, Probe};
use crate::engine::Stream;
use crate::time::{Duration, Time};

/// Instants that decide about the readiness of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerStart {
    /// The probe workers began: the pod arrived at the kubelet, plus the jitter of a fresh one.
    pub workers: Time,
    /// The container was started.
    pub started: Time,
    /// The application answers.
    pub up: Time,
}

/// When the container is ready.
#[must_use]
pub fn ready_at(container: &Container, start: ContainerStart) -> Time {
    let startup = container.startup_probe.as_ref();
    let begun = startup.map(|probe| succeeded_at(probe, start.workers, start.started, start.up));
    match (&container.readiness_probe, begun) {
        (None, begun) => begun.unwrap_or(start.started),
        (Some(probe), None) => succeeded_at(probe, start.workers, start.started, start.up),
        (Some(probe), Some(begun)) => {
            // Success of the startup probe triggers a readiness probe at once; its period counts from there.
            let first = begun.max(start.started + probe.initial_delay_seconds.duration());
            succeeded_at(probe, begun, first, start.up.max(begun))
        }
    }
}

/// The first tick of a worker, one every period, at which enough probes in a row have succeeded.
fn succeeded_at(probe: &Probe, workers: Time, started: Time, up: Time) -> Time {
    let period = probe.period_seconds.duration().max(Duration::from_secs(1));
    let counts_from = up.max(started + probe.initial_delay_seconds.duration());
    let since = counts_from.since(workers).max_zero().as_micros();
    let ticks = (since + period.as_micros() - 1) / period.as_micros();
    workers + period * (ticks + i64::from(probe.success_threshold.max(1)) - 1)
}

/// When the pod is ready: when all its containers are.
#[must_use]
pub fn pod_ready_at(spec: &PodSpec, start: ContainerStart) -> Time {
    spec.containers.iter().map(|container| ready_at(container, start)).max().unwrap_or(start.started)
}

/// The wait of a probe worker on a kubelet that has started `age` ago: U(0, period) while that is less than the period.
pub fn jitter(spec: &PodSpec, age: Duration, stream: &mut Stream) -> Duration {
    let probes = spec.containers.iter().flat_map(|c| [&c.readiness_probe, &c.startup_probe]).flatten();
    let period = probes.map(|probe| probe.period_seconds.duration()).max().unwrap_or(Duration::ZERO);
    if age < period { Duration::from_secs_f64(stream.unit() * period.as_secs_f64()) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;

    #[test]
    fn readiness_comes_at_the_first_tick_after_the_application_is_up() {
        let at = Time::from_secs_f64;
        let start = ContainerStart { workers: at(0.0), started: at(1.5), up: at(4.5) };
        let mut container: Container = defaults();
        assert_eq!(ready_at(&container, start), at(1.5));
        container.readiness_probe = Some(Probe { period_seconds: crate::api::scalar::Seconds(5), ..defaults() });
        assert_eq!(ready_at(&container, start), at(5.0));
        container.startup_probe = Some(Probe { period_seconds: crate::api::scalar::Seconds(1), ..defaults() });
        assert_eq!(ready_at(&container, start), at(5.0));
        container.startup_probe = Some(Probe { period_seconds: crate::api::scalar::Seconds(7), ..defaults() });
        assert_eq!(ready_at(&container, start), at(7.0));
    }
}
