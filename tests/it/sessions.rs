//! A session's life: refresh, reuse, logout, revocation, on a single Redis and on a cluster.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use crate::house::{House, Member, PASSWORD, Wishes};
use crate::lab::{BOTH, Kind, Lab};

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_family() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        let first = house.register("alice").await;
        let answer = house.refresh(&first.refresh).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let second = Member::of(&answer);
        assert_ne!(first.refresh, second.refresh);
        assert_eq!(house.me(&second).await, StatusCode::OK);

        lab.clock.advance(Duration::from_secs(11));
        assert_eq!(
            house.refresh(&first.refresh).await.status,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        assert_eq!(
            house.me(&second).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}: the family is dead"
        );
        assert_eq!(
            house.refresh(&second.refresh).await.status,
            StatusCode::UNAUTHORIZED
        );
        house.close().await;
        assert_eq!(
            lab.count("SELECT count(*) FROM audit_logs WHERE action = 'session.refresh_reused'")
                .await,
            1,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn parallel_tabs_get_the_same_new_token_within_the_grace_window() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = std::sync::Arc::new(House::open(&lab, Wishes::unlimited()).await);
        let member = house.register("alice").await;
        let tabs = (0..20).map(|_| {
            let (house, token) = (std::sync::Arc::clone(&house), member.refresh.clone());
            tokio::spawn(async move { Member::of(&house.refresh(&token).await).refresh })
        });
        let mut tokens = Vec::new();
        for tab in tabs.collect::<Vec<_>>() {
            tokens.push(tab.await.expect("tab"));
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "{kind:?}: one rotation, one new token");
        assert_eq!(
            house.refresh(&tokens[0]).await.status,
            StatusCode::OK,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_token_from_another_client_within_the_grace_window_is_reuse() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let member = house.register("alice").await;
    let second = Member::of(&house.refresh(&member.refresh).await);
    let stolen = json!({ "refreshToken": member.refresh });
    let thief = house
        .post_as("/api/auth/refresh", &stolen, &[("user-agent", "thief/1.0")])
        .await;
    assert_eq!(thief.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.me(&second).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logout_ends_access_at_once_by_any_token() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        house.register("alice").await;
        for by_refresh in [true, false] {
            let member = house.login("alice").await;
            assert_eq!(house.me(&member).await, StatusCode::OK);
            let bearer = format!("Bearer {}", member.access);
            let answer = if by_refresh {
                house
                    .post(
                        "/api/auth/logout",
                        &json!({ "refreshToken": member.refresh }),
                    )
                    .await
            } else {
                house
                    .ask(
                        Method::POST,
                        "/api/auth/logout",
                        &[("authorization", &bearer)],
                        Bytes::new(),
                    )
                    .await
            };
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            assert_eq!(
                house.me(&member).await,
                StatusCode::UNAUTHORIZED,
                "{kind:?} {by_refresh}"
            );
            assert_eq!(
                house.refresh(&member.refresh).await.status,
                StatusCode::UNAUTHORIZED
            );
        }
        let forged = json!({ "refreshToken": "refresh_nonsense" });
        assert_eq!(
            house.post("/api/auth/logout", &forged).await.status,
            StatusCode::OK,
            "always 200"
        );
    }
}

#[tokio::test]
async fn a_revocation_on_one_instance_is_refused_on_the_other_at_once() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let one = House::open(&lab, Wishes::unlimited()).await;
        let (public, keys) = (one.public, {
            // The same keys, as two instances of one deployment have.
            let folder = crate::stores::own_folder();
            let path = folder.path().join("keys.json");
            sallyport::crypto::Keys::generate(&path, lab.clock.now()).expect("keys");
            (
                sallyport::crypto::Keys::load(&path).expect("keys"),
                sallyport::crypto::Keys::load(&path).expect("keys"),
            )
        });
        drop((one, public));
        let one = House::open_with_keys(&lab, Wishes::unlimited(), keys.0).await;
        let two = House::open_with_keys(&lab, Wishes::unlimited(), keys.1).await;
        let member = one.register("alice").await;
        assert_eq!(two.me(&member).await, StatusCode::OK, "{kind:?}");
        one.post(
            "/api/auth/logout",
            &json!({ "refreshToken": member.refresh }),
        )
        .await;
        assert_eq!(two.me(&member).await, StatusCode::UNAUTHORIZED, "{kind:?}");
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_together() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        let first = house.register("alice").await;
        lab.clock.advance(Duration::from_secs(1));
        let second = house.login("alice").await;
        let other = house.register("mallory").await;
        let list = house
            .get_as("/api/auth/sessions", &second.access)
            .await
            .json();
        let sessions = list["data"]["sessions"].as_array().expect("list").clone();
        assert_eq!(sessions.len(), 2, "{kind:?}: {list}");
        assert_eq!(
            (&sessions[0]["current"], &sessions[1]["current"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(sessions[0]["ipAddress"], "127.0.0.1");
        assert_eq!(sessions[0]["amr"], json!(["pwd"]));

        let revoke = |who: &Member, id: &serde_json::Value| {
            let (bearer, path) = (
                format!("Bearer {}", who.access),
                format!("/api/auth/sessions/{}", id.as_str().expect("id")),
            );
            let house = &house;
            async move {
                house
                    .ask(
                        Method::DELETE,
                        &path,
                        &[("authorization", &bearer)],
                        Bytes::new(),
                    )
                    .await
                    .status
            }
        };
        assert_eq!(
            revoke(&other, &sessions[1]["id"]).await,
            StatusCode::NOT_FOUND,
            "someone else's"
        );
        assert_eq!(house.me(&first).await, StatusCode::OK);
        assert_eq!(revoke(&second, &sessions[1]["id"]).await, StatusCode::OK);
        assert_eq!(house.me(&first).await, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(house.me(&second).await, StatusCode::OK);

        let third = house.login("alice").await;
        let bearer = format!("Bearer {}", third.access);
        let keep = json!({ "keepCurrent": true });
        let ended = house
            .post_as(
                "/api/auth/revoke-sessions",
                &keep,
                &[("authorization", &bearer)],
            )
            .await;
        assert_eq!(ended.status, StatusCode::OK, "{}", ended.text);
        assert_eq!(
            house.me(&second).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        assert_eq!(house.me(&third).await, StatusCode::OK, "{kind:?}");
        let all = house
            .post_as(
                "/api/auth/revoke-sessions",
                &json!({}),
                &[("authorization", &bearer)],
            )
            .await;
        assert_eq!(all.status, StatusCode::OK);
        assert_eq!(house.me(&third).await, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(house.me(&other).await, StatusCode::OK, "nobody else's");
    }
}

#[tokio::test]
async fn a_session_ends_when_unused_or_when_its_time_is_over() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let day = Duration::from_hours(24);
    let idle = house.register("idle").await;
    lab.clock.advance(7 * day);
    assert_eq!(
        house.refresh(&idle.refresh).await.status,
        StatusCode::UNAUTHORIZED,
        "7 d without use"
    );
    let mut used = house.login("idle").await;
    for _ in 0..5 {
        lab.clock.advance(Duration::from_secs(6 * 24 * 3600 - 1));
        let answer = house.refresh(&used.refresh).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        used = Member::of(&answer);
    }
    lab.clock.advance(Duration::from_secs(6));
    assert_eq!(
        house.refresh(&used.refresh).await.status,
        StatusCode::UNAUTHORIZED,
        "30 d in all"
    );
}

#[tokio::test]
async fn an_access_token_expires_after_15_minutes_and_a_leeway() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let member = house.register("alice").await;
    lab.clock.advance(Duration::from_secs(15 * 60 + 29));
    assert_eq!(house.me(&member).await, StatusCode::OK);
    lab.clock.advance(Duration::from_secs(2));
    let answer = house.get_as("/api/auth/me", &member.access).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.header("www-authenticate").starts_with("Bearer"),
        "{:?}",
        answer.headers
    );
    assert_eq!(house.refresh(&member.refresh).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_password_change_ends_other_sessions_and_the_old_password() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        let other = house.register("alice").await;
        let current = house.login("alice").await;
        let bearer = format!("Bearer {}", current.access);
        let change = |from: &str, to: &str| {
            let body = json!({ "currentPassword": from, "newPassword": to });
            let (house, bearer) = (&house, &bearer);
            async move {
                house
                    .post_as(
                        "/api/auth/password/change",
                        &body,
                        &[("authorization", bearer)],
                    )
                    .await
            }
        };
        let wrong = change("wrong password", "another Pass 1").await;
        assert_eq!(wrong.code(), "invalid_credentials");
        let weak = change(PASSWORD, "password").await;
        assert_eq!(weak.status, StatusCode::BAD_REQUEST, "{}", weak.text);
        assert_eq!(
            house.me(&other).await,
            StatusCode::OK,
            "nothing changed yet"
        );
        let changed = change(PASSWORD, "another Pass 1").await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        assert_eq!(house.me(&other).await, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(house.me(&current).await, StatusCode::OK, "{kind:?}");
        assert_eq!(
            house.try_login("alice", PASSWORD).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            house.try_login("alice", "another Pass 1").await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn a_sensitive_action_wants_a_recent_proof() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let member = house.register("alice").await;
    lab.clock.advance(Duration::from_mins(11));
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another Pass 1" });
    let stale = format!("Bearer {}", member.access);
    let refused = house
        .post_as(
            "/api/auth/password/change",
            &change,
            &[("authorization", &stale)],
        )
        .await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::FORBIDDEN, "reauthentication_required")
    );
    let wrong = json!({ "password": "wrong password" });
    let wrong = house
        .post_as(
            "/api/auth/reauthenticate",
            &wrong,
            &[("authorization", &stale)],
        )
        .await;
    assert_eq!(wrong.code(), "invalid_credentials");
    let proof = json!({ "password": PASSWORD });
    let proven = house
        .post_as(
            "/api/auth/reauthenticate",
            &proof,
            &[("authorization", &stale)],
        )
        .await;
    assert_eq!(proven.status, StatusCode::OK, "{}", proven.text);
    let fresh = format!(
        "Bearer {}",
        proven.json()["data"]["accessToken"]
            .as_str()
            .expect("token")
    );
    let changed = house
        .post_as(
            "/api/auth/password/change",
            &change,
            &[("authorization", &fresh)],
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}
