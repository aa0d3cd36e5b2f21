//! What is told to whom: a letter says what happened, not how that is put into words.
//!
//! Letters wait in the queue as JSON, so their names in JSON stay. A code in one is wiped with it and never
//! printed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Language;
use crate::model::{Id, Timestamp};

/// A way to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// To a number in E.164 form.
    Sms,
    /// To a mail address.
    Email,
}

impl Channel {
    /// For metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

/// One message to one person.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// A `UUIDv7`; its time is the letter's date, and a mail's `Message-ID` is made of it, so that a repeat
    /// can be recognised.
    pub id: Id,
    /// Which way it goes.
    pub channel: Channel,
    /// What it is written in.
    pub language: Language,
    /// What it tells.
    pub message: Message,
}

impl Letter {
    /// When it was written, to the millisecond: what its id says.
    #[must_use]
    pub fn written_at(&self) -> Timestamp {
        let unix = self.id.uuid().get_timestamp().map(|time| time.to_unix());
        let micros = unix.and_then(|(seconds, nanos)| {
            let seconds = i64::try_from(seconds).ok()?;
            seconds
                .checked_mul(1_000_000)?
                .checked_add(i64::from(nanos / 1000))
        });
        Timestamp::from_micros(micros.unwrap_or(0))
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// What a letter tells.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A code that completes a login.
    LoginCode {
        /// As it is typed.
        code: String,
        /// How long it is valid.
        minutes: u64,
    },
    /// A code that proves a number or an address to be the person's own.
    EnrolmentCode {
        /// As it is typed.
        code: String,
        /// How long it is valid.
        minutes: u64,
    },
    /// Something happened to the account that its owner should know.
    Notice(#[zeroize(skip)] Notice),
}

impl Message {
    /// For metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::LoginCode { .. } => "login_code",
            Self::EnrolmentCode { .. } => "enrolment_code",
            Self::Notice(_) => "notice",
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// From which address, if a request did it.
    pub ip_address: Option<String>,
    /// With what, as the request told: a device's name or its user agent.
    pub device: Option<String>,
}

/// What can happen to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A second factor was confirmed and counts from now on.
    SecondFactorAdded {
        /// Which.
        method: Method,
    },
    /// A second factor was removed; others are left.
    SecondFactorRemoved {
        /// Which.
        method: Method,
    },
    /// A second factor has failed too often in a row and takes no more codes.
    SecondFactorDisabled {
        /// Which.
        method: Method,
    },
    /// The last second factor was removed: the password is enough now.
    SecondFactorsOff,
    /// There is a new set of backup codes; the old one is void.
    BackupCodesRegenerated,
    /// A backup code was used to log in.
    BackupCodeUsed {
        /// How many are left.
        left: u32,
    },
    /// A device skips the second factor from now on.
    DeviceTrusted {
        /// What its owner calls it.
        name: String,
    },
    /// The password was changed.
    PasswordChanged,
}

/// A second factor, as a person knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// An authenticator app.
    Totp,
    /// Codes by SMS.
    Sms,
    /// Codes by mail.
    Email,
    /// Backup codes.
    BackupCodes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(message: Message) -> Letter {
        Letter {
            id: Id::new(Timestamp::from_micros(1_795_174_200_123_456), [7; 10]),
            channel: Channel::Sms,
            language: Language::German,
            message,
        }
    }

    #[test]
    fn a_letter_survives_the_queue_under_names_that_stay() {
        let code = Message::LoginCode {
            code: "123456".to_owned(),
            minutes: 5,
        };
        let json = serde_json::to_string(&letter(code)).expect("serializes");
        insta::assert_snapshot!(json, @r#"{"id":"01a1f8b8-733b-7707-8707-070707070707","channel":"sms","language":"de","message":{"login_code":{"code":"123456","minutes":5}}}"#);
        let notice = Message::Notice(Notice {
            event: Event::SecondFactorAdded {
                method: Method::Totp,
            },
            at: Timestamp::from_micros(1_795_174_200_123_456),
            ip_address: None,
            device: Some("Firefox".to_owned()),
        });
        let json = serde_json::to_string(&letter(notice)).expect("serializes");
        insta::assert_snapshot!(json, @r#"{"id":"01a1f8b8-733b-7707-8707-070707070707","channel":"sms","language":"de","message":{"notice":{"event":{"second_factor_added":{"method":"totp"}},"at":"2026-11-20T11:30:00.123456Z","ip_address":null,"device":"Firefox"}}}"#);
        let back: Letter = serde_json::from_str(&json).expect("parses");
        assert_eq!(serde_json::to_string(&back).expect("serializes"), json);
    }

    #[test]
    fn a_code_is_not_printed() {
        let code = "123456".to_owned();
        let letter = letter(Message::EnrolmentCode { code, minutes: 5 });
        assert!(!format!("{letter:?}").contains("123456"));
    }

    #[test]
    fn a_letter_is_as_old_as_its_id() {
        let letter = letter(Message::LoginCode {
            code: String::new(),
            minutes: 1,
        });
        assert_eq!(letter.written_at().micros(), 1_795_174_200_123_000);
    }
}
