//! CPU only: password hashing and its pool, codes, tokens, keys, sealing of secrets.

mod access_token;
mod api_key;
mod cursor;
mod hash_pool;
mod keys;
mod mac;
mod one_time_code;
mod opaque_token;
mod sealer;
mod totp;

pub use access_token::{AccessTokens, Claims, IMPLICIT_ASSERTION};
pub use api_key::ApiKeyToken;
pub use cursor::Cursors;
pub use hash_pool::{
    CodeSet, HashError, HashPermit, HashPool, HashTime, PoolState, Verified, draw_backup_codes,
};
pub use keys::{KeyError, KeyInfo, Keys, Rotation, SealingKeyInfo, Window};
pub use one_time_code::OneTimeCodes;
pub use opaque_token::{OpaqueTokens, Opened, TokenKind};
pub use sealer::{SealContext, SealError, Sealer};
pub use totp::{QrError, TotpSecret, step_at};

/// A token that is forged, foreign, malformed or outside its validity. The reason is not told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid token")]
pub struct InvalidToken;
