//! `/health` and its parts.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::clock::Stopwatch;
use crate::core::{Health, Status, examine, is_alive};
use crate::http::contract::prelude::*;
use crate::http::state::AppState;
use crate::model::Timestamp;

pub(crate) const ROUTES: &[Route] = &[HEALTH, LIVE, READY];

pub(crate) const HEALTH: Route = Route::get("/health", handler!(health))
    .titled(Tag::Health, "health", "How the service and its stores are")
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows::<HealthReport>(&[200, 503]);

/// `/health` of the internal listener.
pub(crate) const DETAILED: Route = Route::get("/health", handler!(detailed))
    .titled(
        Tag::Health,
        "detailedHealth",
        "How the service, its stores and its parts are",
    )
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows::<DetailedReport>(&[200, 503]);

pub(crate) const LIVE: Route = Route::get("/health/live", handler!(live))
    .titled(
        Tag::Health,
        "live",
        "Whether the process lives; no only when it cannot use a Redis that accepts connections",
    )
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows::<StatusReport>(&[200, 503]);

pub(crate) const READY: Route = Route::get("/health/ready", handler!(ready))
    .titled(Tag::Health, "ready", "Whether requests should be sent here")
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows::<StatusReport>(&[200, 503]);

/// Time for which an examination counts. Health is asked by anybody and unlimited, so that asking must not
/// become work for the stores.
const FRESH: Duration = Duration::from_millis(250);

/// The last examination. Askers who come together wait for one.
#[derive(Default)]
pub(crate) struct HealthCache(Mutex<Option<(Stopwatch, Health)>>);

impl HealthCache {
    async fn examine(&self, state: &AppState) -> Result<Health, Problem> {
        let mut last = self.0.lock().await;
        if let Some((taken, health)) = last.as_ref()
            && taken.elapsed() < FRESH
        {
            return Ok(health.clone());
        }
        let health = examine(state.core()?).await;
        *last = Some((Stopwatch::start(), health.clone()));
        Ok(health)
    }
}

/// Overall health.
#[derive(Serialize, ToSchema)]
struct HealthReport {
    /// `healthy`, `degraded` (PostgreSQL is away: logins go on) or `unhealthy` (Redis is away).
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Seconds since the start.
    uptime: u64,
    services: Services,
}

/// Overall health and that of every part, for operators alone: it says which version runs, how large and how busy.
#[derive(Serialize, ToSchema)]
struct DetailedReport {
    #[serde(flatten)]
    overall: HealthReport,
    service: &'static str,
    version: &'static str,
    checks: Checks,
    /// Remarks on the promise of durability under the present configuration.
    notes: Vec<String>,
}

/// The stores in a word each: `connected` or `disconnected`.
#[derive(Serialize, ToSchema)]
struct Services {
    database: &'static str,
    redis: &'static str,
}

/// Every part that was looked at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Checks {
    database: StoreCheck,
    redis: StoreCheck,
    write_behind: WriteBehindCheck,
    hash_pool: HashPoolCheck,
    memory: MemoryCheck,
}

/// A store.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoreCheck {
    /// `up` or `down`.
    status: &'static str,
    /// Milliseconds.
    response_time: f64,
}

/// Changes on their way to PostgreSQL.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WriteBehindCheck {
    /// `up`, or `behind` when the oldest change waits for more than five seconds.
    status: &'static str,
    pending: u64,
    oldest_seconds: f64,
}

/// Passwords that wait to be hashed.
#[derive(Serialize, ToSchema)]
struct HashPoolCheck {
    /// `up`, or `full`.
    status: &'static str,
    workers: usize,
    waiting: usize,
    capacity: usize,
}

/// Memory of the process.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemoryCheck {
    /// `up`, or `unknown` where the system does not tell.
    status: &'static str,
    resident_bytes: u64,
}

/// `GET /health`: 503 when unhealthy.
async fn health(call: Call, (): ()) -> Result<Reply, Problem> {
    let state = &call.state;
    let health = state.health.examine(state).await?;
    Ok(Reply::json(&overall(state, &health))?.status(code(&health)))
}

/// `GET /health` of the internal listener.
async fn detailed(call: Call, (): ()) -> Result<Reply, Problem> {
    let state = &call.state;
    let health = state.health.examine(state).await?;
    let report = DetailedReport {
        overall: overall(state, &health),
        service: "sallyport",
        version: state.version,
        checks: checks(&health),
        notes: health.notes.clone(),
    };
    Ok(Reply::json(&report)?.status(code(&health)))
}

fn code(health: &Health) -> StatusCode {
    match health.status() {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// State of the process in a word.
#[derive(Serialize, ToSchema)]
struct StatusReport {
    status: &'static str,
}

/// `GET /health/live`: 503 when Redis accepts connections and for a minute this process could use none.
async fn live(call: Call, (): ()) -> Result<Reply, Problem> {
    let (status, code) = if call.state.core().is_ok_and(|core| !is_alive(core)) {
        ("stuck", StatusCode::SERVICE_UNAVAILABLE)
    } else {
        ("alive", StatusCode::OK)
    };
    Ok(Reply::json(&StatusReport { status })?.status(code))
}

/// `GET /health/ready`: 503 while draining and while Redis is away.
async fn ready(call: Call, (): ()) -> Result<Reply, Problem> {
    let state = &call.state;
    let ready = !state.stop.is_cancelled()
        && state.health.examine(state).await?.status() != Status::Unhealthy;
    let (status, code) = if ready {
        ("ready", StatusCode::OK)
    } else {
        ("not_ready", StatusCode::SERVICE_UNAVAILABLE)
    };
    Ok(Reply::json(&StatusReport { status })?.status(code))
}

fn overall(state: &AppState, health: &Health) -> HealthReport {
    let word = |up: bool| if up { "connected" } else { "disconnected" };
    HealthReport {
        status: health.status().word(),
        timestamp: state.clock.now(),
        uptime: state.started.elapsed().as_secs(),
        services: Services {
            database: word(health.database.up),
            redis: word(health.redis.up),
        },
    }
}

fn checks(health: &Health) -> Checks {
    let store = |up: bool, response_time: f64| StoreCheck {
        status: if up { "up" } else { "down" },
        response_time,
    };
    let (backlog, pool) = (&health.backlog, &health.hash_pool);
    let resident = resident_bytes();
    Checks {
        database: store(health.database.up, health.database.response_millis),
        redis: store(health.redis.up, health.redis.response_millis),
        write_behind: WriteBehindCheck {
            status: if backlog.oldest_seconds > 5.0 {
                "behind"
            } else {
                "up"
            },
            pending: backlog.pending,
            oldest_seconds: backlog.oldest_seconds,
        },
        hash_pool: HashPoolCheck {
            status: if pool.waiting < pool.capacity {
                "up"
            } else {
                "full"
            },
            workers: pool.workers,
            waiting: pool.waiting,
            capacity: pool.capacity,
        },
        memory: MemoryCheck {
            status: resident.map_or("unknown", |_| "up"),
            resident_bytes: resident.unwrap_or(0),
        },
    }
}

/// Resident memory of this process, where Linux tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
