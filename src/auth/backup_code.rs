//! Backup codes: the second door for the day when every method is lost.
//!
//! Comparing costs a hash, which no transaction waits for. So there are two: the first counts the try, as a
//! failure, and the second takes the failure back when the code was right.

use super::challenge::{CaseRecords, Ticket};
use super::limits::Gate;
use super::outcome::Outcome;
use super::second_factor::{Completed, Verification, Verified};
use super::{Auth, Client, Error, SignedIn};
use crate::model::{Action, Authenticator, BackupCode};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};

/// A try that was counted.
struct Counted {
    /// Salt and parameters of the set that it was counted against.
    recipe: String,
    /// If it is wrong, it is the failure that disables the set.
    locked: bool,
}

impl Auth {
    /// Completes a login with a backup code, which is used up.
    ///
    /// # Errors
    /// As [`Auth::verify_second_factor`]; [`Error::Overloaded`].
    pub async fn verify_backup_code(
        &self,
        client: &Client,
        input: Verification,
    ) -> Result<SignedIn, Error> {
        let verified = self.verify_with_backup_code(client, &input).await;
        Outcome::of(&verified).count(Authenticator::BackupCode.label());
        verified
    }

    async fn verify_with_backup_code(
        &self,
        client: &Client,
        input: &Verification,
    ) -> Result<SignedIn, Error> {
        let code = BackupCode::parse(&input.code).ok_or(Error::InvalidCode)?;
        let mut place = self.hash_place(client)?;
        let ticket = self
            .ticket(client, &input.temp_token, input.trust.as_ref())
            .await?;
        self.pass(client, Gate::SecondFactor(ticket.user_id))
            .await?;
        let counted = self.count_try(&ticket).await?;
        let tag = place.tag_code(code, &counted.recipe).await?;
        self.decide_backup_code(client, &ticket, &counted, &tag)
            .await
    }

    async fn count_try(&self, ticket: &Ticket) -> Result<Counted, Error> {
        let decide = |records: CaseRecords, draft: &mut Draft| {
            let mut case = ticket.admit(records)?;
            case.challenge.count_try()?;
            let codes = case
                .factors
                .backup
                .as_mut()
                .filter(|codes| codes.can_be_used());
            let codes = codes.ok_or(Error::MethodNotAvailable)?;
            let counted = Counted {
                locked: codes.strikes.strike(ticket.now),
                recipe: codes.recipe.clone(),
            };
            draft.put(&case.challenge);
            draft.put(&case.factors);
            Ok::<_, Error>(counted)
        };
        let counted = self.store.transact(Class::Session, ticket.keys(), decide);
        Ok(counted.await?.0)
    }

    async fn decide_backup_code(
        &self,
        client: &Client,
        ticket: &Ticket,
        counted: &Counted,
        tag: &str,
    ) -> Result<SignedIn, Error> {
        let decide = |records: CaseRecords, draft: &mut Draft| {
            let mut case = ticket.admit(records)?;
            let codes = case.factors.backup.as_mut();
            let codes = codes.filter(|codes| codes.recipe == counted.recipe);
            // Disabled meanwhile or not: this try was counted while the set took codes.
            if codes.is_some_and(|codes| codes.consume(tag)) {
                let left = case.factors.backup_codes_left();
                let completed = self.write_backup_login(client, case, ticket, left, draft)?;
                return Ok(Verified::Right(Box::new(completed)));
            }
            let (trail, locked) = (self.trail(client), counted.locked);
            self.write_failure(
                &trail,
                &case.user,
                Authenticator::BackupCode,
                "login",
                locked,
                draft,
            )?;
            Ok::<_, Error>(Verified::Wrong)
        };
        let (verified, receipt) = self
            .store
            .transact(Class::Session, ticket.keys(), decide)
            .await?;
        match verified {
            Verified::Right(completed) => {
                // Nothing but the record remembers that the code was used: it should not hang on one store.
                let durability = receipt.durable().await.unwrap_or(Durability::Pending);
                Ok(self.completed(*completed, ticket, durability))
            }
            Verified::Wrong => Err(Error::InvalidCode),
        }
    }

    fn write_backup_login(
        &self,
        client: &Client,
        case: super::challenge::Case,
        ticket: &Ticket,
        left: usize,
        draft: &mut Draft,
    ) -> Result<Completed, Error> {
        let trail = self.trail(client);
        let details = serde_json::json!({ "left": left });
        let entry = trail.entry(Action::BackupCodeUsed, case.user.id);
        draft.trace(&entry.with(details));
        let event = Event::BackupCodeUsed {
            left: u32::try_from(left).unwrap_or(u32::MAX),
        };
        self.notify(draft, &trail, &case.user, event)?;
        let completed = self.complete(client, case, ticket, Authenticator::BackupCode, draft)?;
        Ok(Completed {
            backup_codes_left: Some(left),
            ..completed
        })
    }
}
