//! Plain data of the domain and its legal transitions. Imports nothing of ours.

mod allowed_network;
mod api_key;
mod api_key_usage;
mod audit;
mod audit_search;
mod challenge;
mod code;
mod device;
mod device_name;
mod enrolment;
mod factors;
mod id;
mod identifier;
mod job;
mod network;
mod password;
mod phone_number;
mod roles;
mod rotation;
mod sent_codes;
mod served_numbers;
mod session;
mod strikes;
mod time;
mod user;

pub use allowed_network::{AllowedNetwork, AllowedNetworkError};
pub use api_key::{ApiKey, ApiKeyCreation, NewApiKey, ShownSecret};
pub use api_key_usage::{ApiKeyUsage, KeyOutcome, KeyRefusals};
pub use audit::{Action, ActionRow, Actor, ActorKind, AuditEvent, SecurityEvent};
pub use audit_search::{AuditEntry, AuditFilter, AuditScope};
pub use challenge::{Challenge, ChallengeClosed};
pub use code::{BackupCode, SixDigits};
pub use device::TrustedDevice;
pub use device_name::device_name;
pub use enrolment::{Enrolment, Proof};
pub use factors::{
    Authenticator, BackupCodes, Factors, Method, MethodKind, Removed, Trial, masked_email,
    masked_phone,
};
pub use id::{
    ApiKeyCreationId, ApiKeyId, AuditId, ChallengeId, CodesId, DeviceId, EnrolmentId, FactorsId,
    Id, IdError, JobId, MethodId, Partition, RolesId, SessionId, UserId,
};
pub use identifier::{Email, Identifier, IdentifierError, IdentifierKind, Username};
pub use job::Job;
pub use network::{Network, wide_network};
pub use password::{ForbiddenWords, Password, PasswordError};
pub use phone_number::{PhoneNumber, PhoneNumberError};
pub use roles::{DefinedRole, Roles};
pub use rotation::{Presented, Rotation, Successor};
pub use sent_codes::{SentCode, SentCodes};
pub use session::{ClientInfo, Lifetimes, NewSession, Session};
pub use strikes::Strikes;
pub use time::Timestamp;
pub use user::User;
