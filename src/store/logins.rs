//! Notes about the logins of an account: the sessions that began, and the clients that logged in.
//!
//! They live in Redis alone and prove nothing. Lost, they are made anew: the sessions by the next login, the clients
//! one by one.

use std::time::Duration;

use fred::types::Value;

use super::Error;
use super::inner::Inner;
use super::redis::Op;
use crate::model::{ClientInfo, Network, Session, SessionId, Timestamp, UserId};

/// Time for which a client is remembered after its last login.
const CLIENT_STAYS: Duration = Duration::from_hours(90 * 24);
/// Most clients that are remembered of one account; the one that logged in the longest ago goes first.
const MOST_CLIENTS: usize = 32;

impl Inner {
    /// See [`crate::store::Store::note_login`].
    pub(crate) async fn note_login(
        &self,
        session: &Session,
        most: usize,
    ) -> Result<Vec<SessionId>, Error> {
        let user = session.user_id;
        let client = ClientInfo {
            ip_address: session.ip_address,
            user_agent: session.user_agent.clone(),
        };
        let keys = &self.redis.keys;
        let keys = vec![keys.noted_sessions(user), keys.noted_clients(user)];
        let args = vec![
            millis(self.clock.now()),
            session.id.to_string().into(),
            millis(session.expires_at),
            format!("{:032x}", self.client_name(&client)).into(),
            most.to_string().into(),
            MOST_CLIENTS.to_string().into(),
            CLIENT_STAYS.as_millis().to_string().into(),
        ];
        let noted: Vec<String> = self.redis.run(Op::NoteLogin, keys, args).await?;
        Ok(noted.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// See [`crate::store::Store::correct_sessions`].
    pub(crate) async fn correct_sessions(
        &self,
        user: UserId,
        over: &[SessionId],
        live: &[Session],
    ) -> Result<(), Error> {
        let mut args: Vec<Value> = vec![millis(self.clock.now()), over.len().to_string().into()];
        args.extend(over.iter().map(|id| Value::from(id.to_string())));
        for session in live {
            args.extend([millis(session.expires_at), session.id.to_string().into()]);
        }
        let keys = vec![self.redis.keys.noted_sessions(user)];
        let corrected = self.redis.run::<Value>(Op::CorrectSessions, keys, args);
        corrected.await.map(|_| ())
    }

    /// See [`crate::store::Store::known_client`].
    pub(crate) async fn known_client(
        &self,
        user: UserId,
        client: &ClientInfo,
    ) -> Result<Option<u128>, Error> {
        let known = self
            .redis
            .fields(self.redis.keys.noted_clients(user))
            .await?;
        let name = self.client_name(client);
        Ok(known.contains(&format!("{name:032x}")).then_some(name))
    }

    /// Name of a client: a keyed hash of its network and its user agent.
    fn client_name(&self, client: &ClientInfo) -> u128 {
        let network = Network::of(client.ip_address).to_string();
        let parts = ["client:", &network, "|", &client.user_agent];
        let digest = self.mac(&parts.map(str::as_bytes));
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        u128::from_be_bytes(name)
    }
}

fn millis(time: Timestamp) -> Value {
    (time.micros() / 1000).to_string().into()
}
