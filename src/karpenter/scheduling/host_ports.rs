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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::pod::{Container, ContainerPort};

    fn port(ip: &str, port: u16, protocol: &str) -> HostPort {
        HostPort { ip: ip.to_owned(), port, protocol: protocol.to_owned() }
    }

    #[test]
    fn host_ports_have_the_defaults_of_the_api_and_zero_is_none() {
        let published = |host_port: Option<u16>, ip: &str, protocol: &str| ContainerPort {
            host_port,
            host_ip: Some(ip.to_owned()),
            protocol: Some(protocol.to_owned()),
            ..defaults()
        };
        let ports = vec![
            published(None, "", ""),
            published(Some(0), "", ""),
            published(Some(80), "", ""),
            published(Some(53), "10.0.0.1", "UDP"),
        ];
        let mut pod: PodSpec = defaults();
        pod.containers = vec![Container { ports, ..defaults() }];
        assert_eq!(of(&pod), [port("0.0.0.0", 80, "TCP"), port("10.0.0.1", 53, "UDP")]);
    }

    #[test]
    fn ports_conflict_on_one_address_and_on_all() {
        let meet = |a: HostPort, b: HostPort| conflict(&[a], &[b]);
        assert!(meet(port("10.0.0.1", 80, "TCP"), port("10.0.0.1", 80, "TCP")));
        assert!(!meet(port("10.0.0.1", 80, "TCP"), port("10.0.0.2", 80, "TCP")));
        assert!(!meet(port("10.0.0.1", 80, "TCP"), port("10.0.0.1", 80, "UDP")));
        assert!(!meet(port("0.0.0.0", 80, "TCP"), port("0.0.0.0", 81, "TCP")));
        for everywhere in ["0.0.0.0", "::"] {
            assert!(meet(port(everywhere, 80, "TCP"), port("10.0.0.1", 80, "TCP")));
            assert!(meet(port("10.0.0.1", 80, "TCP"), port(everywhere, 80, "TCP")));
        }
    }
}
