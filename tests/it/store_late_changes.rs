//! Changes that come to PostgreSQL late: after Redis lost them, or after others went on without them.

use std::time::Duration;

use sallyport::model::{User, UserId};
use sallyport::store::{Class, Durability, Error, Receipt, Store};

use crate::harness::records;
use crate::harness::{BOTH, Kind, OwnStores, TestStores, eventually};

#[tokio::test]
async fn a_lost_change_is_an_error_for_whoever_need_not_wait_too() {
    let stores = TestStores::new(Kind::Single).await;
    let (slow, quick) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("kate");
    let _ = records::add(&quick, &stores, &user).await.expect("commit");
    quick.flush().await.expect("flush");
    let (_, receipt) = records::bump(&slow, user.id).await.expect("commit");
    // The change is late: Redis lost it, and another process went on without it.
    stores.empty_redis().await;
    let _ = records::bump(&quick, user.id).await.expect("commit");
    quick.flush().await.expect("flush");
    slow.flush().await.expect("flush");
    let answer = receipt.durable_or_pending().await;
    assert!(matches!(answer, Err(Error::Lost)), "{answer:?}");
}

#[tokio::test]
async fn what_was_built_on_a_record_brought_back_too_early_gives_way_to_a_late_flush() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (slow, quick) = (stores.stepped().await, stores.stepped().await);
        let user = stores.user("lena");
        let _ = records::add(&quick, &stores, &user).await.expect("commit");
        quick.flush().await.expect("flush");
        let (epoch, late) = records::bump(&slow, user.id).await.expect("commit");
        stores.empty_redis().await;
        // Neither knows of the change that is late, and the second was built upon the first.
        let first = with_password(&quick, user.id, "first").await;
        let second = with_password(&quick, user.id, "second").await;
        slow.flush().await.expect("flush");
        assert_eq!(
            late.durable_or_pending().await.expect("durable"),
            Durability::Committed
        );
        quick.flush().await.expect("flush");
        for receipt in [first, second] {
            let answer = receipt.durable_or_pending().await;
            assert!(matches!(answer, Err(Error::Lost)), "{kind:?}: {answer:?}");
        }
        let read = quick.read(user.id).await.expect("read").expect("user");
        assert_eq!(
            (read.device_epoch, read.password_hash),
            (epoch, user.password_hash),
            "{kind:?}"
        );
        // From here on nothing is in the way.
        let third = with_password(&quick, user.id, "third").await;
        quick.flush().await.expect("flush");
        assert_eq!(
            third.durable_or_pending().await.expect("durable"),
            Durability::Committed
        );
    }
}

#[tokio::test]
async fn whoever_cannot_flush_yet_what_it_holds_from_before_a_loss_makes_others_wait() {
    let own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let (slow, quick) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("lars");
    let _ = records::add(&quick, &stores, &user).await.expect("commit");
    quick.flush().await.expect("flush");
    let (epoch, _) = records::bump(&slow, user.id).await.expect("commit");
    stores.empty_redis().await;
    quick.check().await.expect("check");
    let meta = format!("{{{}}}:meta", user.id.partition());
    let lost = async || {
        let meta = own.redis.ask(&["GET", &meta]).await.expect("meta");
        let lost = meta.split(' ').nth(3).expect("a time");
        lost.parse::<u64>().expect("a number")
    };
    let first = lost().await;
    quick.sweep(Duration::ZERO).await.expect("sweep");
    assert_eq!(lost().await, first, "it holds nothing");
    slow.sweep(Duration::ZERO).await.expect("sweep");
    let prolonged = lost().await;
    assert!(prolonged > first, "the hold begins anew");
    slow.flush().await.expect("flush");
    slow.sweep(Duration::ZERO).await.expect("sweep");
    assert_eq!(lost().await, prolonged, "PostgreSQL has everything");
    let read = quick.read(user.id).await.expect("read").expect("user");
    assert_eq!(read.device_epoch, epoch);
}

#[tokio::test]
async fn what_postgres_has_leaves_the_log_although_redis_did_not_answer_at_once() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let user = stores.user("lotte");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    own.redis.pause();
    store.flush().await.expect("PostgreSQL is there");
    own.redis.resume();
    let log = format!("{{{}}}:log", user.id.partition());
    // Nobody sweeps here.
    eventually("the log is empty", async || {
        own.redis
            .ask(&["XLEN", &log])
            .await
            .is_ok_and(|length| length == "0")
    })
    .await;
}

#[tokio::test]
async fn a_record_brought_back_before_a_flush_gives_way_to_it() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("liam");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        store.flush().await.expect("flush");
        let (epoch, _) = records::bump(&store, user.id).await.expect("commit");
        // What was pending is forgotten, and a reader brings the row back that PostgreSQL has.
        stores.evict("user:").await;
        stores.evict(":pend").await;
        let stale = store.read(user.id).await.expect("read").expect("user");
        assert_ne!(stale.device_epoch, epoch);
        store.flush().await.expect("flush");
        let user = store.read(user.id).await.expect("read").expect("user");
        assert_eq!(user.device_epoch, epoch, "{kind:?}");
    }
}

#[tokio::test]
async fn an_entry_of_the_log_with_the_id_of_another_is_not_trimmed() {
    let own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let user = stores.user("mona");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    // As after a fail-over to a server whose clock is behind.
    let log = format!("{{{}}}:log", user.id.partition());
    let replace = "local entry = redis.call('XRANGE', KEYS[1], '-', '+')[1] \
                   redis.call('DEL', KEYS[1]) \
                   return redis.call('XADD', KEYS[1], entry[1], 'g', '1', 'v', '9', 'later:x', 't{}')";
    let replaced = own.redis.ask(&["EVAL", replace, "1", &log]).await;
    replaced.expect("replaced");
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 1);
    let left = own.redis.ask(&["XLEN", &log]).await.expect("length");
    assert_eq!(left, "1", "the other commit is not in PostgreSQL");
}

async fn with_password(store: &Store, id: UserId, hash: &str) -> Receipt {
    let changed = store.transact(Class::Grant, id, |user: Option<User>, draft| {
        let mut user = user.expect("user");
        user.password_hash = Some(hash.to_owned());
        draft.put(&user);
        Ok::<_, Error>(())
    });
    changed.await.expect("commit").1
}
