//! Forms of settings that hold an address: URLs, origins, networks.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::Form;

/// A URL with one of these schemes. Passwords in it are never shown.
pub(in crate::config) struct StoreUrl {
    pub(in crate::config) schemes: &'static [&'static str],
    pub(in crate::config) allowed: &'static str,
}

impl Form for StoreUrl {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let url = Url::parse(text).ok()?;
        let known = self.schemes.contains(&url.scheme());
        // A Unix socket has a path, or a host among the parameters.
        let somewhere = url.has_host() || url.path().len() > 1;
        (known && somewhere).then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        masked(value)
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn quote(&self, text: &str) -> String {
        masked(text)
    }
}

/// A URL without the secrets in it.
fn masked(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return "(not shown: not a URL)".to_owned();
    };
    // A colon after the scheme alone makes a URL; what follows could be anything.
    if url.cannot_be_a_base() {
        return "(not shown: not a URL)".to_owned();
    }
    if url.password().is_some() {
        let _ = url.set_password(Some("****"));
    }
    mask_parameters(&mut url);
    url.to_string()
}

fn mask_parameters(url: &mut Url) {
    let is_secret = |name: &str| name.to_ascii_lowercase().contains("pass");
    if !url.query_pairs().any(|(name, _)| is_secret(&name)) {
        return;
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut query = url.query_pairs_mut();
    query.clear();
    for (name, value) in pairs {
        let value = if is_secret(&name) { "****" } else { &value };
        query.append_pair(&name, value);
    }
}

/// `https://host` without path: where a page comes from.
pub(in crate::config) struct Origin;

impl Form for Origin {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let url = web(text)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        bare.then(|| url.origin().ascii_serialization())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "an exact origin, as in https://app.example.com".to_owned()
    }
}

/// How the world reaches the service.
pub(in crate::config) struct PublicUrl;

impl Form for PublicUrl {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let url = web(text)?;
        let plain = url.query().is_none() && url.fragment().is_none();
        plain.then(|| url.as_str().trim_end_matches('/').to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "an http:// or https:// URL without user, parameters and fragment".to_owned()
    }
}

fn web(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (web && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// A network in CIDR notation, or one address.
pub(in crate::config) struct Network;

impl Form for Network {
    type Value = IpNet;

    fn parse(&self, text: &str) -> Option<IpNet> {
        let network = text.parse::<IpNet>().map(|network| network.trunc());
        network
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .ok()
    }

    fn show(&self, value: &IpNet) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "a network or an address, as in 10.0.0.0/8 or 192.0.2.7".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_masked() {
        assert_eq!(
            masked("postgres://alice:s3cret@db:5432/app?sslmode=require"),
            "postgres://alice:****@db:5432/app?sslmode=require"
        );
        assert_eq!(
            masked("redis-sentinel://:s3cret@h:1?sentinelServiceName=m&sentinelPassword=s3cret"),
            "redis-sentinel://:****@h:1?sentinelServiceName=m&sentinelPassword=****"
        );
        for text in [
            "s3cret",
            "user:s3cret",
            "postgres:s3cret@db",
            "redis://:s3cret@",
            "",
        ] {
            assert!(!masked(text).contains("s3cret"), "{}", masked(text));
        }
    }

    #[test]
    fn origins_are_exact() {
        assert_eq!(
            Origin.parse("https://App.example.com:443/"),
            Some("https://app.example.com".to_owned())
        );
        assert_eq!(
            Origin.parse("http://localhost:3000"),
            Some("http://localhost:3000".to_owned())
        );
        for bad in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://a/b",
            "https://a?b",
            "ftp://a",
            "https://u:p@a",
            "https://*.a/x",
        ] {
            assert_eq!(Origin.parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn public_urls_lose_their_last_slash() {
        let parse = |text: &str| PublicUrl.parse(text);
        assert_eq!(
            parse("https://id.example.com/"),
            Some("https://id.example.com".to_owned())
        );
        assert_eq!(parse("https://a/b/"), Some("https://a/b".to_owned()));
        assert_eq!(parse("id.example.com"), None);
        assert_eq!(parse("https://a/?b"), None);
    }

    #[test]
    fn networks_may_be_single_addresses() {
        let show = |text: &str| Network.parse(text).map(|network| network.to_string());
        assert_eq!(show("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(show("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(show("::1").as_deref(), Some("::1/128"));
        assert_eq!(show("10.0.0.0/33"), None);
        assert_eq!(show("example.com"), None);
    }
}
