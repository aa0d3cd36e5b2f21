//! The bound of an account's sessions: when one begins that is too many, the one that was not used for the longest
//! time ends.
//!
//! Redis notes which sessions began, and says when there may be too many, or when it knows of none: only then
//! PostgreSQL is asked. All of that happens after the login, beside its answer.

use std::cmp::Reverse;

use futures_util::future::try_join_all;

use super::list::live_sessions;
use crate::core::audit::{RequestContext, Subject};
use crate::core::{Client, Core, change};
use crate::model::{SecurityEvent, Session, SessionId, User};
use crate::store::{self, Class, Draft, Store};
use crate::telemetry::names;

/// Reason in the audit entry and in metrics.
const REASON: &str = "session_limit";

/// Notes a login that a session and its client come from, and ends what is too many, without delaying the answer.
pub(crate) fn note_login(core: &Core, client: &Client, user: &User, session: &Session) {
    let (store, context) = (core.store.clone(), RequestContext::new(core, client));
    let (user, session) = (user.clone(), session.clone());
    let most = core.settings.tokens.max_sessions;
    tokio::spawn(async move {
        let noted = async {
            let noted = store.note_login(&session, most).await?;
            if noted.is_empty() {
                return Ok(());
            }
            keep_within(&store, &context, &user, &noted, most).await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "a login was not noted");
        }
    });
}

/// Ends all but the `most` sessions that were used last, and corrects what is noted.
async fn keep_within(
    store: &Store,
    context: &RequestContext,
    user: &User,
    noted: &[SessionId],
    most: usize,
) -> Result<(), store::Error> {
    let mut live = live_sessions(store, user, context.now).await?;
    live.sort_by_key(|session| Reverse(session.last_used_at));
    let surplus = live.split_off(live.len().min(most));
    try_join_all(
        surplus
            .iter()
            .map(|session| end(store, context, session.id)),
    )
    .await?;
    let is_live = |id: &SessionId| live.iter().any(|session| session.id == *id);
    let over: Vec<_> = noted.iter().copied().filter(|id| !is_live(id)).collect();
    store.correct_sessions(user.id, &over, &live).await
}

async fn end(store: &Store, context: &RequestContext, id: SessionId) -> Result<(), store::Error> {
    let event = SecurityEvent::SessionRevoked {
        reason: Some(REASON),
        count: None,
        keep_current: None,
    };
    let decide = |session: Option<Session>, draft: &mut Draft| {
        let Some(mut session) = session.filter(|session| session.deleted_at.is_none()) else {
            return Ok(false);
        };
        session.end(context.now);
        draft.put(&session);
        draft.audit(&context.entry(Subject::from(&session), &event));
        Ok::<_, store::Error>(true)
    };
    if change::bookkeeping(store, Class::Restrict, id, decide).await? {
        metrics::counter!(names::SESSIONS_ENDED, "reason" => REASON).increment(1);
    }
    Ok(())
}
