//! Content negotiation: whether a client would rather have a page or JSON.

/// Whether `Accept` (RFC 9110, 12.5.1) wants HTML more than JSON. A client that takes anything gets JSON.
pub(crate) fn prefers_a_page(accept: &str) -> bool {
    quality(accept, "text/html") > quality(accept, "application/json")
}

/// The weight of a media type for the client, in thousandths: by its own name, or its group's, or any.
fn quality(accept: &str, wanted: &str) -> u16 {
    let group = wanted.split_once('/').map_or(wanted, |(group, _)| group);
    let rank = |range: &str| match range.split_once('/') {
        _ if range == wanted => 3,
        Some((named, "*")) if named == group => 2,
        Some(("*", "*")) => 1,
        _ => 0,
    };
    let ranges = weighted(accept).map(|(range, weight)| (rank(&range), weight));
    let nearest = ranges.filter(|(rank, _)| *rank > 0).max();
    nearest.map_or(0, |(_, weight)| weight)
}

/// The members of a list with weights, in lower case, and their weights in thousandths.
pub(crate) fn weighted(list: &str) -> impl Iterator<Item = (String, u16)> {
    list.split(',').map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        (name, weight.map_or(1000, thousandths))
    })
}

/// `0.8` is 800. A text that is no weight counts as 0.
fn thousandths(weight: &str) -> u16 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let part = format!("{part:0<3}");
    match (whole, part.len(), part.parse()) {
        ("1", ..) => 1000,
        ("0", 3, Ok(part)) => part,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "application/json;q=0.5, TEXT/HTML ; q=0.9",
            "text/*",
        ] {
            assert!(prefers_a_page(browser), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=0, */*;q=0.1",
            "text/html;q=2",
            "text/html;q=0.12345, application/json;q=0.1",
        ] {
            assert!(!prefers_a_page(program), "{program}");
        }
    }
}
