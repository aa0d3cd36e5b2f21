//! People who register, and some of them set up an authenticator, before anything is measured.

use crate::client::Answer;
use crate::error::Error;
use crate::person::{self, Person};
use crate::route::Route;
use crate::run::Run;
use crate::visitor::{Next, Turn, Visitor};

/// Who register at a time.
const REGISTRARS: usize = 64;

/// Who sets up an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enrol {
    /// Nobody.
    Nobody,
    /// Every second.
    Half,
    /// All.
    Everybody,
}

impl Enrol {
    fn takes(self, number: usize) -> bool {
        match self {
            Self::Nobody => false,
            Self::Half => number % 2 == 1,
            Self::Everybody => true,
        }
    }
}

/// `count` people who are registered and logged in.
///
/// # Errors
/// [`Error::Target`] with the first answer that was no success.
pub(crate) async fn register(run: &Run, count: usize, enrol: Enrol) -> Result<Vec<Person>, Error> {
    let marker = hex(sallyport::clock::random());
    let name = |number| Person::new(number, format!("load{marker}x{number}"));
    let people = (0..count).map(name).collect();
    let visitors = seat(run, people, count.min(REGISTRARS));
    let turn = Arrive {
        enrol,
        skew_steps: run.settings.totp_skew_steps,
    };
    let what = match enrol {
        Enrol::Nobody => format!("registering {count} users"),
        _ => format!("registering {count} users, with authenticators"),
    };
    let visitors = run.prepare(&what, turn, visitors).await?;
    let mut people: Vec<Person> = visitors.into_iter().flat_map(|v| v.people).collect();
    people.sort_by_key(|person| person.number);
    Ok(people)
}

/// Gives people to `connections` visitors in turn; never more visitors than people.
pub(crate) fn seat(run: &Run, people: Vec<Person>, connections: usize) -> Vec<Visitor> {
    let seats = connections.min(people.len()).max(1);
    let mut tables: Vec<Vec<Person>> = (0..seats).map(|_| Vec::new()).collect();
    for (number, person) in people.into_iter().enumerate() {
        tables[number % seats].push(person);
    }
    let tables = tables.into_iter().enumerate();
    tables
        .map(|(number, people)| {
            Visitor::new(number, run.target.client(number, &run.settings), people)
        })
        .collect()
}

/// What the answer to a request was, for somebody who cannot go on without a success.
pub(crate) fn trouble(route: Route, answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let hint = match answer.status {
        429 => ". Rate limits are on there: they have to be off (RATE_LIMITS=off) or much wider",
        _ => "",
    };
    format!(
        "{} was answered {} {text}{hint}",
        route.label(),
        answer.status
    )
}

fn hex(bytes: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(bytes))
}

/// One person registers in a turn.
struct Arrive {
    enrol: Enrol,
    skew_steps: u8,
}

impl Turn for Arrive {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        if visitor.people.is_empty() {
            return Next::Spent;
        }
        let arrived = self.arrive(visitor).await;
        if let Err(trouble) = arrived {
            visitor.trouble = Some(trouble);
            return Next::Spent;
        }
        visitor.current += 1;
        if visitor.current < visitor.people.len() {
            return Next::Again;
        }
        visitor.current = 0;
        Next::Spent
    }
}

impl Arrive {
    async fn arrive(&self, visitor: &mut Visitor) -> Result<(), String> {
        let body = visitor.person().registration();
        let answer = success(
            visitor.ask_patiently(Route::Register, body, false).await,
            Route::Register,
        )?;
        visitor.person().keep_tokens(&answer.body);
        if !self.enrol.takes(visitor.person().number) {
            return Ok(());
        }
        let setup = visitor
            .ask_signed_in(Route::TotpSetup, bytes::Bytes::new())
            .await;
        let setup = success(setup, Route::TotpSetup)?;
        let person = visitor.person();
        let code = person
            .scan(&setup.body, self.skew_steps)
            .and_then(|()| person.next_code())
            .ok_or("no secret in the answer to the set-up")?;
        let confirmed = visitor
            .ask_patiently(Route::TotpVerifySetup, person::confirmation(&code), true)
            .await;
        success(confirmed, Route::TotpVerifySetup)?;
        Ok(())
    }
}

fn success(answer: Answer, route: Route) -> Result<Answer, String> {
    if answer.is_ok() {
        Ok(answer)
    } else {
        Err(trouble(route, &answer))
    }
}
