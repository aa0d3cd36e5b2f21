//! The load suite: plays many users against a Sallyport, counts honestly, and tells what came out.
//!
//! | room | what lives there |
//! |---|---|
//! | `cli`, `settings` | what was asked for, and what it amounts to |
//! | `target` | the service that is asked: a private one, or that of a URL |
//! | `bare` | servers that do next to nothing, as a measure of what is possible |
//! | `client`, `person`, `visitor` | one connection, one account, and the two together |
//! | `scenario` | what visitors do, one file each |
//! | `pace`, `run` | when they do it: closed loop, open loop, warm-up, the end |
//! | `record`, `scrape` | what was seen by the clients, and by the service itself |
//! | `report`, `compare` | table, JSON, HTML; two runs side by side |

mod bare;
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

/// As in the service: the bare servers are measured beside it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
