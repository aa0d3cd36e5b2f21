//! The challenge between the factors: issued for a first factor, presented with the second.

use std::time::Duration;

use super::first_factor::{AccountState, FirstFactor, Step, account_state, login_event, signed_in};
use super::{LoginOutcome, SignedIn};
use crate::auth::device::trust::{self, TokenVerdict};
use crate::auth::session::presented_token::PresentedToken;
use crate::auth::session::{self, FirstRefreshToken};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Client, Core, Durability, Error, ProblemKind};
use crate::crypto::{Opened, TokenKind};
use crate::model::{
    Authenticator, Challenge, ChallengeClosed, ChallengeId, DeviceId, Factors, Partition,
    SecurityEvent, Session, Timestamp, TrustedDevice, User, UserId,
};
use crate::outbound::Event;
use crate::store::Class;

/// A second factor is due.
#[derive(Clone, Debug)]
pub struct ChallengeIssued {
    /// The `tempToken` that goes on with it.
    pub token: String,
    /// Authenticators that it can be met with.
    pub offered: Vec<Authenticator>,
    /// Authenticator to ask for first.
    pub preferred: Option<Authenticator>,
    /// Lifetime of the challenge.
    pub expires_in: Duration,
}

/// A login whose first factor was proven and whose second factor is due.
struct LoginAttempt<'a> {
    core: &'a Core,
    client: &'a Client,
    factor: &'a FirstFactor,
    /// A device token of the account's partition.
    device: Option<&'a PresentedToken>,
    /// The session that a trusted device begins.
    first: FirstRefreshToken,
    /// The token of the challenge that is issued otherwise.
    challenge: Opened,
}

/// Records that a login attempt is decided by.
type Records = (
    (Option<User>, Option<Factors>),
    Option<Option<TrustedDevice>>,
);

/// Decision over a login attempt.
enum Decision {
    /// A trusted device skips the second factor.
    Trusted(Box<(User, Session, TrustedDevice)>),
    /// The second factor must be shown.
    Challenged(ChallengeIssued),
    /// The account has changed since the proof.
    Stopped(Step),
}

impl From<ChallengeClosed> for Error {
    fn from(_: ChallengeClosed) -> Self {
        Self::Refused(ProblemKind::ChallengeExpired)
    }
}

/// Decides over a proven first factor where a second one is due: a trusted device skips it, every other client
/// gets a challenge.
///
/// # Errors
/// As [`change::commit`].
pub(super) async fn ask_for_second_factor(
    core: &Core,
    client: &Client,
    context: &RequestContext,
    factor: &FirstFactor,
) -> Result<Step, Error> {
    let partition = factor.user_id.partition();
    let challenge_id: ChallengeId = core.clock.new_id_in(partition);
    let attempt = LoginAttempt {
        core,
        client,
        factor,
        device: factor.device_in(partition),
        first: session::new_session(core, factor.user_id),
        challenge: (core.opaque_tokens).mint(TokenKind::Challenge, challenge_id.id(), 1),
    };
    let device_id = attempt.device.map(|token| DeviceId::from(token.opened.id));
    let keys = ((factor.user_id, factor.user_id.factors()), device_id);
    let decide = |records: Records, change: &mut Change<'_>| Ok(attempt.decide(records, change)?);
    let decided = change::commit(core, context, Class::Session, keys, decide).await?;
    Ok(match decided.value {
        Decision::Stopped(step) => step,
        Decision::Challenged(issued) => Step::Done(LoginOutcome::SecondFactorDue(issued)),
        Decision::Trusted(records) => {
            let (user, session, device) = *records;
            Step::Done(attempt.skipped(user, &session, &device))
        }
    })
}

impl LoginAttempt<'_> {
    /// Decides by the account as it is now, not as it was when the first factor was proven.
    fn decide(
        &self,
        ((user, factors), device): Records,
        change: &mut Change<'_>,
    ) -> Result<Decision, Error> {
        let user = match account_state(user, self.factor) {
            AccountState::SecondFactorDue(user) => *user,
            AccountState::Inactive => return Ok(Decision::Stopped(Step::Inactive)),
            AccountState::Changed | AccountState::MayBegin(_) => {
                return Ok(Decision::Stopped(Step::Changed));
            }
        };
        let verdict = match self.device {
            Some(token) => trust::judge(self.core, device.flatten(), &user, token),
            None => TokenVerdict::Worthless,
        };
        match verdict {
            TokenVerdict::Rotated(device) | TokenVerdict::Again(device) => {
                Ok(self.skip(user, device, change))
            }
            TokenVerdict::Reused(device) => {
                let event = SecurityEvent::DeviceTokenReused { device: device.id };
                change
                    .record(user.id, &event)
                    .put(&device)
                    .notify(&user, Event::DeviceTokenReused)?;
                self.challenge(user, factors, change)
            }
            TokenVerdict::Worthless => self.challenge(user, factors, change),
        }
    }

    /// Begins the session that a trusted device earns without a second factor.
    fn skip(&self, mut user: User, device: TrustedDevice, change: &mut Change<'_>) -> Decision {
        let amr = [self.factor.method, "trusted_device"];
        let (core, client, now) = (self.core, self.client, change.now());
        let session = session::start(core, &user, &self.first, client, &amr, now);
        self.factor.write_rehash(change, &mut user);
        change
            .record(&session, &login_event(&session))
            .put(&device)
            .put(&session);
        Decision::Trusted(Box::new((user, session, device)))
    }

    /// The outcome of a login that a trusted device completed.
    fn skipped(&self, user: User, session: &Session, device: &TrustedDevice) -> LoginOutcome {
        let core = self.core;
        session::note_login(core, self.client, &user, session);
        let device_token = self
            .device
            .and_then(|token| trust::newest_token(core, device, token));
        let signed_in = signed_in(
            core,
            user,
            session,
            &self.first.token,
            Durability::Committed,
        );
        LoginOutcome::SignedIn(Box::new(SignedIn {
            device_token,
            ..signed_in
        }))
    }

    fn challenge(
        &self,
        mut user: User,
        factors: Option<Factors>,
        change: &mut Change<'_>,
    ) -> Result<Decision, Error> {
        let factors = factors.ok_or_else(|| missing_factors(user.id))?;
        change.put_fleeting(&self.challenge_record(&user, change.now()));
        self.factor.write_rehash(change, &mut user);
        Ok(Decision::Challenged(self.issued(&factors)))
    }

    fn challenge_record(&self, user: &User, now: Timestamp) -> Challenge {
        Challenge {
            id: ChallengeId::from(self.challenge.id),
            user_id: user.id,
            secret_hash: self.challenge.hash(),
            session_epoch: user.session_epoch,
            user_agent: self.client.user_agent.clone(),
            first_factor: self.factor.method.to_owned(),
            tries: 0,
            created_at: now,
            expires_at: now.after(self.core.settings.second_factors.challenge_ttl),
        }
    }

    fn issued(&self, factors: &Factors) -> ChallengeIssued {
        let tokens = &self.core.opaque_tokens;
        ChallengeIssued {
            token: tokens.encode(TokenKind::Challenge, &self.challenge),
            offered: factors.offered(),
            preferred: factors.asked_first(),
            expires_in: self.core.settings.second_factors.challenge_ttl,
        }
    }
}

impl FirstFactor {
    /// The device token, if it belongs to an account of this partition.
    fn device_in(&self, partition: Partition) -> Option<&PresentedToken> {
        let token = self.device.as_ref();
        token.filter(|token| token.opened.id.partition() == partition)
    }
}

/// The error of an account that says it has second factors and lacks their record: both are written together.
pub(crate) fn missing_factors(user: UserId) -> Error {
    Error::Internal(format!("the second factors of account {user} are missing"))
}
