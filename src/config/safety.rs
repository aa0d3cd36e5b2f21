//! Settings that are understood and yet unsafe. `check-config` tells of all of them; errors stop `serve` and `worker`
//! unless `ALLOW_UNSAFE` names their code.

mod proxies;
mod reach;
mod rules;

use std::fmt;

use super::form::{Form, List};
use super::setting::{self, settings};
use super::{Config, Environment};
use rules::RULES;

settings! {
    /// Unsafe settings.
    pub struct Safety = config.safety {
        /// Codes of the errors, as `sallyport check-config` prints them, with which `serve` and `worker` start all the
        /// same; `all` is for tests.
        allow_unsafe: Vec<&'static str> = Vec::new(), "ALLOW_UNSAFE", List(Code);
        also {
            /// Secrets in the environment that nothing reads: `JWT_SECRET` and its like.
            unused_secrets: Vec<String> = Vec::new();
            /// Settings of the Node service that nothing reads.
            unused_settings: Vec<String> = Vec::new();
        }
    }
}

/// Word of `ALLOW_UNSAFE` for every code.
const ALL: &str = "all";

/// Form of one code in `ALLOW_UNSAFE`.
struct Code;

impl Form for Code {
    type Value = &'static str;

    fn parse(&self, text: &str) -> Option<&'static str> {
        let mut codes = errors().map(|rule| rule.code).chain([ALL]);
        codes.find(|code| *code == text)
    }

    fn show(&self, value: &&'static str) -> String {
        (*value).to_owned()
    }

    fn allowed(&self) -> String {
        let codes: Vec<_> = errors().map(|rule| rule.code).chain([ALL]).collect();
        codes.join(", ")
    }
}

fn errors() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| rule.severity == Severity::Error)
}

/// Weight of a [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Stops `serve` and `worker` unless `ALLOW_UNSAFE` names the code.
    Error,
    /// Is told in the log and by `check-config`.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One judgement over a configuration.
#[derive(Debug)]
pub struct Rule {
    /// Stable word, for `ALLOW_UNSAFE`.
    pub code: &'static str,
    /// Weight.
    pub severity: Severity,
    /// Danger, as a sentence.
    pub reason: &'static str,
    /// Remedy, as a sentence.
    pub advice: &'static str,
    /// Names of the settings that break the rule.
    broken_by: fn(&Config) -> Vec<String>,
}

/// Every rule, for the documents.
#[must_use]
pub fn rules() -> &'static [Rule] {
    RULES
}

/// A rule that a configuration breaks.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Settings that break it, with their values; secrets are masked.
    pub settings: Vec<String>,
    /// Whether `ALLOW_UNSAFE` names its code.
    pub is_allowed: bool,
}

impl Finding {
    /// Whether it stops the start.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.rule.severity == Severity::Error && !self.is_allowed
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule {
            code,
            severity,
            reason,
            advice,
            ..
        } = self.rule;
        let settings = self.settings.join(", ");
        let allowed = if self.is_allowed {
            " (ALLOW_UNSAFE names it)"
        } else {
            ""
        };
        write!(
            f,
            "{severity} {code}{allowed}: {settings}. {reason} {advice}"
        )
    }
}

/// Every rule that the configuration breaks, errors first.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let named = &config.safety.allow_unsafe;
    let finding = |rule: &'static Rule| {
        let broken_by = (rule.broken_by)(config);
        (!broken_by.is_empty()).then(|| Finding {
            rule,
            settings: broken_by.iter().map(|name| shown(config, name)).collect(),
            is_allowed: named.contains(&rule.code) || named.contains(&ALL),
        })
    };
    RULES.iter().filter_map(finding).collect()
}

fn shown(config: &Config, name: &str) -> String {
    match setting::all().find(|setting| setting.name == name) {
        Some(setting) => format!("{name}={}", (setting.show)(config)),
        None => name.to_owned(),
    }
}

/// Settings of the Node service that look like ours and are not.
const UNUSED: [&str; 2] = ["BCRYPT_ROUNDS", "CORS_ORIGIN"];

/// Whether a name is one of the Node service's that is only told of.
pub(super) fn is_unused(name: &str) -> bool {
    UNUSED.contains(&name)
}

/// Notes what other services read and this one does not.
pub(super) fn note_unused(config: &mut Config, environment: &Environment) {
    let given = environment.iter().filter(|(_, text)| !text.is_empty());
    let given = given.map(|(name, _)| name);
    let (secrets, others): (Vec<_>, Vec<_>) = given.partition(|name| name.starts_with("JWT_"));
    config.safety.unused_secrets = secrets.into_iter().cloned().collect();
    let others = others.into_iter().filter(|name| is_unused(name));
    config.safety.unused_settings = others.cloned().collect();
}

#[cfg(test)]
mod tests;
