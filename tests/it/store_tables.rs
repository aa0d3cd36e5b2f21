//! The promises that hold for every table, shown with one of the test's own.

use std::time::Duration;

use sallyport::model::{Id, Timestamp, UserId};
use sallyport::store::{
    Class, Error, Owned, Receipt, Record, RecordId, Schema, Store, TABLES, Table, Unique,
    UniqueName,
};
use sallyport::telemetry::Metrics;
use serde::{Deserialize, Serialize};

use crate::harness::stores::INDEX_KEY;
use crate::harness::{Kind, TestStores, eventually};
use crate::metrics::value;

/// A record with a unique name, as a feature would add it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Badge {
    id: BadgeId,
    user_id: UserId,
    label: String,
    colour: String,
    deleted_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct BadgeId(Id);

const LABEL: &UniqueName = &UniqueName {
    index: "badges_label",
    label: "label",
};

static BADGES: Table = Table::durable(
    "badge",
    "badges",
    &["id", "user_id", "label", "colour", "deleted_at"],
)
.owned_by("user_id")
.purged_after(Duration::from_hours(24))
.unique::<Badge>(&[LABEL]);

const MIGRATION: &str = "CREATE TABLE badges (id uuid PRIMARY KEY, ver bigint NOT NULL, \
     gen bigint NOT NULL, partition smallint NOT NULL, user_id uuid NOT NULL, label text NOT NULL, \
     colour text NOT NULL, deleted_at timestamptz); \
     CREATE UNIQUE INDEX badges_label ON badges (label) WHERE deleted_at IS NULL";

impl From<Id> for BadgeId {
    fn from(id: Id) -> Self {
        Self(id)
    }
}

impl From<BadgeId> for Id {
    fn from(id: BadgeId) -> Self {
        id.0
    }
}

impl RecordId for BadgeId {
    type Record = Badge;
}

impl Record for Badge {
    type Id = BadgeId;

    const TABLE: &'static Table = &BADGES;

    fn id(&self) -> BadgeId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        Duration::from_hours(1)
    }
}

impl Owned for Badge {
    fn owner(&self) -> UserId {
        self.user_id
    }
}

impl Unique for Badge {
    fn withdraw(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }

    fn restore(&mut self, _name: &UniqueName, stored: &Self) {
        self.label.clone_from(&stored.label);
    }
}

async fn store_with_badges(stores: &TestStores) -> Store {
    sqlx::raw_sql(MIGRATION)
        .execute(&stores.pool)
        .await
        .expect("table");
    again_with_badges(stores).await
}

/// A store whose database has the table.
async fn again_with_badges(stores: &TestStores) -> Store {
    let schema = Schema::default().with_table(&BADGES);
    let clock = stores.clock.clone();
    Store::connect_with(
        schema,
        &stores.redis,
        &stores.postgres,
        &stores.settings,
        INDEX_KEY,
        clock,
    )
    .await
    .expect("store")
}

fn badge(stores: &TestStores, label: &str) -> Badge {
    let user_id: UserId = stores.clock.new_id();
    Badge {
        id: stores.clock.new_id_in(user_id.partition()),
        user_id,
        label: label.to_owned(),
        colour: "red".to_owned(),
        deleted_at: None,
    }
}

async fn put(store: &Store, badge: &Badge) -> Receipt {
    let put = store.transact(Class::Grant, badge.id, |_: Option<Badge>, draft| {
        draft.put(badge);
        Ok::<_, Error>(())
    });
    put.await.expect("commit").1
}

/// Flushes while somebody waits on the receipt.
async fn settled(store: &Store, receipt: Receipt) -> Result<(), Error> {
    let (outcome, flushed) = tokio::join!(receipt.durable_patiently(), store.flush());
    flushed.expect("flush");
    outcome.map(|_| ())
}

#[tokio::test]
async fn a_new_record_whose_name_is_taken_is_withdrawn_and_its_owner_is_told_which() {
    let stores = TestStores::new(Kind::Single).await;
    let store = store_with_badges(&stores).await;
    let (first, second, other) = (
        badge(&stores, "x"),
        badge(&stores, "x"),
        badge(&stores, "y"),
    );
    let receipt = put(&store, &first).await;
    settled(&store, receipt).await.expect("free");
    let refused = put(&store, &second).await;
    let passed = put(&store, &other).await;
    let (refused, passed, flushed) = tokio::join!(
        refused.durable_patiently(),
        passed.durable_patiently(),
        store.flush()
    );
    flushed.expect("flush");
    assert!(
        matches!(refused, Err(Error::Taken(LABEL))),
        "{refused:?}: a name is taken"
    );
    passed.expect("another record of the same batch goes through");
    let withdrawn = store.read(second.id).await.expect("read");
    assert!(withdrawn.expect("a tombstone").is_deleted());
    assert_eq!(store.owned_by::<Badge>(second.user_id).await.unwrap(), []);
    assert_eq!(
        store.owned_by::<Badge>(other.user_id).await.unwrap(),
        [other]
    );
    store.flush().await.expect("flush");
    stores.empty_redis().await;
    store.check().await.expect("checked");
    assert_eq!(store.read(first.id).await.expect("read"), Some(first));
    let withdrawn = store.read(second.id).await.expect("read");
    assert!(withdrawn.expect("a tombstone").is_deleted());
    assert_eq!(stores.count("SELECT count(*) FROM dead_letters").await, 0);
    stores.clock.advance(Duration::from_hours(25));
    assert_eq!(store.purge().await.expect("purged"), 1, "the tombstone");
}

#[tokio::test]
async fn a_record_renamed_to_a_taken_name_keeps_its_own_and_every_other_change() {
    let stores = TestStores::new(Kind::Single).await;
    let store = store_with_badges(&stores).await;
    let (first, mut second) = (badge(&stores, "x"), badge(&stores, "y"));
    for badge in [&first, &second] {
        let receipt = put(&store, badge).await;
        settled(&store, receipt).await.expect("free");
    }
    second.label = "x".to_owned();
    second.colour = "green".to_owned();
    let renamed = put(&store, &second).await;
    second.colour = "blue".to_owned();
    let recoloured = put(&store, &second).await;
    let refused = settled(&store, renamed).await;
    assert!(matches!(refused, Err(Error::Taken(LABEL))), "{refused:?}");
    drop(recoloured);
    store.flush().await.expect("flush");
    second.label = "y".to_owned();
    assert_eq!(
        store.read(second.id).await.expect("read"),
        Some(second.clone())
    );
    stores.empty_redis().await;
    store.check().await.expect("checked");
    assert_eq!(
        store.read(second.id).await.expect("read"),
        Some(second),
        "PostgreSQL has the same"
    );
    assert_eq!(stores.count("SELECT count(*) FROM dead_letters").await, 0);
}

/// A unique index that no table declares would end in a dead letter.
#[tokio::test]
async fn every_unique_index_is_declared_by_its_table_and_leaves_tombstones_out() {
    let stores = TestStores::new(Kind::Single).await;
    for table in TABLES {
        let indexes: Vec<(String, String)> = sqlx::query_as(
            "SELECT c.relname::text, pg_get_indexdef(i.indexrelid) FROM pg_index i \
             JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = $1::regclass AND i.indisunique AND NOT i.indisprimary",
        )
        .bind(table.name)
        .fetch_all(&stores.pool)
        .await
        .expect("indexes");
        let mut found: Vec<&str> = indexes.iter().map(|(name, _)| name.as_str()).collect();
        let mut declared: Vec<&str> = table.unique.iter().map(|name| name.index).collect();
        found.sort_unstable();
        declared.sort_unstable();
        assert_eq!(found, declared, "{}", table.name);
        for (name, definition) in &indexes {
            assert!(definition.contains("deleted_at IS NULL"), "{name}");
        }
    }
}

/// The purge compares exactly the expression of an index, or it reads the whole table.
#[tokio::test]
async fn every_table_that_is_purged_has_an_index_for_it() {
    let stores = TestStores::new(Kind::Single).await;
    for table in TABLES.iter().filter(|table| table.kept_after_end.is_some()) {
        let ends = ["deleted_at"].iter().chain(table.ends).copied();
        let ends = ends.collect::<Vec<_>>().join(", ");
        let definitions: Vec<String> = sqlx::query_scalar(
            "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND indexname = $1 || '_end'",
        )
        .bind(table.name)
        .fetch_all(&stores.pool)
        .await
        .expect("indexes");
        let wanted = format!("LEAST({ends})");
        assert!(
            definitions.iter().any(|one| one.contains(&wanted)),
            "{}: {wanted}: {definitions:?}",
            table.name
        );
    }
}

#[tokio::test]
async fn entries_of_kinds_that_a_version_does_not_know_are_left_to_newer_ones() {
    let metrics = Metrics::install().expect("metrics");
    let stores = TestStores::new(Kind::Single).await;
    let newer = store_with_badges(&stores).await;
    let older = stores.stepped().await;
    let user = stores.user("alice");
    // More than are looked at in one go, before an entry that the older version knows.
    let entries = 300;
    for number in 0..entries {
        let badge = Badge {
            id: BadgeId(stores.clock.new_id_in(user.id.partition())),
            user_id: user.id,
            label: format!("badge {number}"),
            colour: "blue".to_owned(),
            deleted_at: None,
        };
        let put = newer.transact(Class::Session, badge.id, |_, draft| {
            draft.put(&badge);
            Ok::<_, Error>(())
        });
        let _ = put.await.expect("commit");
    }
    let gone = stores.stepped().await;
    let _ = crate::harness::records::add(&gone, &stores, &user)
        .await
        .expect("commit");
    drop((newer, gone));
    assert_eq!(older.sweep(Duration::ZERO).await.expect("sweep"), 1);
    assert_eq!(older.sweep(Duration::ZERO).await.expect("sweep"), 0);
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(older.backlog().pending, entries, "they wait");
    let told = value(&metrics, "sallyport_store_unknown_kinds");
    assert_eq!(told, entries, "operators learn of it");
    drop(older);
    let newer = again_with_badges(&stores).await;
    // The older one has the lease of the partition for a while.
    eventually("all of them are swept", async || {
        newer.sweep(Duration::ZERO).await.expect("sweep");
        stores.count("SELECT count(*) FROM badges").await == 300
    })
    .await;
}
