//! Backup codes, the second factor of an owner who has lost every method.
//!
//! Comparing costs a hash, which no transaction waits for. So there are two: the first counts the try, as a
//! failure, and the second takes the failure back when the code was right.

use super::outcome::Outcome;
use super::presented_challenge::{ChallengeRecords, OpenChallenge, PresentedChallenge};
use super::trial::require_trial;
use super::verify::{Completed, Verification, complete, record_locked, tokens};
use crate::auth::login::SignedIn;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Changed, Refusal};
use crate::core::{Client, Core, Error, Limit, ProblemKind, hash_admission, limits};
use crate::model::{Authenticator, BackupCode, Factors, SecurityEvent, Timestamp};
use crate::outbound::Event;
use crate::store::{Class, Draft};

/// A try that was counted.
pub(super) struct Counted {
    /// Salt and parameters of the set that it was counted against.
    pub(super) phc_prefix: String,
    /// Whether it is the failure that disables the set, if it is wrong.
    pub(super) locked: bool,
}

impl Counted {
    /// Counts a try as a failure of the set.
    ///
    /// # Errors
    /// As [`require_trial`].
    pub(super) fn count(factors: &mut Factors, now: Timestamp) -> Result<Self, Error> {
        require_trial(factors, Authenticator::BackupCode, now)?;
        let codes = factors.backup.as_mut();
        let codes = codes.ok_or(ProblemKind::MethodNotAvailable)?;
        Ok(Self {
            locked: codes.strikes.strike(now),
            phc_prefix: codes.phc_prefix.clone(),
        })
    }

    /// Uses the code with this tag up; `false` when there is none in the set that the try was counted against.
    /// Disabled meanwhile or not: the try was counted while the set took codes.
    pub(super) fn consume(&self, factors: &mut Factors, tag: &str) -> bool {
        let codes = factors.backup.as_mut();
        let codes = codes.filter(|codes| codes.phc_prefix == self.phc_prefix);
        codes.is_some_and(|codes| codes.consume(tag))
    }
}

/// Completes a login with a backup code, which is used up.
///
/// # Errors
/// As [`verify`](super::verify()); [`Error::Overloaded`].
pub async fn verify_backup_code(
    core: &Core,
    client: &Client,
    input: Verification,
) -> Result<SignedIn, Error> {
    let verified = try_verify(core, client, &input).await;
    Outcome::of(&verified).count(Authenticator::BackupCode.label());
    verified
}

async fn try_verify(core: &Core, client: &Client, input: &Verification) -> Result<SignedIn, Error> {
    let code = BackupCode::parse(&input.code).ok_or(ProblemKind::InvalidCode)?;
    let mut permit = hash_admission::admit(core, client)?;
    let trust = input.trust.as_ref();
    let presented = PresentedChallenge::open(core, client, &input.temp_token, trust).await?;
    let limit = Limit::SecondFactor;
    let reserved = limits::reserve_as_known(core, client, presented.user_id, limit).await?;
    reserved.settle(client)?;
    let counted = count_try(core, &presented).await?;
    let tag = permit.tag_code(code, &counted.phc_prefix).await?;
    decide(core, client, &presented, &counted, &tag).await
}

/// Counts the try before it is judged. The commit that judges it tells of it.
async fn count_try(core: &Core, presented: &PresentedChallenge) -> Result<Counted, Error> {
    let decide = |records: ChallengeRecords, draft: &mut Draft| {
        let mut open = presented.admit(records)?;
        open.challenge.count_try()?;
        let counted = Counted::count(&mut open.factors, presented.now)?;
        draft.put(&open.challenge);
        draft.put(&open.factors);
        Ok::<_, Error>(counted)
    };
    change::bookkeeping(&core.store, Class::Session, presented.keys(), decide).await
}

async fn decide(
    core: &Core,
    client: &Client,
    presented: &PresentedChallenge,
    counted: &Counted,
    tag: &str,
) -> Result<SignedIn, Error> {
    let context = RequestContext::new(core, client);
    let decide = |records: ChallengeRecords, change: &mut Change<'_>| {
        let mut open = presented.admit(records)?;
        if counted.consume(&mut open.factors, tag) {
            return Ok(write_login(core, client, open, presented, change)?);
        }
        let (authenticator, during) = (Authenticator::BackupCode, "login");
        let method = authenticator.label();
        change.record(&open.user, &SecurityEvent::FactorFailed { method, during });
        if counted.locked {
            record_locked(&open.user, authenticator, change)?;
        }
        Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)))
    };
    let keys = presented.keys();
    let completed = change::commit(core, &context, Class::Session, keys, decide).await?;
    let Changed { value, receipt } = completed;
    // Only the record says that the code was used: it should not depend on one store.
    let durability = receipt.durable_or_pending().await?;
    Ok(tokens(core, client, value, presented, durability))
}

fn write_login(
    core: &Core,
    client: &Client,
    open: OpenChallenge,
    presented: &PresentedChallenge,
    change: &mut Change<'_>,
) -> Result<Completed, Error> {
    let left = open.factors.backup_codes_left();
    let told = Event::BackupCodeUsed {
        left: u32::try_from(left).unwrap_or(u32::MAX),
    };
    change
        .record(&open.user, &SecurityEvent::BackupCodeUsed { left })
        .notify(&open.user, told)?;
    let authenticator = Authenticator::BackupCode;
    let completed = complete(core, client, open, presented, authenticator, change)?;
    Ok(Completed {
        backup_codes_left: Some(left),
        ..completed
    })
}
