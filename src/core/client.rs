//! The client of a request, as far as the transport knows it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use crate::crypto::HashTime;
use crate::model::{Actor, ClientInfo, Network};
use crate::outbound::Language;
use crate::store::Verdict;

/// Origin of a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address of the client: the rightmost hop that is not a trusted proxy.
    pub address: IpAddr,
    /// `User-Agent`, at most 512 bytes, control characters removed.
    pub user_agent: String,
    /// Id of the request in logs and audit.
    pub request_id: String,
    /// Language that the client asked for, by default English.
    pub language: Language,
    /// Verdicts of rate limits, for the response's headers.
    pub verdicts: RateLimitVerdicts,
    /// Time that its hashes took.
    pub hash_time: HashTime,
    /// The actor, as far as the request has shown before its handler runs.
    pub actor: Actor,
}

/// Verdicts of the limits that a request was counted by. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RateLimitVerdicts(Arc<Mutex<Vec<Verdict>>>);

impl RateLimitVerdicts {
    /// Adds verdicts.
    pub fn record(&self, verdicts: &[Verdict]) {
        if let Ok(mut recorded) = self.0.lock() {
            recorded.extend_from_slice(verdicts);
        }
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn all(&self) -> Vec<Verdict> {
        let recorded = self.0.lock();
        recorded.map(|all| all.clone()).unwrap_or_default()
    }
}

impl Client {
    /// The service or its operator, where no request acts.
    pub(crate) fn internal(actor: Actor) -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
            user_agent: String::new(),
            request_id: String::new(),
            language: Language::default(),
            verdicts: RateLimitVerdicts::default(),
            hash_time: HashTime::default(),
            actor,
        }
    }

    /// Address and user agent, as sessions and devices keep them.
    pub(crate) fn info(&self) -> ClientInfo {
        ClientInfo {
            ip_address: self.address,
            user_agent: self.user_agent.clone(),
        }
    }

    /// Network of its address.
    pub(crate) fn network(&self) -> Network {
        Network::of(self.address)
    }
}
