//! Login with a first factor, and registration. Every way of logging in ends in `first_factor`.

mod challenge;
mod failure_limits;
mod first_factor;
mod prove_password;
mod register;
mod subject;
mod with_password;

pub use challenge::ChallengeIssued;
pub(crate) use challenge::missing_factors;
pub(crate) use first_factor::{login_event, signed_in};
pub(crate) use prove_password::{Evidence, prove_again};
pub use register::{Registration, register};
pub use with_password::{Credentials, LoginOutcome, with_password};

use super::device::DeviceToken;
use super::session::RefreshToken;
use crate::core::Durability;
use crate::model::User;

/// Tokens of a session that was issued.
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// Access token.
    pub access_token: String,
    /// Refresh token.
    pub refresh_token: RefreshToken,
    /// Stores that have the grant so far.
    pub durability: Durability,
    /// The newest token of a trusted device, where one logged in or was trusted just now.
    pub device_token: Option<DeviceToken>,
    /// Number of backup codes left, after one was used.
    pub backup_codes_left: Option<usize>,
    /// Whether a second factor must be set up before anything else.
    pub owes_second_factor: bool,
}
