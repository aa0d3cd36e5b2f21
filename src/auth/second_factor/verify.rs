//! The second factor of a login: a code of an authenticator app, or one that was sent.
//!
//! A try is counted in the same commit that decides over it, and the client learns the outcome only after that
//! commit: of any number of parallel tries each one is counted, and a code that may be used once is used once. (A
//! backup code costs a hash, so its try is counted in a commit of its own before: see `verify_backup_code`.)

use super::outcome::Outcome;
use super::presented_challenge::{ChallengeRecords, OpenChallenge, PresentedChallenge};
use crate::auth::device::trust::{self, Trust};
use crate::auth::login::{SignedIn, login_event, signed_in};
use crate::auth::session;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Changed, Refusal};
use crate::core::{Client, Core, Durability, Error, Limit, ProblemKind, limits, sealing};
use crate::crypto::{TotpSecret, step_at};
use crate::model::{
    Authenticator, Factors, MethodId, MethodKind, SecurityEvent, SentCodes, Session, SixDigits,
    Timestamp, TrustedDevice, User,
};
use crate::outbound::Event;
use crate::store::Class;

/// Answer to a challenge. Unchecked.
pub struct Verification {
    /// The `tempToken` of the challenge.
    pub temp_token: String,
    /// The code, as it was typed.
    pub code: String,
    /// Method of the code; by default the one that a code was sent by last, or else the one asked for first.
    pub method: Option<MethodKind>,
    /// Wish to trust the device from now on.
    pub trust: Option<Trust>,
}

/// Records of a login that is complete.
pub(super) struct Completed {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) device: Option<TrustedDevice>,
    pub(super) backup_codes_left: Option<usize>,
}

/// Completes a login with a code of an authenticator app, or one that was sent.
///
/// # Errors
/// [`ProblemKind::InvalidCode`], which counts as a try unless it is not six digits at all;
/// [`ProblemKind::ChallengeExpired`] when the challenge is used, expired, out of tries or another client's;
/// [`ProblemKind::MethodNotAvailable`]; [`Error::RateLimited`]; [`Error::StoreAway`].
pub async fn verify(core: &Core, client: &Client, input: Verification) -> Result<SignedIn, Error> {
    let mut method = input.method;
    let verified = verify_code(core, client, &input, &mut method).await;
    Outcome::of(&verified).count(method.map_or("none", MethodKind::label));
    verified
}

/// Returns in `method` the one that the code was taken for.
async fn verify_code(
    core: &Core,
    client: &Client,
    input: &Verification,
    method: &mut Option<MethodKind>,
) -> Result<SignedIn, Error> {
    let code = SixDigits::parse(&input.code).ok_or(ProblemKind::InvalidCode)?;
    let trust = input.trust.as_ref();
    let presented = PresentedChallenge::open(core, client, &input.temp_token, trust).await?;
    limits::take(core, client, Limit::SecondFactor(presented.user_id)).await?;
    let context = RequestContext::new(core, client);
    let decide = |records: ChallengeRecords, change: &mut Change<'_>| {
        let mut open = presented.admit(records)?;
        let kind = open.method(input.method, presented.now)?;
        *method = Some(kind);
        open.challenge.count_try()?;
        let right = match kind {
            MethodKind::Totp => shows_totp(
                core,
                &mut open.factors,
                &code,
                presented.now,
                change.lost_at(),
            )?,
            MethodKind::Sms | MethodKind::Email => {
                shows_sent_code(core, &mut open, kind, &code, presented.now)
            }
        };
        write_codes(&open.codes, change);
        let authenticator = Authenticator::Method(kind);
        if right {
            return Ok(complete(
                core,
                client,
                open,
                &presented,
                authenticator,
                change,
            )?);
        }
        change.put_fleeting(&open.challenge);
        strike(
            &open.user,
            &mut open.factors,
            authenticator,
            "login",
            change,
        )?;
        Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)))
    };
    let keys = presented.keys();
    let completed = change::commit(core, &context, Class::Session, keys, decide).await?;
    let Changed { value, receipt } = completed;
    // To trust a device is a grant; a session alone is answered from Redis.
    let durability = if value.device.is_some() {
        receipt.durable_or_pending().await?
    } else {
        Durability::Committed
    };
    Ok(tokens(core, value, &presented, durability))
}

/// Whether a code is one of the account's authenticator app that was not used before. Then its step is, and
/// every step before it. `lost_at`: see [`Change::lost_at`].
pub(super) fn shows_totp(
    core: &Core,
    factors: &mut Factors,
    code: &SixDigits,
    now: Timestamp,
    lost_at: Timestamp,
) -> Result<bool, Error> {
    let skew = core.settings.second_factors.totp_skew_steps;
    let Some(method) = factors.method_mut(MethodKind::Totp) else {
        return Ok(false);
    };
    let secret = totp_secret(core, method.id, &method.secret)?;
    // A code used shortly before Redis lost its state may look unused: only later steps count.
    let lost = (method.created_at < lost_at).then(|| step_at(lost_at) + i64::from(skew));
    let after = method.last_step.max(lost.unwrap_or(i64::MIN));
    let step = secret.matching_step(code, now, skew, after);
    if let Some(step) = step {
        method.last_step = step;
    }
    Ok(step.is_some())
}

/// The secret of an authenticator app, enabled or on its way to be.
pub(super) fn totp_secret(core: &Core, id: MethodId, sealed: &str) -> Result<TotpSecret, Error> {
    let opened = sealing::unseal(core, sealing::method_secret(id), sealed)?;
    let unusable = || Error::Internal(format!("the secret of method {id} is no secret"));
    TotpSecret::from_bytes(&opened).ok_or_else(unusable)
}

/// Whether a code is the one that was sent last, for this challenge, with tries left.
fn shows_sent_code(
    core: &Core,
    open: &mut OpenChallenge,
    kind: MethodKind,
    code: &SixDigits,
    now: Timestamp,
) -> bool {
    let sent = open.codes.live(kind, now);
    let Some(sent) = sent.filter(|sent| sent.has_tries()) else {
        return false;
    };
    sent.count_try();
    let row = sent.challenge_id.id();
    let codes = &core.one_time_codes;
    let right = row == open.challenge.id.id() && codes.matches(row, kind.label(), code, &sent.mac);
    if right {
        open.codes.drop_code(kind);
    }
    right
}

/// Writes a login that a second factor completes: the challenge is removed, the session begins, and where it was
/// requested the device is trusted.
pub(super) fn complete(
    core: &Core,
    client: &Client,
    mut open: OpenChallenge,
    presented: &PresentedChallenge,
    authenticator: Authenticator,
    change: &mut Change<'_>,
) -> Result<Completed, Error> {
    let amr = [
        open.challenge.first_factor.as_str(),
        authenticator.reference(),
    ];
    let now = change.now();
    let session = session::start(core, &open.user, &presented.first, client, &amr, now);
    open.factors.succeed(authenticator, now);
    change.remove(&open.challenge);
    let method = authenticator.label();
    change
        .record(&session, &SecurityEvent::FactorVerified { method })
        .put(&open.factors);
    change
        .record(&session, &login_event(&session))
        .put(&session);
    let device = match &presented.device {
        Some(new) => Some(trust_device(core, new, &open.user, &session, change)?),
        None => None,
    };
    Ok(Completed {
        user: open.user,
        session,
        device,
        backup_codes_left: None,
    })
}

fn trust_device(
    core: &Core,
    new: &trust::NewDevice,
    user: &User,
    session: &Session,
    change: &mut Change<'_>,
) -> Result<TrustedDevice, Error> {
    let device = trust::record(core, new, user, change.now());
    let name = device.name.clone();
    let event = SecurityEvent::DeviceTrusted {
        device: device.id,
        name: name.clone(),
    };
    change
        .record(session, &event)
        .put(&device)
        .notify(user, Event::DeviceTrusted { name })?;
    Ok(device)
}

/// Counts a failure against an authenticator; with the last one it is disabled, and its owner told.
pub(super) fn strike(
    user: &User,
    factors: &mut Factors,
    authenticator: Authenticator,
    during: &'static str,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let strikes = factors.strikes_mut(authenticator);
    let locked = strikes.is_some_and(|strikes| strikes.strike(change.now()));
    let method = authenticator.label();
    change
        .record(user, &SecurityEvent::FactorFailed { method, during })
        .put(factors);
    if locked {
        record_locked(user, authenticator, change)?;
    }
    Ok(())
}

/// Tells that an authenticator was disabled by failures.
pub(super) fn record_locked(
    user: &User,
    authenticator: Authenticator,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let method = authenticator.label();
    let event = Event::SecondFactorDisabled {
        method: authenticator.into(),
    };
    change
        .record(user, &SecurityEvent::FactorLocked { method })
        .notify(user, event)
}

/// Tokens of a login that is complete and committed.
pub(super) fn tokens(
    core: &Core,
    completed: Completed,
    presented: &PresentedChallenge,
    durability: Durability,
) -> SignedIn {
    let device = completed.device.as_ref().zip(presented.device.as_ref());
    let newest = &presented.first.token;
    SignedIn {
        device_token: device.map(|(device, new)| trust::first_token(core, device, new)),
        backup_codes_left: completed.backup_codes_left,
        ..signed_in(core, completed.user, &completed.session, newest, durability)
    }
}

impl OpenChallenge {
    /// The method that a code is of.
    fn method(&self, wanted: Option<MethodKind>, now: Timestamp) -> Result<MethodKind, Error> {
        let sent = || self.codes.latest_for(self.challenge.id, now);
        let first = || match self.factors.asked_first() {
            Some(Authenticator::Method(kind)) => Some(kind),
            Some(Authenticator::BackupCode) | None => None,
        };
        let kind = wanted.or_else(sent).or_else(first);
        let usable = |kind: &MethodKind| {
            let method = self.factors.method(*kind);
            method.is_some_and(|method| method.strikes.allow())
        };
        kind.filter(usable)
            .ok_or(Error::Refused(ProblemKind::MethodNotAvailable))
    }
}

/// Writes the codes that were sent to an account, or removes the record when none is left.
pub(super) fn write_codes(codes: &SentCodes, change: &mut Change<'_>) {
    if codes.sent.is_empty() {
        change.remove(codes);
    } else {
        change.put_fleeting(codes);
    }
}
