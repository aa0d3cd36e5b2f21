//! Settings of `sallyport dev`, and which of the others were given.

use std::ffi::OsString;
use std::path::PathBuf;

use super::form::{Location, Maybe};
use super::read::Environment;
use super::setting::settings;
use super::{Config, LogFormat, Mode};

settings! {
    /// `sallyport dev`.
    pub struct Dev = config.dev {
        /// Folder in which `sallyport dev` keeps stores and keys between runs.
        data_dir: PathBuf = PathBuf::from(".sallyport"), "DATA_DIR", Location;
        /// Folder of PostgreSQL's programs for `sallyport dev`.
        pg_bin: Option<PathBuf> = None, "PG_BIN", Maybe(Location);
        /// Folder of `redis-server` for `sallyport dev`.
        redis_bin: Option<PathBuf> = None, "REDIS_BIN", Maybe(Location);
        also {
            /// `PATH`, to find programs.
            path: Option<OsString> = None;
            /// Whether Redis was given, so that no private one is needed.
            redis_given: bool = false;
            /// Whether `DATABASE_URL` was given, so that no private PostgreSQL is needed.
            database_given: bool = false;
            /// Whether `KEYS_FILE` was given.
            keys_file_given: bool = false;
        }
    }
}

impl Dev {
    /// Folders that are searched for the programs of private stores.
    #[must_use]
    pub fn search_path(&self) -> crate::dev::SearchPath {
        crate::dev::SearchPath {
            pg_bin: self.pg_bin.clone(),
            redis_bin: self.redis_bin.clone(),
            path: self.path.clone(),
        }
    }
}

/// Dev mode is read by people: its logs are text where nothing else is said.
pub(super) fn prefer_text(mode: Mode, config: &mut Config) {
    if mode == Mode::Dev && !config.given.contains_key("LOG_FORMAT") {
        config.telemetry.log_format = LogFormat::Text;
    }
}

/// Notes what `sallyport dev` has to provide itself.
pub(super) fn note_given(config: &mut Config, environment: &Environment) {
    let given = |name| config.given.contains_key(name);
    config.dev = Dev {
        path: environment.get("PATH").cloned(),
        redis_given: given("REDIS_URL"),
        database_given: given("DATABASE_URL"),
        keys_file_given: given("KEYS_FILE"),
        ..config.dev.clone()
    };
}
