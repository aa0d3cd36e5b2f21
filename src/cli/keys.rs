//! `sallyport keys`: makes, shows and rotates the keys that sign access tokens and seal secrets.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::{KeysCommand, print};
use crate::app::Error;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::crypto::{KeyError, KeyInfo, Keys, Rotation, SealingKeyInfo};
use crate::model::Timestamp;

/// Longest delay: keys that begin later are forgotten about.
const MAX_DELAY: Duration = Duration::from_hours(30 * 24);

pub(super) fn run(command: KeysCommand, config: &Config) -> Result<(), Error> {
    let now = Clock::system().now();
    match command {
        KeysCommand::Generate { file } => generate(file, config, now),
        KeysCommand::List { file } => list(file, config, now),
        KeysCommand::Rotate { file, delay } => rotate(file, delay, config, now),
    }
}

/// Reads `--delay`, in the form of the settings.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    config::parse_span(text, Duration::ZERO..=MAX_DELAY)
}

fn generate(file: Option<PathBuf>, config: &Config, now: Timestamp) -> Result<(), Error> {
    let file = file.unwrap_or_else(|| config.keys.file.clone());
    Keys::generate(&file, now).map_err(|error| match error {
        KeyError::Io(cause) if cause.kind() == ErrorKind::AlreadyExists => Error::NotReady(format!(
            "{} is there already and is never overwritten; `sallyport keys rotate` adds keys to it, --file \
             names another",
            file.display()
        )),
        other => Error::keys(&file)(other),
    })?;
    print(&format!(
        "Wrote {}. Keep a copy where it is safe: without it every session ends and sealed secrets are lost.\n",
        file.display()
    ));
    Ok(())
}

fn list(file: Option<PathBuf>, config: &Config, now: Timestamp) -> Result<(), Error> {
    let file = file.unwrap_or_else(|| config.keys.file.clone());
    let keys = Keys::load(&file).map_err(Error::keys(&file))?;
    let mut text = String::new();
    for key in keys.list(now) {
        let _ = writeln!(text, "{}", key_row(&key));
    }
    for key in keys.list_sealing(now) {
        let _ = writeln!(text, "{}", sealing_row(&key));
    }
    print(&text);
    Ok(())
}

/// Row of a signing key: id, from when, until when, and whether it signs now.
fn key_row(key: &KeyInfo) -> String {
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

/// Row of a sealing key: version, from when, and whether it seals now.
fn sealing_row(key: &SealingKeyInfo) -> String {
    let active = if key.active { "  seals now" } else { "" };
    format!(
        "sealing key {}  from {}{active}",
        key.version, key.not_before
    )
}

fn rotate(
    file: Option<PathBuf>,
    delay: Duration,
    config: &Config,
    now: Timestamp,
) -> Result<(), Error> {
    let file = file.unwrap_or_else(|| config.keys.file.clone());
    let overlap = config.tokens.access_ttl + config.tokens.leeway;
    let done = Keys::rotate(&file, now, delay, overlap).map_err(|error| match error {
        KeyError::Pending(_) => Error::NotReady(format!("{}: {error}", file.display())),
        other => Error::keys(&file)(other),
    })?;
    print(&rotation_report(
        &file.display().to_string(),
        &done,
        overlap,
    ));
    Ok(())
}

/// Report of a rotation: what was done, and what is left to do.
fn rotation_report(file: &str, done: &Rotation, overlap: Duration) -> String {
    let Rotation { begins, ends, .. } = done;
    let mut text = format!(
        "Added to {file}, to begin at {begins}:\n  signing key {}\n  sealing key {}\n",
        done.kid, done.sealing_version
    );
    if done.forgotten > 0 {
        let _ = writeln!(
            text,
            "Removed: {} signing keys that had ended.",
            done.forgotten
        );
    }
    let _ = write!(
        text,
        "
To do before then: give this file to every instance and restart it. An instance without it would refuse the
tokens and could not open the secrets of the others. Whoever verifies access tokens elsewhere finds the new key in
/.well-known/paseto-keys.json as soon as an instance was restarted.

Nobody is logged out: the signing key before counts until {ends}, which is {} seconds longer
(ACCESS_TOKEN_TTL and TOKEN_LEEWAY as this command sees them; they must not be longer where the service runs).
Stored secrets are sealed anew in the background. Sealing keys stay in the file, for backups need them.
Keep a copy of the file where it is safe.
",
        overlap.as_secs()
    );
    text
}
