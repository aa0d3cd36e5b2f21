//! The second factor of a login: a code of an authenticator app, or one that was sent.
//!
//! A try is counted in the same commit that decides over it, and the client learns the outcome only after that
//! commit: of any number of parallel tries each one is counted, and a code that may be used once is used once. (A
//! backup code costs a hash, so its try is counted in a commit of its own before: see `verify_backup_code`.)

use super::outcome::Outcome;
use super::presented_challenge::{ChallengeRecords, OpenChallenge, PresentedChallenge};
use super::shown_code::{ShownCode, write_codes};
use crate::auth::device::trust::{self, Trust};
use crate::auth::login::{SignedIn, login_event, signed_in};
use crate::auth::session;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Changed, Refusal};
use crate::core::{Client, Core, Durability, Error, Limit, ProblemKind, limits};
use crate::model::{
    Authenticator, Factors, MethodKind, SecurityEvent, Session, SixDigits, TrustedDevice, User,
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
    let limit = Limit::SecondFactor;
    let reserved = limits::reserve_as_known(core, client, presented.user_id, limit).await?;
    reserved.settle(client)?;
    let context = RequestContext::new(core, client);
    let decide = |records: ChallengeRecords, change: &mut Change<'_>| {
        let mut open = presented.admit(records)?;
        let shown = ShownCode {
            core,
            code: &code,
            shown_for: open.challenge.id.id(),
            now: presented.now,
        };
        let kind = shown.method(input.method, &open.factors, &open.codes)?;
        *method = Some(kind);
        open.challenge.count_try()?;
        let (factors, codes) = (&mut open.factors, &mut open.codes);
        let right = shown.is_right(kind, factors, codes, change.lost_at())?;
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
    Ok(tokens(core, client, value, &presented, durability))
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
    let mut session = session::start(core, &open.user, &presented.first, client, &amr, now);
    session.show_second_factor(now);
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
    client: &Client,
    completed: Completed,
    presented: &PresentedChallenge,
    durability: Durability,
) -> SignedIn {
    let device = completed.device.as_ref().zip(presented.device.as_ref());
    let newest = &presented.first.token;
    session::note_login(core, client, &completed.user, &completed.session);
    SignedIn {
        device_token: device.map(|(device, new)| trust::first_token(core, device, new)),
        backup_codes_left: completed.backup_codes_left,
        ..signed_in(core, completed.user, &completed.session, newest, durability)
    }
}
