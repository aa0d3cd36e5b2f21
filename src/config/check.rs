//! What must hold between settings.

use super::read::{Draft, Problem};
use super::{Config, Mode};

/// Every contradiction.
pub(super) fn problems(mode: Mode, draft: &Draft) -> Vec<Problem> {
    let config = &draft.config;
    let mut problems = Vec::new();
    tls(config, &mut problems);
    listeners(config, &mut problems);
    bodies(config, &mut problems);
    limits(mode, draft, &mut problems);
    hashing(config, &mut problems);
    lifetimes(config, &mut problems);
    problems
}

fn tls(config: &Config, problems: &mut Vec<Problem>) {
    match (&config.http.tls_cert, &config.http.tls_key) {
        (Some(_), None) => problems.push(Problem::new("TLS_KEY", "is missing beside TLS_CERT")),
        (None, Some(_)) => problems.push(Problem::new("TLS_CERT", "is missing beside TLS_KEY")),
        _ => {}
    }
}

fn listeners(config: &Config, problems: &mut Vec<Problem>) {
    let (public, admin) = (config.http.listen, config.http.admin);
    if public == admin && public.port() != 0 {
        let advice = "must differ from HOST:PORT";
        problems.push(Problem::new("ADMIN_ADDR", advice).was(admin.to_string()));
    }
}

fn bodies(config: &Config, problems: &mut Vec<Problem>) {
    let (budget, longest) = (config.http.body_budget_bytes, config.http.max_body_bytes);
    if budget < longest {
        let advice = format!("must be no less than MAX_BODY_BYTES = {longest}");
        problems.push(Problem::new("BODY_BUDGET_BYTES", advice).was(budget.to_string()));
    }
}

fn limits(mode: Mode, draft: &Draft, problems: &mut Vec<Problem>) {
    let enabled = draft.config.limits.enabled;
    if !enabled && mode != Mode::Dev && !draft.allow_unlimited {
        let advice = "without limits passwords can be guessed; if this is a load test, say ALLOW_UNLIMITED=1";
        problems.push(Problem::new("RATE_LIMITS", advice).was("off".to_owned()));
    }
}

fn hashing(config: &Config, problems: &mut Vec<Problem>) {
    let hashing = &config.hashing;
    let (memory, lanes) = (hashing.memory_kib, hashing.parallelism);
    if u64::from(memory) < 8 * u64::from(lanes) {
        let advice = format!(
            "Argon2 needs at least 8 × ARGON2_PARALLELISM = {}",
            8 * lanes
        );
        problems.push(Problem::new("ARGON2_MEMORY_KIB", advice).was(memory.to_string()));
    }
    for (name, most, what, ours) in [
        (
            "ARGON2_MAX_MEMORY_KIB",
            hashing.max_memory_kib,
            "ARGON2_MEMORY_KIB",
            memory,
        ),
        (
            "ARGON2_MAX_ITERATIONS",
            hashing.max_iterations,
            "ARGON2_ITERATIONS",
            hashing.iterations,
        ),
        (
            "ARGON2_MAX_PARALLELISM",
            hashing.max_parallelism,
            "ARGON2_PARALLELISM",
            lanes,
        ),
    ] {
        if most < ours {
            let advice =
                format!("must be no less than {what} = {ours}, or our own hashes are refused");
            problems.push(Problem::new(name, advice).was(most.to_string()));
        }
    }
}

fn lifetimes(config: &Config, problems: &mut Vec<Problem>) {
    let (tokens, http) = (&config.tokens, &config.http);
    for (name, shorter, than, longer) in [
        (
            "SESSION_IDLE_TTL",
            tokens.session_idle_ttl,
            "SESSION_TTL",
            tokens.session_ttl,
        ),
        (
            "ACCESS_TOKEN_TTL",
            tokens.access_ttl,
            "SESSION_TTL",
            tokens.session_ttl,
        ),
        (
            "HASH_DEADLINE",
            config.hashing.deadline,
            "REQUEST_TIMEOUT",
            http.request_timeout,
        ),
        (
            "GRANT_WAIT",
            config.store.grant_wait,
            "REQUEST_TIMEOUT",
            http.request_timeout,
        ),
        (
            "REDIS_TIMEOUT",
            config.redis.timeout,
            "REQUEST_TIMEOUT",
            http.request_timeout,
        ),
    ] {
        if shorter > longer {
            let advice = format!("must be no longer than {than} ({longer:?})");
            problems.push(Problem::new(name, advice).was(format!("{shorter:?}")));
        }
    }
}
