//! Promises that hold when a store or a process loses its memory.

use std::time::Duration;

use sallyport::store::{Durability, Error};

use crate::lab::{self, BOTH, Kind, Lab};

#[tokio::test]
async fn what_was_flushed_survives_an_emptied_redis() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let user = lab.user("alice");
        let _ = lab::add(&store, &lab, &user).await.expect("commit");
        store.flush().await.expect("flush");
        lab.empty_redis().await;
        assert_eq!(
            store.read(user.id).await.expect("read"),
            Some(user.clone()),
            "{kind:?}"
        );
        assert_eq!(
            store.find_user(&lab::names(&user)[0]).await.expect("find"),
            Some(user.id)
        );
        let (epoch, _) = lab::bump(&store, user.id).await.expect("commit");
        store.flush().await.expect("flush");
        assert_eq!(
            lab.count("SELECT device_epoch FROM users").await,
            epoch,
            "{kind:?}: its version is ahead"
        );
    }
}

#[tokio::test]
async fn what_this_process_still_holds_survives_an_emptied_redis() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let user = lab.user("bob");
        let _ = lab::add(&store, &lab, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let (epoch, _) = lab::bump(&store, user.id).await.expect("commit");
        lab.empty_redis().await;
        let user = store.read(user.id).await.expect("read").expect("user");
        assert_eq!(
            user.device_epoch, epoch,
            "{kind:?}: flushed before anything was read back"
        );
    }
}

#[tokio::test]
async fn a_rewound_redis_is_noticed_and_postgres_wins() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let store = lab.stepped().await;
        let user = lab.user("carol");
        let _ = lab::add(&store, &lab, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let old = lab.picture().await;
        let (epoch, _) = lab::bump(&store, user.id).await.expect("commit");
        store.flush().await.expect("flush");
        lab.rewind(old.clone()).await;
        let seen = store.read(user.id).await.expect("read").expect("user");
        assert_eq!(
            seen.device_epoch, epoch,
            "{kind:?}: the process that saw the newer version"
        );

        // A process that saw nothing yet learns it from PostgreSQL.
        lab.rewind(old).await;
        let newcomer = lab.stepped().await;
        newcomer.check().await.expect("check");
        let seen = newcomer.read(user.id).await.expect("read").expect("user");
        assert_eq!(
            seen.device_epoch, epoch,
            "{kind:?}: a process that starts afterwards"
        );
    }
}

#[tokio::test]
async fn a_log_entry_that_came_back_with_a_rewound_redis_changes_nothing() {
    let lab = Lab::new(Kind::Single).await;
    let store = lab.stepped().await;
    let user = lab.user("dave");
    let _ = lab::add(&store, &lab, &user).await.expect("commit");
    let unflushed = lab.picture().await;
    store.flush().await.expect("flush");
    let (epoch, _) = lab::bump(&store, user.id).await.expect("commit");
    store.flush().await.expect("flush");
    lab.rewind(unflushed).await;
    assert_eq!(store.sweep(Duration::ZERO).await.expect("sweep"), 1);
    assert_eq!(
        store
            .read(user.id)
            .await
            .expect("read")
            .expect("user")
            .device_epoch,
        epoch
    );
    assert_eq!(lab.count("SELECT device_epoch FROM users").await, epoch);
}

#[tokio::test]
async fn what_a_killed_process_left_in_the_log_is_swept_by_another() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let killed = lab.stepped().await;
        let user = lab.user("erin");
        let receipt = lab::add(&killed, &lab, &user).await.expect("commit");
        let (session, _) = lab::open_session(&killed, &lab, &user)
            .await
            .expect("session");
        drop((killed, receipt));
        let survivor = lab.stepped().await;
        let (seen, _) = survivor.read((session, user.id)).await.expect("read");
        assert!(seen.is_some(), "{kind:?}: Redis has it");
        assert_eq!(survivor.sweep(Duration::ZERO).await.expect("sweep"), 2);
        assert_eq!(lab.count("SELECT count(*) FROM users").await, 1, "{kind:?}");
        assert_eq!(
            lab.count("SELECT count(*) FROM sessions").await,
            1,
            "{kind:?}"
        );
        assert_eq!(
            survivor.sweep(Duration::ZERO).await.expect("sweep"),
            0,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_deleted_session_is_not_brought_back_from_postgres() {
    let lab = Lab::new(Kind::Single).await;
    let store = lab.stepped().await;
    let user = lab.user("frank");
    let (id, _) = lab::open_session(&store, &lab, &user)
        .await
        .expect("session");
    store.flush().await.expect("flush");
    let ended = store.transact(sallyport::store::Class::Restrict, id, |session, draft| {
        let mut session = session.expect("session");
        session.end(session.created_at);
        draft.put(&session);
        Ok::<_, Error>(())
    });
    let _ = ended.await.expect("commit");
    let read = |store: sallyport::store::Store| async move {
        store
            .read(id)
            .await
            .expect("read")
            .is_none_or(|session| session.deleted_at.is_some())
    };
    assert!(read(store.clone()).await);
    store.flush().await.expect("flush");
    let left = lab.ttl_millis("session:").await;
    assert!(
        (1..=60_000).contains(&left),
        "a drained tombstone stays a minute, not {left} ms"
    );
    lab.evict("session:").await;
    assert!(
        read(store.clone()).await,
        "PostgreSQL has the tombstone too"
    );
}

#[tokio::test]
async fn a_second_process_sees_a_commit_at_once() {
    let lab = Lab::new(Kind::Single).await;
    let (one, two) = (lab.stepped().await, lab.stepped().await);
    let user = lab.user("grace");
    assert_eq!(two.read(user.id).await.expect("read"), None);
    let _ = lab::add(&one, &lab, &user).await.expect("commit");
    assert_eq!(
        two.read(user.id).await.expect("read"),
        Some(user.clone()),
        "no stale absence"
    );
    let _ = lab::bump(&two, user.id).await.expect("commit");
    let _ = lab::bump(&one, user.id).await.expect("commit");
    assert_eq!(
        two.read(user.id)
            .await
            .expect("read")
            .expect("user")
            .device_epoch,
        2
    );
}

#[tokio::test]
async fn durability_never_waits_when_told_so() {
    let mut lab = Lab::new(Kind::Single).await;
    lab.settings.durability = sallyport::config::Durability::Redis;
    let store = lab.stepped().await;
    let receipt = lab::add(&store, &lab, &lab.user("heidi"))
        .await
        .expect("commit");
    assert_eq!(
        receipt.durable().await.expect("durable"),
        Durability::Pending
    );
}

#[tokio::test]
async fn whoever_waits_for_an_account_that_another_process_withdrew_learns_it() {
    let lab = Lab::new(Kind::Single).await;
    let (slow, quick) = (lab.stepped().await, lab.stepped().await);
    let (first, mut second) = (lab.user("alice"), lab.user("mallory"));
    let _ = lab::add(&quick, &lab, &first).await.expect("commit");
    quick.flush().await.expect("flush");
    second.email_key.clone_from(&first.email_key);
    let receipt = lab::add(&slow, &lab, &second).await.expect("commit");
    // The other process sweeps it before its own flushes, and PostgreSQL refuses the name.
    assert_eq!(quick.sweep(Duration::ZERO).await.expect("sweep"), 1);
    quick
        .flush()
        .await
        .expect("the withdrawal reaches PostgreSQL");
    slow.flush().await.expect("flush");
    let answer = receipt.durable_patiently().await;
    assert!(matches!(answer, Err(Error::Lost)), "{answer:?}");
}

#[tokio::test]
async fn a_claim_on_the_name_of_a_cold_account_does_not_hide_its_owner() {
    let lab = Lab::new(Kind::Single).await;
    let store = lab.stepped().await;
    let (owner, rival) = (lab.user("alice"), lab.user("alice"));
    let _ = lab::add(&store, &lab, &owner).await.expect("commit");
    store.flush().await.expect("flush");
    lab.evict(":ix:").await;
    let claim = store
        .claim(rival.id, &lab::names(&rival))
        .await
        .expect("nobody in Redis has it");
    let found = store.find_user(&lab::names(&owner)[0]).await.expect("find");
    assert_eq!(found, Some(owner.id));
    assert!(matches!(claim.check().await, Err(Error::Taken(_))));
    claim.release().await;
    let claim = store.claim(rival.id, &lab::names(&rival)).await;
    claim.expect("released in full").release().await;
}
