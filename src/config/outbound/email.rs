//! Settings of mail: the SMTP server that takes it.

use std::net::IpAddr;
use std::path::PathBuf;

use super::complete;
use crate::config::Problem;
use crate::config::form::{Choice, HOST_NAME, Hidden, Location, Maybe, NAME, Number, Text};
use crate::config::setting::settings;

settings! {
    /// Mail through SMTP.
    pub struct Email = config.outbound.email {
        /// A known provider, in place of `EMAIL_HOST`. `gmail`: smtp.gmail.com with TLS at port 465 (587 with
        /// `EMAIL_SECURE=starttls`); mail comes from `EMAIL_USER` where `EMAIL_FROM` is not given.
        service: Option<EmailService> = None, "EMAIL_SERVICE", Maybe(EMAIL_SERVICE);
        /// SMTP server; with `EMAIL_FROM` mail is a second factor.
        host: Option<String> = None, "EMAIL_HOST", Maybe(HOST_NAME);
        /// Port of `EMAIL_HOST`; 587 when not given, 465 with `EMAIL_SECURE=on`.
        port: Option<u16> = None, "EMAIL_PORT", Maybe(Number(1..=65_535));
        /// Protection of mail on its way. `on`: TLS from the first byte. `starttls`: STARTTLS or nothing. `off`: the
        /// same, but plain text to a server on this machine. When not given, `on` for port 465 and `off` for others.
        secure: Option<EmailSecurity> = None, "EMAIL_SECURE", Maybe(EMAIL_SECURE);
        /// User at `EMAIL_HOST`, when it wants one.
        user: Option<String> = None, "EMAIL_USER", Maybe(NAME);
        /// Password of `EMAIL_USER`.
        password: Option<String> = None, "EMAIL_PASSWORD", Maybe(Hidden);
        /// Mailbox that mail comes from.
        from: Option<String> = None, "EMAIL_FROM", Maybe(MAILBOX);
        /// PEM file that `EMAIL_HOST`'s certificate is judged by, in place of the system's.
        ca: Option<PathBuf> = None, "EMAIL_CA", Maybe(Location);
    }
}

/// A provider of mail whose server is known (`EMAIL_SERVICE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailService {
    /// Gmail and Google Workspace.
    Gmail,
}

const EMAIL_SERVICE: Choice<EmailService> = Choice(&[("gmail", EmailService::Gmail)]);

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

const EMAIL_SECURE: Choice<EmailSecurity> = Choice(&[
    ("on", EmailSecurity::Tls),
    ("true", EmailSecurity::Tls),
    ("starttls", EmailSecurity::StartTls),
    ("off", EmailSecurity::PlainOnLoopback),
    ("false", EmailSecurity::PlainOnLoopback),
]);

const MAILBOX: Text = Text {
    accepts: |text| {
        text.len() <= 320
            && !text.chars().any(char::is_control)
            && text.parse::<lettre::message::Mailbox>().is_ok()
    },
    allowed: "an address, as in no-reply@example.com or Example <no-reply@example.com>",
};

/// The port of "submissions", where TLS begins with the first byte (RFC 8314).
const SUBMISSIONS: u16 = 465;
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

/// Fills in what `EMAIL_SERVICE` says, where nothing else was given.
pub(super) fn note_service(email: &mut Email, problems: &mut Vec<Problem>) {
    let Some(EmailService::Gmail) = email.service else {
        return;
    };
    if email.host.is_some() {
        let advice = "give EMAIL_SERVICE or EMAIL_HOST, not both";
        problems.push(Problem::new("EMAIL_SERVICE", advice));
        return;
    }
    email.host = Some("smtp.gmail.com".to_owned());
    if email.port.is_none() && email.secure.is_none() {
        email.secure = Some(EmailSecurity::Tls);
    }
    if email.from.is_none() {
        email.from = email.user.clone().filter(|user| (MAILBOX.accepts)(user));
    }
}

/// Server and sender belong together, user and password do, and port 465 speaks TLS.
pub(super) fn check(email: &Email, problems: &mut Vec<Problem>) {
    let server = [
        ("EMAIL_HOST", email.host.is_some()),
        ("EMAIL_FROM", email.from.is_some()),
    ];
    let account = [
        ("EMAIL_USER", email.user.is_some()),
        ("EMAIL_PASSWORD", email.password.is_some()),
    ];
    complete(&[server, account].concat(), &server, problems);
    complete(&account, &account, problems);
    let plain_first = email
        .secure
        .is_some_and(|secure| secure != EmailSecurity::Tls);
    if email.port == Some(SUBMISSIONS) && plain_first {
        let advice =
            "port 465 speaks TLS from the first byte; say EMAIL_SECURE=on, or EMAIL_PORT=587";
        problems.push(Problem::new("EMAIL_SECURE", advice));
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
