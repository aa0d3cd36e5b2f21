//! Contradictions between settings: those within a concern stand in its file, those across concerns here.

use super::{Config, Mode, Problem, hashing, http, limits, outbound};

/// Every contradiction.
pub(super) fn problems(mode: Mode, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    http::check(config, &mut problems);
    limits::check(mode, config, &mut problems);
    hashing::check(config, &mut problems);
    lifetimes(config, &mut problems);
    outbound::check(config, &mut problems);
    problems
}

/// A part lasts no longer than the whole.
fn lifetimes(config: &Config, problems: &mut Vec<Problem>) {
    let tokens = &config.tokens;
    let session = ("SESSION_TTL", tokens.session_ttl);
    let request = ("REQUEST_TIMEOUT", config.http.request_timeout);
    for (name, shorter, (than, longer)) in [
        ("SESSION_IDLE_TTL", tokens.session_idle_ttl, session),
        ("ACCESS_TOKEN_TTL", tokens.access_ttl, session),
        ("HASH_DEADLINE", config.hashing.deadline, request),
        ("GRANT_WAIT", config.store.grant_wait, request),
        ("REDIS_TIMEOUT", config.redis.timeout, request),
    ] {
        if shorter > longer {
            let advice = format!("must be no longer than {than} ({longer:?})");
            problems.push(Problem::new(name, advice).was(format!("{shorter:?}")));
        }
    }
}
