//! Meaning of an SMTP server's answers (RFC 5321, 4.2; RFC 3463).

use std::error::Error as _;

use lettre::transport::smtp::Error;

use super::super::Failure;
use super::super::undelivered::{
    MISCONFIGURED, PROVIDER_BUSY, Refusal, UNEXPECTED_ANSWER, UNREACHABLE,
};

/// Stage of the SMTP session that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Greeting, TLS, log-in: an answer there is not about the letter.
    Opening,
    /// From `MAIL` to the end of `DATA`.
    Letter,
}

/// Codes that ask for a log-in, a better one, or TLS (RFC 4954, RFC 3207).
const ACCESS: [u16; 4] = [530, 534, 535, 538];
/// Codes of a mailbox that does not exist (RFC 5321, 4.2.3).
const NO_MAILBOX: [u16; 3] = [550, 551, 553];

/// The failure behind an error of the SMTP client. Its detail has codes and our own words: a server's text can
/// name the recipient.
pub(super) fn judge(stage: Stage, error: &Error) -> Failure {
    if let Some(code) = error.status() {
        let code = code.to_string().parse().unwrap_or(0);
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        return judge_reply(stage, code, &text);
    }
    if error.is_client() {
        // STARTTLS or a way to log in is not offered; for a letter, an address that the server cannot take.
        return match stage {
            Stage::Opening => Failure::later(MISCONFIGURED, error.to_string()),
            Stage::Letter => Failure::refused(Refusal::InvalidAddress, "needs SMTPUTF8"),
        };
    }
    if error.is_tls() {
        return Failure::later(MISCONFIGURED, error.to_string());
    }
    if error.is_response() {
        return Failure::later(UNEXPECTED_ANSWER, "not an SMTP reply");
    }
    Failure::later(UNREACHABLE, error.to_string())
}

fn judge_reply(stage: Stage, code: u16, text: &str) -> Failure {
    let detail = format!("reply {code}");
    match (stage, code) {
        (_, 400..=499) => Failure::later(PROVIDER_BUSY, detail),
        (Stage::Opening, _) => Failure::later(MISCONFIGURED, detail),
        (Stage::Letter, _) if ACCESS.contains(&code) => Failure::later(MISCONFIGURED, detail),
        (Stage::Letter, _) if is_no_mailbox(code, text) => {
            Failure::refused(Refusal::InvalidAddress, detail)
        }
        (Stage::Letter, _) => Failure::refused(Refusal::Rejected, detail),
    }
}

/// Whether an answer means that the mailbox does not exist. An enhanced code decides, where there is one: 550 is
/// also the answer to spam.
fn is_no_mailbox(code: u16, text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    match first.strip_prefix("5.") {
        Some(rest) => rest.starts_with("1."),
        None => NO_MAILBOX.contains(&code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_about_the_letter_only_while_one_is_handed_over() {
        use Stage::{Letter, Opening};
        for (stage, code, text, meaning) in [
            (Opening, 421, "4.3.2 shutting down", PROVIDER_BUSY),
            (Opening, 454, "4.7.0 TLS not available", PROVIDER_BUSY),
            (Opening, 535, "5.7.8 authentication failed", MISCONFIGURED),
            (Opening, 554, "5.7.1 you are blocked", MISCONFIGURED),
            (Letter, 421, "", PROVIDER_BUSY),
            (Letter, 450, "4.2.0 greylisted", PROVIDER_BUSY),
            (Letter, 452, "4.2.2 mailbox full", PROVIDER_BUSY),
            (Letter, 530, "5.7.0 authentication required", MISCONFIGURED),
            (Letter, 550, "5.1.1 no such user", "invalid_address"),
            (Letter, 550, "no such user here", "invalid_address"),
            (Letter, 553, "", "invalid_address"),
            (Letter, 554, "5.1.2 no such domain", "invalid_address"),
            (Letter, 550, "5.7.1 looks like spam", "rejected"),
            (Letter, 552, "5.2.2 mailbox full", "rejected"),
            (Letter, 554, "transaction failed", "rejected"),
        ] {
            let failure = judge_reply(stage, code, text);
            assert_eq!(failure.why.label(), meaning, "{stage:?} {code} {text}");
            assert_eq!(failure.detail, format!("reply {code}"));
        }
    }
}
