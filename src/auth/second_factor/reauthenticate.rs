//! Re-authentication: a caller who is logged in proves again who they are, with the password or a code.

use super::trial::require_trial;
use super::verify::{shows_totp, strike};
use crate::auth::login::{Evidence, prove_again};
use crate::auth::session::{self, SessionRecords, access_token};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Refusal};
use crate::core::{Caller, Client, Core, Error, Limit, ProblemKind, hash_admission, limits};
use crate::model::{
    Authenticator, Factors, MethodKind, Password, SecurityEvent, Session, SixDigits, User,
};
use crate::store::Class;

/// Name of the use case in audit entries of failures.
const DURING: &str = "reauthentication";

/// Proof of a re-authentication.
pub enum Reproof {
    /// The password.
    Password(Password),
    /// A code of the authenticator app, as it was typed.
    Code(String),
}

/// Proves again who the caller is: a new access token with a new `auth_time`.
///
/// # Errors
/// [`ProblemKind::InvalidCredentials`] when the password is wrong, which counts as a failed login;
/// [`ProblemKind::InvalidCode`] when the code is, which counts against the app;
/// [`ProblemKind::MethodNotAvailable`] for a code when the account has no app, or it was disabled.
pub async fn reauthenticate(
    core: &Core,
    client: &Client,
    caller: &Caller,
    proof: Reproof,
) -> Result<String, Error> {
    let (user, session) = match proof {
        Reproof::Password(password) => by_password(core, client, caller, &password).await?,
        Reproof::Code(code) => by_code(core, client, caller, &code).await?,
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

async fn by_code(
    core: &Core,
    client: &Client,
    caller: &Caller,
    code: &str,
) -> Result<(User, Session), Error> {
    let code = SixDigits::parse(code).ok_or(ProblemKind::InvalidCode)?;
    if !caller.user.two_factor_enabled {
        return Err(Error::Refused(ProblemKind::MethodNotAvailable));
    }
    limits::take(core, client, Limit::SecondFactor(caller.user.id)).await?;
    let context = RequestContext::new(core, client);
    let decide = |records: Records, change: &mut Change<'_>| decide(core, records, &code, change);
    let keys = (caller.keys(), caller.user.id.factors());
    let committed = change::commit(core, &context, Class::Session, keys, decide).await?;
    Ok(committed.value)
}

/// Records that a re-authentication by code is decided by.
type Records = (SessionRecords, Option<Factors>);

/// Judges a code and counts it, in one commit.
fn decide(
    core: &Core,
    (pair, factors): Records,
    code: &SixDigits,
    change: &mut Change<'_>,
) -> Result<(User, Session), Refusal> {
    let now = change.now();
    let (mut session, user) = session::live(pair, now)?;
    let mut factors = factors.ok_or(ProblemKind::MethodNotAvailable)?;
    let app = Authenticator::Method(MethodKind::Totp);
    require_trial(&factors, app, now)?;
    if !shows_totp(core, &mut factors, code, now, change.lost_at())? {
        strike(&user, &mut factors, app, DURING, change)?;
        return Err(Refusal::Committed(Error::Refused(ProblemKind::InvalidCode)));
    }
    factors.succeed(app, now);
    session.reauthenticated(&user, app.reference(), now);
    let method = app.label();
    change
        .record(&session, &SecurityEvent::UserReauthenticated { method })
        .put(&factors)
        .put(&session);
    Ok((user, session))
}
