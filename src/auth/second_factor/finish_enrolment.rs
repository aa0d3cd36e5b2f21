//! The end of an enrolment: a code shows that the factor works, and it counts from now on.
//!
//! Backup codes cost ten hashes, which no transaction waits for and no wrong code may cause. So there
//! is a look first, which decides nothing: a wrong code goes on without hashes to the commit that counts
//! it, and a right one is judged again in the commit that enables the factor.

use std::time::Duration;

use zeroize::Zeroizing;

use super::enrolment::{count_enrolment, purpose};
use super::factor_owner::{self, FactorOwner, OwnerKeys, OwnerRecords};
use super::shown_code::totp_secret;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Refusal};
use crate::core::{
    Caller, Client, Core, Durability, Error, FieldError, Limit, Party, ProblemKind, hash_admission,
    limits, sealing,
};
use crate::crypto::{CodeSet, HashPermit, draw_backup_codes};
use crate::model::{
    Authenticator, BackupCode, Enrolment, EnrolmentId, Method, MethodKind, Proof, SecurityEvent,
    SixDigits, Strikes, Timestamp,
};
use crate::outbound::Event;
use crate::store::Class;

/// A second factor that counts from now on.
pub struct Enabled {
    /// Backup codes that are valid from now on, if there are new ones: `XXXX-XXXX`. Shown once.
    pub backup_codes: Option<Vec<Zeroizing<String>>>,
    /// Stores that have the grant so far.
    pub durability: Durability,
}

/// Backup codes that wait for the commit that makes them valid.
struct FreshCodes {
    shown: Vec<Zeroizing<String>>,
    set: CodeSet,
}

/// An owner and the proposal of their session.
struct Proposal {
    owner: FactorOwner,
    enrolment: Enrolment,
}

type Keys = (OwnerKeys, EnrolmentId);
type Records = (OwnerRecords, Option<Enrolment>);

/// Enables the factor that the session has proposed, with a code of it. `secret`, when given, must be
/// the proposed one. Every other session loses its right to sensitive actions, and trusted devices end.
///
/// # Errors
/// [`ProblemKind::EnrolmentExpired`] when the session proposes nothing of this kind, or its time or tries are
/// over; [`ProblemKind::InvalidCode`], which counts as a try unless it is not six digits at all;
/// [`Error::Invalid`] for another secret; [`Error::RateLimited`]; [`Error::Overloaded`].
pub async fn finish_enrolment(
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
    code: &str,
    secret: Option<&str>,
) -> Result<Enabled, Error> {
    let finished = finish(core, client, caller, kind, code, secret).await;
    count_enrolment(kind, "enabled", &finished);
    finished
}

async fn finish(
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
    code: &str,
    secret: Option<&str>,
) -> Result<Enabled, Error> {
    let code = SixDigits::parse(code).ok_or(ProblemKind::InvalidCode)?;
    let (context, keys) = (RequestContext::new(core, client), keys(caller));
    let seen = Proposal::of(core.store.read(keys).await?, kind, context.now)?;
    require_own_secret(core, &seen.enrolment, secret)?;
    let permit = seen
        .needs_codes()
        .then(|| hash_admission::admit(core, client))
        .transpose()?;
    limits::take(
        core,
        client,
        Limit::SecondFactor(Party::Session(caller.session.id)),
    )
    .await?;
    let fresh = match (
        shown_step(core, &seen.enrolment, &code, context.now)?,
        permit,
    ) {
        (Some(_), Some(permit)) => Some(fresh_codes(core, &seen, permit).await?),
        _ => None,
    };
    let decide = |records: Records, change: &mut Change<'_>| {
        let proposal = Proposal::of(records, kind, change.now())?;
        if proposal.enrolment.method_id != seen.enrolment.method_id {
            return Err(Error::Refused(ProblemKind::EnrolmentExpired).into());
        }
        decide(core, proposal, &code, fresh.as_ref(), change)
    };
    let committed = change::commit(core, &context, Class::Grant, keys, decide).await?;
    let (valid, durability) = committed.durable().await?;
    Ok(Enabled {
        backup_codes: fresh.filter(|_| valid).map(|fresh| fresh.shown),
        durability,
    })
}

/// Refuses a secret that is not the server's own. A client that sends one along means that one and no other.
fn require_own_secret(core: &Core, enrolment: &Enrolment, sent: Option<&str>) -> Result<(), Error> {
    let Some(sent) = sent else { return Ok(()) };
    let ours = enrolment.kind == MethodKind::Totp
        && totp_secret(core, enrolment.method_id, &enrolment.secret)?.is(sent);
    if ours {
        return Ok(());
    }
    Err(Error::Invalid(vec![FieldError {
        field: "secret",
        code: "mismatch",
        message: "is not the secret that was set up".to_owned(),
    }]))
}

/// The step of an app's code; 0 for a code that was sent. `None` when it is wrong.
fn shown_step(
    core: &Core,
    enrolment: &Enrolment,
    code: &SixDigits,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    match &enrolment.proof {
        Proof::Totp { .. } => {
            let secret = totp_secret(core, enrolment.method_id, &enrolment.secret)?;
            let skew = core.settings.second_factors.totp_skew_steps;
            Ok(secret.matching_step(code, now, skew, i64::MIN))
        }
        Proof::SentCode { mac } => {
            let (row, purpose) = (enrolment.id.id(), purpose(enrolment.kind));
            let right = core.one_time_codes.matches(row, purpose, code, mac);
            Ok(right.then_some(0))
        }
    }
}

/// The codes that were shown with an app; for other factors new ones.
async fn fresh_codes(
    core: &Core,
    seen: &Proposal,
    mut permit: HashPermit,
) -> Result<FreshCodes, Error> {
    let codes = match &seen.enrolment.proof {
        Proof::Totp { backup_codes } => shown_codes(core, &seen.enrolment, backup_codes)?,
        Proof::SentCode { .. } => draw_backup_codes(),
    };
    Ok(FreshCodes {
        shown: codes.iter().map(BackupCode::shown).collect(),
        set: permit.hash_codes(codes).await?,
    })
}

fn shown_codes(core: &Core, enrolment: &Enrolment, sealed: &str) -> Result<Vec<BackupCode>, Error> {
    let opened = sealing::unseal(core, sealing::shown_codes(enrolment.id), sealed)?;
    let lines = std::str::from_utf8(&opened).unwrap_or_default().lines();
    let codes: Option<Vec<_>> = lines.map(BackupCode::parse).collect();
    codes.ok_or_else(|| Error::Internal("shown backup codes cannot be read".to_owned()))
}

/// Counts the try and judges it, in one commit. Returns whether the fresh codes are valid.
fn decide(
    core: &Core,
    mut proposal: Proposal,
    code: &SixDigits,
    fresh: Option<&FreshCodes>,
    change: &mut Change<'_>,
) -> Result<bool, Refusal> {
    proposal.enrolment.count_try();
    let Some(step) = shown_step(core, &proposal.enrolment, code, change.now())? else {
        write_wrong(&proposal, change);
        return Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)));
    };
    let app = proposal.enrolment.kind == MethodKind::Totp;
    let valid = app || proposal.owner.factors.backup.is_none();
    if valid && fresh.is_none() {
        // The account's backup codes went away since the look.
        let retry_after = Duration::from_secs(1);
        return Err(Error::Overloaded { retry_after }.into());
    }
    let fresh = fresh.filter(|_| valid).map(|fresh| &fresh.set);
    write_enabled(core, proposal, step, fresh, change)?;
    Ok(valid)
}

fn write_enabled(
    core: &Core,
    proposal: Proposal,
    step: i64,
    fresh: Option<&CodeSet>,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let Proposal {
        mut owner,
        enrolment,
    } = proposal;
    let (kind, now) = (enrolment.kind, change.now());
    change.remove(&enrolment);
    let sealed_with = sealing::sealed_with(core, &enrolment.secret);
    let method = method(enrolment, step, now);
    owner.factors.enable(method, sealed_with, now);
    owner.session.show_second_factor(now);
    owner.void_code(kind);
    if let Some(CodeSet { phc_prefix, tags }) = fresh.cloned() {
        owner.factors.renew_backup_codes(phc_prefix, tags, now);
        change.record(&owner.session, &SecurityEvent::BackupCodesGenerated {});
    }
    let told = Event::SecondFactorAdded {
        method: Authenticator::Method(kind).into(),
    };
    let method = kind.label();
    owner.write_change(&SecurityEvent::FactorEnabled { method }, told, change)
}

impl Proposal {
    /// The proposal, when session and account are live, with the right to this, and the session proposes this
    /// kind.
    fn of((records, enrolment): Records, kind: MethodKind, now: Timestamp) -> Result<Self, Error> {
        let owner = FactorOwner::proven(records, now)?;
        let open = |enrolment: &Enrolment| enrolment.is_open(kind, owner.user.id, now);
        let enrolment = enrolment
            .filter(open)
            .ok_or(ProblemKind::EnrolmentExpired)?;
        Ok(Self { owner, enrolment })
    }

    /// Whether there will be new backup codes: with an app always, else when the account has none yet.
    fn needs_codes(&self) -> bool {
        matches!(self.enrolment.proof, Proof::Totp { .. }) || self.owner.factors.backup.is_none()
    }
}

fn keys(caller: &Caller) -> Keys {
    (factor_owner::keys(caller), caller.session.id.enrolment())
}

fn method(enrolment: Enrolment, last_step: i64, now: Timestamp) -> Method {
    Method {
        id: enrolment.method_id,
        kind: enrolment.kind,
        secret: enrolment.secret,
        hint: enrolment.hint,
        last_step,
        strikes: Strikes::default(),
        created_at: now,
        last_used_at: None,
    }
}

fn write_wrong(proposal: &Proposal, change: &mut Change<'_>) {
    change.put_fleeting(&proposal.enrolment);
    let event = SecurityEvent::FactorFailed {
        method: proposal.enrolment.kind.label(),
        during: "enrolment",
    };
    change.record(&proposal.owner.session, &event);
}
