//! Settings of API keys. Their limit stands with the others.

use super::form::{Choice, Number};
use super::setting::settings;

settings! {
    /// API keys.
    pub struct ApiKeys = config.api_keys {
        /// Prefix of new keys, `pk_live_` or `pk_test_`, by which people and scanners tell deployments apart. Keys that
        /// were made before keep theirs.
        mode: ApiKeyMode = ApiKeyMode::Live, "API_KEY_MODE", MODE;
        /// How many API keys an account may have, revoked and expired ones that it has not deleted included.
        max_per_account: usize = 50, "MAX_API_KEYS_PER_ACCOUNT", Number(1..=200);
    }
}

const MODE: Choice<ApiKeyMode> = Choice(&[("live", ApiKeyMode::Live), ("test", ApiKeyMode::Test)]);

/// Kind of deployment that an API key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyMode {
    /// People depend on it.
    Live,
    /// Nobody does.
    Test,
}

impl ApiKeyMode {
    /// Prefix of its keys.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "pk_live_",
            Self::Test => "pk_test_",
        }
    }
}
