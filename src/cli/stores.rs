//! `sallyport stores -- <command>`: runs a command with throw-away stores, as a test run needs them.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::app::{Error, Signals};
use crate::config::Config;
use crate::dev::{Binaries, ThrowawayStores};

/// Starts the stores, runs the command to its end, ends the stores; returns the command's exit code.
pub(super) async fn run(config: &Config, command: Vec<OsString>) -> Result<ExitCode, Error> {
    let mut signals = Signals::listen()?;
    let binaries = Binaries::find(config.dev.search_path());
    let stores = tokio::select! {
        stores = ThrowawayStores::start(&binaries, Path::new("/tmp")) => stores?,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Error::NotReady("no command was given".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(stores.variables())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io(format!("starting {}", program.display())))?;
    let status = wait(&mut child, &mut signals)
        .await
        .map_err(Error::io("waiting for the command"))?;
    drop(stores);
    Ok(exit_code(status))
}

/// Waits for the command's end. A signal to us is passed on to it.
async fn wait(child: &mut Child, signals: &mut Signals) -> std::io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = signals.next() => {
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
        }
    }
}

/// A command that a signal ended has failed.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
