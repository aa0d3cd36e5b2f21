//! Plain data of the domain and its legal transitions. Imports nothing of ours.

mod audit;
mod code;
mod device_name;
mod id;
mod identifier;
mod password;
mod session;
mod time;
mod user;

pub use audit::{Action, AuditEvent};
pub use code::{BackupCode, SixDigits};
pub use device_name::device_name;
pub use id::{AuditId, Id, IdError, Partition, SessionId, UserId};
pub use identifier::{Email, Identifier, IdentifierError, IdentifierKind, Username};
pub use password::{Password, PasswordError};
pub use session::{Issue, Lifetimes, Presented, Rotation, Seen, Session, Successor};
pub use time::Timestamp;
pub use user::User;
