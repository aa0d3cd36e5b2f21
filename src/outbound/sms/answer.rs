//! Meaning of Twilio's answers (<https://www.twilio.com/docs/api/errors>).

use std::time::Duration;

use serde::Deserialize;

use super::super::Failure;
use super::super::undelivered::{
    MISCONFIGURED, PROVIDER_BUSY, PROVIDER_FAILED, Refusal, UNEXPECTED_ANSWER, Undelivered,
};

/// Longest pause that the provider is granted.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Body of an accepted SMS.
#[derive(Deserialize)]
struct Taken {
    sid: String,
}

/// Twilio's error body. Its `message` is left out: it repeats the number.
#[derive(Deserialize)]
struct Error {
    code: u32,
}

/// Codes of a recipient's number that is invalid or takes no SMS.
const INVALID_NUMBER: [u32; 2] = [21211, 21614];
/// Code of a recipient who answered STOP.
const OPTED_OUT: u32 = 21610;
/// Code of too many requests.
const TOO_MANY: u32 = 20429;
/// Codes of a wrong configuration: not authenticated, account not active, not found, and senders that are not ours.
const OURS: [u32; 8] = [20003, 20005, 20404, 21212, 21603, 21606, 21659, 21660];

/// Judges an answer by status and body; only Twilio's own codes about the SMS refuse it for good.
pub(super) fn judge(status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<(), Failure> {
    let error = serde_json::from_slice::<Error>(body).ok();
    let code = error.map(|error| error.code);
    let detail = match code {
        Some(code) => format!("status {status}, error {code}"),
        None => format!("status {status}"),
    };
    let later = |reason| {
        let retry_after = retry_after.and_then(pause);
        Err(Failure::new(
            Undelivered::Later {
                retry_after,
                reason,
            },
            detail.clone(),
        ))
    };
    let refused = |refusal| Err(Failure::refused(refusal, detail.clone()));
    match (status, code) {
        (201, _) => Ok(()),
        (200..=299, _) if is_taken(body) => Ok(()),
        (_, Some(TOO_MANY)) | (408 | 429, _) => later(PROVIDER_BUSY),
        (500..=599, _) => later(PROVIDER_FAILED),
        (_, Some(code)) if OURS.contains(&code) => later(MISCONFIGURED),
        (401 | 403 | 404 | 407, _) => later(MISCONFIGURED),
        (400..=499, Some(OPTED_OUT)) => refused(Refusal::OptedOut),
        (400..=499, Some(code)) if INVALID_NUMBER.contains(&code) => {
            refused(Refusal::InvalidAddress)
        }
        (400..=499, Some(_)) => refused(Refusal::Rejected),
        _ => later(UNEXPECTED_ANSWER),
    }
}

fn is_taken(body: &[u8]) -> bool {
    serde_json::from_slice::<Taken>(body).is_ok_and(|taken| !taken.sid.is_empty())
}

/// `Retry-After` in seconds; Twilio writes no dates.
fn pause(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u32) -> Vec<u8> {
        let more_info = format!("https://www.twilio.com/docs/errors/{code}");
        let body = serde_json::json!({
            "code": code, "message": "The 'To' number +15551234567 …", "more_info": more_info, "status": 400,
        });
        body.to_string().into_bytes()
    }

    fn label(status: u16, body: &[u8]) -> &'static str {
        judge(status, None, body).map_or_else(|failure| failure.why.label(), |()| "taken")
    }

    #[test]
    fn every_answer_has_a_meaning() {
        for (status, body, meaning) in [
            (201, &br#"{"sid":"SM1","status":"queued"}"#[..], "taken"),
            (201, b"", "taken"),
            (200, br#"{"sid":"SM1"}"#, "taken"),
            (200, b"<html>Welcome to our Wi-Fi</html>", UNEXPECTED_ANSWER),
            (204, b"", UNEXPECTED_ANSWER),
            (302, b"", UNEXPECTED_ANSWER),
            (401, &error(20003), MISCONFIGURED),
            (401, b"", MISCONFIGURED),
            (404, &error(20404), MISCONFIGURED),
            (400, &error(21606), MISCONFIGURED),
            (400, &error(21211), "invalid_address"),
            (400, &error(21614), "invalid_address"),
            (400, &error(21610), "opted_out"),
            (400, &error(21408), "rejected"),
            (400, &error(99999), "rejected"),
            (400, b"<html>bad gateway of ours</html>", UNEXPECTED_ANSWER),
            (429, &error(20429), PROVIDER_BUSY),
            (429, b"", PROVIDER_BUSY),
            (400, &error(20429), PROVIDER_BUSY),
            (500, &error(20500), PROVIDER_FAILED),
            (503, b"garbage", PROVIDER_FAILED),
            (500, &error(21211), PROVIDER_FAILED),
        ] {
            let text = String::from_utf8_lossy(body);
            assert_eq!(label(status, body), meaning, "{status} {text}");
        }
    }

    #[test]
    fn a_wish_for_a_pause_is_granted_within_reason() {
        for (wish, granted) in [
            (Some("7"), Some(7)),
            (Some(" 7 "), Some(7)),
            (Some("86400"), Some(3600)),
            (Some("-1"), None),
            (Some("Fri, 20 Nov 2026 14:30:00 GMT"), None),
            (None, None),
        ] {
            let failure = judge(429, wish, b"").expect_err("busy");
            let retry_after = granted.map(Duration::from_secs);
            let reason = PROVIDER_BUSY;
            assert_eq!(
                failure.why,
                Undelivered::Later {
                    retry_after,
                    reason
                }
            );
        }
    }

    #[test]
    fn the_log_learns_no_number() {
        let failure = judge(400, None, &error(21211)).expect_err("refused");
        assert_eq!(failure.detail, "status 400, error 21211");
    }
}
