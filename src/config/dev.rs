//! Settings of `sallyport dev`, and what it has to know about the others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::Source;
use super::read::Environment;

/// What only `sallyport dev` needs.
#[derive(Clone, Debug)]
pub struct Dev {
    /// `DATA_DIR`: private stores and keys, kept between runs.
    pub data_dir: PathBuf,
    /// `PG_BIN`: folder of PostgreSQL's programs.
    pub pg_bin: Option<PathBuf>,
    /// `REDIS_BIN`: folder of `redis-server`.
    pub redis_bin: Option<PathBuf>,
    /// `PATH`, to find programs.
    pub path: Option<OsString>,
    /// Redis was given, so no private one is needed.
    pub redis_given: bool,
    /// `DATABASE_URL` was given, so no private PostgreSQL is needed.
    pub database_given: bool,
    /// `KEYS_FILE` was given.
    pub keys_file_given: bool,
}

impl Default for Dev {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".sallyport"),
            pg_bin: None,
            redis_bin: None,
            path: None,
            redis_given: false,
            database_given: false,
            keys_file_given: false,
        }
    }
}

impl Dev {
    /// Where to look for the programs of private stores.
    #[must_use]
    pub fn search_path(&self) -> crate::dev::SearchPath {
        crate::dev::SearchPath {
            pg_bin: self.pg_bin.clone(),
            redis_bin: self.redis_bin.clone(),
            path: self.path.clone(),
        }
    }

    pub(super) fn note_given(
        &mut self,
        given: &BTreeMap<&'static str, Source>,
        environment: &Environment,
    ) {
        self.path = environment.get("PATH").cloned();
        self.redis_given = given.contains_key("REDIS_URL");
        self.database_given = given.contains_key("DATABASE_URL");
        self.keys_file_given = given.contains_key("KEYS_FILE");
    }
}
