//! Letters on their whole way: posted with a commit, carried to a mail server and an SMS provider that nobody
//! here wrote or that checks what it is asked.

use std::time::Duration;

use http::StatusCode;
use sallyport::config::{self, EmailSecurity};
use serde_json::{Value, json};

use crate::harness::{AuthenticatorApp, LoggedIn, Options, TestServer, code_in};
use crate::harness::{Kind, TestStores};
use crate::outbound_mail::Server;
use crate::outbound_sms::{Provider, refused, taken};

fn first_code(text: &str) -> String {
    code_in(text).unwrap_or_else(|| panic!("no code in {text}"))
}

async fn open(stores: &TestStores, email: config::Email, sms: config::Sms) -> TestServer {
    let mut options = Options::unlimited();
    options.outbound = config::Outbound {
        host: "id.example.com".to_owned(),
        email,
        sms,
        ..config::Outbound::default()
    };
    TestServer::open(stores, options).await
}

async fn member_with_app(stores: &TestStores, server: &TestServer) -> (LoggedIn, AuthenticatorApp) {
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    (alice, app)
}

/// The next mail whose subject contains this; others are passed over.
async fn mail_about(server: &mut Server, subject: &str) -> Value {
    loop {
        let (_, mail) = server.mail().await;
        let headers = mail["headers"].as_array().expect("headers").iter();
        let mut subjects = headers.filter(|header| header[0] == "Subject");
        let found = subjects.next().expect("a subject")[1]
            .as_str()
            .expect("text")
            .to_owned();
        if found.contains(subject) {
            return mail;
        }
    }
}

#[tokio::test]
async fn a_login_by_mail_through_a_server_that_nobody_here_wrote() {
    let stores = TestStores::new(Kind::Single).await;
    let mut mail_server = Server::start(&["--tls", "starttls"]).await;
    let email = mail_server.settings(EmailSecurity::StartTls).email;
    let server = open(&stores, email, config::Sms::default()).await;
    let alice = server.register("alice").await;

    let address = json!({ "email": "second@example.com" });
    let posted = alice.send("POST /2fa/email/setup", Some(&address)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let mail = mail_about(&mut mail_server, "Confirm your address").await;
    assert_eq!(mail["rcpt_tos"], json!(["second@example.com"]));
    assert_eq!(mail["tls"], true);
    let code = json!({ "code": first_code(mail["text"].as_str().expect("text")) });
    let enabled = alice
        .send("POST /2fa/email/verify-setup", Some(&code))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    assert_eq!(
        enabled.json()["data"]["backupCodes"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
    let notice = mail_about(&mut mail_server, "ecurity").await;
    assert_eq!(
        notice["rcpt_tos"],
        json!(["alice@example.com"]),
        "the owner is told"
    );

    let token = server.half_login("alice").await;
    let asked = json!({ "tempToken": token.temp_token, "method": "email" });
    let german = [
        ("accept-language", "de-AT,de;q=0.9"),
        ("x-token-delivery", "body"),
    ];
    let posted = server.send("POST /2fa/resend", &german, Some(&asked)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let mail = mail_about(&mut mail_server, "Anmeldecode").await;
    let text = mail["text"].as_str().expect("text");
    assert!(text.contains("nur einmal"), "{text}");
    let done = token.verify(&first_code(text)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    server.close().await;
}

#[tokio::test]
async fn a_login_by_sms_as_twilio_documents_it() {
    let stores = TestStores::new(Kind::Single).await;
    let mut provider = Provider::start(vec![taken(), taken()]).await;
    let server = open(&stores, config::Email::default(), provider.settings().sms).await;
    let alice = server.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let asked = provider.asked.recv().await.expect("asked");
    assert!(
        asked.body.starts_with("To=%2B15551234567&"),
        "{}",
        asked.body
    );
    let code = asked
        .body
        .rsplit("%23")
        .next()
        .expect("the last line")
        .to_owned();
    let finished = json!({ "code": code });
    let enabled = alice
        .send("POST /2fa/sms/verify-setup", Some(&finished))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

    let token = server.half_login("alice").await;
    let posted = token.send_code("sms").await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let asked = provider.asked.recv().await.expect("asked");
    assert!(
        asked.body.contains("%40id.example.com+%23"),
        "bound to its origin: {}",
        asked.body
    );
    let code = asked.body.rsplit("%23").next().expect("the last line");
    let done = token.verify(code).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let me = server
        .fetch("/api/auth/me", &LoggedIn::of(&done).access)
        .await;
    assert_eq!(me.status, StatusCode::OK);
    assert!(
        provider.asked.try_recv().is_err(),
        "each code went out once"
    );
    server.close().await;
}

#[tokio::test]
async fn a_number_that_nobody_has_is_audited_and_not_tried_again() {
    let stores = TestStores::new(Kind::Single).await;
    let mut provider = Provider::start(vec![refused(400, 21211)]).await;
    let server = open(&stores, config::Email::default(), provider.settings().sms).await;
    let alice = server.register("alice").await;
    let phone = json!({ "phoneNumber": "+15550000000" });
    let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(
        posted.status,
        StatusCode::OK,
        "the request does not wait for the provider"
    );
    provider.asked.recv().await.expect("asked");
    let audited = || async {
        server.store.flush().await.expect("flushed");
        let reason: Option<String> = sqlx::query_scalar(
            "SELECT details->>'reason' FROM audit_logs WHERE action = 'message.undelivered'",
        )
        .fetch_optional(&stores.pool)
        .await
        .expect("asked");
        reason
    };
    let reason = loop {
        if let Some(reason) = audited().await {
            break reason;
        }
        sallyport::clock::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(reason, "invalid_address");
    server.close().await;
    assert!(provider.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_provider_that_fails_is_tried_again_and_the_code_still_counts() {
    let stores = TestStores::new(Kind::Single).await;
    let mut provider = Provider::start(vec![refused(500, 20500), taken()]).await;
    let server = open(&stores, config::Email::default(), provider.settings().sms).await;
    let alice = server.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let first = provider.asked.recv().await.expect("asked").body;
    let second = provider.asked.recv().await.expect("asked again").body;
    assert_eq!(first, second, "the same code");
    let code = json!({ "code": second.rsplit("%23").next().expect("the last line") });
    let enabled = alice.send("POST /2fa/sms/verify-setup", Some(&code)).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    server.close().await;
}

#[tokio::test]
async fn another_instance_delivers_what_one_could_not() {
    let stores = TestStores::new(Kind::Single).await;
    let mut provider = Provider::start(vec![taken()]).await;
    // It takes orders, and has nobody who carries letters.
    let mut options = Options::unlimited();
    options.outbound = provider.settings();
    options.delivers_letters = false;
    let first = TestServer::open(&stores, options.clone()).await;
    let alice = first.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    options.delivers_letters = true;
    let second = first.restart(&stores, options).await;
    let asked = provider.asked.recv().await.expect("asked");
    let code = json!({ "code": asked.body.rsplit("%23").next().expect("the last line") });
    let enabled = alice
        .through(&second)
        .send("POST /2fa/sms/verify-setup", Some(&code))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    second.close().await;
}

#[tokio::test]
async fn what_cannot_be_sent_cannot_be_set_up() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores, config::Email::default(), config::Sms::default()).await;
    let (alice, _) = member_with_app(&stores, &server).await;
    for (route, body) in [
        (
            "POST /2fa/sms/setup",
            json!({ "phoneNumber": "+15551234567" }),
        ),
        (
            "POST /2fa/email/setup",
            json!({ "email": "second@example.com" }),
        ),
    ] {
        let refused = alice.send(route, Some(&body)).await;
        assert_eq!(
            refused.problem(),
            (409, "method_not_available".to_owned()),
            "{route}"
        );
    }
    server.close().await;
}
