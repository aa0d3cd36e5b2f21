//! Private Redis and PostgreSQL for one machine: used by `sallyport dev`, by the tests and the benches.
//!
//! Servers are found on the machine ([`Binaries`]) and run as children with data, ports and passwords of
//! their own. The system's own services are never touched. Each child is watched by a small shell script that
//! ends it when this process has ended, even by SIGKILL; a server that is left over in spite of that is ended before
//! the next start. Servers listen on loopback, below the range from which the kernel takes outgoing
//! ports, and ask for a random password: other users of the machine cannot use them.

mod binaries;
mod cluster;
mod folder;
mod owner;
mod port;
mod postgres;
mod process;
mod redis;
mod redis_protocol;
mod sentinel;
mod throwaway;

pub use binaries::{Binaries, SearchPath};
pub use cluster::PrivateCluster;
pub use folder::{LockedFolder, ThrowawayFolder};
pub use port::free as free_port;
pub use postgres::PrivatePostgres;
pub use redis::{AppendFsync, PrivateRedis, RedisOptions};
pub use sentinel::PrivateSentinel;
pub use throwaway::ThrowawayStores;

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

/// Reasons for which a private server cannot be had. The text is for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error(
        "{program} was not found. On Debian and Ubuntu: apt-get install {package}. \
         Elsewhere install {name}, or set {variable} to the folder of its programs."
    )]
    Missing {
        /// Program that was searched for.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
        /// Name of the product that it belongs to.
        name: &'static str,
        /// Variable that names its folder.
        variable: &'static str,
    },
    /// Something with a file, a folder or a process failed.
    #[error("{what}: {source}")]
    Io {
        /// Operation that was tried, with its path.
        what: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A server ended while it started, or did not get ready.
    #[error("{program} did not start ({why}). The end of {}:\n{tail}", log.display())]
    NotStarted {
        /// Name of the server.
        program: &'static str,
        /// Whether it ended or was too slow.
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
