//! Accounts that must have a second factor: open to them, until they have one, is its set-up and nothing else.

use http::StatusCode;
use sallyport::config::{RequiredOf, SecondFactors};

use crate::harness::{Answer, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores};

async fn open(stores: &TestStores, required_of: RequiredOf) -> TestServer {
    let options = Options {
        second_factors: SecondFactors {
            required_of,
            ..SecondFactors::default()
        },
        ..Options::unlimited()
    };
    TestServer::open(stores, options).await
}

/// Whether the answer of a login says that a second factor must be set up.
fn owes(answer: &Answer) -> bool {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["data"]["twoFactorSetupRequired"] == true
}

/// Whether everything but the set-up is refused.
async fn is_held(member: &LoggedIn) -> bool {
    let me = member.send("GET /auth/me", None).await;
    assert_eq!(me.status, StatusCode::OK, "{}", me.text);
    let mut refused = 0;
    for route in [
        "GET /auth/sessions",
        "GET /2fa/methods",
        "GET /2fa/devices",
        "GET /2fa/backup-codes/count",
    ] {
        let answer = member.send(route, None).await;
        if answer.status == StatusCode::FORBIDDEN {
            assert_eq!(answer.code(), "two_factor_required", "{route}");
            refused += 1;
        }
    }
    assert!(refused == 0 || refused == 4, "{refused} of 4");
    refused == 4
}

#[tokio::test]
async fn who_owes_a_second_factor_can_do_nothing_before_it_is_set_up() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores, RequiredOf::All).await;
    let registered = server.try_register("alice").await;
    assert_eq!(registered.json()["data"]["twoFactorSetupRequired"], true);
    let login = server.try_login("alice", PASSWORD).await;
    assert!(owes(&login));
    let alice = LoggedIn::of(&login);
    assert!(is_held(&alice).await);
    let alice = LoggedIn::of(&server.refresh(&alice.refresh).await);
    assert!(is_held(&alice).await, "a refresh frees nobody");

    let app = alice.enable_totp(&stores.clock).await;
    assert!(!is_held(&alice).await);
    let half = server.half_login("alice").await;
    let complete = half.verify(&app.code()).await;
    assert!(!owes(&complete), "{}", complete.text);
    app.wait();

    alice.send("DELETE /2fa/totp", None).await.ok();
    assert!(is_held(&alice).await, "the last one is gone");
    assert!(owes(&server.try_login("alice", PASSWORD).await));
    alice.logout().await.ok();
    assert_eq!(server.me(&alice).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn roles_with_permissions_and_nobody_else_may_owe_a_second_factor() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores, RequiredOf::Admins).await;
    for (name, role, expected) in [
        ("alice", "user", false),
        ("bob", "support", true),
        ("carol", "admin", true),
    ] {
        server.register(name).await;
        let give = |user: &mut sallyport::model::User| user.roles.push(role.to_owned());
        server.change_user(name, give).await;
        let login = server.try_login(name, PASSWORD).await;
        assert_eq!(owes(&login), expected, "{role}");
        assert_eq!(is_held(&LoggedIn::of(&login)).await, expected, "{role}");
    }
    let elsewhere = open(&stores, RequiredOf::Nobody).await;
    let login = elsewhere.try_login("carol", PASSWORD).await;
    assert!(!owes(&login));
}
