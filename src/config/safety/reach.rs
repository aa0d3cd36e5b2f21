//! How far a connection to an address goes.

use std::net::{IpAddr, Ipv4Addr};

use url::Host;

/// Part of the network that lies between here and an address, in the order of its danger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// None: it is this machine.
    Machine,
    /// A private one.
    Private,
    /// Any other.
    World,
}

/// Domains that no public server answers to (RFC 6762, RFC 8375, ICANN's `internal`), with that of a Kubernetes
/// cluster.
const PRIVATE_DOMAINS: [&str; 5] = [".local", ".internal", ".home.arpa", ".lan", ".svc"];

pub(super) fn of_address(address: IpAddr) -> Reach {
    match address.to_canonical() {
        own if own.is_loopback() => Reach::Machine,
        IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() || is_shared(v4) => Reach::Private,
        IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Reach::Private,
        _ => Reach::World,
    }
}

/// Addresses behind a provider's translation, 100.64.0.0/10 (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

/// A host as a URL or a setting names it.
pub(super) fn of_text(host: &str) -> Reach {
    match host.parse() {
        Ok(address) => of_address(address),
        // A host of a scheme that the URL standard does not know is text, an address too.
        Err(_) => Host::parse(host).map_or(Reach::World, |host| of_host(&host)),
    }
}

/// A name of one label is one that this machine's own network resolves: a container's or a neighbour's.
pub(super) fn of_host<S: AsRef<str>>(host: &Host<S>) -> Reach {
    match host {
        Host::Ipv4(address) => of_address((*address).into()),
        Host::Ipv6(address) => of_address((*address).into()),
        Host::Domain(name) => of_name(&name.as_ref().trim_end_matches('.').to_ascii_lowercase()),
    }
}

fn of_name(name: &str) -> Reach {
    if name == "localhost" || name.ends_with(".localhost") {
        return Reach::Machine;
    }
    let is_private = PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain));
    if is_private || !name.contains('.') {
        Reach::Private
    } else {
        Reach::World
    }
}
