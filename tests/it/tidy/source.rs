//! Sources as the rules see them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file: its path below a folder, without extension, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// A made-up source, to show to a rule.
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Whether it is `module`, or below it.
    pub fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Its code without comments and tests; nothing where all of it is tests.
    pub fn code(&self) -> String {
        if self.path.split('/').any(|part| part == "tests") {
            return String::new();
        }
        let code = self.text.split("#[cfg(test)]\nmod tests").next();
        let lines = code.unwrap_or_default().lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// All Rust sources below a folder of the project; none where it does not exist.
pub fn sources(folder: &str) -> Vec<Source> {
    files(folder, "rs")
}

/// The scripts that Redis runs.
pub fn lua_scripts() -> Vec<Source> {
    files("src/store", "lua")
}

fn files(folder: &str, extension: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    collect(&root, extension, &mut paths);
    paths.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source"),
        path: {
            let name = path.strip_prefix(&root).expect("below the folder");
            name.with_extension("").to_string_lossy().into_owned()
        },
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, extension, into);
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
}
