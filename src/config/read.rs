//! Reads the environment through the declared settings, and reports every mistake at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use super::setting::{self, Setting};
use super::{Config, Mode, Source, check, dev, outbound, postgres, redis, safety, unknown};

/// Variables that the process was started with.
pub(super) type Environment = BTreeMap<String, OsString>;

/// Longest file that a setting is read from, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// Its value, if that matters; masked when secret.
    pub was: Option<String>,
    /// Allowed values, or advice.
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

/// Text of one variable, and where it was written.
struct Given {
    text: String,
    source: Source,
}

/// Reads everything, checks everything.
pub(super) fn read(mode: Mode, environment: &Environment) -> Result<Config, Vec<Problem>> {
    let mut config = Config::default();
    let mut problems = unknown::problems(environment);
    for setting in setting::all() {
        problems.extend(read_setting(setting, environment, &mut config).err());
    }
    redis::assemble_url(&mut config, &mut problems);
    outbound::note_host(&mut config);
    outbound::note_service(&mut config, &mut problems);
    postgres::take_parameters(&mut config, &mut problems);
    postgres::note_way(&mut config);
    dev::note_given(&mut config, environment);
    dev::prefer_text(mode, &mut config);
    safety::note_unused(&mut config, environment);
    problems.extend(check::problems(mode, &config));
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

fn read_setting(
    setting: &Setting,
    environment: &Environment,
    config: &mut Config,
) -> Result<(), Problem> {
    let Some(given) = given(setting.name, environment)? else {
        return Ok(());
    };
    if !(setting.read)(config, &given.text) {
        let advice = format!("allowed: {}", (setting.allowed)());
        return Err(Problem::new(setting.name, advice).was((setting.quote)(&given.text)));
    }
    config.given.insert(setting.name, given.source);
    Ok(())
}

/// An empty variable is as good as none: that is how composing tools leave one out.
fn given(name: &str, environment: &Environment) -> Result<Option<Given>, Problem> {
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
