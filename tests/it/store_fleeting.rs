//! Records that live in Redis alone: what the same commit promises of them, and what no store remembers.

use sallyport::model::{Challenge, ChallengeId, User};
use sallyport::store::{Class, Error, Store};

use crate::harness::records;
use crate::harness::{BOTH, Kind, TestStores};

async fn put(store: &Store, challenge: &Challenge) {
    let put = store.transact(Class::Session, challenge.id, |_, draft| {
        draft.put(challenge);
        Ok::<_, Error>(())
    });
    let ((), receipt) = put.await.expect("committed");
    receipt.durable().await.expect("nothing to wait for");
}

/// Takes a try, if the challenge is there.
async fn count(store: &Store, id: ChallengeId) -> Option<u32> {
    let counted = store.transact(Class::Session, id, |challenge: Option<Challenge>, draft| {
        let tries = challenge.map(|mut challenge| {
            challenge.tries += 1;
            draft.put(&challenge);
            challenge.tries
        });
        Ok::<_, Error>(tries)
    });
    counted.await.expect("counted").0
}

#[tokio::test]
async fn a_fleeting_record_never_reaches_the_log_or_postgres() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let challenge = stores.challenge(&stores.user("alice"));
        put(&store, &challenge).await;
        assert_eq!(
            store.read(challenge.id).await.expect("read"),
            Some(challenge.clone())
        );
        let keys = stores.keys().await;
        assert!(
            keys.iter().all(|key| !key.ends_with(":log")),
            "{kind:?}: {keys:?}"
        );
        assert!(
            keys.iter().all(|key| !key.ends_with(":pend")),
            "{kind:?}: {keys:?}"
        );
        let ttl = stores.ttl_millis("challenge:").await;
        assert!(
            (300_000..=360_000).contains(&ttl),
            "lives a little longer than it is good: {ttl}"
        );
    }
}

#[tokio::test]
async fn its_version_is_the_lock_for_what_may_happen_once() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let challenge = stores.challenge(&stores.user("alice"));
        put(&store, &challenge).await;
        let takers = (0..10).map(|_| count(&store, challenge.id));
        let mut tries: Vec<_> = futures_util::future::join_all(takers).await;
        tries.sort_unstable();
        let expected: Vec<_> = (1..=10).map(Some).collect();
        assert_eq!(tries, expected, "{kind:?}: each try counts once");
    }
}

#[tokio::test]
async fn what_is_removed_is_gone_for_good_and_needs_no_postgres_to_be_missed() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let challenge = stores.challenge(&stores.user("alice"));
        put(&store, &challenge).await;
        stores.pool.close().await;
        let takers = (0..20).map(|_| {
            store.transact(
                Class::Session,
                challenge.id,
                |found: Option<Challenge>, draft| {
                    if let Some(found) = &found {
                        draft.remove(found);
                    }
                    Ok::<_, Error>(found.is_some())
                },
            )
        });
        let taken = futures_util::future::join_all(takers).await;
        let taken = taken
            .into_iter()
            .filter(|taken| taken.as_ref().is_ok_and(|taken| taken.0));
        assert_eq!(taken.count(), 1, "{kind:?}");
        assert_eq!(store.read(challenge.id).await.expect("read"), None);
        assert_eq!(count(&store, challenge.id).await, None);
    }
}

#[tokio::test]
async fn one_of_a_lost_incarnation_is_absent_and_stands_in_nobodys_way() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("alice");
        let challenge = stores.challenge(&user);
        put(&store, &challenge).await;
        let earlier = stores.picture().await;
        let _ = records::add(&store, &stores, &user).await.expect("account");
        store.flush().await.expect("flushed");
        stores.rewind(earlier).await;
        // The picture has the challenge, but what else was consumed since nobody knows.
        assert_eq!(
            store.read(challenge.id).await.expect("read"),
            None,
            "{kind:?}"
        );
        put(&store, &challenge).await;
        assert_eq!(count(&store, challenge.id).await, Some(1), "{kind:?}");
    }
}

#[tokio::test]
async fn a_durable_record_cannot_be_removed() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    let _ = records::add(&store, &stores, &user).await.expect("account");
    let removed = store.transact(Class::Restrict, user.id, |_: Option<User>, draft| {
        draft.remove(&user);
        Ok::<_, Error>(())
    });
    assert!(matches!(removed.await, Err(Error::Corrupt(_))));
    assert_eq!(store.read(user.id).await.expect("read"), Some(user));
}

#[tokio::test]
async fn an_account_in_use_stays_in_redis() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("alice");
        let _ = records::add(&store, &stores, &user).await.expect("account");
        store.flush().await.expect("flushed");
        assert_eq!(stores.evict("user:").await, 1);
        store.read(user.id).await.expect("brought back");
        let day = 24 * 3_600_000;
        assert!(
            stores.ttl_millis("user:").await <= day,
            "{kind:?}: brought back for a day"
        );
        let _ = records::open_session(&store, &stores, &user)
            .await
            .expect("session");
        assert!(
            stores.ttl_millis("user:").await > 29 * day,
            "{kind:?}: a login keeps it"
        );
    }
}

#[tokio::test]
async fn a_decision_learns_when_redis_lost_its_state() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("alice");
        let lost = async || {
            let told = store.transact(Class::Session, user.id, |_: Option<User>, draft| {
                Ok::<_, Error>(draft.lost_at())
            });
            told.await.expect("told").0
        };
        let _ = records::add(&store, &stores, &user).await.expect("account");
        store.flush().await.expect("flushed");
        assert_eq!(lost().await.micros(), 0, "{kind:?}: never");
        stores.empty_redis().await;
        assert!(lost().await.micros() > 1_700_000_000_000_000, "{kind:?}");
    }
}
