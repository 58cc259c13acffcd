//! Host ports (`pkg/scheduling/hostportusage.go`).

use super::input::HostPort;
use crate::api::pod::PodSpec;

/// The host ports of a pod's containers (`GetHostPorts`).
#[must_use]
pub fn of(pod: &PodSpec) -> Vec<HostPort> {
    let ports = pod.containers.iter().flat_map(|container| &container.ports);
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number != 0)?;
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            let protocol = port.protocol.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "TCP".to_owned());
            Some(HostPort { ip, port: number, protocol })
        })
        .collect()
}

/// Whether a port is already taken (`HostPort.Matches`): same protocol and number, and the same address or one that means all.
#[must_use]
pub fn conflict(wanted: &[HostPort], used: &[HostPort]) -> bool {
    let everywhere = |ip: &str| matches!(ip, "0.0.0.0" | "::");
    wanted.iter().any(|a| {
        used.iter().any(|b| {
            a.protocol == b.protocol && a.port == b.port && (a.ip == b.ip || everywhere(&a.ip) || everywhere(&b.ip))
        })
    })
}
