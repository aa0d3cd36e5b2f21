//! SMS as Twilio documents its API: what it is asked, and what its answers mean to us.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use sallyport::clock::random;
use sallyport::config;
use sallyport::model::{Id, Timestamp};
use sallyport::outbound::undelivered::{
    MISCONFIGURED, PROVIDER_BUSY, PROVIDER_FAILED, TIMEOUT, UNEXPECTED_ANSWER, UNREACHABLE,
};
use sallyport::outbound::{Channel, Language, Letter, Message, Outbound, Undelivered};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "t0k:en";

/// Actions of the provider after it read a request.
pub enum Answer {
    /// Sends this, and goes on with the connection.
    Sends(String),
    /// Sends this, and closes.
    Ends(String),
    /// Sends this head, and then a body that never ends.
    Endless(String),
    /// Sends this, and nothing more, without closing.
    Stops(String),
}

/// A request as it came in.
pub struct Asked {
    /// Which connection brought it.
    connection: usize,
    line: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(header, _)| header == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

pub struct Provider {
    address: SocketAddr,
    pub asked: mpsc::UnboundedReceiver<Asked>,
}

impl Provider {
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(
                    connection,
                    stream,
                    Arc::clone(&answers),
                    sender.clone(),
                ));
            }
        });
        Self { address, asked }
    }

    pub fn settings(&self) -> config::Outbound {
        settings(&format!("http://{}/twilio", self.address))
    }

    fn outbound(&self) -> Outbound {
        Outbound::new(&self.settings()).unwrap()
    }
}

async fn serve(
    connection: usize,
    stream: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sender: mpsc::UnboundedSender<Asked>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(connection, &mut stream).await {
        sender.send(asked).ok();
        let answer = answers.lock().unwrap().pop_front().expect("an answer");
        match answer {
            Answer::Sends(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Answer::Ends(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                return;
            }
            Answer::Endless(head) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                return;
            }
            Answer::Stops(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn read(connection: usize, stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).await.ok()?;
        match line.trim_end() {
            "" if read == 0 => return None,
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let split = |line: String| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: Vec<_> = lines.map(split).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Asked {
        connection,
        line,
        headers,
        body,
    })
}

fn settings(base_url: &str) -> config::Outbound {
    config::Outbound {
        host: "id.example.com".to_owned(),
        sms: config::Sms {
            account_sid: Some(ACCOUNT.to_owned()),
            auth_token: Some(TOKEN.to_owned()),
            phone_number: Some("+15550006789".to_owned()),
            base_url: base_url.to_owned(),
            countries: Vec::new(),
        },
        ..config::Outbound::default()
    }
}

fn letter(language: Language) -> Letter {
    Letter {
        id: Id::new(Timestamp::from_micros(1_795_174_200_000_000), random()),
        channel: Channel::Sms,
        language,
        message: Message::LoginCode {
            code: "123456".to_owned(),
            minutes: 5,
            logged_in: false,
        },
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>
pub fn taken() -> Answer {
    let body = json!({
        "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": "…", "direction": "outbound-api",
        "error_code": null, "error_message": null, "from": "+15550006789", "num_media": "0",
        "num_segments": "1", "price": null, "sid": "SM0123456789abcdef0123456789abcdef",
        "status": "queued", "to": "+15551234567",
    });
    Answer::Sends(reply("201 Created", "", &body.to_string()))
}

/// <https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions>
pub fn refused(status: u16, code: u32) -> Answer {
    let body = json!({
        "code": code, "message": "The 'To' number +15551234567 …", "status": status,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
    });
    Answer::Sends(reply(&format!("{status} Because"), "", &body.to_string()))
}

async fn send(outbound: &Outbound) -> Result<(), Undelivered> {
    outbound
        .deliver("+15551234567", &letter(Language::English))
        .await
}

fn label(outcome: Result<(), Undelivered>) -> &'static str {
    outcome.map_or_else(Undelivered::label, |()| "delivered")
}

#[tokio::test]
async fn a_request_is_what_twilio_documents() {
    let mut provider = Provider::start(vec![taken(), taken()]).await;
    let outbound = provider.outbound();
    for language in [Language::English, Language::German] {
        let outcome = outbound.deliver("+15551234567", &letter(language)).await;
        assert_eq!(label(outcome), "delivered");
    }
    let asked = provider.asked.recv().await.unwrap();
    let path = format!("/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    assert_eq!(asked.line, format!("POST {path} HTTP/1.1"));
    assert_eq!(asked.header("host"), [provider.address.to_string()]);
    let form = ["application/x-www-form-urlencoded"];
    assert_eq!(asked.header("content-type"), form);
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    assert_eq!(asked.header("authorization"), [format!("Basic {pair}")]);
    assert_eq!(
        asked.body,
        "To=%2B15551234567&From=%2B15550006789\
         &Body=123456+is+your+login+code.+Valid+for+5+minutes.+Never+tell+it+to+anyone.\
         %0A%0A%40id.example.com+%23123456"
    );
    let german = provider.asked.recv().await.unwrap();
    assert!(german.body.contains("G%C3%BCltig"), "{}", german.body);
    assert_eq!(
        german.connection, asked.connection,
        "the connection is kept"
    );
}

#[tokio::test]
async fn every_documented_answer_has_its_meaning() {
    for (status, code, meaning) in [
        (401, 20003, MISCONFIGURED),
        (404, 20404, MISCONFIGURED),
        (400, 21606, MISCONFIGURED),
        (400, 21211, "invalid_address"),
        (400, 21614, "invalid_address"),
        (400, 21610, "opted_out"),
        (400, 21408, "rejected"),
        (429, 20429, PROVIDER_BUSY),
        (500, 20500, PROVIDER_FAILED),
        (503, 20503, PROVIDER_FAILED),
    ] {
        let provider = Provider::start(vec![refused(status, code), taken()]).await;
        let outbound = provider.outbound();
        assert_eq!(label(send(&outbound).await), meaning, "{status} {code}");
        assert_eq!(
            label(send(&outbound).await),
            "delivered",
            "after {status} {code}"
        );
    }
}

#[tokio::test]
async fn the_pause_that_is_asked_for_is_passed_on() {
    let busy = reply(
        "429 Too Many Requests",
        "Retry-After: 7\r\n",
        r#"{"code":20429}"#,
    );
    let provider = Provider::start(vec![Answer::Sends(busy)]).await;
    let later = Undelivered::Later {
        retry_after: Some(Duration::from_secs(7)),
        reason: PROVIDER_BUSY,
    };
    assert_eq!(send(&provider.outbound()).await, Err(later));
}

#[tokio::test]
async fn what_is_not_twilio_refuses_nobody_for_good() {
    let html = "<html>Welcome</html>";
    for (answer, meaning) in [
        (Answer::Sends(reply("200 OK", "", html)), UNEXPECTED_ANSWER),
        (
            Answer::Sends(reply("400 Bad Request", "", html)),
            UNEXPECTED_ANSWER,
        ),
        (
            Answer::Sends(reply("502 Bad Gateway", "", html)),
            PROVIDER_FAILED,
        ),
        (
            Answer::Ends("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
            UNREACHABLE,
        ),
        (Answer::Ends(String::new()), UNREACHABLE),
        (
            Answer::Ends("HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n{".to_owned()),
            PROVIDER_FAILED,
        ),
    ] {
        let provider = Provider::start(vec![answer]).await;
        assert_eq!(label(send(&provider.outbound()).await), meaning);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut elsewhere = Provider::start(vec![taken()]).await;
    let location = format!("Location: http://{}/\r\n", elsewhere.address);
    for status in [
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let provider = Provider::start(vec![Answer::Sends(reply(status, &location, ""))]).await;
        assert_eq!(label(send(&provider.outbound()).await), UNEXPECTED_ANSWER);
    }
    assert!(elsewhere.asked.try_recv().is_err());
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_configured() {
    let provider = Provider::start(vec![Answer::Stops(String::new())]).await;
    let mut settings = provider.settings();
    settings.timeout = Duration::from_millis(300);
    let outbound = Outbound::new(&settings).unwrap();
    assert_eq!(label(send(&outbound).await), TIMEOUT);
}

#[tokio::test]
async fn the_status_counts_even_when_the_body_never_ends() {
    let chunked = |status: &str| {
        Answer::Endless(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 999999999999\r\n\r\n"
        ))
    };
    let stuck =
        |status: &str| Answer::Stops(format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n{{"));
    for (answer, meaning) in [
        (chunked("201 Created"), "delivered"),
        (chunked("500 Oops"), PROVIDER_FAILED),
        (chunked("400 Bad Request"), UNEXPECTED_ANSWER),
        (stuck("201 Created"), "delivered"),
    ] {
        let provider = Provider::start(vec![answer]).await;
        assert_eq!(label(send(&provider.outbound()).await), meaning);
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_kept_in_memory() {
    let answer = Answer::Endless("HTTP/1.1 200 OK\r\nX: ".to_owned());
    let provider = Provider::start(vec![answer]).await;
    assert_eq!(label(send(&provider.outbound()).await), UNREACHABLE);
}

#[tokio::test]
async fn what_is_no_number_never_reaches_the_provider() {
    let mut provider = Provider::start(vec![taken()]).await;
    let outbound = provider.outbound();
    for to in [
        "",
        "15551234567",
        "+1555123456\n7",
        "alice@example.com",
        "+15551234567&From=x",
    ] {
        let outcome = outbound.deliver(to, &letter(Language::English)).await;
        assert_eq!(label(outcome), "invalid_address", "{to}");
    }
    assert!(provider.asked.try_recv().is_err());
}

#[tokio::test]
async fn nobody_there_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outbound = Outbound::new(&settings(&format!("http://{address}"))).unwrap();
    assert_eq!(label(send(&outbound).await), UNREACHABLE);
}

fn tls() -> TlsAcceptor {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/server/testdata");
    let certificate = CertificateDer::from_pem_file(format!("{folder}/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_provider_that_cannot_prove_its_name_learns_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let handshake = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tls()
            .accept(stream)
            .await
            .map_err(|error| error.to_string())?;
        let mut told = String::new();
        stream.read_to_string(&mut told).await.ok();
        Ok::<_, String>(told)
    });
    let outbound = Outbound::new(&settings(&format!("https://localhost:{port}"))).unwrap();
    assert_eq!(label(send(&outbound).await), UNREACHABLE);
    let told = handshake.await.unwrap();
    assert!(told.is_err(), "{told:?}");
}
