//! Roles as administrators give, define and lose them.

use http::StatusCode;
use sallyport::platform::role::{self, Assignment};
use serde_json::{Value, json};

use crate::harness::{Answer, Kind, LoggedIn, Options, TestServer, TestStores, eventually};

/// A server with an administrator.
async fn with_admin(stores: &TestStores, name: &str) -> (TestServer, LoggedIn) {
    let server = TestServer::open(stores, Options::unlimited()).await;
    let admin = server.register(name).await;
    promote(&server, name).await;
    (server, admin)
}

/// Makes an administrator as the operator does.
async fn promote(server: &TestServer, name: &str) {
    let assignment = Assignment {
        user_id: server.user_id(name).await,
        roles: vec!["admin".to_owned()],
    };
    let assigned = role::assign_as_operator(&server.core, assignment).await;
    assigned.expect("promoted");
}

async fn assign(by: &LoggedIn, server: &TestServer, name: &str, roles: &[&str]) -> Answer {
    let id = server.user_id(name).await;
    let route = format!("POST /admin/users/{id}/roles");
    by.send(&route, Some(&json!({ "roles": roles }))).await
}

async fn define(by: &LoggedIn, name: &str, permissions: &[&str]) -> Answer {
    let body = json!({ "name": name, "description": "for tests", "permissions": permissions });
    by.send("POST /admin/roles", Some(&body)).await
}

async fn lists_roles(client: &LoggedIn) -> StatusCode {
    client.send("GET /admin/roles", None).await.status
}

#[tokio::test]
async fn a_defined_role_grants_what_it_says_from_the_next_request_on_at_every_instance() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    let other = server.another(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let elsewhere = alice.through(&other);
    assert_eq!(lists_roles(&alice).await, StatusCode::FORBIDDEN);
    assert_eq!(lists_roles(&elsewhere).await, StatusCode::FORBIDDEN);

    define(&admin, "keepers", &["roles.assign"]).await.ok();
    assign(&admin, &server, "alice", &["keepers"]).await.ok();
    for client in [&alice, &elsewhere] {
        assert_eq!(lists_roles(client).await, StatusCode::OK);
    }
    let body = json!({ "permissions": ["audit.read"] });
    admin
        .send("PATCH /admin/roles/keepers", Some(&body))
        .await
        .ok();
    for client in [&alice, &elsewhere] {
        assert_eq!(lists_roles(client).await, StatusCode::FORBIDDEN);
    }
    let body = json!({ "permissions": ["audit.read", "roles.assign"] });
    admin
        .send("PATCH /admin/roles/keepers", Some(&body))
        .await
        .ok();
    assert_eq!(lists_roles(&elsewhere).await, StatusCode::OK);
    admin.send("DELETE /admin/roles/keepers", None).await.ok();
    for client in [&alice, &elsewhere] {
        assert_eq!(lists_roles(client).await, StatusCode::FORBIDDEN);
    }
    // Whoever had the role keeps its name, which stands in the way of no other role.
    assign(&admin, &server, "alice", &["keepers", "support"])
        .await
        .ok();
    assert_eq!(lists_roles(&alice).await, StatusCode::FORBIDDEN);
    // Nor do they get a later one of its name.
    let again = define(&admin, "keepers", &["roles.assign"]).await;
    assert_eq!(again.problem(), (409, "role_name_taken".to_owned()));
}

#[tokio::test]
async fn roles_survive_an_emptied_redis() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    let alice = server.register("alice").await;
    define(&admin, "keepers", &["roles.assign"]).await.ok();
    assign(&admin, &server, "alice", &["keepers"]).await.ok();
    server.store.flush().await.expect("flushed");
    stores.empty_redis().await;
    eventually("the stores serve again", async || {
        lists_roles(&alice).await == StatusCode::OK
    })
    .await;
    let last = assign(&admin, &server, "admin", &[]).await;
    assert_eq!(last.problem(), (409, "last_administrator".to_owned()));
}

#[tokio::test]
async fn nobody_gives_or_takes_a_permission_that_they_do_not_have() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    define(&admin, "keepers", &["roles.assign", "audit.read"])
        .await
        .ok();
    define(&admin, "closers", &["users.disable"]).await.ok();
    assign(&admin, &server, "alice", &["keepers"]).await.ok();

    let forbidden = (403, "forbidden".to_owned());
    for roles in [&["admin"][..], &["support"], &["closers"]] {
        let given = assign(&alice, &server, "alice", roles).await;
        assert_eq!(given.problem(), forbidden, "{roles:?}");
        let given = assign(&alice, &server, "bob", roles).await;
        assert_eq!(given.problem(), forbidden, "{roles:?}");
    }
    let taken = assign(&alice, &server, "admin", &[]).await;
    assert_eq!(taken.problem(), forbidden);
    let defined = define(&alice, "more", &["users.disable"]).await;
    assert_eq!(defined.problem(), forbidden);
    let body = json!({ "permissions": [] });
    let emptied = alice.send("PATCH /admin/roles/closers", Some(&body)).await;
    assert_eq!(emptied.problem(), forbidden);
    let removed = alice.send("DELETE /admin/roles/closers", None).await;
    assert_eq!(removed.problem(), forbidden);

    define(&alice, "readers", &["audit.read"]).await.ok();
    assign(&alice, &server, "bob", &["readers"]).await.ok();
}

#[tokio::test]
async fn of_administrators_that_take_the_role_from_each_other_at_once_one_stays() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, first) = with_admin(&stores, "first").await;
    let other = server.another(&stores, Options::unlimited()).await;
    let second = server.register("second").await;
    let second = second.through(&other);
    for _ in 0..10 {
        promote(&server, "first").await;
        promote(&server, "second").await;
        let answers = tokio::join!(
            assign(&first, &server, "second", &[]),
            assign(&second, &server, "first", &[]),
        );
        let seen = (lists_roles(&first).await, lists_roles(&second).await);
        assert!(
            seen.0 == StatusCode::OK || seen.1 == StatusCode::OK,
            "{} {}",
            answers.0.text,
            answers.1.text
        );
    }
    // The same of both by themselves.
    promote(&server, "first").await;
    promote(&server, "second").await;
    tokio::join!(
        assign(&first, &server, "first", &[]),
        assign(&second, &server, "second", &[]),
    );
    assert!(
        lists_roles(&first).await == StatusCode::OK || lists_roles(&second).await == StatusCode::OK
    );
}

#[tokio::test]
async fn an_administrator_that_is_disabled_is_none() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    server.register("asleep").await;
    promote(&server, "asleep").await;
    let now = stores.clock.now();
    server
        .change_user("asleep", |user| user.disabled_at = Some(now))
        .await;
    let last = assign(&admin, &server, "admin", &[]).await;
    assert_eq!(last.problem(), (409, "last_administrator".to_owned()));
}

#[tokio::test]
async fn roles_that_make_no_sense_are_refused_with_the_field() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    let refused = async |answer: Answer, field: &str, code: &str| {
        let json = answer.json();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        assert_eq!(json["errors"][0]["field"], field, "{}", answer.text);
        assert_eq!(json["errors"][0]["code"], code, "{}", answer.text);
    };
    let long = "a".repeat(65);
    for name in ["", "Upper", "1st", "with space", "öl", &long] {
        refused(define(&admin, name, &[]).await, "name", "invalid_name").await;
    }
    let unknown = define(&admin, "role", &["users.everything"]).await;
    refused(unknown, "permissions", "unknown_permission").await;
    let body = json!({ "name": "role", "permissions": [], "description": "x".repeat(501) });
    let verbose = admin.send("POST /admin/roles", Some(&body)).await;
    refused(verbose, "description", "too_long").await;
    for name in ["admin", "support", "user"] {
        let taken = define(&admin, name, &[]).await;
        assert_eq!(taken.problem(), (409, "role_name_taken".to_owned()));
    }
    refused(
        assign(&admin, &server, "admin", &["nothing"]).await,
        "roles",
        "unknown_role",
    )
    .await;
    let many = ["user"; 17];
    refused(
        assign(&admin, &server, "admin", &many).await,
        "roles",
        "too_many",
    )
    .await;

    let missing = (404, "not_found".to_owned());
    let body = json!({ "permissions": [] });
    let nobody = admin.send("PATCH /admin/roles/nobody", Some(&body)).await;
    assert_eq!(nobody.problem(), missing);
    let nobody = admin.send("DELETE /admin/roles/nobody", None).await;
    assert_eq!(nobody.problem(), missing);
    let route = "POST /admin/users/019a0000-0000-7000-8000-000000000000/roles";
    let nobody = admin.send(route, Some(&json!({ "roles": [] }))).await;
    assert_eq!(nobody.problem(), missing);
}

#[tokio::test]
async fn a_change_of_roles_leaves_an_entry_with_both_sides_and_its_actor() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, admin) = with_admin(&stores, "admin").await;
    server.register("alice").await;
    assign(&admin, &server, "alice", &["support", "user", "support"])
        .await
        .ok();
    assign(&admin, &server, "alice", &["support", "user"])
        .await
        .ok();
    assert_eq!(
        server.audited("user.roles_changed").await,
        2,
        "the operator's, and one that changed something"
    );
    let details: Value = sqlx::query_scalar(
        "SELECT details FROM audit_logs WHERE action = 'user.roles_changed' AND actor_id = $1",
    )
    .bind(server.user_id("admin").await.id().uuid())
    .fetch_one(&stores.pool)
    .await
    .expect("an entry");
    assert_eq!(
        details,
        json!({ "before": [], "after": ["support", "user"] })
    );
    let shown = server.login("alice").await;
    let me = shown.send("GET /auth/me", None).await.ok();
    assert_eq!(
        me.json()["data"]["user"]["roles"],
        json!(["support", "user"])
    );
}
