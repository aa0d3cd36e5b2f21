//! Letters put into words. The words of each language are in a file of its own.
//!
//! A code by SMS ends with a line that binds it to our origin, so that phones offer it on our pages alone
//! (<https://wicg.github.io/sms-one-time-codes/>). Subjects never hold a code: locked screens show them.

mod english;
mod german;

use time::OffsetDateTime;
use time::macros::format_description;
use zeroize::Zeroizing;

use super::{Channel, Event, Language, Letter, Message, Notice};
use crate::model::Timestamp;

/// Text of a letter.
pub(super) struct Text {
    /// Subject, of mails alone.
    pub(super) subject: Option<String>,
    /// Body. Lines end with `\n`.
    pub(super) body: Zeroizing<String>,
}

/// Purpose of a code.
#[derive(Clone, Copy)]
enum Purpose {
    Login,
    Reauthentication,
    Enrolment,
}

/// Texts of one language.
trait Words {
    /// The line of an SMS before the one that binds the code.
    fn code_sms(&self, purpose: Purpose, code: &str, minutes: u64) -> String;
    /// Subject of a mail with a code.
    fn code_subject(&self, purpose: Purpose, host: &str) -> String;
    /// A mail with a code.
    fn code_mail(&self, purpose: Purpose, code: &str, minutes: u64, host: &str) -> String;
    /// A sentence about an event, with no more details than an SMS may have.
    fn happened(&self, event: &Event) -> String;
    /// Subject of a mail about an event.
    fn notice_subject(&self, host: &str) -> String;
    /// An SMS about an event.
    fn notice_sms(&self, happened: &str, host: &str) -> String;
    /// A mail about an event.
    fn notice_mail(&self, happened: &str, event: &Event, about: &[String], host: &str) -> String;
    /// Names of time, address, device, trusted device and API key, before a colon.
    fn labels(&self) -> [&'static str; 5];
}

/// Writes the text of `letter`; `host` is the host name of the service.
pub(super) fn write(letter: &Letter, host: &str) -> Text {
    let words: &dyn Words = match letter.language {
        Language::English => &english::English,
        Language::German => &german::German,
    };
    match &letter.message {
        Message::LoginCode {
            code,
            minutes,
            logged_in,
        } => {
            let purpose = if *logged_in {
                Purpose::Reauthentication
            } else {
                Purpose::Login
            };
            write_code(words, letter.channel, purpose, code, *minutes, host)
        }
        Message::EnrolmentCode { code, minutes } => {
            let purpose = Purpose::Enrolment;
            write_code(words, letter.channel, purpose, code, *minutes, host)
        }
        Message::Notice(notice) => write_notice(words, letter.channel, notice, host),
    }
}

fn write_code(
    words: &dyn Words,
    channel: Channel,
    purpose: Purpose,
    code: &str,
    minutes: u64,
    host: &str,
) -> Text {
    match channel {
        Channel::Sms => {
            let line = Zeroizing::new(words.code_sms(purpose, code, minutes));
            Text {
                subject: None,
                body: Zeroizing::new(format!("{}\n\n@{host} #{code}", *line)),
            }
        }
        Channel::Email => Text {
            subject: Some(words.code_subject(purpose, host)),
            body: Zeroizing::new(words.code_mail(purpose, code, minutes, host)),
        },
    }
}

fn write_notice(words: &dyn Words, channel: Channel, notice: &Notice, host: &str) -> Text {
    let happened = words.happened(&notice.event);
    match channel {
        Channel::Sms => Text {
            subject: None,
            body: Zeroizing::new(words.notice_sms(&happened, host)),
        },
        Channel::Email => {
            let about = about(words, notice);
            let body = words.notice_mail(&happened, &notice.event, &about, host);
            Text {
                subject: Some(words.notice_subject(host)),
                body: Zeroizing::new(body),
            }
        }
    }
}

/// Time, address and device of a notice, a line each.
fn about(words: &dyn Words, notice: &Notice) -> Vec<String> {
    let [when, from, device, trusted, key] = words.labels();
    let mut lines = vec![format!("{when}: {}", in_utc(notice.at))];
    lines.extend(
        notice
            .ip_address
            .iter()
            .map(|address| format!("{from}: {address}")),
    );
    let mut add = |label: &str, text: &str| {
        let text = plain_words(text);
        if !text.is_empty() {
            lines.push(format!("{label}: \"{text}\""));
        }
    };
    add(device, notice.device.as_deref().unwrap_or_default());
    match &notice.event {
        Event::DeviceTrusted { name } => add(trusted, name),
        Event::ApiKeyCreated { name } | Event::ApiKeyReported { name } => add(key, name),
        _ => {}
    }
    lines
}

/// A point in time in UTC, the same in every language.
fn in_utc(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = OffsetDateTime::from_unix_timestamp(at.seconds()).ok();
    let text = time.and_then(|time| time.format(format).ok());
    text.unwrap_or_else(|| at.seconds().to_string())
}

/// Longest text of a client in a letter, in characters.
const MAX_CLIENT_TEXT: usize = 120;

/// A client's own text (name or user agent) as the plain words of one short line: an attacker may have chosen it, and
/// must not be able to write paragraphs, or anything that a mail program makes a link of, into a mail that the owner
/// trusts.
fn plain_words(text: &str) -> String {
    let letters = text.chars().take(MAX_CLIENT_TEXT);
    let line: String = letters
        .map(|letter| match letter {
            '-' | '_' | '\'' => letter,
            _ if letter.is_alphanumeric() => letter,
            _ => ' ',
        })
        .collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
