//! Sessions: authentication by access token, issue, refresh, list, end.

mod authenticate;
mod bound;
mod end;
mod issue;
mod list;
pub(crate) mod presented_token;
mod refresh;

pub use authenticate::{authenticate, owes_second_factor, require_recent, require_set_up};
pub(crate) use bound::note_login;
pub use end::{
    end_replaced, logout, revoke, revoke_all, session_of_access_token, session_of_refresh_token,
};
pub use issue::RefreshToken;
pub(crate) use issue::{FirstRefreshToken, access_token, new_session, refresh_token, start};
pub use list::{SessionPage, SessionView, list};
pub use refresh::{Refreshed, refresh};

pub use crate::core::Caller;
use crate::core::{Error, ProblemKind};
use crate::model::{Authenticator, Factors, Session, Timestamp, User};

/// A session and its account, as far as they were found.
pub(crate) type SessionRecords = (Option<Session>, Option<User>);

/// A live session and its account.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when one of them is gone or over.
pub(crate) fn live(
    (session, user): SessionRecords,
    now: Timestamp,
) -> Result<(Session, User), Error> {
    match (session, user) {
        (Some(session), Some(user)) if session.is_live(&user, now) => Ok((session, user)),
        _ => Err(Error::Refused(ProblemKind::Unauthenticated)),
    }
}

/// Refuses a session whose owner proved who they are before another session changed the second factors.
///
/// # Errors
/// [`Error::ReauthenticationRequired`].
pub(crate) fn require_proof(
    session: &Session,
    user: &User,
    factors: Option<&Factors>,
) -> Result<(), Error> {
    if session.has_proven(user) {
        Ok(())
    } else {
        Err(reauthentication_required(factors))
    }
}

/// The refusal of a caller who must prove again who they are: by a second factor where the account has one.
pub(crate) fn reauthentication_required(factors: Option<&Factors>) -> Error {
    let factors = factors.filter(|factors| !factors.methods.is_empty());
    let accepted = match factors {
        Some(factors) => factors
            .offered()
            .into_iter()
            .map(Authenticator::label)
            .collect(),
        None => vec!["password"],
    };
    Error::ReauthenticationRequired { accepted }
}

/// Refuses when the account's password is not the one that was proven.
///
/// # Errors
/// [`ProblemKind::InvalidCredentials`].
pub(crate) fn same_password(user: &User, proven: &User) -> Result<(), Error> {
    if user.password_hash == proven.password_hash {
        Ok(())
    } else {
        Err(Error::Refused(ProblemKind::InvalidCredentials))
    }
}
