//! A letter as a mail: typed mailboxes, fixed headers, text in UTF-8 (RFC 5322, RFC 3834).

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::{Address, message::SinglePart};

use super::super::texts::Text;
use super::super::undelivered::{MISCONFIGURED, Refusal};
use super::super::{Failure, Letter};
use crate::model::{Email, Timestamp};

/// Header `Auto-Submitted: auto-generated` (RFC 3834), which suppresses automatic replies.
#[derive(Clone)]
struct AutoSubmitted;

const AUTO_GENERATED: &str = "auto-generated";

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), AUTO_GENERATED.to_owned())
    }
}

/// Composes the mail. The same letter gives the same `Message-ID` and `Date` each time.
pub(super) fn compose(
    from: &Mailbox,
    to: &str,
    letter: &Letter,
    text: &Text,
    host: &str,
) -> Result<Message, Failure> {
    let subject = text.subject.clone().unwrap_or_default();
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, recipient(to)?))
        .subject(subject)
        .date(in_system_time(letter.written_at()))
        .message_id(Some(format!("<{}@{host}>", letter.id)))
        .header(AutoSubmitted)
        .singlepart(
            SinglePart::builder()
                .header(ContentType::TEXT_PLAIN)
                .body(text.body.trim_end().replace('\n', "\r\n")),
        )
        .map_err(|error| Failure::later(MISCONFIGURED, error.to_string()))
}

/// The address as its owner wrote it, but for the domain, which mail servers want in ASCII. Characters that the
/// model refuses (controls, spaces, quotes, brackets) never reach a header or a command.
fn recipient(to: &str) -> Result<Address, Failure> {
    let refused = || Failure::refused(Refusal::InvalidAddress, "not a mail address");
    let email = Email::parse(to).map_err(|_| refused())?;
    let (local, _) = email.as_entered().rsplit_once('@').ok_or_else(refused)?;
    let (_, domain) = email.key().rsplit_once('@').ok_or_else(refused)?;
    Address::new(local, domain).map_err(|_| refused())
}

fn in_system_time(at: Timestamp) -> SystemTime {
    let since = Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0));
    SystemTime::UNIX_EPOCH + since
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::super::{Channel, Language, Message as Told};
    use super::*;
    use crate::model::Id;

    fn composed(to: &str, subject: &str, body: &str) -> Result<String, Failure> {
        let letter = Letter {
            id: Id::new(Timestamp::from_micros(1_795_174_200_123_456), [7; 10]),
            channel: Channel::Email,
            language: Language::English,
            message: Told::LoginCode {
                code: "123456".to_owned(),
                minutes: 5,
                logged_in: false,
            },
        };
        let text = Text {
            subject: Some(subject.to_owned()),
            body: Zeroizing::new(body.to_owned()),
        };
        let from = "Beispiel GmbH <no-reply@example.com>"
            .parse()
            .expect("a mailbox");
        let mail = compose(&from, to, &letter, &text, "id.example.com")?;
        Ok(String::from_utf8(mail.formatted()).expect("UTF-8"))
    }

    #[test]
    fn a_mail_has_these_headers_and_no_others() {
        let mail = composed("alice@example.com", "Your code", "Hello\n\n    123456\n");
        insta::assert_snapshot!(mail.expect("composes").replace('\r', ""), @r#"
        From: "Beispiel GmbH" <no-reply@example.com>
        To: alice@example.com
        Subject: Your code
        Date: Fri, 20 Nov 2026 11:30:00 +0000
        Message-ID: <01a1f8b8-733b-7707-8707-070707070707@id.example.com>
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: 7bit

        Hello

            123456
        "#);
    }

    #[test]
    fn umlauts_travel_in_ascii() {
        let mail = composed("alice@bücher.example", "Bestätigen", "Grüße\n").expect("composes");
        assert!(mail.is_ascii(), "{mail}");
        assert!(
            mail.contains("To: alice@xn--bcher-kva.example\r\n"),
            "{mail}"
        );
    }

    #[test]
    fn no_recipient_brings_headers_or_recipients_along() {
        for to in [
            "",
            "alice",
            "alice@example.com\r\nBcc: eve@example.com",
            "alice@example.com\nBcc: eve@example.com",
            "alice@example.com\0",
            "alice@example.com, eve@example.com",
            "alice@example.com> RCPT TO:<eve@example.com",
            "Alice <alice@example.com>",
            "\"alice\r\nDATA\"@example.com",
            "\"alice eve\"@example.com",
            "alice@example.com eve@example.com",
            "alice@[127.0.0.1]",
            "alice@localhost",
            "+15551234567",
        ] {
            let failure = composed(to, "Hello", "Hello").expect_err(to);
            assert_eq!(failure.why.label(), "invalid_address", "{to:?}");
        }
    }

    /// Subjects are ours, but for the host; should one ever hold a line break, it stays inside.
    #[test]
    fn no_subject_brings_headers_along() {
        let mail = composed(
            "alice@example.com",
            "a\r\nBcc: eve@example.com\r\n\r\nb",
            "Hello",
        );
        let mail = mail.expect("composes");
        let (head, _) = mail.split_once("\r\n\r\n").expect("a head");
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{mail}");
        assert!(head.contains("Auto-Submitted"), "{mail}");
    }
}
