//! The client of a request: its address behind trusted proxies, its user agent and its language.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{ACCEPT_LANGUAGE, HeaderName, USER_AGENT};
use ipnet::IpNet;

use crate::core::Language;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 512;

/// Networks whose `X-Forwarded-For` is believed.
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    /// The rightmost hop that is not a trusted proxy, with IPv4-mapped addresses unmapped.
    ///
    /// Only what a trusted proxy appended is believed: the walk goes from the peer to the left and stops
    /// at the first address that is not trusted, or before the first entry that is not an address.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        if self.0.is_empty() {
            return nearest;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.trusts(nearest) {
                break;
            }
            match parse_hop(hop) {
                Some(address) => nearest = address,
                None => break,
            }
        }
        nearest
    }

    /// Whether the address is one of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, with or without a port, as proxies write it.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The language of the client's owner, as far as it says.
pub(crate) fn language(headers: &HeaderMap) -> Language {
    let asked = headers.get(ACCEPT_LANGUAGE);
    let asked = asked.and_then(|value| value.to_str().ok());
    asked.map_or_else(Language::default, Language::preferred)
}

/// The user agent: at most 512 bytes, without anything that could break a line of a log.
pub(crate) fn user_agent(headers: &HeaderMap) -> String {
    let Some(value) = headers.get(USER_AGENT) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut clean = String::with_capacity(text.len().min(MAX_USER_AGENT));
    for character in text.chars().filter(|character| !breaks_a_line(*character)) {
        if clean.len() + character.len_utf8() > MAX_USER_AGENT {
            break;
        }
        clean.push(character);
    }
    clean
}

fn breaks_a_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn seen(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let networks: Vec<IpNet> = trusted
            .iter()
            .map(|n| n.parse().expect("a network"))
            .collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).expect("a value"));
        }
        let peer = peer.parse().expect("an address");
        Proxies::new(&networks)
            .client_address(peer, &headers)
            .to_string()
    }

    #[test]
    fn nobody_is_believed_unless_trusted() {
        assert_eq!(seen(&[], "203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(
            seen(&["10.0.0.0/8"], "203.0.113.9", &["1.2.3.4"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn the_rightmost_untrusted_hop_counts_however_the_lines_are_split() {
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        let spoofed = "6.6.6.6, 198.51.100.7, 10.0.0.2";
        assert_eq!(seen(trusted, "10.0.0.1", &[spoofed]), "198.51.100.7");
        let lines = &["6.6.6.6", "198.51.100.7", "10.0.0.3,10.0.0.2"];
        assert_eq!(seen(trusted, "10.0.0.1", lines), "198.51.100.7");
        assert_eq!(seen(trusted, "fd00::1", &["2001:db8::5"]), "2001:db8::5");
        assert_eq!(
            seen(trusted, "10.0.0.1", &["10.0.0.9, 10.0.0.2"]),
            "10.0.0.9"
        );
        assert_eq!(seen(trusted, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn nonsense_stops_the_walk_at_the_last_trusted_hop() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(
            seen(trusted, "10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(seen(trusted, "10.0.0.1", &["1.2.3.4,"]), "10.0.0.1");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_understood() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(
            seen(trusted, "::ffff:10.0.0.1", &["198.51.100.7:4711"]),
            "198.51.100.7"
        );
        assert_eq!(
            seen(trusted, "10.0.0.1", &["[2001:db8::5]:443"]),
            "2001:db8::5"
        );
        assert_eq!(seen(trusted, "10.0.0.1", &["[2001:db8::5]"]), "2001:db8::5");
        assert_eq!(
            seen(trusted, "10.0.0.1", &["::ffff:198.51.100.7"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn a_user_agent_is_bounded_and_stays_on_its_line() {
        let agent = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_bytes(bytes).expect("a value"));
            user_agent(&headers)
        };
        assert_eq!(agent(b"curl/8\t(x)"), "curl/8(x)");
        assert_eq!(agent("a\u{2028}b\u{85}".as_bytes()), "ab");
        let long = agent("é".repeat(400).as_bytes());
        assert_eq!(long, "é".repeat(256));
        assert_eq!(user_agent(&HeaderMap::new()), "");
    }
}
