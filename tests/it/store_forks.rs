//! Histories in which Redis and PostgreSQL could part ways for good. Each was seen to, once.

use std::time::Duration;

use sallyport::clock;
use sallyport::model::{Session, SessionId};
use sallyport::store::{Class, Error, Receipt, Store};

use crate::harness::records;
use crate::harness::{Kind, TestStores};

async fn end(store: &Store, id: SessionId) -> Receipt {
    let ended = store.transact(Class::Restrict, id, |session: Option<Session>, draft| {
        let mut session = session.expect("session");
        session.end(session.created_at);
        draft.put(&session);
        Ok::<_, Error>(())
    });
    ended.await.expect("commit").1
}

async fn is_over(store: &Store, id: SessionId) -> bool {
    let session = store.read(id).await.expect("read");
    session.is_none_or(|session| session.deleted_at.is_some())
}

/// An account with a session that both stores know.
async fn session_of(
    stores: &TestStores,
    store: &Store,
    name: &str,
) -> (sallyport::model::User, SessionId) {
    let user = stores.user(name);
    let _ = records::add(store, stores, &user).await.expect("commit");
    let (session, _) = records::open_session(store, stores, &user)
        .await
        .expect("session");
    store.flush().await.expect("flush");
    (user, session)
}

#[tokio::test]
async fn a_commit_after_a_fail_over_does_not_hide_what_the_fail_over_lost() {
    let stores = TestStores::new(Kind::Single).await;
    let (one, two) = (stores.stepped().await, stores.stepped().await);
    let (user, session) = session_of(&stores, &one, "alice").await;
    assert!(!is_over(&two, session).await);
    let lagging = stores.picture().await;
    let receipt = end(&one, session).await;
    one.flush().await.expect("flush");
    receipt.durable().await.expect("durable");
    stores.rewind(lagging).await;
    // The other process has not seen the end of the session, and commits something else.
    let _ = records::open_session(&two, &stores, &user)
        .await
        .expect("session");
    for store in [&one, &two] {
        assert!(
            is_over(store, session).await,
            "what was revoked stays revoked"
        );
    }
    two.flush().await.expect("flush");
    assert_eq!(
        stores
            .count("SELECT count(*) FROM sessions WHERE deleted_at IS NOT NULL")
            .await,
        1
    );
}

#[tokio::test]
async fn a_process_that_has_seen_more_does_not_commit_on_a_redis_that_knows_less() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (user, session) = session_of(&stores, &store, "alice").await;
    let lagging = stores.picture().await;
    let _ = end(&store, session).await;
    // The same server, as after an operator restored a snapshot.
    let run = stores.value(":meta").await.expect("meta");
    stores.rewind(lagging).await;
    let _ = run;
    let _ = records::open_session(&store, &stores, &user)
        .await
        .expect("session");
    assert!(is_over(&store, session).await);
}

#[tokio::test]
async fn a_reader_who_goes_away_takes_no_acknowledged_change_with_him() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("bob");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    store.flush().await.expect("flush");
    let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
    let mut slow = stores.pool.begin().await.expect("begin");
    sqlx::query("LOCK TABLE users IN EXCLUSIVE MODE")
        .execute(&mut *slow)
        .await
        .expect("lock");
    stores.empty_redis().await;
    // The request that notices the loss is given up while PostgreSQL is slow.
    let given_up = tokio::time::timeout(Duration::from_millis(300), store.read(user.id)).await;
    assert!(given_up.is_err(), "it was waiting");
    slow.rollback().await.expect("rollback");
    let user = store.read(user.id).await.expect("read").expect("user");
    assert_eq!(user.device_epoch, epoch);
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT device_epoch FROM users").await, epoch);
}

#[tokio::test]
async fn a_change_that_reaches_postgres_late_corrects_what_redis_was_given_meanwhile() {
    let stores = TestStores::new(Kind::Single).await;
    let (slow, quick) = (stores.stepped().await, stores.stepped().await);
    let (_, session) = session_of(&stores, &slow, "carol").await;
    let receipt = end(&slow, session).await;
    stores.empty_redis().await;
    clock::sleep(stores.settings.loss_hold).await;
    // Later than the hold: the other process has already brought the session back.
    assert!(
        !is_over(&quick, session).await,
        "PostgreSQL does not know better yet"
    );
    slow.flush().await.expect("flush");
    receipt.durable().await.expect("durable");
    for store in [&slow, &quick] {
        assert!(is_over(store, session).await, "now it does");
    }
}

#[tokio::test]
async fn a_mistake_in_the_schema_delays_changes_and_buries_none() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (_, session) = session_of(&stores, &store, "dave").await;
    let rename = |sql: &'static str| sqlx::raw_sql(sql).execute(&stores.pool);
    rename("ALTER TABLE sessions RENAME TO mistaken")
        .await
        .expect("rename");
    let _ = end(&store, session).await;
    assert!(store.flush().await.is_err(), "PostgreSQL counts as away");
    rename("ALTER TABLE mistaken RENAME TO sessions")
        .await
        .expect("rename");
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT count(*) FROM dead_letters").await, 0);
    assert_eq!(
        stores
            .count("SELECT count(*) FROM sessions WHERE deleted_at IS NOT NULL")
            .await,
        1
    );
}

#[tokio::test]
async fn when_the_newest_of_several_changes_is_lost_none_of_them_is_called_committed() {
    let stores = TestStores::new(Kind::Single).await;
    let (one, two) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("erin");
    let _ = records::add(&one, &stores, &user).await.expect("commit");
    one.flush().await.expect("flush");
    let (_, first) = records::bump(&one, user.id).await.expect("commit");
    let (_, second) = records::bump(&one, user.id).await.expect("commit");
    stores.empty_redis().await;
    let _ = records::bump(&two, user.id).await.expect("commit");
    two.flush().await.expect("flush");
    one.flush().await.expect("flush");
    for receipt in [first, second] {
        assert!(matches!(receipt.durable().await, Err(Error::Lost)));
    }
}
