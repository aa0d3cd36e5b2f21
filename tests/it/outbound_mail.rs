//! Mail as a server that nobody here wrote takes it: Debian's aiosmtpd.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sallyport::clock::{Clock, random};
use sallyport::config::{self, EmailSecurity};
use sallyport::model::{Id, Timestamp};
use sallyport::outbound::undelivered::{
    MISCONFIGURED, PROVIDER_BUSY, TIMEOUT, UNEXPECTED_ANSWER, UNREACHABLE,
};
use sallyport::outbound::{
    Channel, Event, Language, Letter, Message, Method, Notice, Outbound, Undelivered,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

/// The Python that the package is installed for; another Python may come first in `PATH`.
const PYTHON: &str = "/usr/bin/python3";

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn certificate() -> PathBuf {
    file("src/http/server/testdata/localhost.pem")
}

/// A server that ends with the test.
pub struct Server {
    port: u16,
    events: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Server {
    pub async fn start(options: &[&str]) -> Self {
        let mut child = Command::new(PYTHON)
            .arg(file("tests/it/outbound/smtp_server.py"))
            .args(options)
            .arg("--certificate")
            .arg(certificate())
            .arg("--key")
            .arg(file("src/http/server/testdata/localhost.key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3");
        let output = child.stdout.take().expect("its output");
        let mut server = Self {
            port: 0,
            events: BufReader::new(output).lines(),
            child,
        };
        let listening = server.event().await;
        let port = listening["port"].as_u64().expect("a port");
        server.port = u16::try_from(port).expect("a port");
        server
    }

    async fn event(&mut self) -> Value {
        let line = self.events.next_line().await.expect("its output");
        let line = line.expect("is python3-aiosmtpd installed?");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The next mail, and how many connections were made before it.
    pub async fn mail(&mut self) -> (usize, Value) {
        let mut connections = 0;
        loop {
            let event = self.event().await;
            if event["event"] == "mail" {
                return (connections, event);
            }
            connections += 1;
        }
    }

    /// Settings by which this server is reached.
    pub fn settings(&self, secure: EmailSecurity) -> config::Outbound {
        settings(self.port, secure)
    }

    /// Its answer to one letter.
    async fn answer(&self, secure: EmailSecurity) -> Result<(), Undelivered> {
        let outbound = Outbound::new(&self.settings(secure)).unwrap();
        outbound.deliver("alice@example.com", &code()).await
    }
}

fn settings(port: u16, secure: EmailSecurity) -> config::Outbound {
    config::Outbound {
        host: "id.example.com".to_owned(),
        email: config::Email {
            host: Some("localhost".to_owned()),
            port: Some(port),
            secure: Some(secure),
            from: Some("Prüfstelle <no-reply@example.com>".to_owned()),
            ca: Some(certificate()),
            ..config::Email::default()
        },
        ..config::Outbound::default()
    }
}

fn letter(language: Language, message: Message) -> Letter {
    let written = Timestamp::from_micros(1_795_174_200_000_000);
    Letter {
        id: Id::new(written, random()),
        channel: Channel::Email,
        language,
        message,
    }
}

fn code() -> Letter {
    let code = "123456".to_owned();
    let message = Message::LoginCode {
        code,
        minutes: 5,
        logged_in: false,
    };
    letter(Language::English, message)
}

fn label(outcome: Result<(), Undelivered>) -> &'static str {
    outcome.map_or_else(Undelivered::label, |()| "delivered")
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = mail["headers"].as_array().expect("headers");
    let named = headers.iter().filter(|header| header[0] == name);
    named.map(|header| header[1].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_mail_with_umlauts_arrives_as_it_was_written() {
    let mut server = Server::start(&[]).await;
    let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
    let notice = Message::Notice(Notice {
        event: Event::SecondFactorDisabled {
            method: Method::Sms,
        },
        at: Clock::system().now(),
        ip_address: Some("192.0.2.7".to_owned()),
        device: Some("Käthes Fön\r\nBcc: eve@example.com\r\n.\r\nMAIL FROM:<x>".to_owned()),
    });
    let letter = letter(Language::German, notice);
    let delivered = outbound.deliver("alice@bücher.example", &letter).await;
    assert_eq!(label(delivered), "delivered");

    let (_, mail) = server.mail().await;
    assert_eq!(mail["mail_from"], "no-reply@example.com");
    assert_eq!(mail["rcpt_tos"], json!(["alice@xn--bcher-kva.example"]));
    assert_eq!(mail["hello"], "id.example.com");
    assert_eq!(mail["tls"], false);
    let subject = header(&mail, "Subject");
    assert_eq!(subject, ["Sicherheit Ihres Kontos bei id.example.com"]);
    let from = header(&mail, "From");
    assert_eq!(from, ["Prüfstelle <no-reply@example.com>"]);
    let id = format!("<{}@id.example.com>", letter.id);
    assert_eq!(header(&mail, "Message-ID"), [id]);
    assert_eq!(header(&mail, "Date"), ["Fri, 20 Nov 2026 11:30:00 +0000"]);
    assert_eq!(header(&mail, "Auto-Submitted"), ["auto-generated"]);
    assert!(header(&mail, "Bcc").is_empty());
    let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
    assert!(text.contains("Eine Telefonnummer wurde nach zu vielen falschen Codes gesperrt."));
    assert!(text.contains("Ändern Sie Ihr Passwort."), "{text}");
    assert!(
        text.contains("Womit: \"Käthes Fön Bcc eve example com MAIL FROM x\"\n"),
        "{text}"
    );
}

#[tokio::test]
async fn two_mails_take_one_connection() {
    let mut server = Server::start(&["--tls", "starttls"]).await;
    let outbound = Outbound::new(&server.settings(EmailSecurity::StartTls)).unwrap();
    let mut connections = Vec::new();
    for _ in 0..2 {
        assert_eq!(
            label(outbound.deliver("alice@example.com", &code()).await),
            "delivered"
        );
        let (made, mail) = server.mail().await;
        assert_eq!(mail["tls"], true);
        assert!(mail["text"].as_str().unwrap().contains("123456"));
        connections.push(made);
    }
    assert_eq!(connections, [1, 0]);
}

#[tokio::test]
async fn we_log_in_inside_of_tls_alone() {
    for (tls, secure) in [
        ("starttls", EmailSecurity::StartTls),
        ("implicit", EmailSecurity::Tls),
    ] {
        let account = [
            "--tls",
            tls,
            "--user",
            "sallyport",
            "--password",
            "pä:ss wörd",
        ];
        let mut server = Server::start(&account).await;
        let mut settings = server.settings(secure);
        settings.email.user = Some("sallyport".to_owned());
        settings.email.password = Some("pä:ss wörd".to_owned());
        let outbound = Outbound::new(&settings).unwrap();
        assert_eq!(
            label(outbound.deliver("alice@example.com", &code()).await),
            "delivered"
        );
        let (_, mail) = server.mail().await;
        assert_eq!(mail["tls"], true);
        assert_eq!(mail["login"], "sallyport");

        settings.email.password = Some("wrong".to_owned());
        let outbound = Outbound::new(&settings).unwrap();
        assert_eq!(
            label(outbound.deliver("alice@example.com", &code()).await),
            MISCONFIGURED
        );
        assert_eq!(
            label(server.answer(secure).await),
            MISCONFIGURED,
            "without logging in"
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_gets_no_mail() {
    for (tls, secure) in [
        ("starttls", EmailSecurity::StartTls),
        ("implicit", EmailSecurity::Tls),
    ] {
        let server = Server::start(&["--tls", tls]).await;
        let mut stranger = server.settings(secure);
        stranger.email.ca = None;
        let mut elsewhere = server.settings(secure);
        elsewhere.email.host = Some("127.0.0.1".to_owned());
        for settings in [stranger, elsewhere] {
            let outbound = Outbound::new(&settings).unwrap();
            let outcome = outbound.deliver("alice@example.com", &code()).await;
            assert!(
                matches!(outcome, Err(Undelivered::Later { .. })),
                "{outcome:?}"
            );
        }
        assert_eq!(label(server.answer(secure).await), "delivered");
    }
}

#[tokio::test]
async fn without_the_tls_that_was_asked_for_nothing_is_sent() {
    let server = Server::start(&[]).await;
    assert_eq!(
        label(server.answer(EmailSecurity::StartTls).await),
        MISCONFIGURED
    );
    let outcome = server.answer(EmailSecurity::Tls).await;
    assert!(
        matches!(outcome, Err(Undelivered::Later { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn replies_tell_whether_to_try_again() {
    for (option, reply, meaning) in [
        ("--rcpt-reply", "450 4.2.0 greylisted", PROVIDER_BUSY),
        ("--rcpt-reply", "421 4.3.2 closing", PROVIDER_BUSY),
        ("--rcpt-reply", "550 5.1.1 no such user", "invalid_address"),
        ("--rcpt-reply", "550 5.7.1 not from you", "rejected"),
        ("--rcpt-reply", "530 5.7.0 log in first", MISCONFIGURED),
        ("--data-reply", "451 4.3.0 disk full", PROVIDER_BUSY),
        ("--data-reply", "554 5.6.0 not liked", "rejected"),
        ("--data-reply", "552 5.2.2 mailbox full", "rejected"),
    ] {
        let server = Server::start(&[option, reply]).await;
        let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
        for _ in 0..2 {
            let outcome = outbound.deliver("alice@example.com", &code()).await;
            assert_eq!(label(outcome), meaning, "{reply}");
        }
    }
}

#[tokio::test]
async fn letters_beyond_ascii_go_where_they_are_understood() {
    for (options, meaning) in [(&[][..], "delivered"), (&["--no-utf8"], "invalid_address")] {
        let server = Server::start(options).await;
        let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
        let outcome = outbound.deliver("jürgen@example.com", &code()).await;
        assert_eq!(label(outcome), meaning);
        let after = outbound.deliver("alice@example.com", &code()).await;
        assert_eq!(label(after), "delivered");
    }
}

#[tokio::test]
async fn no_address_brings_commands_or_headers_along() {
    let mut server = Server::start(&[]).await;
    let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
    for to in [
        "alice@example.com\r\nRCPT TO:<eve@example.com>",
        "alice@example.com>\r\nDATA",
        "alice@example.com\r\nBcc: eve@example.com",
        "alice@example.com\0",
        "alice@example.com,eve@example.com",
        "\"a\r\nb\"@example.com",
        "Alice <alice@example.com>",
    ] {
        let outcome = outbound.deliver(to, &code()).await;
        assert_eq!(label(outcome), "invalid_address", "{to:?}");
    }
    // Nobody even connected: the first that does is who writes properly.
    assert_eq!(
        label(outbound.deliver("alice@example.com", &code()).await),
        "delivered"
    );
    let (connections, mail) = server.mail().await;
    assert_eq!(
        (connections, &mail["rcpt_tos"]),
        (1, &json!(["alice@example.com"]))
    );
}

/// A letter that was interrupted in the middle must not get into the next one.
#[tokio::test]
async fn a_silent_server_is_left_and_its_connection_with_it() {
    let mut server = Server::start(&["--data-reply", "silence"]).await;
    let mut settings = server.settings(EmailSecurity::PlainOnLoopback);
    settings.timeout = Duration::from_secs(2);
    let outbound = Outbound::new(&settings).unwrap();
    for _ in 0..2 {
        assert_eq!(
            label(outbound.deliver("alice@example.com", &code()).await),
            TIMEOUT
        );
        assert_eq!(server.event().await["event"], "connection");
        assert_eq!(server.event().await["event"], "silent");
    }
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    let mut server = Server::start(&[]).await;
    let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
    assert_eq!(
        label(outbound.deliver("alice@example.com", &code()).await),
        "delivered"
    );
    server.mail().await;
    let port = server.port;
    server.child.kill().await.unwrap();
    let mut server = Server::start(&["--port", &port.to_string()]).await;
    assert_eq!(
        label(outbound.deliver("alice@example.com", &code()).await),
        "delivered"
    );
    assert_eq!(server.mail().await.0, 1);

    server.child.kill().await.unwrap();
    assert_eq!(
        label(outbound.deliver("alice@example.com", &code()).await),
        UNREACHABLE
    );
}

#[tokio::test]
async fn what_is_no_mail_server_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    });
    let outbound = Outbound::new(&settings(port, EmailSecurity::PlainOnLoopback)).unwrap();
    let outcome = outbound.deliver("alice@example.com", &code()).await;
    assert_eq!(label(outcome), UNEXPECTED_ANSWER);
}

#[tokio::test]
async fn many_letters_at_once_all_arrive() {
    let mut server = Server::start(&[]).await;
    let outbound = Outbound::new(&server.settings(EmailSecurity::PlainOnLoopback)).unwrap();
    let letters: Vec<_> = (0..40).map(|_| code()).collect();
    let sent = letters
        .iter()
        .map(|letter| outbound.deliver("alice@example.com", letter));
    let outcomes = futures_util::future::join_all(sent).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let (mut connections, mut ids) = (0, Vec::new());
    for _ in &letters {
        let (made, mail) = server.mail().await;
        connections += made;
        ids.push(header(&mail, "Message-ID")[0].to_owned());
    }
    let mut expected: Vec<_> = letters
        .iter()
        .map(|letter| format!("<{}@id.example.com>", letter.id))
        .collect();
    expected.sort();
    ids.sort();
    assert_eq!(ids, expected);
    // Eight at a time; those that find four others waiting for letters close.
    assert!(connections < 40, "{connections}");
}
