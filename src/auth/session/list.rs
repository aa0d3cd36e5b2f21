//! The sessions of an account, as their owner sees them.

use crate::core::{Caller, Core, Error};
use crate::model::{Session, SessionId, Timestamp, User, device_name};
use crate::store::{self, Store};

/// Sessions read at once where all of them are needed.
const AT_ONCE: usize = 200;
/// Reads for one page, most of whose sessions may be over.
const MOST_READS: usize = 20;

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Whether it is the caller's own.
    pub current: bool,
    /// Description of the client, from its user agent: "Firefox on Linux".
    pub device: String,
}

/// Part of a list of sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The sessions, newest first.
    pub sessions: Vec<SessionView>,
    /// The session that the next part begins after; `None` at the end.
    pub next: Option<SessionId>,
}

/// The caller's live sessions, newest first: at most `most` of those that began before `before`.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(
    core: &Core,
    caller: &Caller,
    before: Option<SessionId>,
    most: usize,
) -> Result<SessionPage, Error> {
    let now = core.clock.now();
    let page = full_page(&core.store, &caller.user, before, most, now).await?;
    let view = |session: Session| SessionView {
        current: session.id == caller.session.id,
        device: device_name(&session.user_agent),
        session,
    };
    Ok(SessionPage {
        sessions: page.0.into_iter().map(view).collect(),
        next: page.1,
    })
}

/// As [`page`], but goes on until there are `most`: a client that shows one page must not miss a live session behind
/// many that are over.
async fn full_page(
    store: &Store,
    user: &User,
    before: Option<SessionId>,
    most: usize,
    now: Timestamp,
) -> Result<(Vec<Session>, Option<SessionId>), store::Error> {
    let (mut sessions, mut next) = page(store, user, before, most, now).await?;
    for _ in 1..MOST_READS {
        if next.is_none() || sessions.len() >= most {
            break;
        }
        let (more, then) = page(store, user, next, AT_ONCE, now).await?;
        sessions.extend(more);
        next = then;
    }
    if sessions.len() > most {
        sessions.truncate(most);
        next = sessions.last().map(|session| session.id);
    }
    Ok((sessions, next))
}

/// All live sessions of an account, newest first.
pub(super) async fn live_sessions(
    store: &Store,
    user: &User,
    now: Timestamp,
) -> Result<Vec<Session>, store::Error> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let (sessions, next) = page(store, user, before, AT_ONCE, now).await?;
        all.extend(sessions);
        if next.is_none() {
            return Ok(all);
        }
        before = next;
    }
}

/// Live sessions that began before `before`, and the last one that was looked at, unless it was the last of all.
/// Sessions that are over by the account's epoch are left out, so there may be fewer than `most`.
async fn page(
    store: &Store,
    user: &User,
    before: Option<SessionId>,
    most: usize,
    now: Timestamp,
) -> Result<(Vec<Session>, Option<SessionId>), store::Error> {
    let mut sessions: Vec<Session> = store.owned_before(user.id, before, most).await?;
    let last = sessions.last().map(|session| session.id);
    let next = last.filter(|_| sessions.len() == most);
    sessions.retain(|session| session.is_live(user, now));
    Ok((sessions, next))
}
