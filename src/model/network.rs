//! The network of a client's address: the unit that limits by address count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of a wide network: as many addresses as one customer of a provider may be given.
const WIDE_V4: u32 = 24;
const WIDE_V6: u32 = 48;

/// An IPv4 address, or the /64 of an IPv6 address, since every subscriber has a /64. An IPv4-mapped IPv6
/// address counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network that `address` belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// Name of the wide network that an address belongs to: `192.0.2.0/24`, `2001:db8:1::/48`.
#[must_use]
pub fn wide_network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits() & (u32::MAX << (u32::BITS - WIDE_V4));
            format!("{}/{WIDE_V4}", Ipv4Addr::from_bits(bits))
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & (u128::MAX << (u128::BITS - WIDE_V6));
            format!("{}/{WIDE_V6}", Ipv6Addr::from_bits(bits))
        }
    }
}

/// `192.0.2.7`, `2001:db8:1:2::/64`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Network {
        Network::of(text.parse().expect("an address"))
    }

    #[test]
    fn ipv6_counts_by_its_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(of("192.0.2.7").to_string(), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        let line = of("2001:db8:1:2::1");
        assert_eq!(line.to_string(), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2:ffff::9"), line);
        assert_ne!(of("2001:db8:1:3::1"), line);
    }

    #[test]
    fn a_wide_network_has_the_neighbours_too() {
        let wide = |text: &str| wide_network(text.parse().expect("an address"));
        assert_eq!(wide("192.0.2.7"), "192.0.2.0/24");
        assert_eq!(wide("::ffff:192.0.2.200"), "192.0.2.0/24");
        assert_eq!(wide("2001:db8:1:2::1"), "2001:db8:1::/48");
    }
}
