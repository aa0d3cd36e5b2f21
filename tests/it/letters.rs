//! Letters on their whole way: posted with a commit, carried to a mail server and an SMS provider that nobody
//! here wrote or that checks what it is asked.

use std::time::Duration;

use http::StatusCode;
use sallyport::config::{self, EmailSecurity};
use sallyport::crypto::Keys;
use serde_json::{Value, json};

use crate::house::{App, House, Member, Wishes};
use crate::lab::{Kind, Lab};
use crate::outbound_mail::Server;
use crate::outbound_sms::{Provider, refused, taken};

fn first_code(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    let code = words.find(|word| word.len() == 6);
    code.unwrap_or_else(|| panic!("no code in {text}"))
        .to_owned()
}

async fn house(lab: &Lab, email: config::Email, sms: config::Sms) -> House {
    let mut wishes = Wishes::unlimited();
    wishes.outbound = config::Outbound {
        host: "id.example.com".to_owned(),
        email,
        sms,
        ..config::Outbound::default()
    };
    House::open(lab, wishes).await
}

async fn member_with_app(lab: &Lab, house: &House) -> (Member, App) {
    let alice = house.register("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
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
    let lab = Lab::new(Kind::Single).await;
    let mut server = Server::start(&["--tls", "starttls"]).await;
    let email = server.settings(EmailSecurity::StartTls).email;
    let house = house(&lab, email, config::Sms::default()).await;
    let alice = house.register("alice").await;

    let address = json!({ "email": "second@example.com" });
    let posted = house
        .as_member(&alice, "POST /2fa/email/setup", Some(&address))
        .await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let mail = mail_about(&mut server, "code").await;
    assert_eq!(mail["rcpt_tos"], json!(["second@example.com"]));
    assert_eq!(mail["tls"], true);
    let code = json!({ "code": first_code(mail["text"].as_str().expect("text")) });
    let enabled = house
        .as_member(&alice, "POST /2fa/email/verify-setup", Some(&code))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    assert_eq!(
        enabled.json()["data"]["backupCodes"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
    let notice = mail_about(&mut server, "ecurity").await;
    assert_eq!(
        notice["rcpt_tos"],
        json!(["alice@example.com"]),
        "the owner is told"
    );

    let token = house.challenge("alice").await;
    let asked = json!({ "tempToken": token, "method": "email" });
    let german = [
        ("accept-language", "de-AT,de;q=0.9"),
        ("x-token-delivery", "body"),
    ];
    let posted = house.send("POST /2fa/resend", &german, Some(&asked)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let mail = mail_about(&mut server, "Code").await;
    let text = mail["text"].as_str().expect("text");
    assert!(text.contains("gültig") || text.contains("Gültig"), "{text}");
    let done = house.verify(&token, &first_code(text)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    house.close().await;
}

#[tokio::test]
async fn a_login_by_sms_as_twilio_documents_it() {
    let lab = Lab::new(Kind::Single).await;
    let mut provider = Provider::start(vec![taken(), taken()]).await;
    let house = house(&lab, config::Email::default(), provider.settings().sms).await;
    let alice = house.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = house
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
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
    let enabled = house
        .as_member(&alice, "POST /2fa/sms/verify-setup", Some(&finished))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

    let token = house.challenge("alice").await;
    let again = json!({ "tempToken": token, "method": "sms" });
    let posted = house.in_body("POST /2fa/resend", &again).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let asked = provider.asked.recv().await.expect("asked");
    assert!(
        asked.body.contains("%40id.example.com+%23"),
        "bound to its origin: {}",
        asked.body
    );
    let code = asked.body.rsplit("%23").next().expect("the last line");
    let done = house.verify(&token, code).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let me = house
        .get_as("/api/auth/me", &Member::of(&done).access)
        .await;
    assert_eq!(me.status, StatusCode::OK);
    assert!(
        provider.asked.try_recv().is_err(),
        "each code went out once"
    );
    house.close().await;
}

#[tokio::test]
async fn a_number_that_nobody_has_is_audited_and_not_tried_again() {
    let lab = Lab::new(Kind::Single).await;
    let mut provider = Provider::start(vec![refused(400, 21211)]).await;
    let house = house(&lab, config::Email::default(), provider.settings().sms).await;
    let alice = house.register("alice").await;
    let phone = json!({ "phoneNumber": "+15550000000" });
    let posted = house
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
    assert_eq!(
        posted.status,
        StatusCode::OK,
        "the request does not wait for the provider"
    );
    provider.asked.recv().await.expect("asked");
    let audited = || async {
        house.store.flush().await.expect("flushed");
        let reason: Option<String> = sqlx::query_scalar(
            "SELECT details->>'reason' FROM audit_logs WHERE action = 'message.undelivered'",
        )
        .fetch_optional(&lab.pool)
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
    house.close().await;
    assert!(provider.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_provider_that_fails_is_tried_again_and_the_code_still_counts() {
    let lab = Lab::new(Kind::Single).await;
    let mut provider = Provider::start(vec![refused(500, 20500), taken()]).await;
    let house = house(&lab, config::Email::default(), provider.settings().sms).await;
    let alice = house.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = house
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let first = provider.asked.recv().await.expect("asked").body;
    let second = provider.asked.recv().await.expect("asked again").body;
    assert_eq!(first, second, "the same code");
    let code = json!({ "code": second.rsplit("%23").next().expect("the last line") });
    let enabled = house
        .as_member(&alice, "POST /2fa/sms/verify-setup", Some(&code))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    house.close().await;
}

#[tokio::test]
async fn another_instance_delivers_what_one_could_not() {
    let lab = Lab::new(Kind::Single).await;
    let mut provider = Provider::start(vec![taken()]).await;
    // It takes orders, and has nobody who carries letters.
    let mut wishes = Wishes::unlimited();
    wishes.outbound = provider.settings();
    wishes.carries = false;
    let folder = crate::stores::own_folder();
    let path = folder.path().join("keys.json");
    Keys::generate(&path, lab.clock.now()).expect("keys");
    let keys = || Keys::load(&path).expect("keys");
    let first = House::open_with_keys(&lab, wishes.clone(), keys()).await;
    let alice = first.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = first
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    first.close().await;
    wishes.carries = true;
    let second = House::open_with_keys(&lab, wishes, keys()).await;
    let asked = provider.asked.recv().await.expect("asked");
    let code = json!({ "code": asked.body.rsplit("%23").next().expect("the last line") });
    let enabled = second
        .as_member(&alice, "POST /2fa/sms/verify-setup", Some(&code))
        .await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    second.close().await;
}

#[tokio::test]
async fn what_cannot_be_sent_cannot_be_set_up() {
    let lab = Lab::new(Kind::Single).await;
    let house = house(&lab, config::Email::default(), config::Sms::default()).await;
    let (alice, _) = member_with_app(&lab, &house).await;
    for (line, body) in [
        (
            "POST /2fa/sms/setup",
            json!({ "phoneNumber": "+15551234567" }),
        ),
        (
            "POST /2fa/email/setup",
            json!({ "email": "second@example.com" }),
        ),
    ] {
        let refused = house.as_member(&alice, line, Some(&body)).await;
        assert_eq!(
            refused.problem(),
            (409, "method_not_available".to_owned()),
            "{line}"
        );
    }
    house.close().await;
}
