//! An account as its two clients know it: passwords, sessions, factors, codes, devices, with all that came before.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport::clock::Clock;
use serde_json::Value;
use totp_rs::{Builder, Secret, Totp};

use super::history::{AccountNumber, Gain, SessionNumber};
use super::servers::SKEW_STEPS;

const STEP_SECONDS: u64 = 30;
/// Steps at the upper end of what the instances take that are left for the reads at the end: after a loss of Redis only
/// codes of later steps than the present one count.
const KEPT_STEPS: u64 = 4;

/// An account, shared by its clients.
pub(super) struct Account {
    pub(super) number: AccountNumber,
    pub(super) name: String,
    pub(super) known: Mutex<Known>,
}

/// Everything its clients know of it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) user_id: Option<String>,
    /// All that were ever tried.
    pub(super) passwords: Vec<String>,
    /// The one that holds, as far as is known.
    pub(super) password: usize,
    /// A change to this one may have happened.
    pub(super) perhaps: Option<usize>,
    pub(super) sessions: Vec<Session>,
    pub(super) factors: Vec<Factor>,
    /// Whether the last factor is enabled; `None` when that is not known.
    pub(super) two_factor: Option<bool>,
    pub(super) sets: Vec<Vec<String>>,
    /// The set that counts, and its first code that was not sent yet.
    pub(super) codes: Option<(usize, usize)>,
    /// Newest tokens of trusted devices.
    pub(super) devices: Vec<String>,
}

/// A session, with all refresh tokens that it was given.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) access: String,
    pub(super) tokens: Vec<String>,
    /// Number of the client that it belongs to.
    pub(super) client: usize,
    /// It was told to end, or was refused.
    pub(super) over: bool,
    /// A second factor was shown, or was not due.
    pub(super) strong: bool,
}

/// An authenticator.
pub(super) struct Factor {
    totp: Totp,
    next_step: u64,
}

impl Account {
    pub(super) fn new(number: AccountNumber, run: &str) -> Self {
        let known = Known {
            passwords: vec![password(number, 0)],
            two_factor: Some(false),
            ..Known::default()
        };
        Self {
            number,
            name: format!("faults{run}x{number}"),
            known: Mutex::new(known),
        }
    }

    pub(super) fn email(&self) -> String {
        format!("{}@load.example", self.name)
    }
}

/// A password that no other account and no other change has.
pub(super) fn password(account: AccountNumber, number: usize) -> String {
    format!("Correct-Horse-{account}-{number}-Battery")
}

impl Known {
    /// Adds what an answer to a login brought: a session, or the news that a second factor is due.
    pub(super) fn signed_in(&mut self, data: &Value, client: usize, by_factor: bool) -> Gain {
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        let (Some(access), Some(refresh)) = (text("accessToken"), text("refreshToken")) else {
            return Gain::Challenge;
        };
        let claims = claims(&access).unwrap_or_default();
        if let Some(user) = claims["sub"].as_str() {
            self.user_id = Some(user.to_owned());
        }
        let device = text("deviceToken").map(|token| {
            self.devices.push(token);
            self.devices.len() - 1
        });
        self.sessions.push(Session {
            id: claims["sid"].as_str().unwrap_or_default().to_owned(),
            access,
            tokens: vec![refresh],
            client,
            over: false,
            strong: by_factor || self.two_factor == Some(false),
        });
        let number = self.sessions.len() - 1;
        Gain::Session { number, device }
    }

    /// Adds what an answer to a refresh brought.
    pub(super) fn refreshed(&mut self, session: SessionNumber, used: usize, data: &Value) -> Gain {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let (access, refresh) = (text("accessToken"), text("refreshToken"));
        let session = &mut self.sessions[session];
        if session.tokens.len() == used + 1 {
            session.tokens.push(refresh.clone());
            session.access = access;
        }
        Gain::Token(refresh)
    }

    /// Numbers of the sessions that a client has and that nothing is known to have ended.
    pub(super) fn live(&self, client: usize) -> Vec<SessionNumber> {
        let all = self.sessions.iter().enumerate();
        let own = all.filter(|(_, session)| session.client == client && !session.over);
        own.map(|(number, _)| number).collect()
    }

    /// All other sessions than `but` were told to end.
    pub(super) fn end_all(&mut self, but: Option<SessionNumber>) {
        for (number, session) in self.sessions.iter_mut().enumerate() {
            session.over |= Some(number) != but;
        }
    }

    /// The next code of the authenticator, with its step. Towards the end of a run `late` gives those that were kept.
    pub(super) fn next_code(&mut self, late: bool) -> Option<(usize, u64, String)> {
        let number = self.factors.len().checked_sub(1)?;
        let factor = &mut self.factors[number];
        let now = present_step();
        let (first, last) = if late {
            (now + 1, now + SKEW_STEPS)
        } else {
            (now + 1 - SKEW_STEPS, now + SKEW_STEPS - KEPT_STEPS)
        };
        let step = first.max(factor.next_step);
        if step > last {
            return None;
        }
        factor.next_step = step + 1;
        let code = factor.totp.generate(step * STEP_SECONDS).to_string();
        Some((number, step, code))
    }

    /// The next backup code that was never sent, with its set and place.
    pub(super) fn next_backup_code(&mut self) -> Option<(usize, usize, String)> {
        let (set, number) = self.codes?;
        let code = self.sets[set].get(number)?.clone();
        self.codes = Some((set, number + 1));
        Some((set, number, code))
    }
}

impl Factor {
    /// An authenticator with a secret in base32.
    pub(super) fn new(base32: &str) -> Option<Self> {
        let secret = Secret::try_from_base32(base32).ok()?;
        Some(Self {
            totp: Builder::new().with_secret(secret).build_noncompliant(),
            next_step: 0,
        })
    }
}

fn present_step() -> u64 {
    u64::try_from(Clock::system().now().seconds()).unwrap_or(0) / STEP_SECONDS
}

/// The claims of a PASETO v4.public, unverified: base64url of JSON and a signature of 64 bytes.
fn claims(token: &str) -> Option<Value> {
    let payload = token.strip_prefix("v4.public.")?.split('.').next()?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let (json, _) = bytes.split_at_checked(bytes.len().checked_sub(64)?)?;
    serde_json::from_slice(json).ok()
}
