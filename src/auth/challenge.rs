//! The challenge between the two doors: issued for a first factor, presented with the second.

use std::time::Duration;

use super::arrival::Arrival;
use super::audit::Trail;
use super::device::{NewDevice, Trust, Trusted};
use super::sign_in::{Family, FirstFactor, Standing, Step, standing, write_login};
use super::{Auth, Client, Error, LoginOutcome, SignedIn};
use crate::crypto::{Opened, TokenKind};
use crate::model::{
    Action, Authenticator, Challenge, ChallengeId, CodesId, DeviceId, Factors, FactorsId,
    Partition, SentCodes, Session, Spent, Timestamp, TrustedDevice, User, UserId,
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

/// Somebody at the second door.
struct Coming<'a> {
    trail: Trail,
    client: &'a Client,
    proof: &'a FirstFactor,
    /// A device token of the account's partition.
    arrival: Option<&'a Arrival>,
    /// The session that awaits them.
    family: Family,
    /// The token of the challenge that awaits them otherwise.
    ticket: Opened,
}

/// What they are judged by.
type Records = (
    (Option<User>, Option<Factors>),
    Option<Option<TrustedDevice>>,
);

/// What becomes of somebody at the second door.
enum Second {
    /// A trusted device let them in.
    Trusted(Box<(User, Session, TrustedDevice)>),
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
pub(super) type CaseKeys = ((ChallengeId, UserId), (FactorsId, CodesId));
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
        let home = proof.user_id.partition();
        let challenge_id: ChallengeId = self.clock.new_id_in(home);
        let coming = Coming {
            trail: self.trail(client),
            client,
            proof,
            arrival: proof.device_in(home),
            family: self.new_family(proof.user_id),
            ticket: (self.opaque_tokens).mint(TokenKind::Challenge, challenge_id.id(), 1),
        };
        let device_id = coming.arrival.map(|one| DeviceId::from(one.presented.id));
        let keys = ((proof.user_id, proof.user_id.factors()), device_id);
        let decide = |records: Records, draft: &mut Draft| self.judge(&coming, records, draft);
        let (second, _) = self.store.transact(Class::Session, keys, decide).await?;
        Ok(match second {
            Second::Turned(step) => step,
            Second::Asked(issued) => Step::Done(LoginOutcome::SecondFactorDue(issued)),
            Second::Trusted(records) => {
                let (user, session, device) = *records;
                let token = coming.arrival;
                let token = token.and_then(|one| self.device_token_again(&device, one));
                let (newest, durability) = (&coming.family.newest, Durability::Committed);
                Step::Done(LoginOutcome::SignedIn(Box::new(SignedIn {
                    device_token: token,
                    ..self.signed_in(user, &session, newest, durability)
                })))
            }
        })
    }

    /// Judges by the account as it is now, not as it was at the first door.
    fn judge(
        &self,
        coming: &Coming<'_>,
        ((user, factors), device): Records,
        draft: &mut Draft,
    ) -> Result<Second, Error> {
        let user = match standing(user, coming.proof) {
            Standing::SecondFactorDue(user) => *user,
            Standing::Inactive => return Ok(Second::Turned(Step::Inactive)),
            Standing::Moved | Standing::Welcome(_) => return Ok(Second::Turned(Step::Moved)),
        };
        let trusted = match coming.arrival {
            Some(arrival) => self.judge_device(device.flatten(), &user, arrival),
            None => Trusted::No,
        };
        match trusted {
            Trusted::Rotated(device) | Trusted::Again(device) => {
                Ok(self.let_through(coming, user, device, draft))
            }
            Trusted::Reused(device) => {
                draft.put(&device);
                let details = serde_json::json!({ "device": device.id });
                let entry = coming.trail.entry(Action::DeviceTokenReused, user.id);
                draft.trace(&entry.with(details));
                self.ask(coming, user, factors, draft)
            }
            Trusted::No => self.ask(coming, user, factors, draft),
        }
    }

    fn let_through(
        &self,
        coming: &Coming<'_>,
        mut user: User,
        device: TrustedDevice,
        draft: &mut Draft,
    ) -> Second {
        let amr = [coming.proof.method, "trusted_device"];
        let now = coming.trail.now;
        let session = self.session(&user, &coming.family, coming.client, &amr, now);
        draft.put(&device);
        write_login(draft, &coming.trail, &mut user, &session, coming.proof);
        Second::Trusted(Box::new((user, session, device)))
    }

    fn ask(
        &self,
        coming: &Coming<'_>,
        mut user: User,
        factors: Option<Factors>,
        draft: &mut Draft,
    ) -> Result<Second, Error> {
        let factors = factors.ok_or_else(|| missing(user.id))?;
        draft.put(&self.challenge(&user, coming));
        coming.proof.write_rehash(draft, &coming.trail, &mut user);
        Ok(Second::Asked(self.issued(&coming.ticket, &factors)))
    }

    fn challenge(&self, user: &User, coming: &Coming<'_>) -> Challenge {
        let now = coming.trail.now;
        Challenge {
            id: ChallengeId::from(coming.ticket.id),
            user_id: user.id,
            secret_hash: coming.ticket.hash(),
            session_epoch: user.session_epoch,
            user_agent: coming.client.user_agent.clone(),
            first_factor: coming.proof.method.to_owned(),
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

    /// Opens a `tempToken` and finds out whose login it goes on with. Nothing is taken from any limit yet, and
    /// a challenge that is over, or in the wrong hands, takes nothing from its owner's.
    pub(super) async fn ticket(
        &self,
        client: &Client,
        temp_token: &str,
        trust: Option<&Trust>,
    ) -> Result<Ticket, Error> {
        let opened = self.opaque_tokens.open(TokenKind::Challenge, temp_token);
        let opened = opened.map_err(|_| Error::ChallengeExpired)?;
        let id = ChallengeId::from(opened.id);
        let (hash, now) = (opened.hash(), self.clock.now());
        let open = |one: &Challenge| one.has_tries() && one.is_for(&hash, &client.user_agent, now);
        // One that was open when it was last seen is judged again when the code is.
        let seen = self.store.last_seen(id).flatten().filter(open);
        let challenge = match seen {
            Some(challenge) => Some(challenge),
            None => self.store.read(id).await?.filter(open),
        };
        let challenge = challenge.ok_or(Error::ChallengeExpired)?;
        let user_id = challenge.user_id;
        Ok(Ticket {
            id,
            user_id,
            hash,
            user_agent: client.user_agent.clone(),
            now,
            family: self.new_family(user_id),
            device: trust.map(|trust| self.new_device(client, user_id, trust)),
        })
    }
}

impl FirstFactor {
    /// The device token, if it belongs to an account of this partition.
    fn device_in(&self, home: Partition) -> Option<&Arrival> {
        let arrival = self.device.as_ref();
        arrival.filter(|one| one.presented.id.partition() == home)
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
