//! Imports between modules.

use super::Source;

/// Modules of `src/`, and which others each may know beside itself. `app` and `cli` wire everything.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("telemetry", &["config", "clock"]),
    ("config", &["dev"]),
    ("dev", &["clock"]),
    ("crypto", &["model", "clock", "config", "telemetry"]),
    ("outbound", &["model", "clock", "config", "telemetry"]),
    ("store", &["model", "clock", "config", "telemetry"]),
    (
        "core",
        &[
            "model",
            "clock",
            "config",
            "telemetry",
            "crypto",
            "outbound",
            "store",
        ],
    ),
    (
        "auth",
        &[
            "model",
            "clock",
            "config",
            "telemetry",
            "crypto",
            "outbound",
            "store",
            "core",
        ],
    ),
    (
        "platform",
        &[
            "model",
            "clock",
            "config",
            "telemetry",
            "crypto",
            "outbound",
            "store",
            "core",
        ],
    ),
    (
        "http",
        &[
            "model",
            "clock",
            "config",
            "telemetry",
            "core",
            "auth",
            "platform",
            "pages",
        ],
    ),
    (
        "pages",
        &[
            "model",
            "clock",
            "config",
            "telemetry",
            "core",
            "auth",
            "platform",
            "http",
        ],
    ),
];

/// Features of `auth` that others build on, in order; each may know those before it.
const FIRST_FEATURES: &[&str] = &["session", "device", "login"];
/// Features that know those above, and not each other.
const LAST_FEATURES: &[&str] = &["second_factor", "password", "recovery", "oauth", "passkey"];

/// The places where `auth` and `platform` may meet. Admission recognises sessions and API keys.
const MAY_KNOW_BOTH: &[&str] = &["http/api", "http/dispatch/admission", "pages", "app", "cli"];

/// Words that belong to modules, and may stand nowhere else.
const OWNED: &[(&str, &[&str])] = &[
    ("fred::", &["store"]),
    // The configuration asks only where the client would connect to.
    ("sqlx::", &["store", "config/postgres"]),
    ("hyper::", &["http", "outbound"]),
    ("hyper_util::", &["http", "outbound"]),
    ("hyper_rustls::", &["outbound"]),
    // The configuration asks only whether a mailbox is one.
    ("lettre::", &["outbound", "config"]),
    // Beside `outbound`, servers are asked whether they live.
    (
        "TcpStream::connect",
        &[
            "outbound",
            "dev",
            "cli/healthcheck",
            "store/redis/supervised_client",
        ],
    ),
    ("std::env::var", &["config"]),
    ("SystemTime::now", &["clock"]),
    ("Instant::now", &["clock"]),
    ("getrandom::", &["clock"]),
    ("\":meta\"", &["store/redis"]),
    // Every change of a use case goes through the one shape that writes its audit entry.
    ("transact(", &["store", "core/change"]),
    // Hashing goes through its pool; compressing a large document is no hash.
    ("spawn_blocking", &["http/dispatch/compression"]),
];

/// Absolute paths of modules that a source mentions, as `a/b/c`.
fn mentioned(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        if !continues_a_path(&code, start) {
            expand(&code[start + "crate::".len()..], "", &mut found);
        }
    }
    for (start, _) in code.match_indices("super::") {
        if continues_a_path(&code, start) {
            continue;
        }
        let mut rest = &code[start..];
        let mut module = source.path.as_str();
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            module = module.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        expand(rest, module, &mut found);
    }
    found
}

fn continues_a_path(code: &str, start: usize) -> bool {
    let before = code[..start].chars().next_back().unwrap_or(' ');
    before.is_alphanumeric() || before == '_' || before == ':'
}

/// Reads `a::b`, `a::{b, c::d}` at the start of `text`, below `parent`. Returns what is left of the text.
fn expand<'a>(text: &'a str, parent: &str, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest, parent, found).trim_start();
            match rest.strip_prefix(',') {
                Some(after) if !after.trim_start().starts_with('}') => rest = after,
                Some(after) => return after.trim_start().strip_prefix('}').unwrap_or(after),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let path = [parent, name].join("/");
    let path = path.trim_matches('/');
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(rest, path, found);
    }
    found.push(path.to_owned());
    rest
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Mentions of modules that a source may not know.
pub fn forbidden(sources: &[Source]) -> Vec<String> {
    let modules: Vec<_> = MAY_KNOW.iter().map(|(module, _)| *module).collect();
    let known = |path: &str| modules.contains(&top(path)) || ["app", "cli"].contains(&top(path));
    let mut broken = Vec::new();
    for source in sources {
        let own = top(&source.path);
        let Some((_, may)) = MAY_KNOW.iter().find(|(module, _)| *module == own) else {
            continue;
        };
        let mentioned = mentioned(source).into_iter().filter(|path| known(path));
        let mentioned = mentioned.filter(|path| top(path) != own && !may.contains(&top(path)));
        broken.extend(mentioned.map(|path| format!("{} knows {path}", source.path)));
    }
    broken
}

/// The feature of `auth` that a path lies in. A feature is a folder; a flat file of that name is none yet.
fn feature<'a>(path: &'a str, sources: &[Source]) -> Option<&'a str> {
    let name = top(path.strip_prefix("auth/")?);
    let folder = format!("auth/{name}/");
    let is_known = FIRST_FEATURES.contains(&name) || LAST_FEATURES.contains(&name);
    let is_folder = sources
        .iter()
        .any(|source| source.path.starts_with(&folder));
    (is_known && is_folder).then_some(name)
}

/// Whether one feature may know another.
fn comes_before(known: &str, own: &str) -> bool {
    let position = |name: &str| FIRST_FEATURES.iter().position(|first| *first == name);
    match (position(known), position(own)) {
        (Some(known), Some(own)) => known < own,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Mentions of a feature by one that comes before it, or beside it.
pub fn out_of_order(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let Some(own) = feature(&source.path, sources) else {
            continue;
        };
        for path in mentioned(source) {
            let known = feature(&path, sources).filter(|known| *known != own);
            if known.is_some_and(|known| !comes_before(known, own)) {
                broken.push(format!("{} knows {path}", source.path));
            }
        }
    }
    broken
}

/// Sources that know both `auth` and `platform`, and may not.
pub fn meets_both(sources: &[Source]) -> Vec<String> {
    let elsewhere = sources
        .iter()
        .filter(|source| !MAY_KNOW_BOTH.iter().any(|module| source.is_in(module)));
    let both = elsewhere.filter(|source| {
        let mentioned = mentioned(source);
        ["auth", "platform"]
            .iter()
            .all(|module| mentioned.iter().any(|path| top(path) == *module))
    });
    both.map(|source| source.path.clone()).collect()
}

/// Words that stand outside of the modules that own them.
pub fn touched_elsewhere(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let code = source.code();
        for (word, owners) in OWNED {
            let begins_a_word = |(start, _)| {
                let before = code[..start].chars().next_back().unwrap_or(' ');
                !(before.is_alphanumeric() || before == '_')
            };
            let stands = code.match_indices(word).any(begins_a_word);
            if stands && !owners.iter().any(|owner| source.is_in(owner)) {
                broken.push(format!("{}: {word}", source.path));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, text: &str) -> Vec<Source> {
        vec![Source::new(path, text)]
    }

    #[test]
    fn each_module_is_seen_to_know_too_much() {
        for (path, text) in [
            ("model/user", "use crate::clock::Clock;"),
            ("crypto/keys", "use crate::store::Store;"),
            ("outbound/mail", "fn f() { crate::auth::f() }"),
            ("store/engine/read", "use crate::core::Core;"),
            ("store", "use super::auth;"),
            ("core/audit", "use crate::{model::User, auth::login};"),
            ("platform/team", "use crate::auth::session;"),
            ("auth/login", "use crate::http::Reply;"),
            ("http/api/login", "use crate::store::Class;"),
            ("telemetry/logs", "use crate::model::{User};\n"),
            ("dev/redis", "use crate::app;"),
        ] {
            assert_eq!(forbidden(&one(path, text)).len(), 1, "{path}: {text}");
        }
        for (path, text) in [
            (
                "store/engine/read",
                "use crate::{clock::Clock, model::{User, Id}};",
            ),
            ("model/user", "// use crate::clock;\nuse super::Id;"),
            ("app", "use crate::{auth, store};"),
            ("core", "x\n#[cfg(test)]\nmod tests { use crate::auth; }"),
            ("http/dispatch/tests/x", "use crate::crypto::Keys;"),
        ] {
            assert_eq!(forbidden(&one(path, text)), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn features_out_of_order_are_seen() {
        let tree = |path: &str, text: &str| {
            let features = FIRST_FEATURES.iter().chain(LAST_FEATURES);
            let mut tree: Vec<_> = features
                .map(|name| Source::new(&format!("auth/{name}/x"), ""))
                .collect();
            tree.push(Source::new(path, text));
            tree
        };
        for (path, text) in [
            ("auth/session/list", "use crate::auth::login::Attempt;"),
            ("auth/session", "use super::device;"),
            ("auth/device/trust", "use super::super::login;"),
            (
                "auth/password/change",
                "use crate::auth::{session, recovery::Token};",
            ),
            (
                "auth/passkey",
                "fn f() { crate::auth::second_factor::verify() }",
            ),
        ] {
            assert_eq!(out_of_order(&tree(path, text)).len(), 1, "{path}: {text}");
        }
        for (path, text) in [
            ("auth/login/attempt", "use crate::auth::{device, session};"),
            (
                "auth/passkey/login",
                "use crate::auth::{login, passkey::Key};",
            ),
            ("auth/session/list", "use crate::core::Core;"),
        ] {
            assert_eq!(out_of_order(&tree(path, text)), [""; 0], "{path}: {text}");
        }
        let flat = [
            Source::new("auth/login", "use super::second_factor;"),
            Source::new("auth/second_factor", ""),
        ];
        assert_eq!(out_of_order(&flat), [""; 0], "files are no features yet");
    }

    #[test]
    fn a_meeting_outside_of_the_api_is_seen() {
        let text = "use crate::auth::login;\nuse crate::platform::team;";
        assert_eq!(
            meets_both(&one("http/dispatch/access", text)),
            ["http/dispatch/access"]
        );
        assert_eq!(meets_both(&one("http/api/teams", text)), [""; 0]);
        let one_of_them = "use crate::auth::login;";
        assert_eq!(meets_both(&one("http/dispatch", one_of_them)), [""; 0]);
    }

    #[test]
    fn words_outside_of_their_modules_are_seen() {
        for (word, _) in OWNED {
            let text = format!("fn f() {{ {word}x }}");
            let broken = touched_elsewhere(&one("auth/login", &text));
            assert_eq!(broken.len(), 1, "{word}");
        }
        let own = "use fred::Client; use sqlx::query;";
        assert_eq!(touched_elsewhere(&one("store/redis", own)), [""; 0]);
        assert_eq!(touched_elsewhere(&one("auth", "use alfred::x;")), [""; 0]);
    }
}
