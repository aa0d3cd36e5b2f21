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

/// A letter in words.
pub(super) struct Text {
    /// Only mails have one.
    pub(super) subject: Option<String>,
    /// What is read. Lines end with `\n`.
    pub(super) body: Zeroizing<String>,
}

/// What a code is for.
#[derive(Clone, Copy)]
enum Purpose {
    Login,
    Enrolment,
}

/// One language.
trait Words {
    /// The line of an SMS before the one that binds the code.
    fn code_sms(&self, purpose: Purpose, code: &str, minutes: u64) -> String;
    /// Subject of a mail with a code.
    fn code_subject(&self, purpose: Purpose, host: &str) -> String;
    /// A mail with a code.
    fn code_mail(&self, purpose: Purpose, code: &str, minutes: u64, host: &str) -> String;
    /// What happened, in a sentence that names no more than SMS can say.
    fn happened(&self, event: &Event) -> String;
    /// Subject of a mail about that.
    fn notice_subject(&self, host: &str) -> String;
    /// An SMS about that.
    fn notice_sms(&self, happened: &str, host: &str) -> String;
    /// A mail about that.
    fn notice_mail(&self, happened: &str, event: &Event, about: &[String], host: &str) -> String;
    /// Names of time, address, device and trusted device, before a colon.
    fn labels(&self) -> [&'static str; 4];
}

/// Puts `letter` into words; `host` is how people know the service.
pub(super) fn write(letter: &Letter, host: &str) -> Text {
    let words: &dyn Words = match letter.language {
        Language::English => &english::English,
        Language::German => &german::German,
    };
    match &letter.message {
        Message::LoginCode { code, minutes } => {
            write_code(words, letter.channel, Purpose::Login, code, *minutes, host)
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

/// When, from where and with what, a line each.
fn about(words: &dyn Words, notice: &Notice) -> Vec<String> {
    let [when, from, device, trusted] = words.labels();
    let mut lines = vec![format!("{when}: {}", in_utc(notice.at))];
    let mut add = |label: &str, told: &str| {
        let told = harmless(told);
        if !told.is_empty() {
            lines.push(format!("{label}: {told}"));
        }
    };
    add(from, notice.ip_address.as_deref().unwrap_or_default());
    add(device, notice.device.as_deref().unwrap_or_default());
    if let Event::DeviceTrusted { name } = &notice.event {
        add(trusted, name);
    }
    lines
}

/// The same in every language, and in every time zone.
fn in_utc(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = OffsetDateTime::from_unix_timestamp(at.seconds()).ok();
    let text = time.and_then(|time| time.format(format).ok());
    text.unwrap_or_else(|| at.seconds().to_string())
}

/// Longest text of a stranger in a letter, in characters.
const MAX_TOLD: usize = 120;

/// What a request told about itself, in one short line: whoever broke into an account chose it, and must not
/// be able to write paragraphs or links into a mail that its owner trusts.
fn harmless(told: &str) -> String {
    let mut line = String::new();
    let mut letters = told.chars().take(MAX_TOLD).peekable();
    while let Some(letter) = letters.next() {
        let begins_domain =
            letter == '.' && letters.peek().is_some_and(|next| next.is_alphabetic());
        let begins_path = letter == ':' && letters.peek() == Some(&'/');
        let is_plain = letter.is_alphanumeric() || " .,:;()[]/_+-'".contains(letter);
        let kept = is_plain && !begins_domain && !begins_path;
        line.push(if kept { letter } else { ' ' });
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
