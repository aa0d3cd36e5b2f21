//! The load suite: plays many users against a Sallyport, counts honestly, and tells what came out.
//!
//! | room | what lives there |
//! |---|---|
//! | `cli`, `settings` | what was asked for, and what it amounts to |
//! | `target` | the service that is asked: a private one, or that of a URL |
//! | `client`, `person`, `visitor` | one connection, one account, and the two together |
//! | `scenario` | what visitors do, one file each |
//! | `pace`, `run` | when they do it: closed loop, open loop, warm-up, the end |
//! | `record`, `scrape` | what was seen by the clients, and by the service itself |
//! | `report`, `compare` | table, JSON, HTML; two runs side by side |

mod cli;
mod client;
mod compare;
mod crowd;
mod error;
mod machine;
mod pace;
mod person;
mod progress;
mod record;
mod report;
mod route;
mod run;
mod scenario;
mod scrape;
mod settings;
mod target;
mod visitor;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
