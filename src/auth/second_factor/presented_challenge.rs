//! A challenge that a client presents with its `tempToken`, and the records that decide over it.

use crate::auth::device::trust::{self, NewDevice, Trust};
use crate::auth::login::missing_factors;
use crate::auth::session::{self, FirstRefreshToken};
use crate::core::{Client, Core, Error, Limit, ProblemKind, limits};
use crate::crypto::TokenKind;
use crate::model::{
    Challenge, ChallengeId, CodesId, Factors, FactorsId, SentCodes, Timestamp, User, UserId,
};

/// A challenge whose `tempToken` was presented.
pub(super) struct PresentedChallenge {
    pub(super) id: ChallengeId,
    pub(super) user_id: UserId,
    hash: String,
    user_agent: String,
    pub(super) now: Timestamp,
    /// The session that begins when it is met.
    pub(super) first: FirstRefreshToken,
    /// The device that shall be trusted.
    pub(super) device: Option<NewDevice>,
}

/// A challenge that is open, and everything that a login with a second factor is decided by.
pub(super) struct OpenChallenge {
    pub(super) challenge: Challenge,
    pub(super) user: User,
    pub(super) factors: Factors,
    pub(super) codes: SentCodes,
}

/// Keys of an [`OpenChallenge`].
pub(super) type ChallengeKeys = ((ChallengeId, UserId), (FactorsId, CodesId));
/// Records of an [`OpenChallenge`], as far as they were found.
pub(super) type ChallengeRecords = (
    (Option<Challenge>, Option<User>),
    (Option<Factors>, Option<SentCodes>),
);

impl PresentedChallenge {
    /// Opens a `tempToken` and finds the account of its login. A token of ours is counted by its challenge, any
    /// other text by address. Nothing is taken from a limit of the account yet, and a challenge that is over, or
    /// presented by another client, takes nothing from its owner's.
    ///
    /// # Errors
    /// [`ProblemKind::ChallengeExpired`]; [`Error::RateLimited`]; [`Error::StoreAway`].
    pub(super) async fn open(
        core: &Core,
        client: &Client,
        temp_token: &str,
        trust: Option<&Trust>,
    ) -> Result<Self, Error> {
        let Ok(opened) = core.opaque_tokens.open(TokenKind::Challenge, temp_token) else {
            limits::take(core, client, Limit::Anonymous).await?;
            return Err(Error::Refused(ProblemKind::ChallengeExpired));
        };
        limits::take(core, client, Limit::Token(opened.id)).await?;
        let id = ChallengeId::from(opened.id);
        let (hash, now) = (opened.hash(), core.clock.now());
        let open = |one: &Challenge| one.has_tries() && one.is_for(&hash, &client.user_agent, now);
        // One that was open when it was last seen is judged again when the code is.
        let seen = core.store.last_seen(id).flatten().filter(open);
        let challenge = match seen {
            Some(challenge) => Some(challenge),
            None => core.store.read(id).await?.filter(open),
        };
        let challenge = challenge.ok_or(ProblemKind::ChallengeExpired)?;
        let user_id = challenge.user_id;
        Ok(Self {
            id,
            user_id,
            hash,
            user_agent: client.user_agent.clone(),
            now,
            first: session::new_session(core, user_id),
            device: trust.map(|trust| trust::new_device(core, client, user_id, trust)),
        })
    }

    /// Keys of its records.
    pub(super) fn keys(&self) -> ChallengeKeys {
        let user = self.user_id;
        ((self.id, user), (user.factors(), user.codes()))
    }

    /// The challenge with its records, when it is still open. Lockouts and changes of password count here, when
    /// it is decided, and not when the challenge was issued.
    ///
    /// # Errors
    /// [`ProblemKind::ChallengeExpired`].
    pub(super) fn admit(&self, records: ChallengeRecords) -> Result<OpenChallenge, Error> {
        let ((Some(challenge), Some(user)), (factors, codes)) = records else {
            return Err(Error::Refused(ProblemKind::ChallengeExpired));
        };
        challenge.admit(&self.hash, &user, &self.user_agent, self.now)?;
        Ok(OpenChallenge {
            factors: factors.ok_or_else(|| missing_factors(user.id))?,
            codes: codes.unwrap_or_else(|| SentCodes::none(user.id.codes())),
            challenge,
            user,
        })
    }
}
