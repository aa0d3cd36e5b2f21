//! Delivery of letters (SMS and mail) to providers.
//!
//! This module knows providers and texts, and no accounts. It gives one letter to one provider, once, and returns
//! whether another try makes sense; the queue that calls it keeps letters over restarts, tries again, and writes
//! the audit entry. In dev mode, letters for channels without a provider stay in a [`LocalOutbox`].
//!
//! A provider's answer can get lost after it accepted a letter. The result is [`Undelivered::Later`] then, so a
//! repeat may be a second copy of the same letter: the same code, and for mails the same `Message-ID`.

mod language;
mod letter;
mod local_outbox;
mod mail;
mod sms;
mod texts;
pub mod undelivered;

pub use language::Language;
pub use letter::{Channel, Event, Letter, Message, Method, Notice};
pub use local_outbox::{Delivered, LocalOutbox};
pub use undelivered::{Refusal, Undelivered};

use self::mail::Mail;
use self::sms::Sms;
use self::undelivered::{MISCONFIGURED, NOT_CONFIGURED};
use crate::clock::Stopwatch;
use crate::config;
use crate::telemetry::names;

/// The providers of all channels. Share one behind an `Arc`; it keeps connections.
pub struct Outbound {
    sms: Option<Sms>,
    mail: Option<Mail>,
    outbox: Option<LocalOutbox>,
    /// Host name of the service, shown in letters.
    host: String,
}

impl Outbound {
    /// Prepares what is configured; no connection is made yet.
    ///
    /// # Errors
    /// The setting that cannot be used, `EMAIL_CA` or the system's CA certificates among them.
    pub fn new(settings: &config::Outbound) -> Result<Self, String> {
        Ok(Self {
            sms: Sms::new(settings)?,
            mail: Mail::new(settings)?,
            outbox: settings.local_outbox.then(LocalOutbox::default),
            host: settings.host.clone(),
        })
    }

    /// Whether letters of this channel can be delivered: to a provider, or to the local outbox.
    #[must_use]
    pub fn reaches(&self, channel: Channel) -> bool {
        let is_configured = match channel {
            Channel::Sms => self.sms.is_some(),
            Channel::Email => self.mail.is_some(),
        };
        is_configured || self.outbox.is_some()
    }

    /// The outbox of dev mode.
    #[must_use]
    pub fn outbox(&self) -> Option<&LocalOutbox> {
        self.outbox.as_ref()
    }

    /// Delivers `letter` to the provider of its channel; `to` is a number in E.164 form or a mail address. Ends
    /// within `DELIVERY_TIMEOUT` and two seconds more.
    ///
    /// # Errors
    /// The reason, and whether to try again.
    pub async fn deliver(&self, to: &str, letter: &Letter) -> Result<(), Undelivered> {
        let watch = Stopwatch::start();
        let outcome = self.send(to, letter).await;
        let channel = letter.channel.label();
        metrics::histogram!(names::PROVIDER_SECONDS, "channel" => channel).record(watch.seconds());
        let label = match &outcome {
            Ok(()) => "delivered",
            Err(failure) => failure.why.label(),
        };
        metrics::counter!(names::PROVIDER_ANSWERS, "channel" => channel, "answer" => label)
            .increment(1);
        outcome.map_err(|failure| {
            failure.log(letter);
            failure.why
        })
    }

    async fn send(&self, to: &str, letter: &Letter) -> Result<(), Failure> {
        let text = texts::write(letter, &self.host);
        match (letter.channel, &self.sms, &self.mail, &self.outbox) {
            (Channel::Sms, Some(sms), _, _) => sms.send(to, &text.body).await,
            (Channel::Email, _, Some(mail), _) => mail.send(to, letter, &text).await,
            (_, _, _, Some(outbox)) => {
                outbox.take(to, letter, &text);
                Ok(())
            }
            _ => Err(Failure::later(NOT_CONFIGURED, "no provider")),
        }
    }
}

/// A failed delivery: the reason for the caller, and a detail for the log (no address, no number, no code).
#[derive(Debug)]
struct Failure {
    why: Undelivered,
    detail: String,
}

impl Failure {
    fn new(why: Undelivered, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { why, detail }
    }

    fn refused(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self::new(Undelivered::Refused(refusal), detail)
    }

    fn later(reason: &'static str, detail: impl Into<String>) -> Self {
        let retry_after = None;
        Self::new(
            Undelivered::Later {
                retry_after,
                reason,
            },
            detail,
        )
    }

    fn log(&self, letter: &Letter) {
        let (channel, kind) = (letter.channel.label(), letter.message.label());
        let (outcome, detail) = (self.why.label(), self.detail.as_str());
        match self.why {
            Undelivered::Refused(_) => {
                tracing::info!(letter = %letter.id, channel, kind, outcome, detail, "letter refused");
            }
            Undelivered::Later { reason, .. } if reason == MISCONFIGURED => tracing::error!(
                letter = %letter.id, channel, kind, outcome, detail,
                "the provider refuses us: check the settings of this channel"
            ),
            Undelivered::Later { .. } => {
                tracing::warn!(letter = %letter.id, channel, kind, outcome, detail, "letter not delivered");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Timestamp};

    fn letter(number: u8, channel: Channel) -> Letter {
        Letter {
            id: Id::new(Timestamp::from_micros(1_795_174_200_000_000), [number; 10]),
            channel,
            language: Language::English,
            message: Message::LoginCode {
                code: format!("{number:06}"),
                minutes: 5,
                logged_in: false,
            },
        }
    }

    fn with_outbox() -> Outbound {
        let settings = config::Outbound {
            local_outbox: true,
            ..config::Outbound::default()
        };
        Outbound::new(&settings).expect("builds")
    }

    #[tokio::test]
    async fn the_local_outbox_keeps_the_newest_letters_first() {
        let outbound = with_outbox();
        for number in 0..=u8::MAX {
            let letter = letter(number, Channel::Sms);
            outbound
                .deliver("+15551234567", &letter)
                .await
                .expect("kept");
        }
        let letters = outbound.outbox().expect("an outbox").letters();
        assert_eq!(letters.len(), LocalOutbox::CAPACITY);
        let text = |at: usize| letters[at].text.lines().next_back().map(str::to_owned);
        assert_eq!(text(0).as_deref(), Some("@localhost #000255"));
        assert_eq!(text(199).as_deref(), Some("@localhost #000056"));
    }

    #[tokio::test]
    async fn the_local_outbox_shows_mails_as_json() {
        let outbound = with_outbox();
        let letter = letter(7, Channel::Email);
        outbound
            .deliver("alice@example.com", &letter)
            .await
            .expect("kept");
        let letters = outbound.outbox().expect("an outbox").letters();
        let json = serde_json::to_string_pretty(&letters).expect("serializes");
        insta::assert_snapshot!(json, @r#"
        [
          {
            "id": "01a1f8b8-72c0-7707-8707-070707070707",
            "channel": "email",
            "to": "alice@example.com",
            "subject": "Your login code for localhost",
            "text": "Your login code for localhost is:\n\n    000007\n\nIt is valid for 5 minutes and works once. Never tell it to anyone, not even to us.\n\nIf you are not logging in right now, somebody knows your password: change it.\n",
            "at": "2026-11-20T11:30:00Z"
          }
        ]
        "#);
    }

    #[tokio::test]
    async fn without_a_provider_nothing_is_reached() {
        let outbound = Outbound::new(&config::Outbound::default()).expect("builds");
        for channel in [Channel::Sms, Channel::Email] {
            assert!(!outbound.reaches(channel));
            assert!(with_outbox().reaches(channel));
            let refused = outbound
                .deliver("alice@example.com", &letter(1, channel))
                .await;
            assert_eq!(refused.map_err(Undelivered::label), Err(NOT_CONFIGURED));
        }
        assert!(outbound.outbox().is_none());
    }
}
