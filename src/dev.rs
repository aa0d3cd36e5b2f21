//! Private Redis and PostgreSQL for one machine: used by `sallyport dev`, by the tests and the benches.
//!
//! Servers are found on the machine ([`Binaries`]) and run as children with data, ports and passwords of
//! their own. The system's own services are never touched. Each child is watched by a tiny shell that
//! ends it when this process is gone, however it went; what is left over in spite of that is ended before
//! the next start. Servers listen on loopback, below the range from which the kernel takes outgoing
//! ports, and ask for a random password: other users of the machine stay outside.

mod binaries;
mod cluster;
mod folder;
mod owner;
mod port;
mod postgres;
mod process;
mod redis;
mod redis_wire;
mod set;

pub use binaries::{Binaries, SearchPath};
pub use cluster::PrivateCluster;
pub use folder::{LockedFolder, ThrowawayFolder};
pub use port::free as free_port;
pub use postgres::PrivatePostgres;
pub use redis::{AppendFsync, PrivateRedis, RedisOptions};
pub use set::ThrowawayStores;

use std::path::{Path, PathBuf};

use crate::clock;

/// Whether a private server and its data outlive this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Data is kept and synced to disk; the server is ended in an orderly way.
    Lasting,
    /// For tests: nothing is synced, and the end is abrupt.
    Throwaway,
}

/// Why a private server cannot be had. The text is for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error(
        "{program} was not found. On Debian and Ubuntu: apt-get install {package}. \
         Elsewhere install {name}, or set {variable} to the folder of its programs."
    )]
    Missing {
        /// The program searched for.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
        /// What people call it.
        name: &'static str,
        /// The variable that says where it is.
        variable: &'static str,
    },
    /// Something with a file, a folder or a process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, and with which path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server ended while it started, or did not get ready.
    #[error("{program} did not start ({why}). The end of {}:\n{tail}", log.display())]
    NotStarted {
        /// Which server.
        program: &'static str,
        /// Ended, or too slow.
        why: String,
        /// Its log.
        log: PathBuf,
        /// Last lines of its log.
        tail: String,
    },
    /// A server or a program refused what was asked of it.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Wraps an I/O error with what was tried.
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn not_started(program: &'static str, why: &str, log: &Path) -> Self {
        Self::NotStarted {
            program,
            why: why.to_owned(),
            log: log.to_owned(),
            tail: folder::tail(log, 8),
        }
    }
}

/// A password of 128 random bits, in hexadecimal.
fn new_password() -> String {
    hex::encode(clock::random::<16>())
}
