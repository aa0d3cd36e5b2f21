//! Errors of commands: whether the command was executed, and whether to send it again.

use std::fmt::{Debug, Display};
use std::sync::LazyLock;

use fred::error::{Error as RedisError, ErrorKind};

use crate::store::Error;
use crate::telemetry::{Sampler, names};

/// Bound on the lines about errors; the metric counts all. While Redis is away each request has one, and each partition.
static ERRORS: LazyLock<Sampler> = LazyLock::new(|| Sampler::new(10));

/// An answer of a server that did not execute the command, and where it may be executed soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Here or at another server that the client finds: the slot moves, or the server is starting.
    NotYet,
    /// At another server, which must be looked for anew: this one is no primary.
    WrongServer,
}

impl Refusal {
    /// The refusal that an error stands for.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        let begins = |words: &[&str]| words.iter().any(|word| error.details().starts_with(word));
        // The client's words for MOVED and ASK, which it is told not to follow.
        if error.kind() == &ErrorKind::Routing && begins(&["Too many redirections"]) {
            return Some(Self::NotYet);
        }
        if begins(&["TRYAGAIN", "MOVED ", "ASK ", "LOADING"]) {
            return Some(Self::NotYet);
        }
        begins(&["READONLY", "MASTERDOWN"]).then_some(Self::WrongServer)
    }
}

/// The operation did not happen, or does not matter when it did.
pub(super) fn refused(operation: &'static str, error: &RedisError) -> Error {
    count(operation, error);
    Error::Unavailable("redis")
}

/// The operation may have happened, unless it is certain that it was not sent or that the server refused
/// it. (After a disconnection the client answers commands in flight with errors of many kinds, and after
/// CLUSTERDOWN with that one.)
pub(super) fn uncertain(operation: &'static str, error: &RedisError) -> Error {
    count(operation, error);
    let never_sent = matches!(
        error.kind(),
        ErrorKind::Backpressure
            | ErrorKind::InvalidCommand
            | ErrorKind::InvalidArgument
            | ErrorKind::Auth
            | ErrorKind::Config
    );
    let refusals = [
        "OOM",
        "NOREPLICAS",
        "MISCONF",
        "NOSCRIPT",
        "NOPERM",
        "BUSY ",
        "ERR",
    ];
    let said_no = refusals
        .iter()
        .any(|word| error.details().starts_with(word));
    if never_sent || said_no || Refusal::of(error).is_some() {
        Error::Unavailable("redis")
    } else {
        Error::Unknown
    }
}

fn count(operation: &'static str, error: &(impl Debug + Display)) {
    metrics::counter!(names::REDIS_ERRORS, "kind" => operation).increment(1);
    if let Some(left_out) = ERRORS.admit() {
        tracing::warn!(operation, %error, left_out, "redis");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &'static str) -> RedisError {
        RedisError::new(ErrorKind::Unknown, text)
    }

    #[test]
    fn what_a_server_did_not_execute_is_never_an_unknown_outcome() {
        for (text, refusal) in [
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Some(Refusal::NotYet),
            ),
            ("MOVED 866 127.0.0.1:7001", Some(Refusal::NotYet)),
            ("ASK 866 127.0.0.1:7001", Some(Refusal::NotYet)),
            (
                "LOADING Redis is loading the dataset in memory",
                Some(Refusal::NotYet),
            ),
            (
                "READONLY You can't write against a read only replica.",
                Some(Refusal::WrongServer),
            ),
            (
                "MASTERDOWN Link with MASTER is down",
                Some(Refusal::WrongServer),
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                None,
            ),
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                None,
            ),
        ] {
            let error = answered(text);
            assert_eq!(Refusal::of(&error), refusal, "{text}");
            let meaning = uncertain("commit", &error);
            assert!(matches!(meaning, Error::Unavailable("redis")), "{text}");
        }
        let redirected = RedisError::new(ErrorKind::Routing, "Too many redirections.");
        assert_eq!(Refusal::of(&redirected), Some(Refusal::NotYet));
    }

    #[test]
    fn what_may_have_been_executed_is_unknown_and_not_sent_again() {
        for text in [
            "Request timed out.",
            "Connection closed.",
            "CLUSTERDOWN The cluster is down",
        ] {
            let error = answered(text);
            assert_eq!(Refusal::of(&error), None, "{text}");
            assert!(
                matches!(uncertain("commit", &error), Error::Unknown),
                "{text}"
            );
        }
    }
}
