//! Hands for second factors at the desk: an authenticator app, a member who has one, a phone.

use std::sync::Arc;
use std::time::Duration;

use sallyport::auth::{
    Auth, Caller, ChallengeIssued, Credentials, Enabled, Error, LoginOutcome, Settings, SignedIn,
    TotpSetup, Trust, Verification,
};
use sallyport::clock::{self, Clock};
use sallyport::config;
use sallyport::model::MethodKind;
use tokio_util::sync::CancellationToken;
use totp_rs::Totp;

use crate::auth_desk::{Desk, PASSWORD, curl, secret};
use crate::lab::Kind;

/// An app that read what a set-up showed.
pub struct App(Totp);

/// Somebody with an app. Their last code is used up.
pub struct Member {
    pub access_token: String,
    pub app: App,
    pub backup_codes: Vec<String>,
}

impl App {
    pub fn scan(setup: &TotpSetup) -> Self {
        Self(Totp::from_url(setup.otpauth_url.as_str()).expect("a URL that apps read"))
    }

    pub fn code(&self, clock: &Clock) -> String {
        let seconds = u64::try_from(clock.now().seconds()).expect("after the epoch");
        self.0.generate(seconds).to_string()
    }

    /// Six digits that are no code of the app anywhere near now.
    pub fn wrong_code(&self, clock: &Clock) -> String {
        let seconds = u64::try_from(clock.now().seconds()).expect("after the epoch");
        let near = |n: u64| self.0.generate(seconds - 120 + 30 * n).to_string();
        let near: Vec<String> = (0..8).map(near).collect();
        let wrong = (0..).map(|number: u32| format!("{number:06}"));
        wrong
            .into_iter()
            .find(|code| !near.contains(code))
            .expect("one")
    }
}

impl Desk {
    /// With a local outbox that letters end in, and without limits.
    pub async fn with_outbox() -> Self {
        let mut settings = Settings::default();
        settings.limits.enabled = false;
        Self::with_outbox_and(settings).await
    }

    pub async fn with_outbox_and(settings: Settings) -> Self {
        let outbound = config::Outbound {
            local_outbox: true,
            ..config::Outbound::default()
        };
        let desk = Self::sending(Kind::Single, settings, &outbound).await;
        tokio::spawn(Arc::clone(&desk.auth).carry_letters(CancellationToken::new()));
        desk
    }

    /// The code in the `nth` letter with one, from 1, that goes `to` somebody. Waits for it.
    pub async fn code_sent(&self, to: &str, nth: usize) -> String {
        loop {
            let letters = self.outbound.outbox().expect("an outbox").letters();
            let sent = letters.iter().rev().filter(|letter| letter.to == to);
            if let Some(code) = sent.filter_map(|one| code_in(&one.text)).nth(nth - 1) {
                return code;
            }
            clock::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A registered account whose app counts.
    pub async fn member(&self, name: &str) -> Member {
        let access_token = self.register(name).await.access_token;
        let caller = self.caller(&access_token).await.expect("live");
        let (app, enabled) = self.enrol_app(&caller).await;
        let codes = enabled.backup_codes.expect("codes");
        self.clock.advance(Duration::from_secs(30));
        Member {
            access_token,
            app,
            backup_codes: codes.iter().map(|code| code.to_string()).collect(),
        }
    }

    pub async fn enrol_app(&self, caller: &Caller) -> (App, Enabled) {
        let setup = self
            .auth
            .set_up_totp(&curl(), caller)
            .await
            .expect("set up");
        let app = App::scan(&setup);
        let finished = self.finish_app(caller, &app.code(&self.clock)).await;
        (app, finished.expect("enabled"))
    }

    pub async fn finish_app(&self, caller: &Caller, code: &str) -> Result<Enabled, Error> {
        let client = curl();
        let finished = self
            .auth
            .finish_enrolment(&client, caller, MethodKind::Totp, code, None);
        finished.await
    }

    /// Logs in with the password alone, where a second factor is due.
    pub async fn challenge(&self, name: &str) -> ChallengeIssued {
        match self.knock(name, None).await {
            LoginOutcome::SecondFactorDue(challenge) => challenge,
            LoginOutcome::SignedIn(_) => panic!("no second factor is due"),
        }
    }

    pub async fn knock(&self, name: &str, device_token: Option<String>) -> LoginOutcome {
        let input = Credentials {
            identifier: name.to_owned(),
            password: secret(PASSWORD),
            device_token,
        };
        self.auth.login(&curl(), input).await.expect("a password")
    }

    pub async fn verify(&self, temp_token: &str, code: &str) -> Result<SignedIn, Error> {
        let input = verification(temp_token, code);
        self.auth.verify_second_factor(&curl(), input).await
    }

    pub async fn verify_with_backup(&self, name: &str, code: &str) -> Result<SignedIn, Error> {
        let challenge = self.challenge(name).await;
        let input = verification(&challenge.token, code);
        self.auth.verify_backup_code(&curl(), input).await
    }

    /// Logs in with a code of the app, and has the device trusted. Tells its token.
    pub async fn trust(&self, name: &str, app: &App, device: &str) -> (SignedIn, String) {
        let challenge = self.challenge(name).await;
        let name = Some(device.to_owned());
        let input = Verification {
            trust: Some(Trust { name }),
            ..verification(&challenge.token, &app.code(&self.clock))
        };
        let signed_in = self.auth.verify_second_factor(&curl(), input).await;
        let signed_in = signed_in.expect("right");
        self.clock.advance(Duration::from_secs(30));
        let token = signed_in.device_token.clone().expect("trusted").text;
        (signed_in, token)
    }

    /// Logs in with the password and a code of the app.
    pub async fn login_with(&self, name: &str, app: &App) -> Result<SignedIn, Error> {
        let challenge = self.challenge(name).await;
        let signed_in = self.verify(&challenge.token, &app.code(&self.clock)).await;
        self.clock.advance(Duration::from_secs(30));
        signed_in
    }
}

pub fn verification(temp_token: &str, code: &str) -> Verification {
    Verification {
        temp_token: temp_token.to_owned(),
        code: code.to_owned(),
        method: None,
        trust: None,
    }
}

/// The first six digits that stand for themselves.
fn code_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut digits = words.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    digits.find(|word| word.len() == 6).map(str::to_owned)
}

/// What a use case refuses with.
pub fn refusal<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("none", |error| error.code())
}

/// Tries the same in parallel, so often that some must meet. Tells how many went through.
pub async fn in_parallel<F>(times: usize, auth: &Arc<Auth>, one: impl Fn(Arc<Auth>) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let tries: Vec<_> = (0..times)
        .map(|_| tokio::spawn(one(Arc::clone(auth))))
        .collect();
    let mut passed = 0;
    for one in tries {
        passed += usize::from(one.await.expect("no panic"));
    }
    passed
}
