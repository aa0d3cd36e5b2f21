//! People with second factors: what they hold, and how they go through the doors.

use http::{Method, StatusCode};
use sallyport::clock::Clock;
use sallyport::crypto::step_at;
use serde_json::{Value, json};
use totp_rfc6238::TotpGenerator;

use super::{Answer, House, Member, PASSWORD};

/// An authenticator app, by a library that the service does not use, and the backup codes on paper.
pub struct App {
    secret: Vec<u8>,
    clock: Clock,
    pub backup_codes: Vec<String>,
}

impl App {
    /// What `POST /2fa/totp/setup` gave.
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

    /// A moment whose codes were not used yet.
    pub fn wait(&self) {
        self.clock.advance(std::time::Duration::from_secs(60));
    }
}

/// Strings of a JSON array.
pub fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text").to_owned())
        .collect()
}

/// RFC 4648 without padding.
fn from_base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for symbol in text.bytes() {
        let place = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter();
        let value = place.clone().position(|known| *known == symbol);
        bits = bits << 5 | u32::try_from(value.expect("base32")).expect("small");
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("a byte"));
        }
    }
    bytes
}

impl House {
    /// Asks with an access token.
    pub async fn as_member(&self, member: &Member, line: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", member.access);
        self.send(line, &[("authorization", &bearer)], body).await
    }

    /// `"METHOD /path"` below the base path.
    pub async fn send(&self, line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let (method, path) = line.split_once(' ').expect("method and path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let path = format!("/api{path}");
        self.ask(method, &path, &all, body.into()).await
    }

    /// Enables an authenticator app.
    pub async fn enable_totp(&self, clock: &Clock, member: &Member) -> App {
        let setup = self.as_member(member, "POST /2fa/totp/setup", None).await;
        let app = App::scan(clock, &setup);
        let code = json!({ "code": app.code() });
        let enabled = self
            .as_member(member, "POST /2fa/totp/verify-setup", Some(&code))
            .await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
        assert_eq!(
            texts(&enabled.json()["data"]["backupCodes"]),
            app.backup_codes
        );
        app.wait();
        app
    }

    /// Enables the method of a channel with the code that stayed in the outbox.
    pub async fn enable_sent(&self, member: &Member, kind: &str, to: &Value) -> Answer {
        let before = self.letters().await.len();
        let line = format!("POST /2fa/{kind}/setup");
        let posted = self.as_member(member, &line, Some(to)).await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
        let code = json!({ "code": self.sent_code(before).await });
        let line = format!("POST /2fa/{kind}/verify-setup");
        self.as_member(member, &line, Some(&code)).await
    }

    /// What stayed in the house, newest first.
    pub async fn letters(&self) -> Vec<Value> {
        let outbox = self.send("GET /dev/outbox", &[], None).await;
        assert_eq!(outbox.status, StatusCode::OK, "{}", outbox.text);
        outbox.json()["letters"].as_array().expect("a list").clone()
    }

    /// The code of the newest letter with one, once there are more than `before`.
    pub async fn sent_code(&self, before: usize) -> String {
        loop {
            let letters = self.letters().await;
            let new = &letters[..letters.len().saturating_sub(before)];
            let codes = new.iter().filter_map(|letter| {
                let text = letter["text"].as_str().expect("text");
                let mut words = text.split(|c: char| !c.is_ascii_digit());
                words.find(|word| word.len() == 6).map(str::to_owned)
            });
            if let Some(code) = codes.into_iter().next() {
                return code;
            }
            sallyport::clock::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The `tempToken` that a right password leads to.
    pub async fn challenge(&self, name: &str) -> String {
        let answer = self.try_login(name, PASSWORD).await;
        temp_token(&answer)
    }

    /// Shows a code, as a native client does.
    pub async fn verify(&self, temp_token: &str, code: &str) -> Answer {
        let body = json!({ "tempToken": temp_token, "code": code });
        self.in_body("POST /2fa/verify", &body).await
    }

    /// Shows a backup code.
    pub async fn verify_backup_code(&self, temp_token: &str, code: &str) -> Answer {
        let body = json!({ "tempToken": temp_token, "code": code });
        self.in_body("POST /2fa/verify-backup-code", &body).await
    }

    /// Asks as a client that keeps no cookies.
    pub async fn in_body(&self, line: &str, body: &Value) -> Answer {
        self.send(line, &[("x-token-delivery", "body")], Some(body))
            .await
    }

    /// Logs in through both doors.
    pub async fn login_with(&self, name: &str, app: &App) -> Member {
        let answer = self.verify(&self.challenge(name).await, &app.code()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        app.wait();
        Member::of(&answer)
    }

    /// Logs in and trusts the device; returns its token.
    pub async fn trusted_by(&self, name: &str, app: &App) -> String {
        let body = json!({
            "tempToken": self.challenge(name).await, "code": app.code(), "trustDevice": true,
        });
        let answer = self.in_body("POST /2fa/verify", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        app.wait();
        answer.data("deviceToken")
    }
}

/// The `tempToken` of a login that asks for a second factor.
pub fn temp_token(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json()["data"]["requiresTwoFactor"],
        true,
        "{}",
        answer.text
    );
    assert!(answer.headers.get("set-cookie").is_none(), "no session yet");
    answer.data("tempToken")
}

impl Answer {
    /// A text in `data`.
    pub fn data(&self, name: &str) -> String {
        let value = self.json()["data"][name].clone();
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    /// `name=value` of a cookie that was set, if it was.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter();
        let mut lines = set.map(|line| line.to_str().expect("text"));
        let line = lines.find(|line| line.starts_with(&format!("{name}=")))?;
        Some(line.split(';').next().unwrap_or(line).to_owned())
    }

    /// Its JSON with ids, times, tokens and codes blotted out.
    pub fn redacted(&self) -> Value {
        let mut json = self.json();
        redact(&mut json);
        json
    }
}

/// Blots out what differs from run to run.
fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let blot = match name.as_str() {
                    "id" | "instance" => "(id)",
                    "accessToken" | "refreshToken" | "tempToken" | "deviceToken" => "(token)",
                    "secret" | "otpauthUrl" | "qrCode" => "(secret)",
                    name if name.ends_with("At") => "(time)",
                    _ => {
                        redact(member);
                        continue;
                    }
                };
                if !member.is_null() {
                    *member = blot.into();
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) if text.len() == 9 && text.as_bytes()[4] == b'-' => {
            "(code)".clone_into(text);
        }
        _ => {}
    }
}
