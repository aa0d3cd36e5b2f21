//! A configuration as `check-config` shows it.

use std::fmt;

/// Where a setting's value came from.
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

/// One setting as `check-config` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The environment variable.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its value, secrets masked; empty when there is none.
    pub value: String,
    /// Where that came from.
    pub source: Source,
}
