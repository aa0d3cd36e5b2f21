//! Headers about the limits that a request was counted under: the IETF draft's `RateLimit-Policy` and `RateLimit`,
//! and the three older ones that many clients know.

use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};

use crate::core::Verdict;
use crate::http::contract::problem::Problem;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Adds the headers when any limit was asked.
pub(crate) fn describe(verdicts: &[Verdict], headers: &mut HeaderMap) {
    let latest = latest_of_each(verdicts);
    let Some(tightest) = latest.iter().min_by_key(|verdict| tightness(verdict)) else {
        return;
    };
    let (mut policy, mut state) = (String::new(), String::new());
    for (index, verdict) in latest.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let Verdict {
            policy: name,
            quota,
            window_seconds,
            remaining,
            ..
        } = verdict;
        let reset = shown_reset(verdict);
        let _ = write!(policy, "{comma}\"{name}\";q={quota};w={window_seconds}");
        let _ = write!(state, "{comma}\"{name}\";r={remaining};t={reset}");
    }
    for (name, value) in [(POLICY, policy), (STATE, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(LIMIT, tightest.quota.into());
    headers.insert(REMAINING, tightest.remaining.into());
    headers.insert(RESET, shown_reset(tightest).into());
}

/// Seconds until there is more, at most the window. Tries are counted in slices of it, so one that was made just now
/// is free again up to a slice later; `Retry-After` tells of that, and goes before (section 5.2 of the draft).
fn shown_reset(verdict: &Verdict) -> u64 {
    verdict.reset_seconds.min(verdict.window_seconds)
}

/// Adds `Retry-After` to a 429 or 503: the refusing limit's reset, or what the problem knows.
pub(crate) fn retry_after(problem: &Problem, verdicts: &[Verdict], headers: &mut HeaderMap) {
    let Some(known) = problem.retry_after else {
        return;
    };
    let refused = verdicts.iter().filter(|verdict| !verdict.allowed);
    let by_limit = refused.map(|verdict| verdict.reset_seconds).max();
    let whole = known.as_secs() + u64::from(known.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, by_limit.unwrap_or(whole).max(1).into());
}

/// A limit that was asked twice counts as it stands now.
fn latest_of_each(verdicts: &[Verdict]) -> Vec<Verdict> {
    let mut latest: Vec<Verdict> = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        match latest
            .iter_mut()
            .find(|known| known.policy == verdict.policy)
        {
            Some(known) => *known = *verdict,
            None => latest.push(*verdict),
        }
    }
    latest
}

/// Fewest left first; among equals the one that takes longest to free.
fn tightness(verdict: &Verdict) -> (bool, u32, std::cmp::Reverse<u64>) {
    let reset = std::cmp::Reverse(verdict.reset_seconds);
    (verdict.allowed, verdict.remaining, reset)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict(policy: &'static str, remaining: u32, reset_seconds: u64) -> Verdict {
        Verdict {
            policy,
            quota: 20,
            window_seconds: 900,
            remaining,
            reset_seconds,
            allowed: remaining > 0,
        }
    }

    #[test]
    fn every_policy_is_named_and_the_tightest_fills_the_older_headers() {
        let mut headers = HeaderMap::new();
        let asked = [
            verdict("login", 9, 60),
            verdict("address", 4, 30),
            verdict("login", 3, 120),
        ];
        describe(&asked, &mut headers);
        assert_eq!(
            headers[POLICY],
            "\"login\";q=20;w=900, \"address\";q=20;w=900"
        );
        assert_eq!(headers[STATE], "\"login\";r=3;t=120, \"address\";r=4;t=30");
        assert_eq!(headers[LIMIT], "20");
        assert_eq!(headers[REMAINING], "3");
        assert_eq!(headers[RESET], "120");
    }

    #[test]
    fn a_reset_is_never_later_than_the_window() {
        let mut headers = HeaderMap::new();
        describe(&[verdict("login", 0, 956)], &mut headers);
        assert_eq!(headers[POLICY], "\"login\";q=20;w=900");
        assert_eq!(headers[STATE], "\"login\";r=0;t=900");
        assert_eq!(headers[RESET], "900");
    }

    #[test]
    fn nothing_is_said_when_nothing_was_asked() {
        let mut headers = HeaderMap::new();
        describe(&[], &mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn retry_after_is_the_refusing_limits_reset_in_whole_seconds() {
        let wait = |millis: u64, verdicts: &[Verdict]| {
            let retry_after = Duration::from_millis(millis);
            let problem = Problem::from(crate::core::Error::RateLimited { retry_after });
            let mut headers = HeaderMap::new();
            super::retry_after(&problem, verdicts, &mut headers);
            headers[RETRY_AFTER].to_str().expect("text").to_owned()
        };
        assert_eq!(wait(500, &[verdict("a", 0, 77), verdict("b", 5, 99)]), "77");
        assert_eq!(wait(1500, &[verdict("b", 5, 99)]), "2");
        assert_eq!(wait(0, &[]), "1");
    }
}
