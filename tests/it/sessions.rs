//! A session's life: refresh, reuse, logout, revocation, on a single Redis and on a cluster.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{BOTH, FIREFOX, Kind, LoggedIn, Options, TestServer, TestStores, eventually};

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_family() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let first = server.register("alice").await;
        let second = LoggedIn::of(&server.refresh(&first.refresh).await.ok());
        assert_ne!(first.refresh, second.refresh);
        assert_eq!(server.me(&second).await, StatusCode::OK);
        until_use_is_noted(&server, &stores).await;

        stores.clock.advance(Duration::from_secs(9));
        let again = LoggedIn::of(&server.refresh(&first.refresh).await.ok());
        assert_eq!(again.refresh, second.refresh, "within the grace window");
        stores.clock.advance(Duration::from_secs(2));
        let reused = server.refresh(&first.refresh).await;
        assert_eq!(reused.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        for dead in [&first, &second] {
            let status = server.me(dead).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{kind:?}: the family");
        }
        let newest = server.refresh(&second.refresh).await;
        assert_eq!(newest.status, StatusCode::UNAUTHORIZED);
        server.login("alice").await;
        assert_eq!(
            server.audited("session.refresh_reused").await,
            1,
            "{kind:?}"
        );
    }
}

/// Waits until a session of alice shows that its newest refresh token was received.
async fn until_use_is_noted(server: &TestServer, stores: &TestStores) {
    let noted = "SELECT count(*) FROM sessions WHERE newest_used_at IS NOT NULL";
    let is_noted = async || {
        server.store.flush().await.expect("flushed");
        stores.count(noted).await > 0
    };
    eventually("the first use is noted", is_noted).await;
}

#[tokio::test]
async fn a_stall_longer_than_the_grace_window_ends_no_session() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let first = server.register("alice").await;
        let lost = LoggedIn::of(&server.refresh(&first.refresh).await.ok());
        stores.clock.advance(Duration::from_hours(1));
        let again = LoggedIn::of(&server.refresh(&first.refresh).await.ok());
        assert_eq!(again.refresh, lost.refresh, "{kind:?}: the newest again");
        let next = LoggedIn::of(&server.refresh(&again.refresh).await.ok());
        assert_eq!(server.me(&next).await, StatusCode::OK, "{kind:?}");
        assert_eq!(server.audited("session.refresh_reused").await, 0);

        let older = server.refresh(&first.refresh).await;
        assert_eq!(older.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(server.me(&next).await, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(server.audited("session.refresh_reused").await, 1);
    }
}

#[tokio::test]
async fn parallel_tabs_get_the_same_new_token_within_the_grace_window() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let member = server.register("alice").await;
        let tabs = join_all((0..20).map(|_| server.refresh(&member.refresh))).await;
        let newest = LoggedIn::of(&tabs[0]).refresh;
        for tab in &tabs {
            assert_eq!(LoggedIn::of(tab).refresh, newest, "{kind:?}: one rotation");
        }
        assert_eq!(
            server.refresh(&newest).await.status,
            StatusCode::OK,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_token_from_another_client_within_the_grace_window_is_reuse() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let member = server.register("alice").await;
    let second = LoggedIn::of(&server.refresh(&member.refresh).await);
    let thief = server.with("user-agent", "thief/1.0");
    let stolen = thief.refresh(&member.refresh).await;
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.me(&second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.audited("session.refresh_reused").await, 1);
}

#[tokio::test]
async fn logout_ends_access_at_once_by_any_token() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        server.register("alice").await;
        for by_refresh in [true, false] {
            let member = server.login("alice").await;
            assert_eq!(server.me(&member).await, StatusCode::OK);
            let logout = async || {
                if by_refresh {
                    member.logout().await.ok()
                } else {
                    member.send("POST /auth/logout", None).await.ok()
                }
            };
            logout().await;
            let status = server.me(&member).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{kind:?} {by_refresh}");
            let refreshed = server.refresh(&member.refresh).await;
            assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
            logout().await;
        }
        let forged = json!({ "refreshToken": "refresh_nonsense" });
        let always = server.post("/api/auth/logout", &forged).await;
        assert_eq!(always.status, StatusCode::OK, "always 200");
        assert_eq!(server.audited("user.logout").await, 2, "{kind:?}");
    }
}

#[tokio::test]
async fn an_expired_access_token_alone_still_logs_out() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    stores.clock.advance(Duration::from_mins(20));
    assert_eq!(server.me(&alice).await, StatusCode::UNAUTHORIZED, "expired");
    alice.send("POST /auth/logout", None).await.ok();
    let refreshed = server.refresh(&alice.refresh).await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.audited("user.logout").await, 1);
}

#[tokio::test]
async fn a_revocation_on_one_instance_is_refused_on_the_other_at_once() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let one = TestServer::open(&stores, Options::unlimited()).await;
        let two = one.another(&stores, Options::unlimited()).await;
        let member = one.register("alice").await;
        assert_eq!(two.me(&member).await, StatusCode::OK, "{kind:?}");
        member.logout().await.ok();
        assert_eq!(two.me(&member).await, StatusCode::UNAUTHORIZED, "{kind:?}");
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let first = server.with("user-agent", "curl/8").register("alice").await;
        stores.clock.advance(Duration::from_secs(1));
        let second = server.with("user-agent", FIREFOX).login("alice").await;
        let other = server.register("mallory").await;
        let sessions = second.sessions().await;
        let shown = sessions.iter().map(|one| (&one["current"], &one["device"]));
        let shown: Vec<_> = shown.collect();
        let expected = [
            (&json!(true), &json!("Firefox on Linux")),
            (&json!(false), &json!("curl")),
        ];
        assert_eq!(shown, expected, "{kind:?}");
        assert_eq!(sessions[0]["ipAddress"], "127.0.0.1");
        assert_eq!(sessions[0]["amr"], json!(["pwd"]));

        let id = sessions[1]["id"].as_str().expect("id");
        let revoke = format!("DELETE /auth/sessions/{id}");
        let not_found = (404, "not_found".to_owned());
        let foreign = other.send(&revoke, None).await;
        assert_eq!(foreign.problem(), not_found, "someone else's");
        assert_eq!(server.me(&first).await, StatusCode::OK);
        second.send(&revoke, None).await.ok();
        assert_eq!(
            server.me(&first).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        assert_eq!(server.me(&second).await, StatusCode::OK);
        assert_eq!(second.send(&revoke, None).await.problem(), not_found);
        assert_eq!(server.audited("session.revoked").await, 1);
    }
}

#[tokio::test]
async fn all_sessions_end_at_once_with_or_without_the_present_one() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let first = server.register("alice").await;
        let second = server.login("alice").await;
        let other = server.register("mallory").await;
        let route = "POST /auth/revoke-sessions";
        let keep = json!({ "keepCurrent": true });
        let ended = second.send(route, Some(&keep)).await.ok();
        assert_eq!(ended.json()["data"]["revoked"], 1, "{kind:?}");
        assert_eq!(
            server.me(&first).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        let refreshed = server.refresh(&first.refresh).await;
        assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
        assert_eq!(server.me(&second).await, StatusCode::OK, "{kind:?}");
        let ended = second.send(route, Some(&json!({}))).await.ok();
        assert_eq!(ended.json()["data"]["revoked"], 1, "{kind:?}");
        assert_eq!(
            server.me(&second).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        let refreshed = server.refresh(&second.refresh).await;
        assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
        assert_eq!(server.me(&other).await, StatusCode::OK, "nobody else's");
    }
}

#[tokio::test]
async fn a_session_ends_when_unused_or_when_its_time_is_over() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let day = Duration::from_hours(24);
    let idle = server.register("idle").await;
    stores.clock.advance(7 * day);
    let unused = server.refresh(&idle.refresh).await;
    assert_eq!(unused.status, StatusCode::UNAUTHORIZED, "7 d without use");
    let mut used = server.login("idle").await;
    for _ in 0..5 {
        stores.clock.advance(Duration::from_secs(6 * 24 * 3600 - 1));
        used = LoggedIn::of(&server.refresh(&used.refresh).await.ok());
    }
    stores.clock.advance(Duration::from_secs(6));
    let over = server.refresh(&used.refresh).await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED, "30 d in all");
}

#[tokio::test]
async fn an_access_token_expires_after_15_minutes_and_a_leeway() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let member = server.register("alice").await;
    stores.clock.advance(Duration::from_secs(15 * 60 + 29));
    assert_eq!(server.me(&member).await, StatusCode::OK);
    stores.clock.advance(Duration::from_secs(2));
    let answer = server.fetch("/api/auth/me", &member.access).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    server.refresh(&member.refresh).await.ok();
}

#[tokio::test]
async fn the_last_use_of_a_session_is_noted_with_its_address() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited().behind_a_proxy()).await;
    let used = server.from("192.0.2.1").register("alice").await;
    let witness = server.from("192.0.2.2").login("alice").await;
    let other = async || {
        let sessions = witness.sessions().await.into_iter();
        let mut others = sessions.filter(|session| session["current"] == false);
        others.next().expect("the other one")
    };
    let before = other().await;
    assert_eq!(before["ipAddress"], "192.0.2.1");
    stores.clock.advance(Duration::from_mins(2));
    let moved = used.through(&server.from("203.0.113.5"));
    moved.send("GET /auth/me", None).await.ok();
    loop {
        let after = other().await;
        if after["lastUsedAt"] != before["lastUsedAt"] {
            assert_eq!(after["ipAddress"], "203.0.113.5");
            break;
        }
        tokio::task::yield_now().await;
    }
    server.refresh(&used.refresh).await.ok();
}

/// Sessions of one part of the list, and the cursor of the next.
async fn listed(member: &LoggedIn, query: &str) -> (Vec<Value>, Option<String>) {
    let route = format!("GET /auth/sessions{query}");
    let data = member.send(&route, None).await.ok().json()["data"].clone();
    let sessions = data["sessions"].as_array().expect("a list").clone();
    (sessions, data["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn an_account_keeps_the_sessions_that_were_used_last_and_no_more_than_it_may() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let mut options = Options::unlimited();
        options.tokens.max_sessions = 3;
        let server = TestServer::open(&stores, options).await;
        let first = server.register("alice").await;
        stores.clock.advance(Duration::from_secs(1));
        let mut members = Vec::new();
        for _ in 0..2 {
            members.push(server.login("alice").await);
            stores.clock.advance(Duration::from_secs(1));
        }
        let first = LoggedIn::of(&server.refresh(&first.refresh).await.ok());
        stores.clock.advance(Duration::from_secs(1));
        members.push(server.login("alice").await);
        let unused = &members[0];
        let is_over = async || server.me(unused).await == StatusCode::UNAUTHORIZED;
        eventually("the one not used for the longest time ends", is_over).await;
        for member in [&first, &members[1], &members[2]] {
            assert_eq!(server.me(member).await, StatusCode::OK, "{kind:?}");
        }
        stores.clock.advance(Duration::from_secs(1));
        let crowd = join_all((0..20).map(|_| server.login("alice"))).await;
        let is_bounded = async || {
            let statuses = join_all(crowd.iter().map(|member| server.me(member))).await;
            let live = statuses.iter().filter(|status| **status == StatusCode::OK);
            live.count() == 3
        };
        eventually("parallel logins are bounded, too", is_bounded).await;
        let reason = "SELECT count(*) FROM audit_logs
             WHERE action = 'session.revoked' AND details->>'reason' = 'session_limit'";
        let all_are_told = async || {
            server.store.flush().await.expect("flushed");
            stores.count(reason).await == 21
        };
        eventually("each that ended has an entry", all_are_told).await;
    }
}

#[tokio::test]
async fn sessions_from_before_redis_was_emptied_are_bounded_at_the_next_login() {
    let stores = TestStores::new(Kind::Single).await;
    let before = TestServer::open(&stores, Options::unlimited()).await;
    let first = before.register("alice").await;
    for _ in 0..4 {
        stores.clock.advance(Duration::from_secs(1));
        before.login("alice").await;
    }
    before.store.flush().await.expect("flushed");
    stores.empty_redis().await;
    let mut options = Options::unlimited();
    options.tokens.max_sessions = 3;
    let server = before.restart(&stores, options).await;
    let newest = server.login("alice").await;
    let is_bounded = async || newest.sessions().await.len() == 3;
    eventually("sessions that Redis does not know are found", is_bounded).await;
    assert_eq!(server.me(&first).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn all_sessions_are_listed_by_pages() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let alice = server.register("alice").await;
        for n in 0..6 {
            stores.clock.advance(Duration::from_secs(1));
            let member = server.login("alice").await;
            if n == 2 {
                member.logout().await.ok();
            }
            if n == 3 {
                server.store.flush().await.expect("flushed");
            }
        }
        let (all, end) = listed(&alice, "").await;
        assert_eq!((all.len(), end), (6, None), "{kind:?}");
        let (mut paged, mut query) = (Vec::new(), "?limit=4".to_owned());
        let mut parts = 0;
        loop {
            let (sessions, next) = listed(&alice, &query).await;
            assert!(sessions.len() <= 4, "{kind:?}");
            paged.extend(sessions);
            parts += 1;
            let Some(next) = next else { break };
            query = format!("?limit=4&cursor={next}");
        }
        assert_eq!(paged, all, "{kind:?}: newest first, each once");
        assert_eq!(parts, 2, "{kind:?}");
        let keep = json!({ "keepCurrent": true });
        let revoke = "POST /auth/revoke-sessions";
        alice.send(revoke, Some(&keep)).await.ok();
        let (own, end) = listed(&alice, "?limit=2").await;
        assert_eq!(own.len(), 1, "{kind:?}: behind five that are over");
        assert_eq!(end, None, "{kind:?}");
        let nonsense = alice.send("GET /auth/sessions?cursor=x", None).await;
        assert_eq!(nonsense.problem(), (400, "invalid_input".to_owned()));
        for limit in ["0", "101", "65537", "-1", "x", ""] {
            let route = format!("GET /auth/sessions?limit={limit}");
            let refused = alice.send(&route, None).await;
            assert_eq!(
                refused.problem(),
                (400, "invalid_input".to_owned()),
                "{limit}"
            );
            assert!(refused.text.contains("from 1 to 100"), "{}", refused.text);
        }
        for limit in ["1", "100"] {
            let route = format!("GET /auth/sessions?limit={limit}");
            alice.send(&route, None).await.ok();
        }
    }
}
