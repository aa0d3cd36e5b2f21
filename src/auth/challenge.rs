//! The challenge between the two doors: issued for a first factor, presented with the second.

use std::time::Duration;

use super::device::{NewDevice, Trust, Trusted};
use super::sign_in::{Family, FirstFactor, Standing, Step, standing, write_login};
use super::{Auth, Client, Error, LoginOutcome};
use crate::crypto::{Opened, TokenKind};
use crate::model::{
    Action, Authenticator, Challenge, ChallengeId, DeviceId, Factors, SentCodes, Session, Spent,
    Timestamp, TrustedDevice, User, UserId,
};
use crate::store::{Class, Draft, Durability};

/// A second factor is due.
#[derive(Clone, Debug)]
pub struct ChallengeIssued {
    /// The `tempToken` that goes on with it.
    pub token: String,
    /// What it can be met with.
    pub offered: Vec<Authenticator>,
    /// What to ask for first.
    pub preferred: Option<Authenticator>,
    /// How long it is open.
    pub expires_in: Duration,
}

/// What becomes of somebody at the second door.
enum Second {
    /// A trusted device let them in.
    Trusted(User, Session, TrustedDevice),
    /// They must show a second factor.
    Asked(ChallengeIssued),
    /// What was proven no longer holds.
    Turned(Step),
}

/// Somebody who comes back with a `tempToken`.
pub(super) struct Ticket {
    pub(super) id: ChallengeId,
    pub(super) user_id: UserId,
    hash: String,
    user_agent: String,
    pub(super) now: Timestamp,
    /// The session that awaits them.
    pub(super) family: Family,
    /// The device that shall be trusted.
    pub(super) device: Option<NewDevice>,
}

/// What a login with a second factor is decided by.
pub(super) struct Case {
    pub(super) challenge: Challenge,
    pub(super) user: User,
    pub(super) factors: Factors,
    pub(super) codes: SentCodes,
}

/// Ids of a [`Case`].
pub(super) type CaseKeys = (
    (ChallengeId, UserId),
    (crate::model::FactorsId, crate::model::CodesId),
);
/// Records of a [`Case`], as far as they are there.
pub(super) type CaseRecords = (
    (Option<Challenge>, Option<User>),
    (Option<Factors>, Option<SentCodes>),
);

impl From<Spent> for Error {
    fn from(_: Spent) -> Self {
        Self::ChallengeExpired
    }
}

impl Auth {
    /// The second door, behind a first factor that was proven: a trusted device goes through, everybody else
    /// gets a challenge.
    pub(super) async fn second_door(
        &self,
        client: &Client,
        proof: &FirstFactor,
    ) -> Result<Step, Error> {
        let family = self.new_family(proof.user_id);
        let challenge_id: ChallengeId = self.clock.new_id_in(proof.user_id.partition());
        let ticket = (self.opaque_tokens).mint(TokenKind::Challenge, challenge_id.id(), 1);
        let home = proof.user_id.partition();
        let arrival = proof.device.as_ref();
        let arrival = arrival.filter(|arrival| arrival.presented.id.partition() == home);
        let device_id = arrival.map(|arrival| DeviceId::from(arrival.presented.id));
        let keys = ((proof.user_id, proof.user_id.factors()), device_id);
        type Records = (
            (Option<User>, Option<Factors>),
            Option<Option<TrustedDevice>>,
        );
        let decide = |((user, factors), device): Records, draft: &mut Draft| {
            let mut user = match standing(user, proof) {
                Standing::SecondFactorDue(user) => *user,
                Standing::Inactive => return Ok::<_, Error>(Second::Turned(Step::Inactive)),
                Standing::Moved | Standing::Welcome(_) => {
                    return Ok(Second::Turned(Step::Moved));
                }
            };
            let trail = self.trail(client);
            let trusted = match arrival {
                Some(arrival) => self.judge_device(device.flatten(), &user, arrival),
                None => Trusted::No,
            };
            match trusted {
                Trusted::Rotated(device) | Trusted::Again(device) => {
                    let amr = [proof.method, "trusted_device"];
                    let session = self.session(&user, &family, client, &amr, trail.now);
                    draft.put(&device);
                    write_login(draft, &trail, &mut user, &session, proof);
                    return Ok(Second::Trusted(user, session, device));
                }
                Trusted::Reused(device) => {
                    draft.put(&device);
                    draft.trace(&trail.entry(Action::DeviceTokenReused, user.id));
                }
                Trusted::No => {}
            }
            let factors = factors.ok_or_else(|| missing(user.id))?;
            let challenge = self.challenge(&user, &ticket, client, proof, trail.now);
            draft.put(&challenge);
            proof.write_rehash(draft, &trail, &mut user);
            Ok::<_, Error>(Second::Asked(self.issued(&ticket, &factors)))
        };
        let (second, _) = self.store.transact(Class::Session, keys, decide).await?;
        Ok(match second {
            Second::Turned(step) => step,
            Second::Asked(issued) => Step::Done(LoginOutcome::SecondFactorDue(issued)),
            Second::Trusted(user, session, device) => {
                let token = arrival.and_then(|one| self.device_token_again(&device, one));
                let mut signed_in =
                    self.signed_in(user, &session, &family.newest, Durability::Committed);
                signed_in.device_token = token;
                Step::Done(LoginOutcome::SignedIn(Box::new(signed_in)))
            }
        })
    }

    fn challenge(
        &self,
        user: &User,
        ticket: &Opened,
        client: &Client,
        proof: &FirstFactor,
        now: Timestamp,
    ) -> Challenge {
        Challenge {
            id: ChallengeId::from(ticket.id),
            user_id: user.id,
            secret_hash: ticket.hash(),
            session_epoch: user.session_epoch,
            user_agent: client.user_agent.clone(),
            first_factor: proof.method.to_owned(),
            tries: 0,
            created_at: now,
            expires_at: now.after(self.settings.second_factors.challenge_ttl),
        }
    }

    fn issued(&self, ticket: &Opened, factors: &Factors) -> ChallengeIssued {
        ChallengeIssued {
            token: self.opaque_tokens.encode(TokenKind::Challenge, ticket),
            offered: factors.offered(),
            preferred: factors.asked_first(),
            expires_in: self.settings.second_factors.challenge_ttl,
        }
    }

    /// Opens a `tempToken` and finds out whose login it goes on with. Nothing is taken from any limit yet.
    pub(super) async fn ticket(
        &self,
        client: &Client,
        temp_token: &str,
        trust: Option<&Trust>,
    ) -> Result<Ticket, Error> {
        let opened = self.opaque_tokens.open(TokenKind::Challenge, temp_token);
        let opened = opened.map_err(|_| Error::ChallengeExpired)?;
        let id = ChallengeId::from(opened.id);
        let challenge = self.store.read(id).await?.ok_or(Error::ChallengeExpired)?;
        let user_id = challenge.user_id;
        Ok(Ticket {
            id,
            user_id,
            hash: opened.hash(),
            user_agent: client.user_agent.clone(),
            now: self.clock.now(),
            family: self.new_family(user_id),
            device: trust.map(|trust| self.new_device(client, user_id, trust)),
        })
    }
}

impl Ticket {
    /// What its case is read by.
    pub(super) fn keys(&self) -> CaseKeys {
        let user = self.user_id;
        ((self.id, user), (user.factors(), user.codes()))
    }

    /// The case, when the challenge is still open. Lockouts and changes of password are looked at here,
    /// when it is decided, and not when the challenge was issued.
    pub(super) fn admit(&self, records: CaseRecords) -> Result<Case, Error> {
        let ((Some(challenge), Some(user)), (factors, codes)) = records else {
            return Err(Error::ChallengeExpired);
        };
        challenge.admit(&self.hash, &user, &self.user_agent, self.now)?;
        Ok(Case {
            factors: factors.ok_or_else(|| missing(user.id))?,
            codes: codes.unwrap_or_else(|| SentCodes::none(user.id.codes())),
            challenge,
            user,
        })
    }
}

/// An account that says it has second factors has their record: both are written together.
pub(super) fn missing(user: UserId) -> Error {
    Error::Internal(format!("the second factors of account {user} are missing"))
}
