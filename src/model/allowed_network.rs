//! Networks that an API key may be used from: a single address, or a CIDR.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A network. IPv4 addresses that IPv6 wraps count as IPv4; bits beyond the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedNetwork(IpNet);

/// The text is neither an address nor a CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither an address nor a network like 192.0.2.0/24")]
pub struct AllowedNetworkError;

impl AllowedNetwork {
    /// Whether the address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AllowedNetwork {
    type Err = AllowedNetworkError;

    fn from_str(text: &str) -> Result<Self, AllowedNetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let network: IpNet = text.parse().map_err(|_| AllowedNetworkError)?;
        let mapped = match network {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped(),
            _ => None,
        };
        let mapped = mapped.and_then(|v4| Ipv4Net::new(v4, network.prefix_len() - 96).ok());
        Ok(Self(mapped.map_or(network, IpNet::V4).trunc()))
    }
}

impl fmt::Display for AllowedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl Serialize for AllowedNetwork {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowedNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_kept_in_its_shortest_form() {
        for (text, kept) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("2001:DB8::5/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let network: AllowedNetwork = text.parse().expect("a network");
            assert_eq!(network.to_string(), kept, "{text}");
            let stored = serde_json::to_string(&network).expect("is text");
            assert_eq!(
                serde_json::from_str::<AllowedNetwork>(&stored).ok(),
                Some(network)
            );
        }
        for bad in [
            "",
            "x",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.7/",
            "/8",
            " 192.0.2.7",
            "010.0.0.1",
        ] {
            assert_eq!(
                bad.parse::<AllowedNetwork>(),
                Err(AllowedNetworkError),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_address_is_found_however_it_is_written() {
        let network: AllowedNetwork = "10.0.0.0/8".parse().expect("a network");
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(network.contains(address("10.1.2.3")));
        assert!(network.contains(address("::ffff:10.1.2.3")));
        assert!(!network.contains(address("11.0.0.1")));
        assert!(!network.contains(address("2001:db8::1")));
    }
}
