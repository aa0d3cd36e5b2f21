//! Reads the environment through the table of settings, and reports every mistake at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use url::Url;

use super::rows::{ROWS, Row};
use super::{Config, Described, Mode, Source, check, unknown};

/// What the process was started with.
pub(super) type Environment = BTreeMap<String, OsString>;

/// Longest file that a setting is read from, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// What it was, if that matters; masked when secret.
    pub was: Option<String>,
    /// What is allowed, or what to do.
    pub advice: String,
}

impl Problem {
    pub(super) fn new(name: &str, advice: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            was: None,
            advice: advice.into(),
        }
    }

    pub(super) fn was(mut self, was: String) -> Self {
        self.was = Some(was);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.was {
            Some(was) => write!(f, "{} is {was}; {}", self.name, self.advice),
            None => write!(f, "{}: {}", self.name, self.advice),
        }
    }
}

/// A configuration in the making, with what only the reader needs to know.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) redis: RedisParts,
    pub(super) allow_unlimited: bool,
}

/// `REDIS_URL` in pieces.
#[derive(Default)]
pub(super) struct RedisParts {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) password: Option<String>,
    pub(super) tls: bool,
}

/// What one variable said, and where that was written.
struct Given {
    text: String,
    source: Source,
}

/// Reads everything, checks everything.
pub(super) fn read(mode: Mode, environment: &Environment) -> Result<Config, Vec<Problem>> {
    let mut draft = Draft::default();
    let mut problems = unknown::problems(environment);
    for row in ROWS {
        match given(row, environment) {
            Ok(None) => {}
            Ok(Some(given)) => {
                if (row.read)(&mut draft, &given.text) {
                    draft.config.given.insert(row.name, given.source);
                } else {
                    let advice = format!("allowed: {}", (row.allowed)());
                    problems.push(Problem::new(row.name, advice).was((row.quote)(&given.text)));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    assemble_redis_url(&mut draft, &mut problems);
    note_host(&mut draft.config);
    draft
        .config
        .dev
        .note_given(&draft.config.given, environment);
    problems.extend(check::problems(mode, &draft));
    if problems.is_empty() {
        Ok(draft.config)
    } else {
        Err(problems)
    }
}

/// All settings with their values.
pub(super) fn describe(config: &Config) -> Vec<Described> {
    let draft = Draft {
        config: config.clone(),
        ..Draft::default()
    };
    let described = |row: &Row| {
        let source = config.given.get(row.name).copied().unwrap_or_default();
        Described {
            name: row.name,
            about: row.about,
            value: shown(row, &draft, source),
            source,
        }
    };
    ROWS.iter().map(described).collect()
}

fn shown(row: &Row, draft: &Draft, source: Source) -> String {
    match row.name {
        // These went into REDIS_URL, or only mattered while reading.
        "REDIS_HOST" | "REDIS_PORT" | "REDIS_PASSWORD" | "REDIS_TLS_ENABLED"
            if source != Source::Default =>
        {
            "(see REDIS_URL)".to_owned()
        }
        "ALLOW_UNLIMITED" if source != Source::Default => "(given)".to_owned(),
        _ => (row.show)(draft),
    }
}

/// An empty variable is as good as none: that is how composing tools leave one out.
fn given(row: &Row, environment: &Environment) -> Result<Option<Given>, Problem> {
    let name = row.name;
    let file_name = format!("{name}_FILE");
    let present = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    match (present(name), present(&file_name)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::new(
            name,
            format!("give {name} or {file_name}, not both"),
        )),
        (Some(value), None) => in_utf8(name, value).map(|text| from_environment(name, text)),
        (None, Some(path)) => from_file(&file_name, path).map(Some),
    }
}

fn in_utf8<'a>(name: &str, value: &'a OsStr) -> Result<&'a str, Problem> {
    let advice = "is not UTF-8";
    value.to_str().ok_or_else(|| Problem::new(name, advice))
}

fn from_environment(name: &str, text: &str) -> Option<Given> {
    if unknown::is_service_link(name, text) {
        return None;
    }
    Some(Given {
        text: text.to_owned(),
        source: Source::Environment,
    })
}

fn from_file(name: &str, path: &OsStr) -> Result<Given, Problem> {
    let unreadable = |why: String| Problem::new(name, why).was(format!("{}", path.display()));
    let text = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(unreadable("the file is empty".to_owned()));
    }
    Ok(Given {
        text: text.to_owned(),
        source: Source::File,
    })
}

fn read_file(path: &OsStr) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("the file is longer than 64 KiB"));
    }
    Ok(text)
}

fn assemble_redis_url(draft: &mut Draft, problems: &mut Vec<Problem>) {
    let given = &draft.config.given;
    let names = [
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_PASSWORD",
        "REDIS_TLS_ENABLED",
    ];
    let Some(part) = names.iter().find(|name| given.contains_key(*name)) else {
        return;
    };
    if given.contains_key("REDIS_URL") {
        let advice = format!("give REDIS_URL or {part}, not both");
        problems.push(Problem::new("REDIS_URL", advice));
        return;
    }
    let source = given[part];
    match redis_url(&draft.redis) {
        Some(url) => {
            draft.config.redis.url = url;
            draft.config.given.insert("REDIS_URL", source);
        }
        None => problems.push(Problem::new("REDIS_HOST", "makes no URL; give REDIS_URL")),
    }
}

/// Codes and mails name the host that the world knows.
fn note_host(config: &mut Config) {
    let public = config.http.public_url.as_deref().map(Url::parse);
    if let Some(host) = public.and_then(|url| url.ok()?.host_str().map(str::to_owned)) {
        config.outbound.host = host;
    }
}

/// The URL's own setters escape what needs it.
fn redis_url(parts: &RedisParts) -> Option<String> {
    let scheme = if parts.tls { "rediss" } else { "redis" };
    let host = parts.host.as_deref().unwrap_or("127.0.0.1");
    let is_v6 = host.contains(':') && !host.starts_with('[');
    let host = if is_v6 {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut url = Url::parse(&format!("{scheme}://{host}")).ok()?;
    url.set_port(Some(parts.port.unwrap_or(6379))).ok()?;
    url.set_password(parts.password.as_deref()).ok()?;
    Some(url.to_string())
}
