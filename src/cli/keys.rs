//! `sallyport keys`: makes and shows the keys that sign access tokens.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{KeysCommand, print};
use crate::app::Error;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::{KeyInfo, Keys};
use crate::model::Timestamp;

pub(super) fn run(command: KeysCommand, config: &Config) -> Result<(), Error> {
    let now = Clock::system().now();
    match command {
        KeysCommand::Generate { file } => generate(file, config, now),
        KeysCommand::List { file } => list(file, config, now),
    }
}

fn generate(file: Option<PathBuf>, config: &Config, now: Timestamp) -> Result<(), Error> {
    let file = file.unwrap_or_else(|| config.keys_file.clone());
    Keys::generate(&file, now).map_err(Error::keys(&file))?;
    print(&format!(
        "Wrote {}. Keep a copy in a safe place: without it every session ends and sealed secrets are lost.\n",
        file.display()
    ));
    Ok(())
}

fn list(file: Option<PathBuf>, config: &Config, now: Timestamp) -> Result<(), Error> {
    let file = file.unwrap_or_else(|| config.keys_file.clone());
    let keys = Keys::load(&file).map_err(Error::keys(&file))?;
    let mut text = String::new();
    for key in keys.list(now) {
        let _ = writeln!(text, "{}", line(&key));
    }
    print(&text);
    Ok(())
}

/// Key id, from when, until when, and whether it signs now.
fn line(key: &KeyInfo) -> String {
    let until = match key.window.not_after {
        Some(until) => format!("until {until}"),
        None => "without end".to_owned(),
    };
    let active = if key.active { "  signs now" } else { "" };
    format!(
        "{}  from {}  {until}{active}",
        key.kid, key.window.not_before
    )
}
