//! The population: accounts that are registered, some with an authenticator, before the measurement.

use crate::account::{self, Account};
use crate::client::Answer;
use crate::error::Error;
use crate::route::Route;
use crate::run::Run;
use crate::virtual_user::{Next, Turn, VirtualUser};

/// Most registrations at a time.
const REGISTRARS: usize = 64;

/// Part of the accounts that set up an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enrol {
    /// No account.
    None,
    /// Every second account.
    Half,
    /// All accounts.
    All,
}

impl Enrol {
    fn takes(self, number: usize) -> bool {
        match self {
            Self::None => false,
            Self::Half => number % 2 == 1,
            Self::All => true,
        }
    }
}

/// Registers `count` accounts, which are logged in then.
///
/// # Errors
/// [`Error::Target`] with the first answer that was no success.
pub(crate) async fn register(run: &Run, count: usize, enrol: Enrol) -> Result<Vec<Account>, Error> {
    let marker = hex(sallyport::clock::random());
    let name = |number| Account::new(number, format!("load{marker}x{number}"));
    let accounts = (0..count).map(name).collect();
    let users = assign(run, accounts, count.min(REGISTRARS));
    let turn = RegisterAccounts {
        enrol,
        skew_steps: run.settings.totp_skew_steps,
    };
    let what = match enrol {
        Enrol::None => format!("registering {count} users"),
        _ => format!("registering {count} users, with authenticators"),
    };
    let users = run.prepare(&what, turn, users).await?;
    let mut accounts: Vec<Account> = users.into_iter().flat_map(|v| v.accounts).collect();
    accounts.sort_by_key(|account| account.number);
    Ok(accounts)
}

/// Gives accounts to `connections` virtual users in turn; never more virtual users than accounts.
pub(crate) fn assign(run: &Run, accounts: Vec<Account>, connections: usize) -> Vec<VirtualUser> {
    let count = connections.min(accounts.len()).max(1);
    let mut shares: Vec<Vec<Account>> = (0..count).map(|_| Vec::new()).collect();
    for (number, account) in accounts.into_iter().enumerate() {
        shares[number % count].push(account);
    }
    let shares = shares.into_iter().enumerate();
    shares
        .map(|(number, accounts)| {
            VirtualUser::new(number, run.target.client(number, &run.settings), accounts)
        })
        .collect()
}

/// Text of an answer that was no success, for a run that cannot go on without one.
pub(crate) fn describe_failure(route: Route, answer: &Answer) -> String {
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

/// One account registers in a turn.
struct RegisterAccounts {
    enrol: Enrol,
    skew_steps: u8,
}

impl Turn for RegisterAccounts {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        if user.accounts.is_empty() {
            return Next::Done;
        }
        let registered = self.register(user).await;
        if let Err(failure) = registered {
            user.failure = Some(failure);
            return Next::Done;
        }
        user.current += 1;
        if user.current < user.accounts.len() {
            return Next::Again;
        }
        user.current = 0;
        Next::Done
    }
}

impl RegisterAccounts {
    async fn register(&self, user: &mut VirtualUser) -> Result<(), String> {
        let body = user.account().registration();
        let mut answer = user.ask_patiently(Route::Register, body, false).await;
        if answer.status == 409 {
            // Names are unique among all runs: a try whose outcome was unknown has made the account.
            let body = user.account().credentials();
            answer = user.ask_patiently(Route::Login, body, false).await;
        }
        let answer = success(answer, Route::Register)?;
        user.account().keep_tokens(&answer.body);
        if !self.enrol.takes(user.account().number) {
            return Ok(());
        }
        let setup = user
            .ask_signed_in(Route::TotpSetup, bytes::Bytes::new())
            .await;
        let setup = success(setup, Route::TotpSetup)?;
        let account = user.account();
        let code = account
            .scan(&setup.body, self.skew_steps)
            .and_then(|()| account.next_code())
            .ok_or("no secret in the answer to the set-up")?;
        let confirmed = user
            .ask_patiently(Route::TotpVerifySetup, account::confirmation(&code), true)
            .await;
        success(confirmed, Route::TotpVerifySetup)?;
        Ok(())
    }
}

fn success(answer: Answer, route: Route) -> Result<Answer, String> {
    if answer.is_ok() {
        Ok(answer)
    } else {
        Err(describe_failure(route, &answer))
    }
}
