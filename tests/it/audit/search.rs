//! Reading of the audit through HTTP: who sees what, filters, pages, cursors.

use std::collections::HashSet;

use sallyport::model::{Action, AuditEvent, User};
use sallyport::store::{Class, Draft, Error};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Kind, LoggedIn, Options, OwnStores, PASSWORD, TestServer, TestStores,
};

/// A server with alice, bob and an admin.
struct World {
    stores: TestStores,
    server: TestServer,
    alice: LoggedIn,
    bob: LoggedIn,
    admin: LoggedIn,
}

impl World {
    async fn new() -> Self {
        let stores = TestStores::new(Kind::Single).await;
        let options = Options::unlimited().behind_a_proxy();
        let server = TestServer::open(&stores, options).await;
        let alice = server.from("192.0.2.7").register("alice").await;
        let bob = server.from("2001:db8::9").register("bob").await;
        server.register("root").await;
        let promote = |user: &mut User| user.roles.push("admin".to_owned());
        server.change_user("root", promote).await;
        let admin = server.login("root").await;
        server.store.flush().await.expect("flushed");
        Self {
            stores,
            server,
            alice,
            bob,
            admin,
        }
    }

    /// All pages of a list, back in time.
    async fn all(&self, member: &LoggedIn, route: &str) -> Vec<Value> {
        let (mut entries, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = read(member, &format!("{route}{cursor}")).await;
            entries.extend(page["entries"].as_array().expect("a list").clone());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return entries,
            }
        }
    }

    /// Names of the events of one page.
    async fn actions(&self, member: &LoggedIn, route: &str) -> Vec<String> {
        let page = read(member, route).await;
        let entries = page["entries"].as_array().expect("a list").iter();
        entries
            .map(|entry| entry["action"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// Writes entries about alice, one a second.
    async fn write(&self, count: usize, details: Value) {
        let id = self.server.user_id("alice").await;
        for _ in 0..count {
            self.stores.clock.advance(std::time::Duration::from_secs(1));
            let write = |user: Option<User>, draft: &mut Draft| {
                let user = user.expect("alice");
                let mut event: AuditEvent = self.stores.event(&user, Action::DeviceRenamed);
                event.details = details.clone();
                draft.audit(&event);
                Ok::<_, Error>(())
            };
            let written = self.server.store.transact(Class::Session, id, write).await;
            drop(written.expect("written"));
        }
        self.server.store.flush().await.expect("flushed");
    }
}

async fn read(member: &LoggedIn, route: &str) -> Value {
    let answer = member.send(route, None).await.ok();
    answer.json()["data"].clone()
}

async fn ask(member: &LoggedIn, route: &str) -> Answer {
    member.send(route, None).await
}

fn ids(entries: &[Value]) -> Vec<String> {
    let ids = entries.iter();
    ids.map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn an_owner_sees_entries_about_the_account_or_of_its_acts_and_nothing_of_others() {
    let world = World::new().await;
    let alice = world.server.user_id("alice").await.to_string();
    let entries = world.all(&world.alice, "GET /audit?limit=1").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!(entry["action"], "user.registered");
    assert_eq!(entry["userId"], json!(alice));
    assert_eq!(entry["actor"]["kind"], "account");
    assert_eq!(entry["actor"]["id"], json!(alice));
    assert_eq!(entry["ipAddress"], "192.0.2.7");
    let bob = world.server.user_id("bob").await;
    for foreign in [format!("userId={bob}"), format!("actorId={bob}")] {
        let found = world
            .actions(&world.alice, &format!("GET /audit?{foreign}"))
            .await;
        assert_eq!(found, Vec::<String>::new(), "{foreign}");
    }
}

#[tokio::test]
async fn an_act_upon_another_is_seen_by_both_and_does_not_show_its_subject_the_client() {
    let world = World::new().await;
    let (alice, root) = (
        world.server.user_id("alice").await,
        world.server.user_id("root").await,
    );
    let acted = "UPDATE audit_logs SET actor_kind = 'account', actor_id = $1, user_agent = 'Secret/1' \
                 WHERE user_id = $2";
    sqlx::query(acted)
        .bind(root.id().uuid())
        .bind(alice.id().uuid())
        .execute(&world.stores.pool)
        .await
        .expect("changed");
    let seen = &world.all(&world.alice, "GET /audit?limit=9").await[0];
    assert_eq!(seen["actor"]["id"], json!(root));
    assert_eq!(seen["ipAddress"], Value::Null);
    assert_eq!(seen["userAgent"], Value::Null);
    for guess in ["ip=192.0.2.7", "ip=192.0.2.0/24", "q=secret"] {
        let found = world
            .actions(&world.alice, &format!("GET /audit?{guess}"))
            .await;
        assert_eq!(
            found,
            Vec::<String>::new(),
            "{guess} tells what is not shown"
        );
    }
    let done = world
        .all(&world.admin, "GET /audit?action=user.registered")
        .await;
    assert_eq!(done.len(), 2, "its own and its act: {done:?}");
    for scope in ["/audit", "/admin/audit"] {
        let route = format!("GET {scope}?actorId={root}&userId={alice}");
        let acts = world.all(&world.admin, &route).await;
        assert_eq!(acts.len(), 1, "{scope}");
        assert_eq!(acts[0]["ipAddress"], "192.0.2.7", "{scope}");
    }
}

#[tokio::test]
async fn the_whole_audit_needs_the_permission() {
    let world = World::new().await;
    let refused = ask(&world.alice, "GET /admin/audit").await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    let nobody = world.server.send("GET /admin/audit", &[], None).await;
    assert_eq!(nobody.problem(), (401, "unauthenticated".to_owned()));
    let nobody = world.server.send("GET /audit", &[], None).await;
    assert_eq!(nobody.problem(), (401, "unauthenticated".to_owned()));
    let all = world.all(&world.admin, "GET /admin/audit?limit=2").await;
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test]
async fn each_filter_leaves_what_fits_it() {
    let world = World::new().await;
    world
        .server
        .from("198.51.100.3")
        .try_login("alice", "wrong-Password-1")
        .await;
    world
        .write(2, json!({ "name": "Grandma's (blue) laptop.local" }))
        .await;
    let admin = &world.admin;
    let alice = world.server.user_id("alice").await;
    let count = async |filter: &str| {
        let route = format!("GET /admin/audit?{filter}");
        world.actions(admin, &route).await.len()
    };
    crate::harness::eventually("the failure is written", async || {
        count("action=user.login_failed").await == 1
    })
    .await;
    let entries = read(admin, "GET /admin/audit?action=device.renamed").await;
    let times: Vec<&str> = entries["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["createdAt"].as_str().expect("a time"))
        .collect();
    let (newer, older) = (times[0], times[1]);
    for (filter, expected) in [
        ("action=user.registered".to_owned(), 3),
        ("action=user.*".to_owned(), 5),
        ("action=user.*&success=false".to_owned(), 1),
        ("success=true".to_owned(), 6),
        (format!("userId={alice}"), 4),
        (format!("actorId={alice}"), 1),
        (format!("actorId={alice}&userId={alice}&action=user.*"), 1),
        ("ip=198.51.100.3".to_owned(), 1),
        ("ip=198.51.100.0/24".to_owned(), 1),
        ("ip=2001:db8::/32".to_owned(), 1),
        ("ip=192.0.2.7".to_owned(), 3),
        ("ip=10.0.0.0/8".to_owned(), 0),
        ("q=BLUE+laptop".to_owned(), 2),
        ("q=laptop.local".to_owned(), 2),
        ("q=blue+nothing".to_owned(), 0),
        ("q=registered".to_owned(), 3),
        ("q=wrong_password".to_owned(), 1),
        (format!("from={newer}"), 1),
        (format!("from={older}&to={newer}"), 1),
        (format!("to={older}"), 5),
    ] {
        assert_eq!(count(&filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn every_parameter_has_its_bounds() {
    let world = World::new().await;
    let long = "a".repeat(65);
    let cases = [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("action=user.log", "action"),
        ("action=*", "action"),
        ("action=", "action"),
        (&*format!("action={long}"), "action"),
        ("userId=1", "userId"),
        ("actorId=alice", "actorId"),
        ("ip=example.com", "ip"),
        ("ip=1.2.3.4/33", "ip"),
        ("ip=", "ip"),
        ("success=yes", "success"),
        ("from=yesterday", "from"),
        ("to=2027-13-01T00:00:00Z", "to"),
        ("from=2027-01-02T00:00:00Z&to=2027-01-02T00:00:00Z", "to"),
        ("q=", "q"),
        ("q=...", "q"),
        ("q=a%00b", "q"),
        (&*format!("q={}", "a".repeat(201)), "q"),
        ("cursor=x", "cursor"),
        ("since=x", "since"),
        ("since=", "since"),
        (&*format!("cursor={long}"), "cursor"),
    ];
    for route in ["/audit", "/admin/audit"] {
        for (filter, field) in cases {
            let refused = ask(&world.admin, &format!("GET {route}?{filter}")).await;
            assert_eq!(
                refused.problem(),
                (400, "invalid_input".to_owned()),
                "{filter}"
            );
            assert_eq!(refused.json()["errors"][0]["field"], field, "{filter}");
        }
        let both = ask(&world.admin, &format!("GET {route}?cursor=a&since=start")).await;
        assert_eq!(both.problem(), (400, "invalid_input".to_owned()));
        ask(
            &world.admin,
            &format!("GET {route}?limit=200&q={}", "a".repeat(200)),
        )
        .await
        .ok();
    }
}

#[tokio::test]
async fn pages_go_back_in_time_without_a_gap_or_a_repeat_while_others_write() {
    let world = World::new().await;
    world.write(7, json!({})).await;
    let before = world.all(&world.alice, "GET /audit?limit=200").await;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&world.alice, &format!("GET /audit?limit=3{cursor}")).await;
        found.extend(page["entries"].as_array().expect("a list").clone());
        world.write(2, json!({})).await;
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids(&found), ids(&before));
    let mut sorted = ids(&found);
    sorted.sort_by(|one, other| other.cmp(one));
    assert_eq!(ids(&found), sorted, "the newest first");
}

#[tokio::test]
async fn a_cursor_serves_its_own_list_alone() {
    let world = World::new().await;
    world.write(3, json!({})).await;
    let page = read(&world.admin, "GET /admin/audit?limit=1&action=device.*").await;
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let mut changed = cursor.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    let since = read(&world.admin, "GET /admin/audit?since=start").await;
    let since = since["nextCursor"].as_str().expect("a cursor");
    for (route, field) in [
        (
            format!("/admin/audit?action=user.*&cursor={cursor}"),
            "cursor",
        ),
        (format!("/admin/audit?cursor={cursor}"), "cursor"),
        (format!("/audit?action=device.*&cursor={cursor}"), "cursor"),
        (
            format!("/admin/audit?action=device.*&cursor={changed}"),
            "cursor",
        ),
        (
            format!("/admin/audit?action=device.*&since={cursor}"),
            "since",
        ),
        (format!("/admin/audit?cursor={since}"), "cursor"),
        (format!("/audit?since={since}"), "since"),
    ] {
        let refused = ask(&world.admin, &format!("GET {route}")).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_input".to_owned()),
            "{route}"
        );
        assert_eq!(refused.json()["errors"][0]["field"], field, "{route}");
    }
    let another = world
        .server
        .another(&world.stores, Options::unlimited())
        .await;
    let elsewhere = world.admin.through(&another);
    let route = format!("GET /admin/audit?limit=50&action=device.*&cursor={cursor}");
    let rest = read(&elsewhere, &route).await;
    assert_eq!(
        rest["entries"].as_array().map(Vec::len),
        Some(2),
        "another instance takes it"
    );
    let mine = read(&world.alice, "GET /audit?limit=1").await;
    let mine = mine["nextCursor"].as_str().expect("a cursor");
    let foreign = ask(&world.bob, &format!("GET /audit?limit=1&cursor={mine}")).await;
    assert_eq!(
        foreign.problem(),
        (400, "invalid_input".to_owned()),
        "of another account"
    );
}

#[tokio::test]
async fn whoever_pulls_misses_no_entry_however_late_it_is_committed() {
    let world = World::new().await;
    let insert = "INSERT INTO audit_logs (ver, gen, partition, id, action, success, details, created_at) \
                  VALUES (1, 1, 1, gen_random_uuid(), 'user.login', true, '{}', $1::text::timestamptz)";
    let (mut seen, mut since) = (HashSet::new(), "start".to_owned());
    let mut late = Some(world.stores.pool.begin().await.expect("begun"));
    let slow = late.as_mut().expect("open");
    let slow = sqlx::query(insert)
        .bind("2026-01-01T00:00:00Z")
        .execute(&mut **slow)
        .await;
    slow.expect("written");
    for round in 0..6 {
        world.write(2, json!({})).await;
        if round == 3 {
            late.take()
                .expect("open")
                .commit()
                .await
                .expect("committed");
        }
        world.server.store.keep_audit().await.expect("kept");
        let route = format!("GET /admin/audit?limit=3&since={since}");
        let page = read(&world.admin, &route).await;
        for id in ids(page["entries"].as_array().expect("a list")) {
            assert!(seen.insert(id), "an entry twice");
        }
        page["nextCursor"]
            .as_str()
            .expect("always")
            .clone_into(&mut since);
    }
    crate::harness::eventually("everything was pulled", async || {
        let route = format!("GET /admin/audit?limit=3&since={since}");
        let page = read(&world.admin, &route).await;
        page["nextCursor"]
            .as_str()
            .expect("always")
            .clone_into(&mut since);
        seen.extend(ids(page["entries"].as_array().expect("a list")));
        let all = world.stores.count("SELECT count(*) FROM audit_logs").await;
        i64::try_from(seen.len()) == Ok(all)
    })
    .await;
    let mine = read(&world.alice, "GET /audit?since=start&limit=200").await;
    assert_eq!(mine["entries"].as_array().map(Vec::len), Some(13));
    let first = &mine["entries"][0];
    assert_eq!(first["action"], "user.registered", "the first to arrive");
}

#[tokio::test]
async fn without_postgres_the_audit_is_unavailable_and_back_with_it() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    alice.send("GET /audit", None).await.ok();
    own.postgres.stop().await;
    let away = alice.send("GET /audit", None).await;
    assert_eq!(away.problem(), (503, "unavailable".to_owned()));
    assert!(!away.header("retry-after").is_empty());
    server.login("alice").await;
    let _ = PASSWORD;
}
