//! The walls of the house: who may know whom, and where certain things may be touched at all.

use std::fs;
use std::path::{Path, PathBuf};

/// What a room (a path below `src/`) may never mention. Strings are matched in code, not in comments.
const WALLS: &[(&str, &[&str])] = &[
    (
        "model",
        &[
            "crate::store",
            "crate::crypto",
            "crate::outbound",
            "crate::auth",
            "crate::http",
            "crate::config",
            "crate::clock",
        ],
    ),
    (
        "crypto",
        &[
            "crate::store",
            "crate::auth",
            "crate::http",
            "crate::outbound",
            "fred::",
            "sqlx::",
            "hyper::",
        ],
    ),
    (
        "store",
        &[
            "crate::auth",
            "crate::http",
            "crate::crypto",
            "crate::outbound",
            "hyper::",
            "http::",
        ],
    ),
    (
        "auth",
        &[
            "crate::http",
            "crate::dev",
            "crate::app",
            "hyper::",
            "fred::",
            "sqlx::",
        ],
    ),
    (
        "http",
        &[
            "crate::store",
            "crate::app",
            "crate::dev",
            "fred::",
            "sqlx::",
        ],
    ),
    (
        "dev",
        &[
            "crate::store",
            "crate::auth",
            "crate::http",
            "crate::app",
            "hyper::",
        ],
    ),
    (
        "outbound",
        &[
            "crate::store",
            "crate::auth",
            "crate::http",
            "crate::crypto",
            "crate::app",
            "crate::dev",
            "fred::",
            "sqlx::",
        ],
    ),
    (
        "telemetry",
        &[
            "crate::store",
            "crate::auth",
            "crate::http",
            "crate::app",
            "crate::crypto",
        ],
    ),
    (
        "config",
        &[
            "crate::store",
            "crate::auth",
            "crate::http",
            "crate::app",
            "crate::crypto",
        ],
    ),
];

/// What may be touched in one room alone.
const OWNED: &[(&str, &[&str])] = &[
    ("fred::", &["store"]),
    ("sqlx::", &["store"]),
    ("hyper::", &["http", "outbound"]),
    ("hyper_util::", &["http", "outbound"]),
    ("hyper_rustls::", &["outbound"]),
    // The configuration asks only whether a mailbox is one.
    ("lettre::", &["outbound", "config/outbound/email"]),
    ("std::env::var", &["config"]),
    ("SystemTime::now", &["clock"]),
    ("Instant::now", &["clock"]),
    ("getrandom::", &["clock"]),
    ("\":meta\"", &["store/redis/keys"]),
    ("spawn_blocking", &[]),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Each source below `src/`: its path without extension, and its code without comments and tests.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .expect("below src")
            .with_extension("");
        let text = fs::read_to_string(&path).expect("source");
        let text = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
            .to_owned();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        (
            name.to_string_lossy().into_owned(),
            lines.collect::<Vec<_>>().join("\n"),
        )
    };
    paths.into_iter().map(read).collect()
}

fn is_in(name: &str, room: &str) -> bool {
    name == room || name.starts_with(&format!("{room}/"))
}

/// Whether `word` occurs where a path could begin.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || before == ':')
    })
}

#[test]
fn no_room_reaches_past_its_neighbours() {
    let mut broken = Vec::new();
    for (name, code) in code() {
        for (_, forbidden) in WALLS.iter().filter(|(room, _)| is_in(&name, room)) {
            broken.extend(
                forbidden
                    .iter()
                    .filter(|word| mentions(&code, word))
                    .map(|word| format!("{name}: {word}")),
            );
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_belongs_to_one_room_is_touched_nowhere_else() {
    let mut broken = Vec::new();
    for (name, code) in code() {
        for (word, rooms) in OWNED {
            if code.contains(word)
                && mentions(&code, word)
                && !rooms.iter().any(|room| is_in(&name, room))
            {
                broken.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_file_is_longer_than_500_lines_and_each_says_why_it_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).expect("source");
        assert!(
            text.lines().count() <= 500,
            "{} is too long",
            path.display()
        );
        assert!(
            text.starts_with("//!"),
            "{} does not say why it exists",
            path.display()
        );
    }
}

#[test]
fn every_script_tells_its_keys_arguments_and_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/scripts");
    for entry in fs::read_dir(folder).expect("scripts") {
        let path = entry.expect("entry").path();
        let text = fs::read_to_string(&path).expect("script");
        for part in ["-- KEYS", "-- ARGV", "-- Returns"] {
            assert!(text.contains(part), "{}: {part}", path.display());
        }
    }
}
