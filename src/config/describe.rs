//! A configuration as `check-config` and the documents show it.

use std::fmt;

use super::setting::{self, Setting};
use super::{Config, RedisParts};

/// Origin of a setting's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave it.
    #[default]
    Default,
    /// The variable `NAME`.
    Environment,
    /// The file that `NAME_FILE` names.
    File,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::File => "file",
        })
    }
}

/// One setting as `check-config` and the documents show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Concern that it belongs to, as a sentence.
    pub concern: &'static str,
    /// The environment variable.
    pub name: &'static str,
    /// Purpose, in sentences (Markdown).
    pub about: &'static str,
    /// Completes the sentence "allowed: …".
    pub allowed: String,
    /// Its value, secrets masked; empty when there is none.
    pub value: String,
    /// Origin of the value.
    pub source: Source,
}

/// All settings with their values.
pub(super) fn describe(config: &Config) -> Vec<Described> {
    let of_concern = |concern: &'static setting::Concern| {
        let described = |setting: &'static Setting| Described {
            concern: concern.title,
            name: setting.name,
            about: setting.about,
            allowed: (setting.allowed)(),
            value: shown(setting, config),
            source: source(setting, config),
        };
        concern.settings.iter().map(described)
    };
    setting::CONCERNS.iter().flat_map(of_concern).collect()
}

fn source(setting: &Setting, config: &Config) -> Source {
    config.given.get(setting.name).copied().unwrap_or_default()
}

/// The value, or where to look for it when it went into another setting.
fn shown(setting: &Setting, config: &Config) -> String {
    let mut parts = RedisParts::CONCERN.settings.iter();
    let is_given = source(setting, config) != Source::Default;
    if is_given && parts.any(|part| part.name == setting.name) {
        "(see REDIS_URL)".to_owned()
    } else {
        (setting.show)(config)
    }
}
