//! Monthly partitions of the audit, and the order in which entries arrived.

use std::time::Duration;

use sallyport::model::{Action, User};
use sallyport::store::{Class, Error, Store};
use sqlx::AssertSqlSafe;

use crate::harness::{Kind, TestStores};

const DAY: Duration = Duration::from_hours(24);

/// Partition and number of entries, the default partition last.
async fn months(stores: &TestStores) -> Vec<(String, i64)> {
    let rows = sqlx::query_as(
        "SELECT tableoid::regclass::text AS name, count(*) FROM audit_logs GROUP BY 1 ORDER BY 1",
    );
    rows.fetch_all(&stores.pool).await.expect("counted")
}

/// Writes an entry of now.
async fn write(stores: &TestStores, store: &Store, user: &User) {
    let event = stores.event(user, Action::UserLogin);
    let write = |_: Option<User>, draft: &mut sallyport::store::Draft| {
        draft.audit(&event);
        Ok::<_, Error>(())
    };
    let written = store.transact(Class::Session, user.id, write).await;
    drop(written.expect("written"));
    store.flush().await.expect("flushed");
}

fn at(name: &str, count: i64) -> (String, i64) {
    (name.to_owned(), count)
}

#[tokio::test]
async fn months_are_made_ahead_and_entries_that_came_before_their_month_move_into_it() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    // Farther than the migration made partitions for.
    stores.clock.advance(DAY * 400);
    write(&stores, &store, &user).await;
    assert_eq!(months(&stores).await, [at("audit_logs_default", 1)]);
    store.keep_audit().await.expect("kept");
    assert_eq!(months(&stores).await, [at("audit_logs_2028_02", 1)]);
    stores.clock.advance(DAY * 62);
    write(&stores, &store, &user).await;
    let found = [at("audit_logs_2028_02", 1), at("audit_logs_2028_04", 1)];
    assert_eq!(months(&stores).await, found, "made two months ahead");
    store.keep_audit().await.expect("kept");
    store.keep_audit().await.expect("kept again");
    let positions = "SELECT count(*) FROM audit_positions p JOIN audit_logs a ON a.id = p.entry_id";
    assert_eq!(stores.count(positions).await, 2);
}

#[tokio::test]
async fn a_month_goes_when_its_last_entry_is_older_than_the_retention() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.audit_retention_days = 30;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    store.keep_audit().await.expect("kept");
    write(&stores, &store, &user).await;
    let january = [at("audit_logs_2027_01", 1)];
    assert_eq!(months(&stores).await, january);
    // The 15th of January, then the 1st of March: its last entry could be 29 days old.
    stores.clock.advance(DAY * 45);
    store.keep_audit().await.expect("kept");
    assert_eq!(months(&stores).await, january);
    stores.clock.advance(DAY * 2);
    assert!(store.keep_audit().await.expect("kept") > 0);
    assert_eq!(months(&stores).await, []);
}

#[tokio::test]
async fn without_a_retention_nothing_is_dropped() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    write(&stores, &store, &user).await;
    stores.clock.advance(DAY * 4000);
    assert_eq!(store.keep_audit().await.expect("kept"), 0);
    assert_eq!(stores.count("SELECT count(*) FROM audit_logs").await, 1);
}

#[tokio::test]
async fn an_image_that_comes_twice_stays_one_entry_with_one_position() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    write(&stores, &store, &user).await;
    // The statement that the versions before use, which rests on the unique id.
    let again = "INSERT INTO audit_logs AS t (ver, gen, partition, id, action, success, details, created_at) \
                 SELECT ver + $1, gen, partition, id, action, success, details, created_at FROM audit_logs \
                 ON CONFLICT (id) DO UPDATE SET ver = excluded.ver WHERE t.ver < excluded.ver";
    for newer in [0_i64, 1] {
        let again = sqlx::query(again).bind(newer).execute(&stores.pool).await;
        assert_eq!(
            again.expect("written").rows_affected(),
            u64::from(newer > 0)
        );
    }
    store.keep_audit().await.expect("kept");
    for table in ["audit_logs", "audit_positions"] {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&stores.pool)
            .await
            .expect("counted");
        assert_eq!(count, 1, "{table}");
    }
}

#[tokio::test]
async fn an_entry_that_is_committed_late_gets_a_later_position_and_none_is_given_twice() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("alice");
    let insert = "INSERT INTO audit_logs (ver, gen, partition, id, action, success, details, created_at) \
                  VALUES (1, 1, 1, audit_id_at(now() + make_interval(secs => $1)), 'user.login', true, '{}', now())";
    let mut late = stores.pool.begin().await.expect("begun");
    let early = sqlx::query(insert).bind(-60.0).execute(&mut *late).await;
    early.expect("written");
    write(&stores, &store, &user).await;
    store.keep_audit().await.expect("kept");
    late.commit().await.expect("committed");
    write(&stores, &store, &user).await;
    let another = stores.stepped().await;
    let (one, other) = tokio::join!(store.keep_audit(), another.keep_audit());
    one.and(other).expect("kept");
    store.keep_audit().await.expect("kept");
    let positions: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT p.position, row_number() OVER (ORDER BY a.id) FROM audit_positions p \
         JOIN audit_logs a ON a.id = p.entry_id ORDER BY p.position",
    )
    .fetch_all(&stores.pool)
    .await
    .expect("read");
    let order: Vec<i64> = positions.iter().map(|(position, _)| *position).collect();
    assert_eq!(order, [1, 2, 3]);
    let oldest = positions.iter().position(|(_, age)| *age == 1);
    assert_ne!(oldest, Some(0), "the oldest entry arrived later");
}
