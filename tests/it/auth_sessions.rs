//! Sessions through the use cases: refresh, reuse, logout, revocation, lifetimes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sallyport::auth::{Error, Settings};

use crate::auth_desk::{Desk, FIREFOX, PASSWORD, curl, from};
use crate::lab::{BOTH, Kind};

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_family() {
    for kind in BOTH {
        let desk = Desk::on(kind).await;
        let alice = desk.register("alice").await;
        let first = alice.refresh_token.text;
        let second = desk.refresh(&first).await.expect("rotated");
        assert_ne!(second.refresh_token.text, first);
        desk.clock.advance(Duration::from_secs(11));
        let reused = desk.refresh(&first).await.map(|_| ());
        assert!(matches!(reused, Err(Error::Unauthenticated)));
        assert!(desk.refresh(&second.refresh_token.text).await.is_err());
        assert!(desk.caller(&second.access_token).await.is_err());
        assert!(desk.caller(&alice.access_token).await.is_err());
        assert_eq!(desk.audited("session.refresh_reused").await, 1);
        assert!(desk.login("alice", PASSWORD).await.is_ok());
    }
}

#[tokio::test]
async fn parallel_tabs_get_the_same_new_token() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    let tabs = (0..20).map(|_| {
        let (auth, token) = (Arc::clone(&desk.auth), alice.refresh_token.text.clone());
        tokio::spawn(async move { auth.refresh(&curl(), &token).await })
    });
    let mut newest = HashSet::new();
    for tab in tabs.collect::<Vec<_>>() {
        let refreshed = tab.await.expect("no panic").expect("refreshed");
        newest.insert(refreshed.refresh_token.text);
    }
    assert_eq!(newest.len(), 1, "one generation was issued");
    let newest = newest.into_iter().next().expect("one");
    assert!(desk.refresh(&newest).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_grace_one_of_two_hundred_parallel_refreshes_rotates() {
    let mut settings = Settings::default();
    settings.tokens.refresh_grace = Duration::ZERO;
    let desk = Desk::with(Kind::Single, settings).await;
    let alice = desk.register("alice").await;
    let thieves = (0..200).map(|_| {
        let (auth, token) = (Arc::clone(&desk.auth), alice.refresh_token.text.clone());
        tokio::spawn(async move { auth.refresh(&curl(), &token).await })
    });
    let mut rotated = Vec::new();
    for thief in thieves.collect::<Vec<_>>() {
        match thief.await.expect("no panic") {
            Ok(refreshed) => rotated.push(refreshed),
            Err(Error::Unauthenticated | Error::Overloaded { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(rotated.len(), 1, "exactly one rotation");
    let survivor = desk.refresh(&rotated[0].refresh_token.text).await;
    assert!(survivor.is_err(), "the reuse ended the family");
    assert!(desk.caller(&rotated[0].access_token).await.is_err());
    assert_eq!(desk.audited("session.refresh_reused").await, 1);
}

#[tokio::test]
async fn the_token_before_has_no_grace_for_another_client() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    desk.refresh(&alice.refresh_token.text)
        .await
        .expect("rotated");
    let thief = from("203.0.113.5", FIREFOX);
    let stolen = desk.auth.refresh(&thief, &alice.refresh_token.text).await;
    assert!(matches!(stolen.map(|_| ()), Err(Error::Unauthenticated)));
    assert_eq!(desk.audited("session.refresh_reused").await, 1);
}

#[tokio::test]
async fn a_logout_by_either_token_ends_both() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    for by_refresh in [true, false] {
        let signed_in = desk.login("alice", PASSWORD).await.expect("login");
        let (access, refresh) = (signed_in.access_token, signed_in.refresh_token.text);
        let by = if by_refresh {
            (Some(refresh.as_str()), None)
        } else {
            (None, Some(access.as_str()))
        };
        let out = desk.auth.logout(&curl(), by.0, by.1).await;
        out.expect("logged out");
        assert!(desk.caller(&access).await.is_err());
        assert!(desk.refresh(&refresh).await.is_err());
        let again = desk.auth.logout(&curl(), by.0, by.1).await;
        assert!(again.is_ok(), "a second time is fine");
    }
    let nonsense = desk
        .auth
        .logout(&curl(), Some("refresh_x"), Some("y"))
        .await;
    assert!(nonsense.is_ok());
    assert_eq!(desk.audited("user.logout").await, 2);
}

#[tokio::test]
async fn an_expired_access_token_alone_still_logs_out() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    desk.clock.advance(Duration::from_mins(20));
    assert!(desk.caller(&alice.access_token).await.is_err(), "expired");
    let client = curl();
    let out = desk.auth.logout(&client, None, Some(&alice.access_token));
    out.await.expect("logged out");
    assert!(desk.refresh(&alice.refresh_token.text).await.is_err());
    assert_eq!(desk.audited("user.logout").await, 1);
}

#[tokio::test]
async fn the_owner_sees_and_ends_sessions_and_nobody_else_does() {
    let desk = Desk::open().await;
    let here = desk.register("alice").await;
    desk.clock.advance(Duration::from_secs(1));
    let laptop = from("203.0.113.5", FIREFOX);
    let there = desk
        .login_from(&laptop, "alice", PASSWORD)
        .await
        .expect("login");
    let caller = desk.caller(&here.access_token).await.expect("live");
    let shown = desk.auth.sessions(&caller).await.expect("listed");
    let shown: Vec<_> = shown
        .iter()
        .map(|one| (one.current, one.device.as_str()))
        .collect();
    assert_eq!(shown, [(false, "Firefox on Linux"), (true, "curl")]);

    let mallory = desk.register("mallory").await;
    let mallory = desk.caller(&mallory.access_token).await.expect("live");
    let target = desk
        .caller(&there.access_token)
        .await
        .expect("live")
        .session
        .id;
    let foreign = desk.auth.revoke_session(&curl(), &mallory, target).await;
    assert!(matches!(foreign, Err(Error::NotFound)));
    let own = desk.auth.revoke_session(&curl(), &caller, target).await;
    own.expect("revoked");
    assert!(desk.caller(&there.access_token).await.is_err());
    let again = desk.auth.revoke_session(&curl(), &caller, target).await;
    assert!(matches!(again, Err(Error::NotFound)));
    assert_eq!(desk.audited("session.revoked").await, 1);
}

#[tokio::test]
async fn all_sessions_end_at_once_with_or_without_the_present_one() {
    let desk = Desk::open().await;
    let here = desk.register("alice").await;
    let there = desk.login("alice", PASSWORD).await.expect("login");
    let caller = desk.caller(&here.access_token).await.expect("live");
    let (count, _) = (desk.auth.revoke_sessions(&curl(), &caller, true).await).expect("revoked");
    assert_eq!(count, 1);
    assert!(desk.caller(&there.access_token).await.is_err());
    assert!(desk.refresh(&there.refresh_token.text).await.is_err());
    let caller = desk.caller(&here.access_token).await.expect("kept");
    let (count, _) = (desk.auth.revoke_sessions(&curl(), &caller, false).await).expect("revoked");
    assert_eq!(count, 1);
    assert!(desk.caller(&here.access_token).await.is_err());
    assert!(desk.refresh(&here.refresh_token.text).await.is_err());
}

#[tokio::test]
async fn a_session_in_use_lasts_thirty_days_and_an_idle_one_seven() {
    let desk = Desk::open().await;
    let idle = desk.register("alice").await.refresh_token.text;
    let mut used = desk
        .login("alice", PASSWORD)
        .await
        .expect("login")
        .refresh_token;
    for day in 1..30 {
        desk.clock.advance(Duration::from_hours(24));
        let refreshed = desk.refresh(&used.text).await;
        used = refreshed
            .unwrap_or_else(|error| panic!("day {day}: {error}"))
            .refresh_token;
        if day == 8 {
            assert!(desk.refresh(&idle).await.is_err(), "unused for eight days");
        }
    }
    desk.clock.advance(Duration::from_hours(24));
    assert!(
        desk.refresh(&used.text).await.is_err(),
        "thirty days in all"
    );
}

#[tokio::test]
async fn a_use_is_noted_once_a_minute() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    desk.clock.advance(Duration::from_mins(2));
    let now = desk.clock.now();
    let laptop = from("203.0.113.5", FIREFOX);
    let caller = desk
        .auth
        .authenticate(&laptop, &alice.access_token, true)
        .await;
    let id = caller.expect("live").session.id;
    loop {
        let session = desk.store.read(id).await.expect("read").expect("there");
        if session.last_used_at == now {
            assert_eq!(session.ip_address, laptop.address);
            assert_eq!(session.generation, 1);
            break;
        }
        tokio::task::yield_now().await;
    }
}
