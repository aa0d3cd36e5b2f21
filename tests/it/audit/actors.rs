//! The actor of an entry, beside its subject.

use serde_json::json;

use crate::harness::{Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores, eventually};

/// Kind of the actor, whether it is the account itself, whether it names the subject's session: of the newest
/// entry of an action.
async fn actor(stores: &TestStores, server: &TestServer, action: &str) -> (String, bool, bool) {
    // The entry of a failure is written after its answer.
    eventually(action, async || server.audited(action).await > 0).await;
    sqlx::query_as(
        "SELECT actor_kind, coalesce(actor_id = user_id, false), \
                coalesce(actor_session_id = session_id, false) \
         FROM audit_logs WHERE action = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(action)
    .fetch_one(&stores.pool)
    .await
    .expect(action)
}

fn found(kind: &str, itself: bool, session: bool) -> (String, bool, bool) {
    (kind.to_owned(), itself, session)
}

#[tokio::test]
async fn a_login_is_done_by_the_account_and_a_failed_one_by_nobody_known() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let registered = actor(&stores, &server, "user.registered").await;
    assert_eq!(registered.0, "account");
    assert!(registered.1);
    server.login("alice").await;
    let login = actor(&stores, &server, "user.login").await;
    assert_eq!(login, found("account", true, true));
    server.try_login("alice", "wrong-Password-1").await;
    server.try_login("nobody-at-all", PASSWORD).await;
    let failed = actor(&stores, &server, "user.login_failed").await;
    assert_eq!(failed, found("anonymous", false, false));
    alice.logout().await.ok();
    let logout = actor(&stores, &server, "user.logout").await;
    assert_eq!(logout, found("account", true, true));
}

#[tokio::test]
async fn what_a_session_does_names_the_session_that_did_it() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    let others = other.sessions().await.into_iter();
    let first = others
        .into_iter()
        .find(|session| session["current"] == false);
    let first = first.expect("the first session")["id"].clone();
    let route = format!("DELETE /auth/sessions/{}", first.as_str().expect("an id"));
    other.send(&route, None).await.ok();
    let revoked = actor(&stores, &server, "session.revoked").await;
    assert_eq!(
        revoked,
        found("account", true, false),
        "another session did it"
    );
    let refused = other
        .change_password("wrong-Password-1", "Another-Pass-123!")
        .await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let failed = actor(&stores, &server, "user.login_failed").await;
    assert_eq!(
        failed.0, "account",
        "the caller is known, though the password was wrong"
    );
    drop(alice);
}

#[tokio::test]
async fn a_reset_of_second_factors_names_the_command_line() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice: LoggedIn = server.register("alice").await;
    alice.enable_totp(&stores.clock).await;
    let enabled = actor(&stores, &server, "2fa.enabled").await;
    assert_eq!((enabled.0.as_str(), enabled.1), ("account", true));
    let reset = sallyport::auth::second_factor::reset(&server.core, "alice").await;
    assert_eq!(reset.expect("reset").0, 1);
    let reset = actor(&stores, &server, "2fa.reset").await;
    assert_eq!(reset, found("command_line", false, false));
}

#[tokio::test]
async fn an_entry_of_a_version_without_actors_is_written_and_names_none() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    server.store.flush().await.expect("flushed");
    let image = json!({
        "id": "019ab000-0000-7000-8000-000000000001", "action": "user.login", "success": true,
        "details": {}, "created_at": "2026-11-20T00:00:00Z",
    });
    // The statement of a version before: its columns, and the unique id.
    let written = sqlx::query(
        "INSERT INTO audit_logs AS t (ver, gen, partition, id, user_id, session_id, action, success, ip_address, \
             user_agent, request_id, details, created_at) \
         SELECT 1, 1, 1, image.id, image.user_id, image.session_id, image.action, image.success, image.ip_address, \
             image.user_agent, image.request_id, image.details, image.created_at \
         FROM jsonb_populate_record(NULL::audit_logs, $1::text::jsonb) AS image \
         ON CONFLICT (id) DO UPDATE SET ver = excluded.ver WHERE t.ver < excluded.ver",
    );
    let written = written.bind(image.to_string()).execute(&stores.pool).await;
    assert_eq!(written.expect("written").rows_affected(), 1);
    let without = "SELECT count(*) FROM audit_logs WHERE actor_kind IS NULL";
    assert_eq!(stores.count(without).await, 1);
}
