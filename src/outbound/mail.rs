//! Mail through one SMTP server, over a few connections that are kept.

mod answer;
mod compose;
mod connections;

use std::fs;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;
use url::Host;

use self::connections::{Connections, Protection, Server};
use super::texts::Text;
use super::undelivered::TIMEOUT;
use super::{Failure, Letter};
use crate::config::{self, EmailSecurity};

/// A mail server and our sender there.
pub(super) struct Mail {
    connections: Connections,
    from: Mailbox,
    /// Domain of message ids.
    host: String,
    timeout: Duration,
}

impl Mail {
    /// The configured server; `None` when there is none.
    pub(super) fn new(settings: &config::Outbound) -> Result<Option<Self>, String> {
        let email = &settings.email;
        let (Some(host), Some(from)) = (&email.host, &email.from) else {
            return Ok(None);
        };
        // Brackets around an address belong to URLs.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server = Server {
            host: host.to_owned(),
            port: email.port(),
            protection: protection(host, email)?,
            credentials: credentials(email),
            hello: hello(&settings.host),
            timeout: settings.timeout,
        };
        Ok(Some(Self {
            connections: Connections::new(server),
            from: from
                .parse()
                .map_err(|error| format!("EMAIL_FROM: {error}"))?,
            host: settings.host.clone(),
            timeout: settings.timeout,
        }))
    }

    /// Sends one letter as a mail.
    pub(super) async fn send(&self, to: &str, letter: &Letter, text: &Text) -> Result<(), Failure> {
        let mail = compose::compose(&self.from, to, letter, text, &self.host)?;
        timeout(self.timeout, self.connections.send(&mail))
            .await
            .unwrap_or_else(|_| Err(Failure::later(TIMEOUT, "no answer")))
    }
}

fn protection(host: &str, email: &config::Email) -> Result<Protection, String> {
    let plain = email.secure() == EmailSecurity::PlainOnLoopback && email.is_loopback();
    if plain {
        return Ok(Protection::None);
    }
    let tls = tls(host, email)?;
    Ok(match email.secure() {
        EmailSecurity::Tls => Protection::Tls(tls),
        EmailSecurity::StartTls | EmailSecurity::PlainOnLoopback => Protection::StartTls(tls),
    })
}

fn tls(host: &str, email: &config::Email) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &email.ca {
        let told = |error: &dyn std::fmt::Display| format!("EMAIL_CA: {}: {error}", path.display());
        let pem = fs::read(path).map_err(|error| told(&error))?;
        if !String::from_utf8_lossy(&pem).contains("BEGIN CERTIFICATE") {
            return Err(told(&"no certificate in it"));
        }
        let certificates = Certificate::from_pem(&pem).map_err(|error| told(&error))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificates);
    }
    builder
        .build()
        .map_err(|error| format!("TLS towards EMAIL_HOST: {error}"))
}

fn credentials(email: &config::Email) -> Option<Credentials> {
    let (user, password) = (email.user.clone()?, email.password.clone()?);
    Some(Credentials::new(user, password))
}

/// Client id of `EHLO`: a name, or an address in its literal form (RFC 5321, 4.1.1.1).
fn hello(host: &str) -> ClientId {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => ClientId::Ipv4(address),
        Ok(Host::Ipv6(address)) => ClientId::Ipv6(address),
        Ok(Host::Domain(name)) => ClientId::Domain(name),
        Err(_) => ClientId::Domain("localhost".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(host: &str, secure: Option<EmailSecurity>) -> config::Email {
        config::Email {
            host: Some(host.to_owned()),
            secure,
            ..config::Email::default()
        }
    }

    fn protected(host: &str, secure: Option<EmailSecurity>) -> &'static str {
        match protection(host, &email(host, secure)).expect("builds") {
            Protection::None => "none",
            Protection::StartTls(_) => "starttls",
            Protection::Tls(_) => "tls",
        }
    }

    #[test]
    fn plain_text_never_leaves_this_machine() {
        use EmailSecurity::{PlainOnLoopback, StartTls, Tls};
        for (host, secure, expected) in [
            ("mail.example.com", None, "starttls"),
            ("mail.example.com", Some(PlainOnLoopback), "starttls"),
            ("mail.example.com", Some(StartTls), "starttls"),
            ("mail.example.com", Some(Tls), "tls"),
            ("10.0.0.1", None, "starttls"),
            ("localhost", None, "none"),
            ("127.0.0.1", Some(PlainOnLoopback), "none"),
            ("::1", None, "none"),
            ("localhost", Some(StartTls), "starttls"),
            ("localhost", Some(Tls), "tls"),
        ] {
            assert_eq!(protected(host, secure), expected, "{host} {secure:?}");
        }
    }

    #[test]
    fn a_ca_that_is_none_stops_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let settings = config::Email {
            ca: Some(path.clone()),
            ..email("mail.example.com", None)
        };
        let error = tls("mail.example.com", &settings).err().expect("missing");
        assert!(error.starts_with("EMAIL_CA: "), "{error}");
        std::fs::write(&path, "hello").expect("writes");
        let error = tls("mail.example.com", &settings).err().expect("empty");
        assert!(error.contains("no certificate"), "{error}");
    }

    #[test]
    fn we_say_hello_by_name_or_literal() {
        assert_eq!(hello("id.example.com").to_string(), "id.example.com");
        assert_eq!(hello("192.0.2.7").to_string(), "[192.0.2.7]");
        assert_eq!(hello("[::1]").to_string(), "[IPv6:::1]");
    }
}
