//! Answers that rely on changes which no process may hold: repeats after an unknown outcome, logins after them.

use sallyport::config;
use sallyport::model::{Action, Session, SessionId, User};
use sallyport::store::{Class, Durability, Error, Receipt, Store};

use crate::harness::records;
use crate::harness::{BOTH, Kind, OwnStores, TestStores, eventually};

/// Ends a session unless it is over, as a logout does.
async fn log_out(
    store: &Store,
    stores: &TestStores,
    user: &User,
    id: SessionId,
) -> Result<Receipt, Error> {
    let ended = store.transact(Class::Restrict, id, |session: Option<Session>, draft| {
        if let Some(mut session) = session.filter(|session| session.deleted_at.is_none()) {
            session.end(session.created_at);
            draft.put(&session);
            draft.audit(&stores.event(user, Action::UserLogout));
        }
        Ok::<_, Error>(())
    });
    Ok(ended.await?.1)
}

/// Ends a session, and refuses one that is over, as its owner's list of sessions does.
async fn revoke(store: &Store, id: SessionId) -> Result<Receipt, Error> {
    let ended = store.transact(Class::Restrict, id, |session: Option<Session>, draft| {
        let live = session.filter(|session| session.deleted_at.is_none());
        let mut session = live.ok_or_else(|| Error::Corrupt("no such session".to_owned()))?;
        session.end(session.created_at);
        draft.put(&session);
        Ok::<_, Error>(())
    });
    Ok(ended.await?.1)
}

async fn is_over(store: &Store, id: SessionId) -> bool {
    let session = store.read(id).await.expect("read");
    session.is_none_or(|session| session.deleted_at.is_some())
}

/// An account with a session that both stores know.
async fn session_of(stores: &TestStores, store: &Store, name: &str) -> (User, SessionId) {
    let user = stores.user(name);
    let _ = records::add(store, stores, &user).await.expect("commit");
    let opened = records::open_session(store, stores, &user).await;
    store.flush().await.expect("flush");
    (user, opened.expect("session").0)
}

#[tokio::test]
async fn a_repeated_logout_that_is_answered_survives_the_loss_of_redis() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (gone, store) = (stores.stepped().await, stores.stepped().await);
        let (user, session) = session_of(&stores, &gone, "alice").await;
        let _ = log_out(&gone, &stores, &user, session).await.expect("end");
        // As when the outcome was unknown: it stands in the log, and no process holds it.
        drop(gone);
        let repeat = log_out(&store, &stores, &user, session).await;
        let answered = repeat.expect("repeat").durable().await;
        answered.expect("answered");
        stores.empty_redis().await;
        store.flush().await.expect("flush");
        assert!(is_over(&store, session).await, "{kind:?}");
    }
}

#[tokio::test]
async fn a_refusal_to_end_what_is_over_survives_the_loss_of_redis_too() {
    let stores = TestStores::new(Kind::Single).await;
    let (gone, store) = (stores.stepped().await, stores.stepped().await);
    let (user, session) = session_of(&stores, &gone, "alice").await;
    let _ = log_out(&gone, &stores, &user, session).await.expect("end");
    drop(gone);
    let refused = revoke(&store, session).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
    stores.empty_redis().await;
    store.flush().await.expect("flush");
    assert!(is_over(&store, session).await);
}

#[tokio::test]
async fn a_login_by_a_password_that_no_process_holds_keeps_that_password() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (gone, store) = (stores.stepped().await, stores.stepped().await);
        let (user, _) = session_of(&stores, &gone, "alice").await;
        // Stands for a new password.
        let (epoch, _) = records::bump(&gone, user.id).await.expect("commit");
        drop(gone);
        let opened = records::open_session(&store, &stores, &user).await;
        let (session, _) = opened.expect("a login that relies on the account as it is");
        stores.empty_redis().await;
        store.flush().await.expect("flush");
        let (session, user) = store.read((session, user.id)).await.expect("read");
        assert!(session.is_some(), "{kind:?}");
        assert_eq!(user.expect("user").device_epoch, epoch, "{kind:?}");
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_the_process_holds_what_the_log_has() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let (user, session) = session_of(&stores, &store, "alice").await;
    own.redis.pause();
    let unknown = log_out(&store, &stores, &user, session).await.map(drop);
    assert!(matches!(unknown, Err(Error::Unknown)), "{unknown:?}");
    own.redis.resume();
    eventually("a repeat is answered", async || {
        let repeat = log_out(&store, &stores, &user, session).await;
        match repeat {
            Ok(receipt) => receipt.durable().await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    own.redis.restart_empty().await.expect("restart");
    eventually("the flush goes through", async || {
        store.flush().await.is_ok() && store.read(session).await.is_ok()
    })
    .await;
    assert!(is_over(&store, session).await);
    let audited = "SELECT count(*) FROM audit_logs WHERE action = 'user.logout'";
    assert_eq!(stores.count(audited).await, 1, "its audit entry is there");
}

#[tokio::test]
async fn a_commit_that_is_executed_after_the_log_was_read_is_found_by_the_second_reading() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let (user, session) = session_of(&stores, &store, "alice").await;
    // Changes in the log that no process holds, one before the first reading and one after it.
    let epoch = "SELECT device_epoch FROM users";
    let gone = stores.stepped().await;
    let _ = records::bump(&gone, user.id).await.expect("commit");
    drop(gone);
    own.redis.pause();
    let unknown = log_out(&store, &stores, &user, session).await.map(drop);
    assert!(matches!(unknown, Err(Error::Unknown)), "{unknown:?}");
    own.redis.resume();
    let flushed =
        async |epochs: i64| store.flush().await.is_ok() && stores.count(epoch).await == epochs;
    eventually("the log is read", async || flushed(1).await).await;
    let gone = stores.stepped().await;
    let _ = records::bump(&gone, user.id).await.expect("commit");
    drop(gone);
    eventually("it is read once more", async || flushed(2).await).await;
}

#[tokio::test]
async fn in_strict_mode_a_refusal_waits_for_the_end_that_it_relies_on() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.durability = config::Durability::Strict;
    let store = stores.stepped().await;
    let (_, session) = session_of(&stores, &store, "alice").await;
    let _ = revoke(&store, session).await.expect("end");
    let early = revoke(&store, session).await;
    assert!(matches!(early, Err(Error::Unknown)), "{early:?}");
    store.flush().await.expect("flush");
    let refused = revoke(&store, session).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
}

#[tokio::test]
async fn in_strict_mode_a_repeat_waits_for_postgres_as_the_change_did() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.durability = config::Durability::Strict;
    let store = stores.stepped().await;
    let (user, session) = session_of(&stores, &store, "alice").await;
    for attempt in ["first", "repeat"] {
        let ended = log_out(&store, &stores, &user, session).await;
        let answer = ended.expect("in Redis").durable().await;
        assert!(
            matches!(answer, Err(Error::Unknown)),
            "{attempt}: {answer:?}"
        );
    }
    store.flush().await.expect("flush");
    let repeat = log_out(&store, &stores, &user, session).await;
    let answer = repeat.expect("in Redis").durable().await;
    assert_eq!(answer.expect("found"), Durability::Committed);
}
