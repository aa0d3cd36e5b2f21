//! The scripts, in one registry. Each says in its first lines what keys and arguments it takes and what it returns.

use fred::types::scripts::Script;

/// A script by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Commit,
    Hydrate,
    Trim,
    Sweep,
    Incarnate,
    Limit,
    GiveBack,
    Release,
    Keep,
    Collect,
    Settle,
}

/// Label in metrics and source of each script, in the order of [`Op`].
const SOURCES: [(&str, &str); 11] = [
    ("commit", include_str!("scripts/commit.lua")),
    ("hydrate", include_str!("scripts/hydrate.lua")),
    ("trim", include_str!("scripts/trim.lua")),
    ("sweep", include_str!("scripts/sweep.lua")),
    ("incarnate", include_str!("scripts/incarnate.lua")),
    ("limit", include_str!("scripts/limit.lua")),
    ("give_back", include_str!("scripts/give_back.lua")),
    ("release", include_str!("scripts/release.lua")),
    ("keep", include_str!("scripts/keep.lua")),
    ("collect", include_str!("scripts/collect.lua")),
    ("settle", include_str!("scripts/settle.lua")),
];

/// The scripts with their digests.
#[derive(Debug)]
pub(super) struct Scripts([Script; SOURCES.len()]);

impl Op {
    pub(super) fn label(self) -> &'static str {
        SOURCES[self as usize].0
    }
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self(SOURCES.map(|(_, source)| Script::from_lua(source)))
    }

    pub(super) fn of(&self, op: Op) -> &Script {
        &self.0[op as usize]
    }
}
