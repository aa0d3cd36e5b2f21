//! A visitor: one connection with its people, who asks and notes what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use sallyport::clock;

use crate::client::{Answer, Client};
use crate::person::Person;
use crate::record::{Ledger, Seen};
use crate::route::Route;

/// How often a request is repeated that found the service busy, and after how long.
const PATIENCE: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// What a visitor can do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one.
    Again,
    /// None: there is nothing left for it to do.
    Spent,
}

/// What visitors do, one turn at a time.
pub(crate) trait Turn: Send + Sync + 'static {
    /// Takes one turn. It must wait for something, or end the visitor.
    fn take(&self, visitor: &mut Visitor) -> impl Future<Output = Next> + Send;
}

/// One connection and the people who share it.
pub(crate) struct Visitor {
    client: Client,
    /// At least one, unless it acts for others.
    pub(crate) people: Vec<Person>,
    /// Who acts now.
    pub(crate) current: usize,
    /// Why it could not go on, while things are prepared.
    pub(crate) trouble: Option<String>,
    /// Challenges that wait for their codes, each with its person.
    pub(crate) challenges: Vec<(usize, String)>,
    ledger: Arc<Ledger>,
    due: Option<Duration>,
    dice: u64,
}

impl Visitor {
    /// The `number`th visitor. Its notes go nowhere until it is given a ledger.
    pub(crate) fn new(number: usize, client: Client, people: Vec<Person>) -> Self {
        Self {
            client,
            people,
            current: 0,
            trouble: None,
            challenges: Vec::new(),
            ledger: Arc::new(Ledger::closed()),
            due: None,
            dice: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        }
    }

    /// From now on it asks somebody else.
    pub(crate) fn turn_to(&mut self, client: Client) {
        self.client = client;
    }

    /// From now on notes go to `ledger`.
    pub(crate) fn write_to(&mut self, ledger: &Arc<Ledger>) {
        self.ledger = Arc::clone(ledger);
    }

    /// The next request should have begun at `due`: its latency counts from then.
    pub(crate) fn is_due(&mut self, due: Duration) {
        self.due = Some(due);
    }

    /// Who acts now.
    pub(crate) fn person(&mut self) -> &mut Person {
        &mut self.people[self.current]
    }

    /// Asks without a token.
    pub(crate) async fn ask(&mut self, route: Route, body: Bytes) -> Answer {
        self.converse(route, None, body).await
    }

    /// Asks with the access token of who acts now.
    pub(crate) async fn ask_signed_in(&mut self, route: Route, body: Bytes) -> Answer {
        let bearer = self.person().bearer.clone();
        self.converse(route, bearer.as_ref(), body).await
    }

    /// Asks again while the service says that it has too much to do. For preparing only.
    pub(crate) async fn ask_patiently(
        &mut self,
        route: Route,
        body: Bytes,
        signed_in: bool,
    ) -> Answer {
        let bearer = self.person().bearer.clone().filter(|_| signed_in);
        let mut left = PATIENCE;
        loop {
            let answer = self.converse(route, bearer.as_ref(), body.clone()).await;
            if answer.status != 503 || !answer.retry_after || left == 0 {
                return answer;
            }
            left -= 1;
            clock::sleep(PAUSE).await;
        }
    }

    async fn converse(
        &mut self,
        route: Route,
        bearer: Option<&HeaderValue>,
        body: Bytes,
    ) -> Answer {
        let started = self.ledger.now();
        let due = self.due.take();
        let answer = self.client.ask(route, bearer, body).await;
        self.ledger.note(&Seen {
            route,
            due,
            started,
            ended: self.ledger.now(),
            answer: &answer,
        });
        answer
    }

    /// A request that cannot be made, since what it needs was refused before.
    pub(crate) fn skip(&mut self, why: &'static str) {
        self.ledger.skip(why);
    }

    /// A number below `bound`, from a sequence that is the same in every run (splitmix64).
    pub(crate) fn roll(&mut self, bound: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.dice;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % bound.max(1)
    }
}
