//! Letters: SMS and mails to users, as data; `texts` puts them into words.
//!
//! Letters wait in the queue as JSON, so their names in JSON stay. A code in one is wiped with it and never
//! printed.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Language;
use crate::model::{Id, Timestamp};

/// Channel of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// SMS to a number in E.164 form.
    Sms,
    /// Mail to an address.
    Email,
}

impl Channel {
    /// Label in metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

/// A letter to one user.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// Id. Its time is the letter's date, and a mail's `Message-ID` is made of it, so that a repeat can be
    /// recognised.
    pub id: Id,
    /// Channel.
    pub channel: Channel,
    /// Language.
    pub language: Language,
    /// Content.
    pub message: Message,
}

impl Letter {
    /// Time of writing, to the millisecond, read from its id.
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

/// Content of a letter.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A code that completes a login, or proves again who somebody is.
    LoginCode {
        /// The six digits.
        code: String,
        /// Validity, in minutes.
        minutes: u64,
        /// Whether its owner is logged in, and proves again who they are.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        logged_in: bool,
    },
    /// A code that proves that a number or an address is the user's own.
    EnrolmentCode {
        /// The six digits.
        code: String,
        /// Validity, in minutes.
        minutes: u64,
    },
    /// Something happened to the account that its owner should know.
    Notice(#[zeroize(skip)] Notice),
}

impl Message {
    /// Label in metrics and logs.
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

/// A notice of an event on an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The event.
    pub event: Event,
    /// Time of the event.
    pub at: Timestamp,
    /// Address of the client, if a request caused the event.
    pub ip_address: Option<String>,
    /// Name or user agent of the client's device, as the request said.
    pub device: Option<String>,
}

/// An event on an account that its owner is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A second factor was confirmed and counts from now on.
    SecondFactorAdded {
        /// The second factor.
        method: Method,
    },
    /// A second factor was removed; others are left.
    SecondFactorRemoved {
        /// The second factor.
        method: Method,
    },
    /// A second factor has failed too often in a row and takes no more codes.
    SecondFactorDisabled {
        /// The second factor.
        method: Method,
    },
    /// A refresh token was used twice, and its session ended by that.
    RefreshTokenReused,
    /// The token of a trusted device was used twice, and its trust ended by that.
    DeviceTokenReused,
    /// The last second factor was removed: the password is enough now.
    SecondFactorsOff,
    /// There is a new set of backup codes; the old one is void.
    BackupCodesRegenerated,
    /// A backup code was used, to log in or to prove again who somebody is.
    BackupCodeUsed {
        /// Number of codes that are left.
        left: u32,
    },
    /// A device skips the second factor from now on.
    DeviceTrusted {
        /// Name given by its owner.
        name: String,
    },
    /// The password was changed.
    PasswordChanged,
    /// An API key was made.
    ApiKeyCreated {
        /// Name given by its owner.
        name: String,
    },
    /// Somebody reported an API key as leaked, and it was ended.
    ApiKeyReported {
        /// Name given by its owner.
        name: String,
    },
}

impl Event {
    /// Name of its kind, as it is stored.
    #[must_use]
    pub fn kind(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(members)) => members.keys().cloned().collect(),
            _ => String::new(),
        }
    }
}

/// A second factor, as letters name it.
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
            logged_in: false,
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
            logged_in: false,
        });
        assert_eq!(letter.written_at().micros(), 1_795_174_200_123_000);
    }
}
