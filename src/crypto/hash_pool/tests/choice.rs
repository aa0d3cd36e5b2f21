//! Choice of the engine at the start of a pool, and its report.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Mutex;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

/// Result of a start.
struct Started {
    pool: HashPool,
    metrics: String,
    log: String,
}

/// Starts a pool whose engines have to pass `examine`, and captures its log and metrics.
fn start(examine: &Examine<'_>, engine: HashEngine) -> Started {
    let recorder = PrometheusBuilder::new().build_recorder();
    let mut log = tempfile::tempfile().expect("a file");
    let writer = Mutex::new(log.try_clone().expect("a second handle"));
    let subscriber = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(false)
        .finish();
    let settings = config::Hashing { engine, ..cheap() };
    let pool = tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || HashPool::start_after(examine, &settings))
    });
    Started {
        pool: pool.expect("starts"),
        metrics: recorder.handle().render(),
        log: whole(&mut log),
    }
}

fn whole(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .expect("reads");
    text
}

/// The engine that a worker uses.
async fn engine_of(pool: &HashPool) -> Kind {
    let mut permit = permit(pool, 1).expect("room");
    let kind = permit.submit(|engine| Ok(engine.kind())).await;
    kind.expect("runs")
}

/// Examination in which argon2-rust computes wrong tags.
fn only_the_reference_passes(
    kind: Kind,
    configured: HashParameters,
) -> Result<Option<Duration>, engine::EngineError> {
    match kind {
        Kind::Simd => Ok(None),
        Kind::Reference => engine::examine(kind, configured),
    }
}

#[tokio::test]
async fn an_engine_that_agrees_with_the_reference_is_used() {
    let started = start(&engine::examine, HashEngine::Auto);
    assert_eq!(engine_of(&started.pool).await, Kind::Simd);
    let level = argon2_rust::detected_backend();
    let metric = format!("sallyport_hash_engine_info{{name=\"argon2-rust\",simd=\"{level}\"}} 1");
    assert!(started.metrics.contains(&metric), "{}", started.metrics);
    assert!(!started.metrics.contains("mismatch"), "{}", started.metrics);
    let said = format!("engine=\"argon2-rust\" simd=\"{level}\"");
    assert!(started.log.contains(&said), "{}", started.log);
    assert!(!started.log.contains("ERROR"), "{}", started.log);
}

#[tokio::test]
async fn an_engine_that_disagrees_is_put_aside_loudly() {
    let started = start(&only_the_reference_passes, HashEngine::Auto);
    assert_eq!(engine_of(&started.pool).await, Kind::Reference);
    for metric in [
        "sallyport_hash_engine_info{name=\"argon2\",simd=\"\"} 1",
        "sallyport_hash_engine_mismatch_total 1",
    ] {
        assert!(started.metrics.contains(metric), "{}", started.metrics);
    }
    let loud = "ERROR sallyport::crypto::hash_pool: the Argon2 engine disagrees";
    assert!(started.log.contains(loud), "{}", started.log);

    let hash = started.pool.hash(password("pw")).await.expect("hashes");
    let verified = started.pool.verify(password("pw"), Some(hash)).await;
    assert!(verified.is_ok_and(|verified| verified.matches));
}

#[tokio::test]
async fn the_reference_alone_when_that_is_wanted() {
    let asked = |kind, configured| {
        assert_eq!(kind, Kind::Reference, "the engine is not even tried");
        engine::examine(kind, configured)
    };
    let started = start(&asked, HashEngine::Reference);
    assert_eq!(engine_of(&started.pool).await, Kind::Reference);
    assert!(!started.metrics.contains("mismatch"), "{}", started.metrics);
    assert!(!started.log.contains("ERROR"), "{}", started.log);
}

#[test]
fn an_engine_without_memory_stops_the_start() {
    let refuse = |_, _| {
        Engine::new(
            Kind::Simd,
            HashParameters {
                memory_kib: 7,
                ..HashParameters::configured(&cheap())
            },
        )
        .map(|_| None)
    };
    assert!(HashPool::start_after(&refuse, &cheap()).is_err());
}
