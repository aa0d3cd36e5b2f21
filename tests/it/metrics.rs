//! Metrics of what happened: each step of a login, each read, each job that waits.

use sallyport::telemetry::Metrics;

use crate::harness::{Kind, Options, TestServer, TestStores};

/// Value of a series in whole numbers, by its name with its labels; nothing counted is 0.
pub fn value(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_login_that_passed_the_first_factor_alone_is_no_success() {
    let metrics = Metrics::install().unwrap();
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    let series = [
        "sallyport_logins_total{outcome=\"success\"}",
        "sallyport_logins_total{outcome=\"second_factor_due\"}",
        "sallyport_challenges_total{outcome=\"issued\"}",
        "sallyport_challenges_total{outcome=\"completed\"}",
    ];
    let values = || series.map(|series| value(&metrics, series));
    let before = values();
    let counted = || {
        let now = values();
        [0, 1, 2, 3].map(|at| now[at] - before[at])
    };

    let half = server.half_login("alice").await;
    assert_eq!(counted(), [0, 1, 1, 0]);
    half.verify(&app.wrong_code()).await;
    assert_eq!(counted(), [0, 1, 1, 0]);
    app.wait();
    half.verify(&app.code()).await.ok();
    assert_eq!(counted(), [0, 1, 1, 1]);
    server.half_login("alice").await;
    assert_eq!(counted(), [0, 2, 2, 1], "one is abandoned");
    server.register("bob").await;
    server.login("bob").await;
    assert_eq!(counted(), [1, 2, 2, 1]);
}

#[tokio::test]
async fn reads_are_counted_by_kind_and_by_where_the_record_was() {
    let metrics = Metrics::install().unwrap();
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let alice = stores.user("alice");
    let _ = crate::harness::records::add(&store, &stores, &alice)
        .await
        .unwrap();
    store.flush().await.unwrap();
    let found = |source: &str| {
        let series = format!("sallyport_store_reads_total{{kind=\"user\",found=\"{source}\"}}");
        value(&metrics, &series)
    };
    let counted = async |source: &str, id| {
        let before = found(source);
        let _: Option<sallyport::model::User> = store.read(id).await.unwrap();
        found(source) - before
    };
    assert!(counted("redis", alice.id).await >= 1);
    assert!(stores.evict(":user:").await > 0);
    assert!(counted("postgres", alice.id).await >= 1);
    assert!(counted("nowhere", stores.user("nobody").id).await >= 1);
}
