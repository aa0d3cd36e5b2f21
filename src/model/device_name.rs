//! Readable name of a client, made of its user agent: "Firefox on Linux". Shown to owners in their lists of
//! sessions and devices; nothing is decided by it.

/// Name of a client whose user agent has no known product.
const UNKNOWN: &str = "Unknown device";
/// Longest name of a product; a longer one is cut.
const MAX_PRODUCT_CHARS: usize = 32;

/// Browsers by a mark in their user agents. Most carry the marks of those that they descend from, so
/// the descendants come first.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("Safari/", "Safari"),
];

/// Systems by a mark, the more special first: Android calls itself Linux too, an iPhone "like Mac OS X".
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
];

/// Name of the device behind a user agent, safe to show: a browser and its system, or the product that the
/// client names first.
#[must_use]
pub fn device_name(user_agent: &str) -> String {
    let browser = find(BROWSERS, user_agent).filter(|_| user_agent.starts_with("Mozilla/"));
    match (browser, find(SYSTEMS, user_agent)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) if user_agent.starts_with("Mozilla/") => system.to_owned(),
        (None, _) => product(user_agent),
    }
}

fn find(table: &[(&str, &'static str)], user_agent: &str) -> Option<&'static str> {
    let entry = table.iter().find(|(mark, _)| user_agent.contains(mark));
    entry.map(|(_, name)| *name)
}

/// The first product token (RFC 9110, 10.1.5) without its version, as far as it is plain.
fn product(user_agent: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = user_agent
        .chars()
        .take_while(is_plain)
        .take(MAX_PRODUCT_CHARS)
        .collect();
    if plain.is_empty() || plain == "Mozilla" {
        UNKNOWN.to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_with_their_systems() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 16000.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/120.0",
                "Opera on ChromeOS",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15",
                "iPad",
            ),
        ] {
            assert_eq!(device_name(user_agent), name, "{user_agent}");
        }
    }

    #[test]
    fn other_clients_are_called_what_they_call_themselves() {
        for (user_agent, name) in [
            ("curl/8.14.1", "curl"),
            ("PostmanRuntime/7.45.0", "PostmanRuntime"),
            ("python-requests/2.32", "python-requests"),
            ("okhttp/5.0.0 (Linux; Android 15)", "okhttp"),
            ("", UNKNOWN),
            ("Mozilla/5.0", UNKNOWN),
            ("<script>alert(1)</script>", UNKNOWN),
        ] {
            assert_eq!(device_name(user_agent), name, "{user_agent}");
        }
        assert_eq!(device_name(&"x".repeat(500)).len(), MAX_PRODUCT_CHARS);
    }
}
