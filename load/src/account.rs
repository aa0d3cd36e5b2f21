//! An account with its credentials: names, password, tokens, authenticator.

use bytes::Bytes;
use hyper::header::HeaderValue;
use sallyport::clock::Clock;
use serde::Deserialize;
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

/// A password that the service's rules accept.
const PASSWORD: &str = "SecurePass123!";
/// Seconds of a step (RFC 6238).
const STEP_SECONDS: u64 = 30;

/// An account and its credentials.
pub(crate) struct Account {
    /// Number among the accounts of the run.
    pub(crate) number: usize,
    username: String,
    /// `Bearer …`, while logged in.
    pub(crate) bearer: Option<HeaderValue>,
    refresh_token: Option<String>,
    /// Present once a second factor was set up.
    pub(crate) authenticator: Option<Authenticator>,
}

/// Envelope of an answer.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(rename = "accessToken")]
    access: Option<String>,
    #[serde(rename = "refreshToken")]
    refresh: Option<String>,
    #[serde(rename = "tempToken")]
    challenge: Option<String>,
}

#[derive(Deserialize)]
struct MadeKey {
    #[serde(rename = "apiKey")]
    text: String,
}

#[derive(Deserialize)]
struct SetUp {
    secret: String,
}

impl Account {
    /// An account that is not registered yet. `name` is unique among all runs.
    pub(crate) fn new(number: usize, name: String) -> Self {
        Self {
            number,
            username: name,
            bearer: None,
            refresh_token: None,
            authenticator: None,
        }
    }

    /// Goes on with the API key of an answer in place of the access token; `false` when there is none.
    pub(crate) fn keep_api_key(&mut self, body: &Bytes) -> bool {
        let made = serde_json::from_slice::<Envelope<MadeKey>>(body).ok();
        let bearer = made.map(|made| HeaderValue::try_from(format!("Bearer {}", made.data.text)));
        self.bearer = bearer.and_then(Result::ok);
        self.bearer.is_some()
    }

    /// Body of a registration.
    pub(crate) fn registration(&self) -> Bytes {
        let name = &self.username;
        let email = format!("{name}@load.example");
        body(&json!({ "email": email, "username": name, "password": PASSWORD }))
    }

    /// Body of a login.
    pub(crate) fn credentials(&self) -> Bytes {
        body(&json!({ "emailOrUsername": self.username, "password": PASSWORD }))
    }

    /// Body of a refresh or a logout; `None` without a session.
    pub(crate) fn refresh_body(&self) -> Option<Bytes> {
        let token = self.refresh_token.as_ref()?;
        Some(body(&json!({ "refreshToken": token })))
    }

    /// Keeps the tokens of an answer. Returns the challenge's token when a second factor is due.
    pub(crate) fn keep_tokens(&mut self, answer: &[u8]) -> Option<String> {
        let tokens: Envelope<Tokens> = serde_json::from_slice(answer).ok()?;
        let tokens = tokens.data;
        if let Some(access) = tokens.access {
            self.bearer = HeaderValue::try_from(format!("Bearer {access}")).ok();
        }
        if tokens.refresh.is_some() {
            self.refresh_token = tokens.refresh;
        }
        tokens.challenge
    }

    /// Forgets the tokens of the session.
    pub(crate) fn forget_tokens(&mut self) {
        self.bearer = None;
        self.refresh_token = None;
    }

    /// Scans the secret of a TOTP set-up.
    pub(crate) fn scan(&mut self, answer: &[u8], skew_steps: u8) -> Option<()> {
        let setup: Envelope<SetUp> = serde_json::from_slice(answer).ok()?;
        self.authenticator = Some(Authenticator::new(&setup.data.secret, skew_steps)?);
        Some(())
    }

    /// The next code that the service has not seen, if there is one now.
    pub(crate) fn next_code(&mut self) -> Option<String> {
        self.authenticator.as_mut()?.next_code(unix_seconds())
    }
}

/// An authenticator app. Since each step counts once, it gives the code of every step that the service takes now
/// once, the oldest first.
pub(crate) struct Authenticator {
    totp: Totp,
    skew_steps: u64,
    next_step: u64,
}

impl Authenticator {
    /// An authenticator with a secret in base32, for a service that takes `skew_steps` either way.
    fn new(base32: &str, skew_steps: u8) -> Option<Self> {
        let secret = Secret::try_from_base32(base32).ok()?;
        Some(Self {
            totp: Builder::new().with_secret(secret).build_noncompliant(),
            skew_steps: u64::from(skew_steps),
            next_step: 0,
        })
    }

    /// Number of codes that can be given now.
    pub(crate) fn codes_left(&self) -> u64 {
        let (first, last) = self.window(unix_seconds());
        (last + 1).saturating_sub(first)
    }

    fn next_code(&mut self, now: u64) -> Option<String> {
        let (first, last) = self.window(now);
        if first > last {
            return None;
        }
        self.next_step = first + 1;
        Some(self.totp.generate(first * STEP_SECONDS).to_string())
    }

    /// First and last step that can be used at `now`. The oldest that the service takes is left out: it could
    /// be too old when the service gets it.
    fn window(&self, now: u64) -> (u64, u64) {
        let step = now / STEP_SECONDS;
        let oldest = step - self.skew_steps.saturating_sub(1);
        (oldest.max(self.next_step), step + self.skew_steps)
    }
}

/// Body of a second factor at a login.
pub(crate) fn second_factor(temp_token: &str, code: &str) -> Bytes {
    body(&json!({ "tempToken": temp_token, "code": code, "method": "totp" }))
}

/// Body that confirms a set-up.
pub(crate) fn confirmation(code: &str) -> Bytes {
    body(&json!({ "code": code }))
}

fn body(value: &serde_json::Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn unix_seconds() -> u64 {
    u64::try_from(Clock::system().now().seconds()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's vectors.
    const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn each_step_is_used_once_and_only_within_what_the_service_takes() {
        let mut authenticator = Authenticator::new(BASE32, 2).unwrap();
        let now = 1_111_111_109;
        let codes: Vec<String> = std::iter::from_fn(|| authenticator.next_code(now)).collect();
        // Steps -1, 0, 1, 2: four codes, the second of them the vector's.
        assert_eq!(codes.len(), 4);
        assert_eq!(codes[1], "081804");
        assert_eq!(authenticator.next_code(now), None);
        assert!(authenticator.next_code(now + 30).is_some());
        assert_eq!(authenticator.next_code(now + 30), None);
    }

    #[test]
    fn without_drift_there_is_the_code_of_now_alone() {
        let mut authenticator = Authenticator::new(BASE32, 0).unwrap();
        assert_eq!(authenticator.next_code(59).as_deref(), Some("287082"));
        assert_eq!(authenticator.next_code(59), None);
    }

    #[test]
    fn tokens_are_kept_and_a_due_factor_is_told() {
        let mut account = Account::new(0, "someone".to_owned());
        let signed_in =
            br#"{"success":true,"data":{"accessToken":"a","refreshToken":"r","user":{}}}"#;
        assert_eq!(account.keep_tokens(signed_in), None);
        assert_eq!(account.bearer.as_ref().unwrap(), "Bearer a");
        assert_eq!(
            &account.refresh_body().unwrap()[..],
            br#"{"refreshToken":"r"}"#
        );
        let due = br#"{"data":{"requiresTwoFactor":true,"tempToken":"t"}}"#;
        assert_eq!(account.keep_tokens(due).as_deref(), Some("t"));
        account.forget_tokens();
        assert!(account.bearer.is_none() && account.refresh_body().is_none());
    }
}
