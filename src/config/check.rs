//! What must hold between settings.

use super::outbound::SUBMISSIONS;
use super::read::{Draft, Problem};
use super::{Config, EmailSecurity, Mode};

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
    sms(config, &mut problems);
    email(config, &mut problems);
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

fn sms(config: &Config, problems: &mut Vec<Problem>) {
    let sms = &config.outbound.sms;
    let parts = [
        ("TWILIO_ACCOUNT_SID", sms.account_sid.is_some()),
        ("TWILIO_AUTH_TOKEN", sms.auth_token.is_some()),
        ("TWILIO_PHONE_NUMBER", sms.phone_number.is_some()),
    ];
    complete(&parts, &parts, problems);
}

fn email(config: &Config, problems: &mut Vec<Problem>) {
    let email = &config.outbound.email;
    let server = [
        ("EMAIL_HOST", email.host.is_some()),
        ("EMAIL_FROM", email.from.is_some()),
    ];
    let account = [
        ("EMAIL_USER", email.user.is_some()),
        ("EMAIL_PASSWORD", email.password.is_some()),
    ];
    complete(&[server, account].concat(), &server, problems);
    complete(&account, &account, problems);
    let plain_first = email
        .secure
        .is_some_and(|secure| secure != EmailSecurity::Tls);
    if email.port == Some(SUBMISSIONS) && plain_first {
        let advice =
            "port 465 speaks TLS from the first byte; say EMAIL_SECURE=on, or EMAIL_PORT=587";
        problems.push(Problem::new("EMAIL_SECURE", advice));
    }
}

/// With one of `any` given, all of `needed` must be.
fn complete(any: &[(&str, bool)], needed: &[(&str, bool)], problems: &mut Vec<Problem>) {
    let Some((given, _)) = any.iter().find(|(_, is_given)| *is_given) else {
        return;
    };
    for (name, _) in needed.iter().filter(|(_, is_given)| !is_given) {
        problems.push(Problem::new(name, format!("is missing beside {given}")));
    }
}
