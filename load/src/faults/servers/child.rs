//! A program as a child process that ends with the checker, however that ends.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sallyport::clock;

use crate::error::Error;

/// Waits on a pipe that only the checker holds open. When it closes, the child is killed.
const WATCHER: &str = "trap '' HUP INT QUIT TERM\nread -r never\nkill -KILL \"$1\"\n";
const POLL: Duration = Duration::from_millis(5);

/// A running child.
pub(super) struct Child {
    process: Process,
    watcher: Process,
}

impl Child {
    /// Starts `command` with its output added to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self, Error> {
        let opened = OpenOptions::new().create(true).append(true).open(log);
        let output = opened.map_err(Error::io(format!("opening {}", log.display())))?;
        let errors = output.try_clone().map_err(Error::io("opening a log"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let process = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("starting {program}")))?;
        let watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "load-watcher"])
            .arg(process.id().to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("starting /bin/sh"))?;
        Ok(Self { process, watcher })
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Sends a signal, unless it has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Ok(pid) = i32::try_from(self.process.id())
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Kills it and waits for its end.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        while self.is_running() {
            clock::sleep(POLL).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}
