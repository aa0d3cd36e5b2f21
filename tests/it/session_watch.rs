//! Sessions checked from memory: what was answered as revoked on one instance is refused on every other, with
//! lag, without a line, after a flush, on a single Redis and on a cluster.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand};
use http::StatusCode;
use sallyport::clock;
use sallyport::crypto::{AccessTokens, Claims, Keys};
use sallyport::model::User;
use sallyport::store::{Class, Error, Store};
use serde_json::json;

use crate::house::{House, Member, PASSWORD, Wishes};
use crate::lab::{BOTH, Kind, Lab, add, open_session};
use crate::slow_line::SlowLine;
use crate::stores::OwnStores;

/// Two instances over the same stores.
struct Pair {
    here: House,
    there: House,
}

impl Pair {
    async fn open(lab: &Lab, other: &Lab) -> Self {
        let folder = crate::stores::own_folder();
        let path = folder.path().join("keys.json");
        Keys::generate(&path, lab.clock.now()).expect("keys");
        let keys = || Keys::load(&path).expect("keys");
        let here = House::open_with_keys(lab, Wishes::unlimited(), keys()).await;
        let there = House::open_with_keys(other, Wishes::unlimited(), keys()).await;
        Self { here, there }
    }

    fn claims(&self, member: &Member) -> Arc<Claims> {
        let tokens = AccessTokens::new(&self.here.keys, &sallyport::config::Tokens::default());
        tokens.verify_expired(&member.access).expect("our token")
    }

    fn remembers_there(&self, member: &Member) -> bool {
        let claims = self.claims(member);
        let there = &self.there.store;
        there
            .remembered(claims.session_id, claims.user_id)
            .is_some()
    }

    /// Checks there until it is done from memory.
    async fn until_remembered_there(&self, member: &Member) {
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

/// Ends `member`'s session through `house`, as `ending` says. `other` is another session of the same account.
async fn end(house: &House, lab: &Lab, ending: &str, member: &Member, other: &Member) {
    let answer = match ending {
        "logout" => {
            let body = json!({ "refreshToken": member.refresh });
            house.post("/api/auth/logout", &body).await
        }
        "revoke" => {
            let listed = house.as_member(member, "GET /auth/sessions", None).await;
            let listed = listed.json()["data"]["sessions"].clone();
            let mut sessions = listed.as_array().expect("a list").iter();
            let own = sessions.find(|session| session["current"] == true);
            let id = own.expect("its own")["id"].as_str().expect("id").to_owned();
            let line = format!("DELETE /auth/sessions/{id}");
            house.as_member(other, &line, None).await
        }
        "revoke all" => {
            let line = "POST /auth/revoke-sessions";
            house
                .as_member(other, line, Some(&json!({ "keepCurrent": true })))
                .await
        }
        "password" => {
            let body = json!({ "currentPassword": PASSWORD, "newPassword": "another Pass 1" });
            house
                .as_member(other, "POST /auth/password/change", Some(&body))
                .await
        }
        "reuse" => {
            let rotated = house.refresh(&member.refresh).await;
            assert_eq!(rotated.status, StatusCode::OK);
            lab.clock.advance(Duration::from_secs(11));
            let reused = house.refresh(&member.refresh).await;
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
        let lab = Lab::new(kind).await;
        let pair = Pair::open(&lab, &lab).await;
        for (number, ending) in ENDINGS.iter().enumerate() {
            let name = format!("alice{number}");
            let member = pair.here.register(&name).await;
            let other = pair.here.login(&name).await;
            pair.until_remembered_there(&member).await;
            end(&pair.here, &lab, ending, &member, &other).await;
            let status = pair.there.me(&member).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{kind:?} {ending}");
        }
        pair.here.close().await;
        pair.there.close().await;
    }
}

/// A pair of which the second instance is told of changes over a line that can be held up.
async fn on_a_slow_line(own: &OwnStores) -> (Lab, Pair, SlowLine) {
    let lab = Lab::over_own(own).await;
    let (url, port) = (own.redis.url(), own.redis.port());
    let line = SlowLine::to(port).await;
    let mut far = Lab::over_own(own).await;
    far.redis.url = url.replace(&format!(":{port}"), &format!(":{}", line.port));
    let pair = Pair::open(&lab, &far).await;
    (lab, pair, line)
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
    let (lab, pair, line) = on_a_slow_line(&own).await;
    for round in 0..20 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        line.hold();
        end(&pair.here, &lab, "logout", &member, &member).await;
        let status = pair.there.me(&member).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}");
        line.open();
    }
}

#[tokio::test]
async fn a_logout_that_was_sent_twice_is_answered_no_sooner() {
    let own = OwnStores::start().await;
    let (_lab, pair, line) = on_a_slow_line(&own).await;
    for round in 0..10 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        line.hold();
        let body = json!({ "refreshToken": member.refresh });
        let logout = || pair.here.post("/api/auth/logout", &body);
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
        line.open();
    }
}

#[tokio::test]
async fn what_changed_while_the_line_was_cut_is_not_believed_afterwards() {
    let own = OwnStores::start().await;
    let (lab, pair, line) = on_a_slow_line(&own).await;
    let witness = pair.here.register("witness").await;
    for round in 0..5 {
        let member = pair.here.register(&format!("alice{round}")).await;
        pair.until_remembered_there(&member).await;
        line.cut();
        end(&pair.here, &lab, "logout", &member, &member).await;
        let status = pair.there.me(&member).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "round {round}, cut");
        line.open();
        pair.until_remembered_there(&witness).await;
        assert!(!pair.remembers_there(&member), "round {round}, back");
    }
}

#[tokio::test]
async fn a_silent_redis_is_not_taken_for_one_with_nothing_to_tell() {
    let own = OwnStores::start().await;
    let (_lab, pair, line) = on_a_slow_line(&own).await;
    let member = pair.here.register("alice").await;
    pair.until_remembered_there(&member).await;
    line.hold();
    // Longer than any lease that may be configured.
    clock::sleep(Duration::from_millis(1100)).await;
    assert!(!pair.remembers_there(&member));
    assert_eq!(pair.there.me(&member).await, StatusCode::OK, "it is read");
}

#[tokio::test]
async fn a_flush_is_noticed_though_it_names_no_key() {
    let own = OwnStores::start().await;
    let (_lab, pair, _line) = on_a_slow_line(&own).await;
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
    let (_lab, pair, _line) = on_a_slow_line(&own).await;
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
    let mut lab = Lab::new(Kind::Single).await;
    lab.settings.session_lease = Duration::ZERO;
    let pair = Pair::open(&lab, &lab).await;
    let member = pair.here.register("alice").await;
    for _ in 0..20 {
        assert_eq!(pair.there.me(&member).await, StatusCode::OK);
        assert!(!pair.remembers_there(&member));
    }
}

/// Raises the account's session epoch, as whatever ends sessions does.
async fn end_all(store: &Store, lab: &Lab, user: &User) -> i64 {
    let ended = store.transact(Class::Restrict, user.id, |user: Option<User>, draft| {
        let mut user = user.expect("the account");
        user.end_sessions(lab.clock.now());
        draft.put(&user);
        Ok::<_, Error>(user.session_epoch)
    });
    ended.await.expect("ends").0
}

/// Many checks at once on one instance, changes on the other: memory never shows what an answered change ended.
#[tokio::test]
async fn memory_is_never_older_than_the_last_answer() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let (here, there) = (lab.running().await, lab.running().await);
        let user = lab.user("alice");
        let _ = add(&here, &lab, &user).await.expect("adds");
        let (session, _) = open_session(&here, &lab, &user).await.expect("opens");
        let id = user.id;
        let checks = (0..8).map(|_| {
            let there = there.clone();
            tokio::spawn(async move {
                loop {
                    if there.remembered(session, id).is_none() {
                        let _ = there.look_up(session, id).await;
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let checks: Vec<_> = checks.collect();
        let mut from_memory = 0;
        for _ in 0..60 {
            let ended = end_all(&here, &lab, &user).await;
            for _ in 0..50 {
                if let Some((_, seen)) = there.remembered(session, id) {
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
