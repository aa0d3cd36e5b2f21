//! History of a run: every operation with the times of its beginning and end on one monotonic clock, its outcome as the
//! client saw it, and the faults in between.

use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sallyport::clock::Stopwatch;

/// Microseconds since the run began.
pub(super) type Micros = u64;

/// Number of an account in a run.
pub(super) type AccountNumber = usize;
/// Number of a session among those of its account.
pub(super) type SessionNumber = usize;

/// A code that counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Code {
    /// The code of a step of the authenticator that was enrolled as the account's `factor`-th.
    Totp {
        /// Number of the enrolment.
        factor: usize,
        /// Step of 30 s since the epoch.
        step: u64,
    },
    /// The `number`-th code of the account's `set`-th set.
    Backup {
        /// Number of the set.
        set: usize,
        /// Place in it.
        number: usize,
    },
}

/// An operation of a client on an account. Numbers count what the account had: passwords, sessions, factors, sets of
/// backup codes, devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Registration of the account, with its first password.
    Register,
    /// Login with a password, and perhaps with the token of a trusted device.
    Login {
        password: usize,
        device: Option<usize>,
    },
    /// Second factor of a login.
    Verify { code: Code },
    /// Change of password.
    ChangePassword {
        by: SessionNumber,
        from: usize,
        to: usize,
    },
    /// Question whether a session lives.
    Me { session: SessionNumber },
    /// Rotation of the refresh token of a generation.
    Refresh {
        session: SessionNumber,
        generation: usize,
    },
    /// End of the session by its own token.
    Logout { session: SessionNumber },
    /// End of one session by another.
    Revoke {
        by: SessionNumber,
        session: SessionNumber,
    },
    /// End of all sessions, perhaps but that which asks.
    RevokeAll { by: SessionNumber, keep: bool },
    /// Confirmation of an authenticator, which brings a set of backup codes.
    Enable { factor: usize, set: usize },
    /// Removal of the authenticator.
    Disable,
    /// A new set of backup codes in the place of the last.
    Generate { set: usize },
    /// Removal of all trusted devices.
    RemoveDevices,
}

/// A success, and what it brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gain {
    /// Nothing but the success.
    Nothing,
    /// A session, and perhaps a trusted device.
    Session {
        number: SessionNumber,
        device: Option<usize>,
    },
    /// The second factor is due.
    Challenge,
    /// The next refresh token.
    Token(String),
}

/// Outcome of an operation, as the contract lets the client understand the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It happened.
    Done(Gain),
    /// It was refused for what was asked (4xx): it did not happen.
    Refused(String),
    /// It was not done (503 that says so, or no connection): it did not happen.
    Unavailable(String),
    /// Nobody knows: it may have happened, or happen later.
    Unknown(String),
}

/// An operation with all that is known of it.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) account: AccountNumber,
    /// Number of the instance that was asked.
    pub(super) instance: usize,
    pub(super) action: Action,
    pub(super) invoked: Micros,
    pub(super) returned: Micros,
    pub(super) outcome: Outcome,
}

impl Operation {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_))
    }

    /// Whether it happened, or may have.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_) | Outcome::Unknown(_))
    }

    /// The session that it brought.
    pub(super) fn session(&self) -> Option<SessionNumber> {
        match self.outcome {
            Outcome::Done(Gain::Session { number, .. }) => Some(number),
            _ => None,
        }
    }
}

/// A fault, or what else the checker did to the servers.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) at: Micros,
    pub(super) what: String,
}

/// Everything that happened, as far as it has.
pub(super) struct History {
    clock: Stopwatch,
    operations: Mutex<Vec<Operation>>,
    happenings: Mutex<Vec<Happening>>,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            clock: Stopwatch::start(),
            operations: Mutex::default(),
            happenings: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Micros {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds an operation that has ended.
    pub(super) fn record(&self, operation: Operation) {
        locked(&self.operations).push(operation);
    }

    /// Adds what was done to the servers just now.
    pub(super) fn note(&self, what: impl Into<String>) {
        let (at, what) = (self.now(), what.into());
        locked(&self.happenings).push(Happening { at, what });
    }

    /// All operations by the time of their beginning, and all happenings.
    pub(super) fn read(&self) -> (Vec<Operation>, Vec<Happening>) {
        let mut operations = locked(&self.operations).clone();
        operations.sort_by_key(|operation| operation.invoked);
        (operations, locked(&self.happenings).clone())
    }
}

/// A panic while locked is reported by whoever panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display for Code {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Totp { factor, step } => {
                write!(f, "code of step {step} of authenticator {factor}")
            }
            Self::Backup { set, number } => write!(f, "backup code {number} of set {set}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register => write!(f, "register with password 0"),
            Self::Login { password, device } => {
                write!(f, "log in with password {password}")?;
                match device {
                    Some(device) => write!(f, " and device {device}"),
                    None => Ok(()),
                }
            }
            Self::Verify { code } => write!(f, "verify with {code}"),
            Self::ChangePassword { by, from, to } => {
                write!(f, "session {by} changes password {from} to {to}")
            }
            Self::Me { session } => write!(f, "session {session} asks who it is"),
            Self::Refresh {
                session,
                generation,
            } => write!(f, "session {session} refreshes with token {generation}"),
            Self::Logout { session } => write!(f, "session {session} logs out"),
            Self::Revoke { by, session } => write!(f, "session {by} ends session {session}"),
            Self::RevokeAll { by, keep: true } => write!(f, "session {by} ends all others"),
            Self::RevokeAll { by, keep: false } => write!(f, "session {by} ends all"),
            Self::Enable { factor, set } => {
                write!(f, "enable authenticator {factor} with backup codes {set}")
            }
            Self::Disable => write!(f, "remove the authenticator"),
            Self::Generate { set } => write!(f, "generate backup codes {set}"),
            Self::RemoveDevices => write!(f, "remove all devices"),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(Gain::Nothing | Gain::Token(_)) => write!(f, "done"),
            Self::Done(Gain::Session { number, device }) => {
                write!(f, "done: session {number}")?;
                match device {
                    Some(device) => write!(f, ", device {device}"),
                    None => Ok(()),
                }
            }
            Self::Done(Gain::Challenge) => write!(f, "done: second factor due"),
            Self::Refused(code) => write!(f, "refused: {code}"),
            Self::Unavailable(code) => write!(f, "not done: {code}"),
            Self::Unknown(why) => write!(f, "UNKNOWN: {why}"),
        }
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} – {}  instance {}  {} → {}",
            seconds(self.invoked),
            seconds(self.returned),
            self.instance,
            self.action,
            self.outcome
        )
    }
}

/// `12.345 s`
pub(super) fn seconds(micros: Micros) -> String {
    format!("{:>3}.{:03} s", micros / 1_000_000, micros / 1000 % 1000)
}
