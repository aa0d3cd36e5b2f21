//! Promises that hold when a store or a process loses its memory.

use std::time::Duration;

use sallyport::model::User;
use sallyport::store::{Class, Draft, Durability, Error};

use crate::harness::records;
use crate::harness::{BOTH, Kind, OwnStores, PostgresProxy, TestStores, eventually};

#[tokio::test]
async fn what_was_flushed_survives_an_emptied_redis() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("alice");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        store.flush().await.expect("flush");
        stores.empty_redis().await;
        assert_eq!(
            store.read(user.id).await.expect("read"),
            Some(user.clone()),
            "{kind:?}"
        );
        assert_eq!(
            store
                .find_user(&records::names(&user)[0])
                .await
                .expect("find"),
            Some(user.id)
        );
        let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
        store.flush().await.expect("flush");
        assert_eq!(
            stores.count("SELECT device_epoch FROM users").await,
            epoch,
            "{kind:?}: its version is ahead"
        );
    }
}

#[tokio::test]
async fn what_this_process_still_holds_survives_an_emptied_redis() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("bob");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
        stores.empty_redis().await;
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
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("carol");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let old = stores.picture().await;
        let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
        store.flush().await.expect("flush");
        stores.rewind(old.clone()).await;
        let seen = store.read(user.id).await.expect("read").expect("user");
        assert_eq!(
            seen.device_epoch, epoch,
            "{kind:?}: the process that saw the newer version"
        );

        // A process that saw nothing yet learns it from PostgreSQL.
        stores.rewind(old).await;
        let newcomer = stores.stepped().await;
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
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("dave");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    let unflushed = stores.picture().await;
    store.flush().await.expect("flush");
    let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
    store.flush().await.expect("flush");
    stores.rewind(unflushed).await;
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
    assert_eq!(stores.count("SELECT device_epoch FROM users").await, epoch);
}

#[tokio::test]
async fn what_a_killed_process_left_in_the_log_is_swept_by_another() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let killed = stores.stepped().await;
        let user = stores.user("erin");
        let receipt = records::add(&killed, &stores, &user).await.expect("commit");
        let (session, _) = records::open_session(&killed, &stores, &user)
            .await
            .expect("session");
        drop((killed, receipt));
        let survivor = stores.stepped().await;
        let (seen, _) = survivor.read((session, user.id)).await.expect("read");
        assert!(seen.is_some(), "{kind:?}: Redis has it");
        assert_eq!(survivor.sweep(Duration::ZERO).await.expect("sweep"), 2);
        assert_eq!(
            stores.count("SELECT count(*) FROM users").await,
            1,
            "{kind:?}"
        );
        assert_eq!(
            stores.count("SELECT count(*) FROM sessions").await,
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
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("frank");
    let (id, _) = records::open_session(&store, &stores, &user)
        .await
        .expect("session");
    store.flush().await.expect("flush");
    let ended = store.transact(Class::Restrict, id, |session, draft| {
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
    let left = stores.ttl_millis("session:").await;
    assert!(
        (1..=60_000).contains(&left),
        "a drained tombstone stays a minute, not {left} ms"
    );
    stores.evict("session:").await;
    assert!(
        read(store.clone()).await,
        "PostgreSQL has the tombstone too"
    );
}

#[tokio::test]
async fn a_second_process_sees_a_commit_at_once() {
    let stores = TestStores::new(Kind::Single).await;
    let (one, two) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("grace");
    assert_eq!(two.read(user.id).await.expect("read"), None);
    let _ = records::add(&one, &stores, &user).await.expect("commit");
    assert_eq!(
        two.read(user.id).await.expect("read"),
        Some(user.clone()),
        "no stale absence"
    );
    let _ = records::bump(&two, user.id).await.expect("commit");
    let _ = records::bump(&one, user.id).await.expect("commit");
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
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.durability = sallyport::config::Durability::Redis;
    let store = stores.stepped().await;
    let receipt = records::add(&store, &stores, &stores.user("heidi"))
        .await
        .expect("commit");
    assert_eq!(
        receipt.durable().await.expect("durable"),
        Durability::Pending
    );
}

#[tokio::test]
async fn a_registration_waits_for_postgres_whatever_durability_says() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.durability = sallyport::config::Durability::Redis;
    let store = stores.stepped().await;
    let unflushed = records::add(&store, &stores, &stores.user("ivan")).await;
    let answer = unflushed.expect("commit").durable_patiently().await;
    assert!(matches!(answer, Err(Error::Unknown)), "{answer:?}");
    let flushed = records::add(&store, &stores, &stores.user("judy")).await;
    let (answer, flush) = tokio::join!(flushed.expect("commit").durable_patiently(), store.flush());
    flush.expect("flush");
    assert_eq!(answer.expect("durable"), Durability::Committed);
}

#[tokio::test]
async fn a_flush_that_waits_for_a_lock_does_not_stop_reads_from_postgres() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (known, waiting) = (stores.user("nina"), stores.user("oscar"));
    let _ = records::add(&store, &stores, &known).await.expect("commit");
    store.flush().await.expect("flush");
    let _ = records::add(&store, &stores, &waiting)
        .await
        .expect("commit");
    let mut lock = stores.pool.begin().await.expect("begin");
    sqlx::query("LOCK TABLE users IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("lock");
    assert!(store.flush().await.is_err(), "it is blocked");
    let found = store.find_user(&records::names(&known)[0]).await;
    assert_eq!(found.expect("PostgreSQL is there"), Some(known.id));
    lock.rollback().await.expect("rollback");
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 2);
}

#[tokio::test]
async fn a_refused_name_is_undone_although_redis_was_restarted_meanwhile() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let (first, mut second) = (stores.user("paul"), stores.user("quinn"));
    let _ = records::add(&store, &stores, &first).await.expect("commit");
    store.flush().await.expect("flush");
    second.email_key.clone_from(&first.email_key);
    let receipt = records::add(&store, &stores, &second)
        .await
        .expect("commit");
    own.redis.restart().await.expect("restart");
    eventually("PostgreSQL's refusal is settled", async || {
        store.flush().await.is_ok()
    })
    .await;
    let answer = receipt.durable_patiently().await;
    assert!(matches!(answer, Err(Error::Taken(_))), "{answer:?}");
    let withdrawn = store.read(second.id).await.expect("read");
    assert!(withdrawn.is_some_and(|user| !user.is_active()));
}

#[tokio::test]
async fn a_refused_name_is_undone_although_redis_lost_what_another_instance_wrote() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (store, other) = (stores.stepped().await, stores.stepped().await);
        let (first, mut second) = (stores.user("paul"), stores.user("quinn"));
        let _ = records::add(&other, &stores, &first).await.expect("commit");
        other.flush().await.expect("flush");
        second.email_key.clone_from(&first.email_key);
        let receipt = records::add(&store, &stores, &second).await;
        let old = stores.picture().await;
        let mut third = stores.user("ruth");
        third.id = stores.clock.new_id_in(second.id.partition());
        let _ = records::add(&other, &stores, &third).await.expect("commit");
        other.flush().await.expect("flush");
        stores.rewind(old).await;
        // To undo the name the partition begins anew, and for that everything else is flushed.
        store.flush().await.expect("flush");
        let answer = receipt.expect("commit").durable_patiently().await;
        assert!(matches!(answer, Err(Error::Taken(_))), "{answer:?}");
        let (read, gone) = (store.read(third.id).await, store.read(second.id).await);
        assert_eq!(read.expect("read"), Some(third), "{kind:?}");
        assert_eq!(gone.expect("read"), None, "{kind:?}");
    }
}

#[tokio::test]
async fn an_account_whose_new_name_was_refused_after_a_loss_can_be_read() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let (first, second) = (stores.user("paul"), stores.user("quinn"));
        for user in [&first, &second] {
            let _ = records::add(&store, &stores, user).await.expect("commit");
        }
        store.flush().await.expect("flush");
        let rename = |user: Option<User>, draft: &mut Draft| {
            let mut user = user.expect("user");
            user.email_key.clone_from(&first.email_key);
            draft.put(&user);
            Ok::<_, Error>(())
        };
        let renamed = store.transact(Class::Grant, second.id, rename).await;
        let ((), receipt) = renamed.expect("commit");
        stores.empty_redis().await;
        store.flush().await.expect("flush");
        let answer = receipt.durable_patiently().await;
        assert!(matches!(answer, Err(Error::Taken(_))), "{answer:?}");
        let read = store.read(second.id).await.expect("read");
        assert_eq!(read, Some(second), "{kind:?}");
    }
}

#[tokio::test]
async fn a_claim_that_ran_out_is_left_to_whoever_has_the_name_now() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (first, second) = (stores.user("rosa"), stores.user("rosa"));
    let names = records::names(&first);
    let slow = store.claim(first.id, &names).await.expect("claim");
    stores.evict(":ix:").await;
    let _claim = store.claim(second.id, &names).await.expect("claim");
    slow.keep().await;
    let entry = stores.value(":ix:email").await.expect("entry");
    assert_eq!(entry, format!("?{}", second.id));
}

#[tokio::test]
async fn an_account_that_lost_its_name_does_not_keep_it_from_others() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (user, rival) = (stores.user("sara"), stores.user("sara"));
    let claim = store.claim(user.id, &records::names(&user)).await;
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    claim.expect("claim").keep().await;
    let taken = store.claim(rival.id, &records::names(&rival)).await;
    assert!(matches!(taken, Err(Error::Taken(_))));
    let erased = store.transact(Class::Restrict, user.id, |user: Option<User>, draft| {
        let mut user = user.expect("user");
        user.deleted_at = Some(user.created_at);
        draft.put(&user);
        Ok::<_, Error>(())
    });
    let _ = erased.await.expect("commit");
    store.flush().await.expect("flush");
    let claim = store.claim(rival.id, &records::names(&rival)).await;
    claim.expect("free again").check().await.expect("free");
}

#[tokio::test]
async fn whoever_waits_for_an_account_that_another_process_withdrew_learns_it() {
    let stores = TestStores::new(Kind::Single).await;
    let (slow, quick) = (stores.stepped().await, stores.stepped().await);
    let (first, mut second) = (stores.user("alice"), stores.user("mallory"));
    let _ = records::add(&quick, &stores, &first).await.expect("commit");
    quick.flush().await.expect("flush");
    second.email_key.clone_from(&first.email_key);
    let receipt = records::add(&slow, &stores, &second).await.expect("commit");
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
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let (owner, rival) = (stores.user("alice"), stores.user("alice"));
    let _ = records::add(&store, &stores, &owner).await.expect("commit");
    store.flush().await.expect("flush");
    stores.evict(":ix:").await;
    let claim = store
        .claim(rival.id, &records::names(&rival))
        .await
        .expect("nobody in Redis has it");
    let found = store
        .find_user(&records::names(&owner)[0])
        .await
        .expect("find");
    assert_eq!(found, Some(owner.id));
    assert!(matches!(claim.check().await, Err(Error::Taken(_))));
    claim.release().await;
    let claim = store.claim(rival.id, &records::names(&rival)).await;
    claim.expect("released in full").release().await;
}

/// The sign of life of a connection that is lent.
const PING: u64 = 1;

#[tokio::test]
async fn what_waits_on_a_silent_connection_to_postgres_is_brought_in_time_after_a_loss() {
    // Silent before the connection is lent, and after that.
    for questions in [0, PING] {
        let stores = TestStores::new(Kind::Single).await;
        let (stores, proxy) = PostgresProxy::before(stores).await;
        let store = stores.stepped().await;
        let user = stores.user("dora");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let (epoch, _) = records::bump(&store, user.id).await.expect("commit");

        // This process alone has the change, and waits for a peer that says nothing any more.
        proxy.silence_after(questions);
        let flushing = store.clone();
        let flushing = tokio::spawn(async move { flushing.flush().await });
        eventually("a flush under way", async || proxy.swallowed() > 0).await;
        stores.empty_redis().await;
        eventually("the partition stands again", async || {
            let seen = store.read(user.id).await;
            assert!(matches!(&seen, Err(_) | Ok(Some(_))));
            seen.is_ok_and(|user| user.expect("user").device_epoch == epoch)
        })
        .await;
        let flushed = flushing.await.expect("no panic");
        flushed.expect("not given up, but written on another connection");
    }
}
