//! Use cases of authentication. Knows no HTTP and no SQL: typed values in, typed answers out.
//!
//! Each use case is a list of steps: check the input, take a place in the hash queue, take from the limits, compute what is costly, decide
//! and commit in one transaction, hand out tokens. What it decides is a pure function beside it. A use
//! case that is dropped half-way leaves nothing behind but a place in a limit or a claim, which expire.

mod arrival;
mod attempt;
mod audit;
mod authenticate;
mod backup_code;
mod backup_codes;
mod challenge;
mod device;
mod devices;
mod enrolment;
mod error;
mod factor_change;
#[cfg(test)]
mod fixtures;
mod health;
mod limits;
mod line;
mod login;
mod methods;
mod outcome;
mod password;
mod post;
mod proof;
mod refresh;
mod register;
mod reseal;
mod room;
mod sealing;
mod second_factor;
mod send_code;
mod sessions;
mod sign_in;
mod target;

pub use challenge::ChallengeIssued;
pub use device::{DeviceToken, Trust};
pub use enrolment::{Enabled, TotpSetup};
pub use error::{Error, FieldError};
pub use health::{Health, Standing};
pub use limits::Gate;
pub use login::{Credentials, LoginOutcome};
pub use methods::{MethodChange, MethodList, MethodView};
pub use password::{PasswordChange, Reproof};
pub use refresh::Refreshed;
pub use register::Registration;
pub use second_factor::Verification;
pub use send_code::CodePosted;
pub use sessions::SessionView;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::config;
use crate::crypto::{AccessTokens, Claims, HashPool, Keys, OneTimeCodes, OpaqueTokens, Sealer};
use crate::model::{Lifetimes, Seen, Session, Timestamp, User};
pub use crate::outbound::{Delivered, Language};
use crate::outbound::{LocalOutbox, Outbound};
use crate::store::Store;
pub use crate::store::{Durability, Verdict};

/// All use cases. One for the whole process, behind an `Arc`.
pub struct Auth {
    pub(crate) store: Store,
    pub(crate) pool: HashPool,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) opaque_tokens: OpaqueTokens,
    pub(crate) one_time_codes: OneTimeCodes,
    pub(crate) sealer: Sealer,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    touching: authenticate::Touching,
    lines: line::Lines,
}

/// What the use cases need to know of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lifetimes.
    pub tokens: config::Tokens,
    /// Second factors.
    pub second_factors: config::SecondFactors,
    /// Rate limits.
    pub limits: config::Limits,
}

/// Who calls, as far as the transport knows.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address of the client: the rightmost hop that is not a trusted proxy.
    pub address: IpAddr,
    /// `User-Agent`, at most 512 bytes, control characters removed.
    pub user_agent: String,
    /// Names the request in logs and audit.
    pub request_id: String,
    /// What its owner reads, as far as they said.
    pub language: Language,
    /// Limits asked on the way, for the response's headers.
    pub asked: Asked,
}

/// What limits said while a request was served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<Vec<Verdict>>>);

impl Asked {
    /// Remembers verdicts.
    pub fn record(&self, verdicts: &[Verdict]) {
        if let Ok(mut asked) = self.0.lock() {
            asked.extend_from_slice(verdicts);
        }
    }

    /// Everything remembered so far.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.0.lock().map(|asked| asked.clone()).unwrap_or_default()
    }
}

/// A logged-in caller: valid access token, live session, active account.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub user: Arc<User>,
    /// The session that the token belongs to.
    pub session: Arc<Session>,
    /// What the token said.
    pub claims: Arc<Claims>,
}

/// A refresh token to hand to its owner.
#[derive(Clone)]
pub struct RefreshToken {
    /// Its text.
    pub text: String,
    /// When it expires if unused.
    pub expires_at: Timestamp,
}

/// A session was issued.
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// Access token.
    pub access_token: String,
    /// Refresh token.
    pub refresh_token: RefreshToken,
    /// How far what was granted has come.
    pub durability: Durability,
    /// The newest token of a trusted device, where one logged in or was trusted just now.
    pub device_token: Option<DeviceToken>,
    /// How many backup codes are left, after one was used.
    pub backup_codes_left: Option<usize>,
}

impl Auth {
    /// Puts the use cases together.
    #[must_use]
    pub fn new(
        store: Store,
        pool: HashPool,
        keys: &Keys,
        outbound: Arc<Outbound>,
        clock: Clock,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            pool,
            access_tokens: AccessTokens::new(keys, &settings.tokens),
            opaque_tokens: OpaqueTokens::new(keys),
            one_time_codes: OneTimeCodes::new(keys),
            sealer: Sealer::new(keys),
            outbound,
            clock,
            settings,
            touching: authenticate::Touching::default(),
            lines: line::Lines::default(),
        }
    }

    /// Letters that stayed in the house. Only dev mode has any.
    #[must_use]
    pub fn outbox(&self) -> Option<&LocalOutbox> {
        self.outbound.outbox()
    }
}

impl Settings {
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: self.tokens.session_idle_ttl,
            total: self.tokens.session_ttl,
        }
    }
}

impl Client {
    fn seen(&self) -> Seen {
        Seen {
            ip_address: self.address,
            user_agent: self.user_agent.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, MethodKind, Password};

    /// Work that rotated a token must finish when its client hangs up, so every use case can be spawned.
    /// This compiles or it does not.
    #[expect(dead_code, reason = "checked by the compiler")]
    fn every_use_case_can_be_spawned(auth: &Auth, client: &Client, caller: &Caller) {
        fn spawnable<F: Future + Send>(_: F) {}
        let password = || Password::new(String::new());
        let registration = Registration {
            email: String::new(),
            username: String::new(),
            password: password(),
        };
        let credentials = Credentials {
            identifier: String::new(),
            password: password(),
            device_token: None,
        };
        let verification = || Verification {
            temp_token: String::new(),
            code: String::new(),
            method: None,
            trust: None,
        };
        let change = PasswordChange {
            current: password(),
            new: password(),
        };
        spawnable(auth.register(client, registration));
        spawnable(auth.login(client, credentials));
        spawnable(auth.verify_second_factor(client, verification()));
        spawnable(auth.verify_backup_code(client, verification()));
        spawnable(auth.authenticate(client, "", true));
        spawnable(auth.refresh(client, ""));
        spawnable(auth.logout(client, None, None));
        spawnable(auth.sessions(caller));
        spawnable(auth.revoke_session(client, caller, caller.session.id));
        spawnable(auth.revoke_sessions(client, caller, true));
        spawnable(auth.change_password(client, caller, change));
        spawnable(auth.reauthenticate(client, caller, Reproof::Password(password())));
        spawnable(auth.pass(client, Gate::Anonymous));
    }

    /// As above, around second factors.
    #[expect(dead_code, reason = "checked by the compiler")]
    fn everything_around_second_factors_can_be_spawned(
        auth: &Auth,
        client: &Client,
        caller: &Caller,
        id: Id,
    ) {
        fn spawnable<F: Future + Send>(_: F) {}
        spawnable(auth.set_up_totp(client, caller));
        spawnable(auth.set_up_sms(client, caller, ""));
        spawnable(auth.set_up_email(client, caller, ""));
        spawnable(auth.finish_enrolment(client, caller, MethodKind::Totp, "", None));
        spawnable(auth.send_code(client, "", MethodKind::Sms));
        spawnable(auth.methods(caller));
        spawnable(auth.change_method(client, caller, id.into(), MethodChange::default()));
        spawnable(auth.remove_method(client, caller, id.into()));
        spawnable(auth.remove_totp(client, caller));
        spawnable(auth.backup_codes_left(caller));
        spawnable(auth.regenerate_backup_codes(client, caller));
        spawnable(auth.devices(caller));
        spawnable(auth.rename_device(client, caller, id.into(), ""));
        spawnable(auth.remove_device(client, caller, id.into()));
        spawnable(auth.remove_devices(client, caller));
        spawnable(auth.reseal());
    }
}
