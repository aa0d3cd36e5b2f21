//! Second factors of clients: an authenticator app, codes that are sent, trusted devices.

use std::time::Duration;

use http::StatusCode;
use sallyport::clock::Clock;
use sallyport::crypto::step_at;
use serde_json::{Value, json};
use totp_rfc6238::TotpGenerator;

use super::{Anonymous, Answer, LoggedIn, texts};

/// An authenticator app, by a library that the service does not use, and the backup codes on paper.
pub struct AuthenticatorApp {
    secret: Vec<u8>,
    clock: Clock,
    pub backup_codes: Vec<String>,
}

impl AuthenticatorApp {
    /// The app that read the answer to `POST /2fa/totp/setup`.
    pub fn scan(clock: &Clock, setup: &Answer) -> Self {
        assert_eq!(setup.status, StatusCode::OK, "{}", setup.text);
        let data = &setup.json()["data"];
        Self {
            secret: from_base32(data["secret"].as_str().expect("a secret")),
            clock: clock.clone(),
            backup_codes: texts(&data["backupCodes"]),
        }
    }

    /// The code of this moment.
    pub fn code(&self) -> String {
        self.code_in(0)
    }

    /// The code of a step that is so many later.
    pub fn code_in(&self, steps: i64) -> String {
        let seconds = u64::try_from((step_at(self.clock.now()) + steps) * 30).expect("a time");
        let generator = TotpGenerator::new().build();
        generator.get_code_with(&self.secret, || seconds)
    }

    /// A code that is not right in any step near.
    pub fn wrong_code(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code_in(steps)).collect();
        let mut codes = (0..).map(|number| format!("{number:06}"));
        codes.find(|code| !near.contains(code)).expect("one")
    }

    /// Moves the clock to a moment whose codes were not used yet.
    pub fn wait(&self) {
        self.clock.advance(Duration::from_secs(60));
    }
}

/// RFC 4648 without padding.
fn from_base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for symbol in text.bytes() {
        let mut alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter();
        let value = alphabet.position(|known| *known == symbol);
        bits = bits << 5 | u32::try_from(value.expect("base32")).expect("small");
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("a byte"));
        }
    }
    bytes
}

impl LoggedIn {
    /// Begins to enable an authenticator app.
    pub async fn scan_app(&self, clock: &Clock) -> AuthenticatorApp {
        let setup = self.send("POST /2fa/totp/setup", None).await;
        AuthenticatorApp::scan(clock, &setup)
    }

    /// Ends to enable a method with its code: `totp`, `sms`, `email`.
    pub async fn finish_set_up(&self, method: &str, code: &str) -> Answer {
        let route = format!("POST /2fa/{method}/verify-setup");
        self.send(&route, Some(&json!({ "code": code }))).await
    }

    /// Enables an authenticator app.
    pub async fn enable_totp(&self, clock: &Clock) -> AuthenticatorApp {
        let app = self.scan_app(clock).await;
        let enabled = self.finish_set_up("totp", &app.code()).await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
        assert_eq!(
            texts(&enabled.json()["data"]["backupCodes"]),
            app.backup_codes
        );
        app.wait();
        app
    }

    /// Begins to enable codes by SMS to a number, or by e-mail to an address.
    pub async fn set_up_sent(&self, to: &str) -> Answer {
        let (route, body) = if to.starts_with('+') {
            ("POST /2fa/sms/setup", json!({ "phoneNumber": to }))
        } else {
            ("POST /2fa/email/setup", json!({ "email": to }))
        };
        self.send(route, Some(&body)).await
    }

    /// Enables the method of a channel with the code that stayed in the outbox.
    pub async fn enable_sent(&self, method: &str, to: &Value) -> Answer {
        let before = self.anonymous().letters().await.len();
        let route = format!("POST /2fa/{method}/setup");
        let posted = self.send(&route, Some(to)).await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
        let code = self.anonymous().sent_code(before).await;
        self.finish_set_up(method, &code).await
    }

    /// Its account's methods, as listed.
    pub async fn methods(&self) -> Vec<Value> {
        let listed = self.send("GET /2fa/methods", None).await;
        assert_eq!(listed.status, StatusCode::OK, "{}", listed.text);
        let methods = &listed.json()["data"]["methods"];
        methods.as_array().expect("a list").clone()
    }
}

impl Anonymous {
    /// Logs in with the password and a code of the app.
    pub async fn login_with(&self, name: &str, app: &AuthenticatorApp) -> LoggedIn {
        let answer = self.half_login(name).await.verify(&app.code()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        app.wait();
        LoggedIn::of(&answer)
    }

    /// Logs in and has the device trusted; the client, and the device's token.
    pub async fn login_and_trust(
        &self,
        name: &str,
        app: &AuthenticatorApp,
        device: Option<&str>,
    ) -> (LoggedIn, String) {
        let half = self.half_login(name).await;
        let code = json!({ "code": app.code(), "trustDevice": true, "deviceName": device });
        let answer = half.send("POST /2fa/verify", code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        app.wait();
        (LoggedIn::of(&answer), answer.data("deviceToken"))
    }

    /// Logs in and has the device trusted; the device's token.
    pub async fn trusted_by(&self, name: &str, app: &AuthenticatorApp) -> String {
        self.login_and_trust(name, app, None).await.1
    }
}
