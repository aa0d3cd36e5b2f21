//! The load suite: simulates many users of a Sallyport, measures, and reports.
//!
//! | module | content |
//! |---|---|
//! | `cli`, `settings` | options, and the settings of a run |
//! | `target` | the service under load: a private one, or that of a URL |
//! | `faults` | the history checker: two instances, faults, and a judgement of what was answered |
//! | `reference` | reference servers that do next to nothing: the limit of the machine |
//! | `client`, `account`, `population`, `virtual_user` | connections, accounts, and the users made of them |
//! | `scenario` | actions of virtual users, one file a scenario |
//! | `pace`, `run` | schedule of turns: closed loop, open loop, warm-up, the end |
//! | `record`, `scrape` | measurements of the clients, and of the service itself |
//! | `report`, `compare` | table, JSON, HTML; two runs side by side |

mod account;
mod cli;
mod client;
mod compare;
mod error;
mod faults;
mod machine;
mod pace;
mod population;
mod progress;
mod record;
mod reference;
mod report;
mod route;
mod run;
mod scenario;
mod scrape;
mod settings;
mod target;
mod virtual_user;

use std::process::ExitCode;

/// The allocator of the service, so that the reference servers compare.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
