//! The outbox: what is posted with a commit is delivered at least once, and in the ordinary case once.

use std::time::Duration;

use sallyport::model::{LetterId, Timestamp, User};
use sallyport::store::{Class, Error, Parcel, Store};

use crate::lab::{self, BOTH, Kind, Lab};

async fn post(store: &Store, lab: &Lab, user: &User, content: &str) -> LetterId {
    let id: LetterId = lab.clock.new_id_in(user.id.partition());
    let expires_at = lab.clock.now().after(Duration::from_mins(5));
    let posted = store.transact(Class::Session, user.id, |_: Option<User>, draft| {
        draft.post(id, content.to_owned(), expires_at);
        Ok::<_, Error>(())
    });
    let _ = posted.await.expect("posted");
    id
}

async fn account(store: &Store, lab: &Lab, name: &str) -> User {
    let user = lab.user(name);
    let _ = lab::add(store, lab, &user).await.expect("account");
    user
}

/// Everything that is due, without waiting.
async fn collect(store: &Store) -> Vec<Parcel> {
    let mut all = Vec::new();
    loop {
        let some = store.collect().await.expect("collected");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[tokio::test]
async fn a_parcel_is_taken_by_one_and_gone_when_settled() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let alice = account(&store, &lab, "alice").await;
        let id = post(&store, &lab, &alice, "s1.sealed with spaces ä").await;
        store.parcels_due().await;
        let taken = collect(&store).await;
        let [parcel] = taken.as_slice() else {
            panic!("{kind:?}: one parcel: {taken:?}");
        };
        assert_eq!((parcel.id, parcel.attempt), (id, 1));
        assert_eq!(parcel.content, "s1.sealed with spaces ä");
        assert_eq!(
            parcel.expires_at,
            lab.clock.now().after(Duration::from_mins(5))
        );
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(
            collect(&store).await,
            [],
            "{kind:?}: its carrier has it alone"
        );
        store.settle(parcel, None).await.expect("settled");
        let left = lab.keys().await;
        let left = left
            .iter()
            .filter(|key| key.ends_with(":outbox") || key.ends_with(":parcels"));
        assert_eq!(left.count(), 0, "{kind:?}: nothing is left of it");
    }
}

#[tokio::test]
async fn what_is_handed_back_comes_again_in_time_and_counts_its_attempts() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let alice = account(&store, &lab, "alice").await;
        post(&store, &lab, &alice, "content").await;
        let first = collect(&store).await.remove(0);
        store
            .settle(&first, Some(Duration::from_hours(1)))
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(collect(&store).await, [], "{kind:?}: not yet");
        store
            .settle(&first, Some(Duration::ZERO))
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        let again = collect(&store).await;
        assert_eq!(again.len(), 1, "{kind:?}");
        assert_eq!(again[0].attempt, 2, "{kind:?}");
        assert_eq!(again[0].content, first.content);
        // Whoever was too slow has no say any more.
        store.settle(&first, None).await.expect("without effect");
        store
            .settle(&again[0], Some(Duration::ZERO))
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(collect(&store).await[0].attempt, 3, "{kind:?}");
    }
}

#[tokio::test]
async fn another_process_delivers_what_a_dead_one_had_posted() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let dead = lab.stepped().await;
        let mut ids = Vec::new();
        for name in ["alice", "bob", "carol"] {
            let user = account(&dead, &lab, name).await;
            ids.push(post(&dead, &lab, &user, name).await);
        }
        drop(dead);
        let store = lab.stepped().await;
        assert_eq!(collect(&store).await, [], "nothing was posted here");
        store
            .sweep(Duration::from_secs(1))
            .await
            .expect("looked around");
        let mut found: Vec<LetterId> = collect(&store).await.iter().map(|one| one.id).collect();
        found.sort_unstable();
        ids.sort_unstable();
        assert_eq!(found, ids, "{kind:?}");
    }
}

#[tokio::test]
async fn of_many_carriers_one_has_a_parcel() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let alice = account(&store, &lab, "alice").await;
        for number in 0..100 {
            post(&store, &lab, &alice, &number.to_string()).await;
        }
        let others = [
            lab.stepped().await,
            lab.stepped().await,
            lab.stepped().await,
        ];
        for other in &others {
            other
                .sweep(Duration::from_secs(1))
                .await
                .expect("looked around");
        }
        let all = others.iter().map(collect);
        let taken: Vec<Parcel> = futures_util::future::join_all(all).await.concat();
        let mut contents: Vec<u32> = taken
            .iter()
            .map(|one| one.content.parse().unwrap())
            .collect();
        contents.sort_unstable();
        assert_eq!(contents, (0..100).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_commit_that_fails_posts_nothing() {
    let lab = Lab::new(Kind::Single).await;
    let store = lab.stepped().await;
    let alice = account(&store, &lab, "alice").await;
    let id: LetterId = lab.clock.new_id_in(alice.id.partition());
    let refused = store.transact(Class::Session, alice.id, |_: Option<User>, draft| {
        draft.post(id, "content".to_owned(), Timestamp::from_micros(i64::MAX));
        Err::<(), _>(Error::Busy)
    });
    assert!(refused.await.is_err());
    store.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(collect(&store).await, []);
    let bob = lab.user("bob");
    let elsewhere = store.transact(Class::Session, alice.id, |_: Option<User>, draft| {
        let id: LetterId = lab.clock.new_id_in(bob.id.partition());
        draft.post(id, "content".to_owned(), Timestamp::from_micros(i64::MAX));
        Ok::<_, Error>(())
    });
    let same = alice.id.partition() == bob.id.partition();
    assert!(same || matches!(elsewhere.await, Err(Error::Corrupt(_))));
}
