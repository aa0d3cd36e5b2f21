//! Re-authentication: a caller who is logged in proves again who they are, with the password or a second factor.

use super::factor_owner::{self, FactorOwner, OwnerRecords};
use super::outcome::Outcome;
use super::shown_code::{ShownCode, write_codes};
use super::verify::{record_locked, strike};
use super::verify_backup_code::Counted;
use crate::auth::login::{Evidence, prove_again};
use crate::auth::session::{self, SessionRecords, access_token};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Refusal};
use crate::core::{Caller, Client, Core, Error, Limit, Party, ProblemKind, hash_admission, limits};
use crate::model::{
    Authenticator, BackupCode, MethodKind, Password, SecurityEvent, Session, SixDigits, User,
};
use crate::outbound::Event;
use crate::store::{Class, Draft};

/// Name of the use case in audit entries of failures.
const DURING: &str = "reauthentication";

/// Proof of a re-authentication.
pub enum Reproof {
    /// The password.
    Password(Password),
    /// A code of an authenticator app, or one that was sent.
    Code {
        /// The code, as it was typed.
        code: String,
        /// Method of the code; by default as in [`Verification`](super::Verification).
        method: Option<MethodKind>,
    },
    /// A backup code, as it was typed.
    BackupCode(String),
}

/// Proves again who the caller is: a new access token with a new `auth_time`.
///
/// # Errors
/// [`ProblemKind::InvalidCredentials`] when the password is wrong, which counts as a failed login;
/// [`ProblemKind::InvalidCode`] when the code is, which counts against its method;
/// [`ProblemKind::MethodNotAvailable`] for a code when the account has no such method, or it was disabled.
pub async fn reauthenticate(
    core: &Core,
    client: &Client,
    caller: &Caller,
    proof: Reproof,
) -> Result<String, Error> {
    let (user, session) = match proof {
        Reproof::Password(password) => by_password(core, client, caller, &password).await?,
        Reproof::Code { code, mut method } => {
            let proven = by_code(core, client, caller, &code, &mut method).await;
            Outcome::of(&proven).count(method.map_or("none", MethodKind::label));
            proven?
        }
        Reproof::BackupCode(code) => {
            let proven = by_backup_code(core, client, caller, &code).await;
            Outcome::of(&proven).count(Authenticator::BackupCode.label());
            proven?
        }
    };
    Ok(access_token(core, &user, &session))
}

async fn by_password(
    core: &Core,
    client: &Client,
    caller: &Caller,
    password: &Password,
) -> Result<(User, Session), Error> {
    let evidence = Evidence {
        password,
        permit: &mut hash_admission::admit(core, client)?,
        during: DURING,
    };
    let proven = prove_again(core, client, caller, evidence).await?;
    let context = RequestContext::new(core, client);
    let decide = |records: SessionRecords, change: &mut Change<'_>| {
        let (mut session, user) = session::live(records, change.now())?;
        session::same_password(&user, &proven)?;
        session.reauthenticated(&user, "pwd", change.now());
        let method = "password";
        change
            .record(&session, &SecurityEvent::UserReauthenticated { method })
            .put(&session);
        Ok((user, session))
    };
    let keys = caller.keys();
    let committed = change::commit(core, &context, Class::Session, keys, decide).await?;
    Ok(committed.value)
}

/// Returns in `method` the one that the code was taken for.
async fn by_code(
    core: &Core,
    client: &Client,
    caller: &Caller,
    code: &str,
    method: &mut Option<MethodKind>,
) -> Result<(User, Session), Error> {
    let code = SixDigits::parse(code).ok_or(ProblemKind::InvalidCode)?;
    require_second_factor(caller)?;
    limits::take(
        core,
        client,
        Limit::SecondFactor(Party::Session(caller.session.id)),
    )
    .await?;
    let context = RequestContext::new(core, client);
    let named = *method;
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::live(records, change.now())?;
        let shown = ShownCode {
            core,
            code: &code,
            shown_for: owner.session.id.id(),
            now: change.now(),
        };
        let kind = shown.method(named, &owner.factors, &owner.codes)?;
        *method = Some(kind);
        let authenticator = Authenticator::Method(kind);
        let (factors, codes) = (&mut owner.factors, &mut owner.codes);
        let right = shown.is_right(kind, factors, codes, change.lost_at())?;
        write_codes(codes, change);
        if !right {
            strike(&owner.user, factors, authenticator, DURING, change)?;
            return Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)));
        }
        Ok(write_proof(owner, authenticator, change))
    };
    let keys = factor_owner::keys(caller);
    let committed = change::commit(core, &context, Class::Session, keys, decide).await?;
    Ok(committed.value)
}

/// As in a login, the try is counted in a commit of its own, since no transaction waits for the hash.
async fn by_backup_code(
    core: &Core,
    client: &Client,
    caller: &Caller,
    code: &str,
) -> Result<(User, Session), Error> {
    let code = BackupCode::parse(code).ok_or(ProblemKind::InvalidCode)?;
    require_second_factor(caller)?;
    let mut permit = hash_admission::admit(core, client)?;
    limits::take(
        core,
        client,
        Limit::SecondFactor(Party::Session(caller.session.id)),
    )
    .await?;
    let (context, keys) = (
        RequestContext::new(core, client),
        factor_owner::keys(caller),
    );
    let count = |records: OwnerRecords, draft: &mut Draft| {
        let mut owner = FactorOwner::live(records, context.now)?;
        let counted = Counted::count(&mut owner.factors, context.now)?;
        draft.put(&owner.factors);
        Ok::<_, Error>(counted)
    };
    let counted = change::bookkeeping(&core.store, Class::Session, keys, count).await?;
    let tag = permit.tag_code(code, &counted.phc_prefix).await?;
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::live(records, change.now())?;
        let authenticator = Authenticator::BackupCode;
        if !counted.consume(&mut owner.factors, &tag) {
            let (method, during) = (authenticator.label(), DURING);
            change.record(&owner.user, &SecurityEvent::FactorFailed { method, during });
            if counted.locked {
                record_locked(&owner.user, authenticator, change)?;
            }
            return Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)));
        }
        let left = owner.factors.backup_codes_left();
        let told = Event::BackupCodeUsed {
            left: u32::try_from(left).unwrap_or(u32::MAX),
        };
        change
            .record(&owner.user, &SecurityEvent::BackupCodeUsed { left })
            .notify(&owner.user, told)?;
        Ok(write_proof(owner, authenticator, change))
    };
    let committed = change::commit(core, &context, Class::Session, keys, decide).await?;
    // Only the record says that the code was used: it should not depend on one store.
    Ok(committed.durable().await?.0)
}

/// Refuses a code of an account without a second factor.
fn require_second_factor(caller: &Caller) -> Result<(), Error> {
    if caller.user.two_factor_enabled {
        Ok(())
    } else {
        Err(Error::Refused(ProblemKind::MethodNotAvailable))
    }
}

/// Writes that an authenticator has proven the owner of a session.
fn write_proof(
    mut owner: FactorOwner,
    authenticator: Authenticator,
    change: &mut Change<'_>,
) -> (User, Session) {
    let now = change.now();
    owner.factors.succeed(authenticator, now);
    let reference = authenticator.reference();
    owner.session.reauthenticated(&owner.user, reference, now);
    owner.session.show_second_factor(now);
    let method = authenticator.label();
    change
        .record(
            &owner.session,
            &SecurityEvent::UserReauthenticated { method },
        )
        .put(&owner.factors)
        .put(&owner.session);
    (owner.user, owner.session)
}
