//! Sessions checked from memory: what was answered as revoked on one instance is refused on every other, where
//! news is late, where there is no connection, after a flush, on a single Redis and on a cluster.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand};
use http::StatusCode;
use sallyport::clock;
use sallyport::crypto::{AccessTokens, Claims};
use sallyport::model::User;
use sallyport::store::{Class, Error, Store};
use serde_json::json;

use crate::harness::OwnStores;
use crate::harness::TrackingProxy;
use crate::harness::records::{add, open_session};
use crate::harness::{BOTH, Kind, TestStores};
use crate::harness::{LoggedIn, Options, PASSWORD, TestServer};

/// Two instances over the same stores.
struct Pair {
    here: TestServer,
    there: TestServer,
}

impl Pair {
    async fn open(stores: &TestStores, other: &TestStores) -> Self {
        let here = TestServer::open(stores, Options::unlimited()).await;
        let there = here.another(other, Options::unlimited()).await;
        Self { here, there }
    }

    fn claims(&self, member: &LoggedIn) -> Arc<Claims> {
        let tokens = AccessTokens::new(&self.here.keys, &sallyport::config::Tokens::default());
        tokens.verify_expired(&member.access).expect("our token")
    }

    fn remembers_there(&self, member: &LoggedIn) -> bool {
        let claims = self.claims(member);
        let there = &self.there.store;
        there.remembered(claims.session_id).is_some()
    }

    /// Checks there until it is done from memory.
    async fn until_remembered_there(&self, member: &LoggedIn) {
        for _ in 0..600 {
            assert_eq!(self.there.me(member).await, StatusCode::OK);
            if self.remembers_there(member) {
                return;
            }
            clock::sleep(Duration::from_millis(20)).await;
        }
        panic!("never checked from memory");
    }
}

/// Every way to end a session or the rights of it, by its name.
const ENDINGS: [&str; 5] = ["logout", "revoke", "revoke all", "password", "reuse"];

/// Ends `member`'s session through `server`, as `ending` says. `other` is another session of the same account.
async fn end(server: &TestServer, ending: &str, member: &LoggedIn, other: &LoggedIn) {
    let answer = match ending {
        "logout" => member.through(server).logout().await,
        "revoke" => {
            let listed = member.sessions().await;
            let mut sessions = listed.iter();
            let own = sessions.find(|session| session["current"] == true);
            let id = own.expect("its own")["id"].as_str().expect("id").to_owned();
            let route = format!("DELETE /auth/sessions/{id}");
            other.send(&route, None).await
        }
        "revoke all" => {
            let route = "POST /auth/revoke-sessions";
            other
                .send(route, Some(&json!({ "keepCurrent": true })))
                .await
        }
        "password" => other.change_password(PASSWORD, "another Pass 1").await,
        "reuse" => {
            let rotated = server.refresh(&member.refresh).await;
            assert_eq!(rotated.status, StatusCode::OK);
            let rotated = server.refresh(&LoggedIn::of(&rotated).refresh).await;
            assert_eq!(rotated.status, StatusCode::OK);
            let reused = server.refresh(&member.refresh).await;
            assert_eq!(reused.status, StatusCode::UNAUTHORIZED);
            return;
        }
        other => unreachable!("{other}"),
    };
    assert_eq!(answer.status, StatusCode::OK, "{ending}: {}", answer.text);
}

#[tokio::test]
async fn what_was_revoked_on_one_instance_is_refused_on_the_other() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let pair = Pair::open(&stores, &stores).await;
        for (number, ending) in ENDINGS.iter().enumerate() {
            let name = format!("alice{number}");
            let member = pair.here.register(&name).await;
            let other = pair.here.login(&name).await;
            pair.until_remembered_there(&member).await;
            end(&pair.here, ending, &member, &other).await;
            let status = pair.there.me(&member).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{kind:?} {ending}");
        }
        pair.here.close().await;
        pair.there.close().await;
    }
}

/// A pair, of which the second instance is told of changes through a proxy that can hold them up.
async fn told_through_a_proxy(own: &OwnStores) -> (TestStores, Pair, TrackingProxy) {
    let stores = TestStores::over_own(own).await;
    let (url, port) = (own.redis.url(), own.redis.port());
    let proxy = TrackingProxy::to(port).await;
    let mut far = TestStores::over_own(own).await;
    far.redis.url = url.replace(&format!(":{port}"), &format!(":{}", proxy.port));
    let pair = Pair::open(&stores, &far).await;
    (stores, pair, proxy)
}

/// Somebody who may do anything to a Redis.
async fn operator(own: &OwnStores) -> Client {
    let config = Config::from_url(&own.redis.url()).expect("url");
    let redis = Builder::from_config(config).build().expect("client");
    redis.init().await.expect("connects");
    redis
}

#[tokio::test]
async fn an_instance_that_is_told_late_refuses_in_time() {
    let own = OwnStores::start().await;
    let (_stores, pair, proxy) = told_through_a_proxy(&own).await;
    for round in 0..20 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        proxy.hold();
        end(&pair.here, "logout", &member, &member).await;
        let status = pair.there.me(&member).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}");
        proxy.open();
    }
}

#[tokio::test]
async fn a_logout_that_was_sent_twice_is_answered_no_sooner() {
    let own = OwnStores::start().await;
    let (_stores, pair, proxy) = told_through_a_proxy(&own).await;
    for round in 0..10 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        proxy.hold();
        let logout = || member.logout();
        // Whichever is answered first: then it holds.
        let answered = tokio::select! {
            answer = logout() => answer,
            answer = async {
                clock::sleep(Duration::from_millis(5)).await;
                logout().await
            } => answer,
        };
        assert_eq!(answered.status, StatusCode::OK);
        let status = pair.there.me(&member).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}");
        proxy.open();
    }
}

#[tokio::test]
async fn what_changed_while_the_connection_was_cut_is_not_believed_afterwards() {
    let own = OwnStores::start().await;
    let (_stores, pair, proxy) = told_through_a_proxy(&own).await;
    let witness = pair.here.register("witness").await;
    for round in 0..5 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        proxy.cut();
        end(&pair.here, "logout", &member, &member).await;
        let status = pair.there.me(&member).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}, cut");
        proxy.open();
        pair.until_remembered_there(&witness).await;
        assert!(!pair.remembers_there(&member), "round {round}, back");
    }
}

#[tokio::test]
async fn a_silent_redis_is_not_taken_for_one_with_nothing_to_tell() {
    let own = OwnStores::start().await;
    let (_stores, pair, proxy) = told_through_a_proxy(&own).await;
    let member = pair.here.register("alice").await;
    pair.until_remembered_there(&member).await;
    proxy.hold();
    // Longer than any lease that may be configured.
    clock::sleep(Duration::from_millis(1100)).await;
    assert!(!pair.remembers_there(&member));
    assert_eq!(pair.there.me(&member).await, StatusCode::OK, "it is read");
}

#[tokio::test]
async fn a_flush_is_noticed_though_it_names_no_key() {
    let own = OwnStores::start().await;
    let (_stores, pair, _proxy) = told_through_a_proxy(&own).await;
    let member = pair.here.register("alice").await;
    let witness = pair.here.register("witness").await;
    pair.until_remembered_there(&member).await;
    let redis = operator(&own).await;
    let _: () = redis.flushall(false).await.expect("flushes");
    for _ in 0..600 {
        // Comes back from PostgreSQL, in its own time.
        pair.there.me(&witness).await;
        if pair.remembers_there(&witness) {
            assert!(!pair.remembers_there(&member), "from before the flush");
            return;
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
    panic!("never checked from memory again");
}

/// It answers as before, and knows every key; it will just never hear of a change again.
#[tokio::test]
async fn a_primary_that_was_made_a_replica_is_not_believed() {
    let own = OwnStores::start().await;
    let (_stores, pair, _proxy) = told_through_a_proxy(&own).await;
    let member = pair.here.register("alice").await;
    pair.until_remembered_there(&member).await;
    let demote = CustomCommand::new_static("REPLICAOF", ClusterHash::FirstKey, false);
    let nobody = vec!["127.0.0.1", "1"];
    let redis = operator(&own).await;
    let _: () = redis.custom(demote, nobody).await.expect("is demoted");
    // Longer than any lease that may be configured, and with people who ask all the time.
    clock::sleep(Duration::from_millis(1100)).await;
    for _ in 0..40 {
        pair.there.me(&member).await;
        assert!(!pair.remembers_there(&member));
        clock::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn with_a_lease_of_zero_every_check_asks_redis() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.session_lease = Duration::ZERO;
    let pair = Pair::open(&stores, &stores).await;
    let member = pair.here.register("alice").await;
    for _ in 0..20 {
        assert_eq!(pair.there.me(&member).await, StatusCode::OK);
        assert!(!pair.remembers_there(&member));
    }
}

/// Raises the account's session epoch, as whatever ends sessions does.
async fn end_all(store: &Store, stores: &TestStores, user: &User) -> i64 {
    let ended = store.transact(Class::Restrict, user.id, |user: Option<User>, draft| {
        let mut user = user.expect("the account");
        user.end_sessions(stores.clock.now());
        draft.put(&user);
        Ok::<_, Error>(user.session_epoch)
    });
    ended.await.expect("ends").0
}

/// Many checks at once on one instance, changes on the other: memory never shows what an answered change ended.
#[tokio::test]
async fn memory_is_never_older_than_the_last_answer() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (here, there) = (stores.running().await, stores.running().await);
        let user = stores.user("alice");
        let _ = add(&here, &stores, &user).await.expect("adds");
        let (session, _) = open_session(&here, &stores, &user).await.expect("opens");
        let id = user.id;
        let checks = (0..8).map(|_| {
            let there = there.clone();
            tokio::spawn(async move {
                loop {
                    if there.remembered(session).is_none() {
                        let _ = there.look_up(session, id).await;
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let checks: Vec<_> = checks.collect();
        let mut from_memory = 0;
        for _ in 0..60 {
            let ended = end_all(&here, &stores, &user).await;
            for _ in 0..50 {
                if let Some((_, seen)) = there.remembered(session) {
                    from_memory += 1;
                    assert!(
                        seen.session_epoch >= ended,
                        "{kind:?}: {} < {ended}",
                        seen.session_epoch
                    );
                }
                tokio::task::yield_now().await;
            }
        }
        checks.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(from_memory > 0, "{kind:?}: nothing was checked from memory");
        there.close(Duration::from_secs(10)).await;
        here.close(Duration::from_secs(10)).await;
    }
}
