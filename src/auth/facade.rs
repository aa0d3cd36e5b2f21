//! Methods that call the functions of the features.
#![allow(clippy::wildcard_imports, clippy::must_use_candidate)]

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::{Core, Limit, limits};
use crate::model::{DeviceId, MethodId, MethodKind, SessionId, TrustedDevice};
use crate::outbound::LocalOutbox;
use zeroize::Zeroizing;

#[allow(missing_docs)]
impl Core {
    pub async fn register(&self, client: &Client, input: Registration) -> Result<SignedIn, Error> {
        login::register(self, client, input).await
    }
    pub async fn login(&self, client: &Client, input: Credentials) -> Result<LoginOutcome, Error> {
        login::with_password(self, client, input).await
    }
    pub async fn verify_second_factor(
        &self,
        client: &Client,
        input: Verification,
    ) -> Result<SignedIn, Error> {
        second_factor::verify(self, client, input).await
    }
    pub async fn verify_backup_code(
        &self,
        client: &Client,
        input: Verification,
    ) -> Result<SignedIn, Error> {
        second_factor::verify_backup_code(self, client, input).await
    }
    pub async fn authenticate(
        &self,
        client: &Client,
        token: &str,
        limited: bool,
    ) -> Result<Caller, Error> {
        session::authenticate(self, client, token, limited).await
    }
    pub async fn require_recent(&self, caller: &Caller) -> Result<(), Error> {
        session::require_recent(self, caller).await
    }
    pub async fn refresh(&self, client: &Client, token: &str) -> Result<Refreshed, Error> {
        session::refresh(self, client, token).await
    }
    pub async fn logout(
        &self,
        client: &Client,
        refresh: Option<&str>,
        access: Option<&str>,
    ) -> Result<(), Error> {
        session::logout(self, client, refresh, access).await
    }
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, Error> {
        session::list(self, caller).await
    }
    pub async fn revoke_session(
        &self,
        client: &Client,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Durability, Error> {
        session::revoke(self, client, caller, id).await
    }
    pub async fn revoke_sessions(
        &self,
        client: &Client,
        caller: &Caller,
        keep: bool,
    ) -> Result<(usize, Durability), Error> {
        session::revoke_all(self, client, caller, keep).await
    }
    pub async fn change_password(
        &self,
        client: &Client,
        caller: &Caller,
        input: PasswordChange,
    ) -> Result<Durability, Error> {
        password::change(self, client, caller, input).await
    }
    pub async fn reauthenticate(
        &self,
        client: &Client,
        caller: &Caller,
        proof: Reproof,
    ) -> Result<String, Error> {
        second_factor::reauthenticate(self, client, caller, proof).await
    }
    pub async fn pass(&self, client: &Client, gate: Limit) -> Result<(), Error> {
        limits::take(self, client, gate).await
    }
    pub fn has_room(&self, client: &Client) -> Result<(), Error> {
        crate::core::hash_admission::check(self, client)
    }
    pub async fn set_up_totp(&self, client: &Client, caller: &Caller) -> Result<TotpSetup, Error> {
        second_factor::set_up_totp(self, client, caller).await
    }
    pub async fn set_up_sms(
        &self,
        client: &Client,
        caller: &Caller,
        to: &str,
    ) -> Result<CodePosted, Error> {
        second_factor::set_up_sms(self, client, caller, to).await
    }
    pub async fn set_up_email(
        &self,
        client: &Client,
        caller: &Caller,
        to: &str,
    ) -> Result<CodePosted, Error> {
        second_factor::set_up_email(self, client, caller, to).await
    }
    pub async fn finish_enrolment(
        &self,
        client: &Client,
        caller: &Caller,
        kind: MethodKind,
        code: &str,
        secret: Option<&str>,
    ) -> Result<Enabled, Error> {
        second_factor::finish_enrolment(self, client, caller, kind, code, secret).await
    }
    pub async fn send_code(
        &self,
        client: &Client,
        token: &str,
        kind: MethodKind,
    ) -> Result<CodePosted, Error> {
        second_factor::send_code(self, client, token, kind).await
    }
    pub async fn methods(&self, caller: &Caller) -> Result<MethodList, Error> {
        second_factor::list_methods(self, caller).await
    }
    pub async fn change_method(
        &self,
        client: &Client,
        caller: &Caller,
        id: MethodId,
        change: MethodChange,
    ) -> Result<(MethodView, Durability), Error> {
        second_factor::change_method(self, client, caller, id, change).await
    }
    pub async fn remove_method(
        &self,
        client: &Client,
        caller: &Caller,
        id: MethodId,
    ) -> Result<Durability, Error> {
        second_factor::remove_method(self, client, caller, id).await
    }
    pub async fn remove_totp(&self, client: &Client, caller: &Caller) -> Result<Durability, Error> {
        second_factor::remove_totp(self, client, caller).await
    }
    pub async fn backup_codes_left(&self, caller: &Caller) -> Result<usize, Error> {
        second_factor::count_backup_codes(self, caller).await
    }
    pub async fn regenerate_backup_codes(
        &self,
        client: &Client,
        caller: &Caller,
    ) -> Result<(Vec<Zeroizing<String>>, Durability), Error> {
        second_factor::regenerate_backup_codes(self, client, caller).await
    }
    pub async fn devices(&self, caller: &Caller) -> Result<Vec<TrustedDevice>, Error> {
        device::list(self, caller).await
    }
    pub async fn rename_device(
        &self,
        client: &Client,
        caller: &Caller,
        id: DeviceId,
        name: &str,
    ) -> Result<(TrustedDevice, Durability), Error> {
        device::rename(self, client, caller, id, name).await
    }
    pub async fn remove_device(
        &self,
        client: &Client,
        caller: &Caller,
        id: DeviceId,
    ) -> Result<Durability, Error> {
        device::remove(self, client, caller, id).await
    }
    pub async fn remove_devices(
        &self,
        client: &Client,
        caller: &Caller,
    ) -> Result<(usize, Durability), Error> {
        device::remove_all(self, client, caller).await
    }
    pub async fn reseal(&self) -> Result<usize, Error> {
        second_factor::reseal(self).await
    }
    pub async fn run_reseal(self: Arc<Self>, stop: CancellationToken) {
        second_factor::run_reseal(self, stop).await;
    }
    pub async fn carry_letters(self: Arc<Self>, stop: CancellationToken) {
        crate::core::deliver_letters(self, stop).await;
    }
    pub async fn health(&self) -> Health {
        crate::core::examine(self).await
    }
    pub fn session_of(&self, token: &str) -> Option<SessionId> {
        session::session_of_refresh_token(self, token)
    }
    pub fn outbox(&self) -> Option<&LocalOutbox> {
        self.local_outbox()
    }
}
