//! A virtual user: one connection with its accounts, which makes requests and notes the answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use sallyport::clock;

use crate::account::Account;
use crate::client::{Answer, Client};
use crate::record::{Ledger, Sample};
use crate::route::Route;

/// Most repetitions of a request that found the service busy, and the pause between them.
const MAX_REPEATS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Continuation of a virtual user after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn.
    Again,
    /// No turn is left.
    Done,
}

/// The action of virtual users, one turn at a time.
pub(crate) trait Turn: Send + Sync + 'static {
    /// Takes one turn. It must await something, or return [`Next::Done`].
    fn take(&self, user: &mut VirtualUser) -> impl Future<Output = Next> + Send;
}

/// One connection and the accounts that share it.
pub(crate) struct VirtualUser {
    client: Client,
    /// Its accounts. At least one, unless the scenario brings credentials of its own.
    pub(crate) accounts: Vec<Account>,
    /// Index of the acting account.
    pub(crate) current: usize,
    /// Failure that ended it during the preparation.
    pub(crate) failure: Option<String>,
    /// Challenges that wait for their codes, each with the index of its account.
    pub(crate) challenges: Vec<(usize, String)>,
    ledger: Arc<Ledger>,
    due: Option<Duration>,
    random_state: u64,
}

impl VirtualUser {
    /// The `number`th virtual user. Its notes are dropped until it is given a ledger.
    pub(crate) fn new(number: usize, client: Client, accounts: Vec<Account>) -> Self {
        Self {
            client,
            accounts,
            current: 0,
            failure: None,
            challenges: Vec::new(),
            ledger: Arc::new(Ledger::closed()),
            due: None,
            random_state: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        }
    }

    /// Replaces the client.
    pub(crate) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Replaces the ledger.
    pub(crate) fn set_ledger(&mut self, ledger: &Arc<Ledger>) {
        self.ledger = Arc::clone(ledger);
    }

    /// Sets the time at which the next request should have begun: its latency counts from then.
    pub(crate) fn set_due(&mut self, due: Duration) {
        self.due = Some(due);
    }

    /// The acting account.
    pub(crate) fn account(&mut self) -> &mut Account {
        &mut self.accounts[self.current]
    }

    /// Makes a request without a token.
    pub(crate) async fn ask(&mut self, route: Route, body: Bytes) -> Answer {
        self.send(route, None, body).await
    }

    /// Makes a request with the access token of the acting account.
    pub(crate) async fn ask_signed_in(&mut self, route: Route, body: Bytes) -> Answer {
        let bearer = self.account().bearer.clone();
        self.send(route, bearer.as_ref(), body).await
    }

    /// Makes a request, and repeats it while the service is overloaded. For the preparation only.
    pub(crate) async fn ask_patiently(
        &mut self,
        route: Route,
        body: Bytes,
        signed_in: bool,
    ) -> Answer {
        let bearer = self.account().bearer.clone().filter(|_| signed_in);
        let mut left = MAX_REPEATS;
        loop {
            let answer = self.send(route, bearer.as_ref(), body.clone()).await;
            if answer.status != 503 || !answer.retry_after || left == 0 {
                return answer;
            }
            left -= 1;
            clock::sleep(PAUSE).await;
        }
    }

    async fn send(&mut self, route: Route, bearer: Option<&HeaderValue>, body: Bytes) -> Answer {
        let started = self.ledger.now();
        let due = self.due.take();
        let answer = self.client.ask(route, bearer, body).await;
        self.ledger.note(&Sample {
            route,
            due,
            started,
            ended: self.ledger.now(),
            answer: &answer,
        });
        answer
    }

    /// Notes a request that cannot be made, since a request that it needs was refused.
    pub(crate) fn skip(&mut self, why: &'static str) {
        self.ledger.skip(why);
    }

    /// A number below `bound`, from a sequence that is the same in every run (splitmix64).
    pub(crate) fn random_below(&mut self, bound: u64) -> u64 {
        self.random_state = self.random_state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.random_state;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % bound.max(1)
    }
}
