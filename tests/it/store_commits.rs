//! Promises of a commit while all is well, on a single Redis and on a cluster.

use std::time::Duration;

use sallyport::model::{Action, Job, Roles, Session, User};
use sallyport::store::{self, Class, Durability, Error};

use crate::harness::records;
use crate::harness::{BOTH, Kind, TestStores};

#[tokio::test]
async fn a_commit_is_in_redis_at_once_and_in_postgres_when_durable() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.running().await;
        let user = stores.user("alice");
        let receipt = records::add(&store, &stores, &user).await.expect("commit");
        assert_eq!(store.read(user.id).await.expect("read"), Some(user.clone()));
        assert_eq!(
            receipt.durable_patiently().await.expect("durable"),
            Durability::Committed
        );
        assert_eq!(
            stores
                .count("SELECT count(*) FROM users WHERE email_key = 'alice@example.com'")
                .await,
            1
        );
        assert_eq!(
            stores
                .count("SELECT count(*) FROM audit_logs WHERE action = 'user.registered'")
                .await,
            1
        );
        store.close(Duration::from_secs(5)).await;
        assert_eq!(
            stores.value(":pend").await,
            None,
            "{kind:?}: nothing is pending after the flush"
        );
    }
}

#[tokio::test]
async fn a_record_that_left_redis_comes_back_from_postgres_unchanged() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let mut user = stores.user("bob");
        user.roles = vec!["admin".to_owned(), "öffnen \"quoted\"".to_owned()];
        user.email_verified_at = Some(stores.clock.now());
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        let (session, _) = records::open_session(&store, &stores, &user)
            .await
            .expect("session");
        let before = store.read((session, user.id)).await.expect("read");
        store.flush().await.expect("flush");
        assert_eq!(
            stores.evict("user:").await + stores.evict("session:").await,
            2
        );
        assert_eq!(
            store.read((session, user.id)).await.expect("read"),
            before,
            "{kind:?}"
        );
        assert_eq!(before.1, Some(user.clone()));
        // And it is the same version, so that a commit on it goes through.
        let _ = records::bump(&store, user.id)
            .await
            .expect("commit on a hydrated record");
    }
}

#[tokio::test]
async fn of_200_parallel_consumptions_of_one_version_exactly_one_succeeds() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let user = stores.user("carol");
        let _ = records::add(&store, &stores, &user).await.expect("commit");
        let attempts = (0..200).map(|_| {
            let (store, id) = (store.clone(), user.id);
            tokio::spawn(async move {
                let consumed = store.transact(Class::Restrict, id, |user: Option<User>, draft| {
                    let mut user = user.expect("user");
                    if user.disabled_at.is_some() {
                        return Ok::<_, Error>(false);
                    }
                    user.disabled_at = Some(user.created_at);
                    draft.put(&user);
                    Ok(true)
                });
                consumed.await.expect("transaction").0
            })
        });
        let mut wins = 0;
        for attempt in attempts.collect::<Vec<_>>() {
            wins += usize::from(attempt.await.expect("task"));
        }
        assert_eq!(wins, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn parallel_increments_are_all_counted() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("dave");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    let bumps = (0..8).map(|_| {
        let (store, id) = (store.clone(), user.id);
        tokio::spawn(async move {
            let mut done = 0;
            while done < 25 {
                match records::bump(&store, id).await {
                    Ok(_) => done += 1,
                    Err(Error::Contention) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for bump in bumps.collect::<Vec<_>>() {
        bump.await.expect("task");
    }
    let user = store.read(user.id).await.expect("read").expect("user");
    assert_eq!(user.device_epoch, 200);
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT device_epoch FROM users").await, 200);
}

#[tokio::test]
async fn a_name_that_postgres_refuses_withdraws_the_account_and_frees_its_other_name() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.running().await;
        let first = stores.user("erin");
        let receipt = records::add(&store, &stores, &first).await.expect("commit");
        receipt.durable_patiently().await.expect("durable");

        // A claim that Redis forgot: nothing but PostgreSQL knows that the e-mail is taken.
        let mut second = stores.user("mallory");
        second.email_key.clone_from(&first.email_key);
        let claim = store
            .claim(second.id, &[records::names(&second)[1].clone()])
            .await
            .expect("claim");
        let receipt = records::add(&store, &stores, &second)
            .await
            .expect("commit");
        let refused = receipt.durable_patiently().await;
        assert!(
            matches!(refused, Err(Error::Taken(store::EMAIL))),
            "{kind:?}: {refused:?}"
        );
        drop(claim);
        let withdrawn = store
            .read(second.id)
            .await
            .expect("read")
            .expect("tombstone");
        assert!(!withdrawn.is_active());
        let again = stores.user("mallory");
        let claim = store
            .claim(again.id, &[records::names(&again)[1].clone()])
            .await
            .expect("free again");
        claim.check().await.expect("free in PostgreSQL too");
        store.close(Duration::from_secs(5)).await;
        assert_eq!(
            stores
                .count("SELECT count(*) FROM users WHERE deleted_at IS NULL")
                .await,
            1
        );
        assert_eq!(stores.count("SELECT count(*) FROM dead_letters").await, 0);
    }
}

#[tokio::test]
async fn of_50_parallel_claims_of_one_name_exactly_one_stands() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let claims = (0..50).map(|_| {
            let (store, user) = (store.clone(), stores.user("frank"));
            tokio::spawn(async move { store.claim(user.id, &records::names(&user)).await.is_ok() })
        });
        let mut stood = 0;
        for claim in claims.collect::<Vec<_>>() {
            stood += usize::from(claim.await.expect("task"));
        }
        assert_eq!(stood, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_bad_image_is_put_aside_and_the_others_go_through() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("grace");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    let mut bad = stores.session(&user);
    bad.user_agent = "nul \0 byte".to_owned();
    let put_bad = store.transact(Class::Session, bad.id, |_, draft| {
        draft.put(&bad);
        draft.audit(&stores.event(&user, Action::UserLogin));
        Ok::<_, Error>(())
    });
    let _ = put_bad.await.expect("commit");
    let others: Vec<User> = (0..20).map(|n| stores.user(&format!("other{n}"))).collect();
    for other in &others {
        let _ = records::add(&store, &stores, other).await.expect("commit");
    }
    store.flush().await.expect("flush");
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 21);
    assert_eq!(
        stores.count("SELECT count(*) FROM audit_logs").await,
        22,
        "its own audit entry went through"
    );
    assert_eq!(
        stores
            .count("SELECT count(*) FROM dead_letters WHERE record LIKE 'session:%'")
            .await,
        1
    );
    assert_eq!(
        store.sweep(Duration::ZERO).await.expect("sweep"),
        0,
        "nothing stays in the log"
    );
}

#[tokio::test]
async fn an_account_sees_its_own_sessions_flushed_or_not() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let (user, other) = (stores.user("heidi"), stores.user("ivan"));
        let (first, _) = records::open_session(&store, &stores, &user)
            .await
            .expect("session");
        store.flush().await.expect("flush");
        stores.clock.advance(Duration::from_secs(1));
        let (second, _) = records::open_session(&store, &stores, &user)
            .await
            .expect("session");
        let _ = records::open_session(&store, &stores, &other)
            .await
            .expect("session");
        let ids: Vec<_> = store
            .owned_by::<Session>(user.id)
            .await
            .expect("list")
            .into_iter()
            .map(|session| session.id)
            .collect();
        assert_eq!(ids, [second, first], "{kind:?}");
    }
}

#[tokio::test]
async fn a_full_log_refuses_grants_then_sessions_but_never_restrictions() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.log_budget_bytes = 4000;
    let store = stores.stepped().await;
    let user = stores.user("judy");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    let mut more = 0;
    while !matches!(
        records::add(&store, &stores, &stores.user(&format!("more{more}"))).await,
        Err(Error::Busy)
    ) {
        more += 1;
    }
    assert!(more > 0);
    let _ = records::open_session(&store, &stores, &user)
        .await
        .expect("a session has room still");
    while !matches!(
        records::open_session(&store, &stores, &user).await,
        Err(Error::Busy)
    ) {}
    let _ = records::bump(&store, user.id)
        .await
        .expect("a restriction always passes");
    store.flush().await.expect("flush");
    let _ = records::add(&store, &stores, &stores.user("later"))
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn every_column_of_a_record_exists_and_every_member_of_an_image_is_a_column() {
    let stores = TestStores::new(Kind::Single).await;
    let user = stores.user("kim");
    let samples = [
        ("users", serde_json::to_value(&user).expect("user")),
        (
            "sessions",
            serde_json::to_value(stores.session(&user)).expect("session"),
        ),
        (
            "second_factors",
            serde_json::to_value(stores.factors(&user)).expect("factors"),
        ),
        (
            "trusted_devices",
            serde_json::to_value(stores.device(&user)).expect("device"),
        ),
        (
            "api_keys",
            serde_json::to_value(stores.api_key(&user)).expect("key"),
        ),
        (
            "roles",
            serde_json::to_value(Roles::none(user.created_at)).expect("roles"),
        ),
        (
            "jobs",
            serde_json::to_value(Job {
                id: stores.clock.new_id(),
                kind: "delivery".to_owned(),
                content: String::new(),
                attempts: 0,
                due_at: user.created_at,
                expires_at: user.created_at,
                created_at: user.created_at,
                failed_at: None,
                failure: None,
                deleted_at: None,
            })
            .expect("job"),
        ),
        (
            "audit_logs",
            serde_json::to_value(stores.event(&user, Action::UserLogin)).expect("event"),
        ),
    ];
    for table in sallyport::store::TABLES {
        let (_, sample) = samples
            .iter()
            .find(|(name, _)| *name == table.name)
            .expect("a sample of each table");
        let mut members: Vec<&str> = sample
            .as_object()
            .expect("object")
            .keys()
            .map(String::as_str)
            .collect();
        let mut columns = table.columns.to_vec();
        columns.sort_unstable();
        members.sort_unstable();
        assert_eq!(members, columns, "{}", table.name);
        let mut stored: Vec<String> = sqlx::query_scalar(
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_name = $1 AND column_name NOT IN ('ver', 'gen', 'partition') \
                 AND is_generated = 'NEVER'",
        )
        .bind(table.name)
        .fetch_all(&stores.pool)
        .await
        .expect("columns");
        stored.sort_unstable();
        assert_eq!(stored, columns, "{}", table.name);
    }
}

#[tokio::test]
async fn sessions_that_ended_long_ago_leave_postgres() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("leo");
    let (first, _) = records::open_session(&store, &stores, &user)
        .await
        .expect("session");
    let (second, _) = records::open_session(&store, &stores, &user)
        .await
        .expect("session");
    let ended = store.transact(Class::Restrict, first, |session, draft| {
        let mut session = session.expect("session");
        session.end(session.created_at);
        draft.put(&session);
        Ok::<_, Error>(())
    });
    let _ = ended.await.expect("commit");
    store.flush().await.expect("flush");
    assert_eq!(store.purge().await.expect("purge"), 0, "a week is not over");
    stores.clock.advance(Duration::from_hours(7 * 24 + 1));
    assert_eq!(
        store.purge().await.expect("purge"),
        1,
        "the ended one; the other expired an hour later"
    );
    stores.clock.advance(Duration::from_hours(1));
    assert_eq!(store.purge().await.expect("purge"), 1);
    assert_eq!(
        store
            .read(second)
            .await
            .expect("read")
            .map(|session| session.id),
        Some(second),
        "Redis keeps it"
    );
}

#[tokio::test]
async fn a_list_of_sessions_is_bounded_and_holds_only_live_ones() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let user = stores.user("mia");
    for _ in 0..230 {
        let _ = records::open_session(&store, &stores, &user)
            .await
            .expect("session");
    }
    assert_eq!(
        store
            .owned_by::<Session>(user.id)
            .await
            .expect("list")
            .len(),
        200,
        "not flushed"
    );
    store.flush().await.expect("flush");
    assert_eq!(
        store
            .owned_by::<Session>(user.id)
            .await
            .expect("list")
            .len(),
        200,
        "flushed"
    );
    stores.clock.advance(Duration::from_hours(3));
    assert_eq!(
        store
            .owned_by::<Session>(user.id)
            .await
            .expect("list")
            .len(),
        0,
        "expired"
    );
}
