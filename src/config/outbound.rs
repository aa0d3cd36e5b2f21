//! Settings of what leaves the house: SMS through Twilio, mail through SMTP.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Shown in place of a secret.
const MASK: &str = "****";

/// What leaves the house.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Host of `PUBLIC_URL`: the origin that codes are bound to, and the domain of message ids.
    pub host: String,
    /// Channels that are not configured end in a local outbox. Only `sallyport dev` sets this.
    pub local_outbox: bool,
    /// `DELIVERY_TIMEOUT`: one hand-over to a provider, from connecting to its answer.
    pub timeout: Duration,
    /// SMS.
    pub sms: Sms,
    /// Mail.
    pub email: Email,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            local_outbox: false,
            timeout: Duration::from_secs(15),
            sms: Sms::default(),
            email: Email::default(),
        }
    }
}

/// Twilio's account, or one at something that speaks like Twilio. Configured when all three are given.
#[derive(Clone)]
pub struct Sms {
    /// `TWILIO_ACCOUNT_SID`: `AC` and 32 hexadecimal digits.
    pub account_sid: Option<String>,
    /// `TWILIO_AUTH_TOKEN`.
    pub auth_token: Option<String>,
    /// `TWILIO_PHONE_NUMBER` that messages come from: E.164, or a short code.
    pub phone_number: Option<String>,
    /// `TWILIO_BASE_URL`, without a slash at the end.
    pub base_url: String,
}

impl Default for Sms {
    fn default() -> Self {
        Self {
            account_sid: None,
            auth_token: None,
            phone_number: None,
            base_url: "https://api.twilio.com".to_owned(),
        }
    }
}

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms")
            .field("account_sid", &self.account_sid)
            .field("auth_token", &self.auth_token.as_ref().map(|_| MASK))
            .field("phone_number", &self.phone_number)
            .field("base_url", &self.base_url)
            .finish()
    }
}

/// The SMTP server that takes our mail. Configured when host and sender are given.
#[derive(Clone, Default)]
pub struct Email {
    /// `EMAIL_HOST`: name or address.
    pub host: Option<String>,
    /// `EMAIL_PORT`; see [`Email::port`].
    pub port: Option<u16>,
    /// `EMAIL_SECURE`; see [`Email::secure`].
    pub secure: Option<EmailSecurity>,
    /// `EMAIL_USER`.
    pub user: Option<String>,
    /// `EMAIL_PASSWORD`.
    pub password: Option<String>,
    /// `EMAIL_FROM`: a mailbox, as in `Example <no-reply@example.com>`.
    pub from: Option<String>,
    /// `EMAIL_CA`: PEM file; certificates are then judged by it and not by those of the system.
    pub ca: Option<PathBuf>,
}

/// How mail is protected on its way to the server (`EMAIL_SECURE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailSecurity {
    /// `on`: TLS from the first byte (RFC 8314, "implicit TLS").
    Tls,
    /// `starttls`: STARTTLS (RFC 3207) or nothing.
    StartTls,
    /// `off`: as `starttls`, but a server on this machine is spoken to in plain text.
    PlainOnLoopback,
}

/// The port of "submissions", where TLS begins with the first byte (RFC 8314).
pub(super) const SUBMISSIONS: u16 = 465;
/// The port of "submission" (RFC 6409).
const SUBMISSION: u16 = 587;

impl Email {
    /// `EMAIL_PORT`, else 465 or 587 as `EMAIL_SECURE` says.
    #[must_use]
    pub fn port(&self) -> u16 {
        match (self.port, self.secure) {
            (Some(port), _) => port,
            (None, Some(EmailSecurity::Tls)) => SUBMISSIONS,
            (None, _) => SUBMISSION,
        }
    }

    /// `EMAIL_SECURE`, else `on` for port 465 and `off` for any other.
    #[must_use]
    pub fn secure(&self) -> EmailSecurity {
        match (self.secure, self.port) {
            (Some(secure), _) => secure,
            (None, Some(SUBMISSIONS)) => EmailSecurity::Tls,
            (None, _) => EmailSecurity::PlainOnLoopback,
        }
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.as_deref().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
        address || host.eq_ignore_ascii_case("localhost")
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("secure", &self.secure)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| MASK))
            .field("from", &self.from)
            .field("ca", &self.ca)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: Option<u16>, secure: Option<EmailSecurity>) -> (u16, EmailSecurity) {
        let email = Email {
            port,
            secure,
            ..Email::default()
        };
        (email.port(), email.secure())
    }

    #[test]
    fn port_and_security_follow_from_each_other() {
        use EmailSecurity::{PlainOnLoopback, StartTls, Tls};
        assert_eq!(at(None, None), (587, PlainOnLoopback));
        assert_eq!(at(None, Some(Tls)), (465, Tls));
        assert_eq!(at(None, Some(StartTls)), (587, StartTls));
        assert_eq!(at(Some(465), None), (465, Tls));
        assert_eq!(at(Some(25), None), (25, PlainOnLoopback));
        assert_eq!(at(Some(2465), Some(Tls)), (2465, Tls));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |host: &str| {
            let host = Some(host.to_owned());
            Email {
                host,
                ..Email::default()
            }
            .is_loopback()
        };
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "10.0.0.1",
            "::2",
            "mail",
            "127.0.0.1.example.com",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
