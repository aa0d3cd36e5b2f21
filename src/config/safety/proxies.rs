//! How many strangers are among the proxies that are believed.

use ipnet::IpNet;

/// Networks in which no stranger has an address.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
];
/// One in 256 of the addresses of IPv4, and of the public ones of IPv6 (`2000::/3`).
const MANY_V4: u128 = 1 << 24;
const MANY_V6: u128 = 1 << 117;

/// Whether the networks hold so many public addresses that strangers have some of them.
pub(super) fn are_everywhere(networks: &[IpNet]) -> bool {
    let all = IpNet::aggregate(&networks.to_vec());
    let (v4, v6): (Vec<_>, Vec<_>) = all.iter().partition(|network| network.addr().is_ipv4());
    let count = |networks: Vec<&IpNet>| {
        networks
            .into_iter()
            .map(public)
            .fold(0, u128::saturating_add)
    };
    count(v4) >= MANY_V4 || count(v6) >= MANY_V6
}

/// Addresses of a network that are not private.
fn public(network: &IpNet) -> u128 {
    let private = PRIVATE.iter().filter_map(|text| text.parse::<IpNet>().ok());
    let private: Vec<IpNet> = private.collect();
    if private.iter().any(|private| private.contains(network)) {
        return 0;
    }
    let within = private.iter().filter(|private| network.contains(*private));
    within.map(size).fold(size(network), u128::saturating_sub)
}

fn size(network: &IpNet) -> u128 {
    let bits = network.max_prefix_len() - network.prefix_len();
    1_u128.checked_shl(bits.into()).unwrap_or(u128::MAX)
}
