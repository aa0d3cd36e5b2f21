//! A server as a child process, and the watcher that ends it should this process be gone.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::{self, Stopwatch};

/// Script of the watcher: it waits on a pipe that only this process holds open. The pipe closes when this process ends, even by
/// SIGKILL; the server is then told to end. A line in the pipe means that the server is gone already.
const WATCHER: &str = r#"
trap '' HUP INT QUIT TERM
if read -r gone; then exit 0; fi
kill -CONT "$2"
kill -"$1" "$2"
"#;

/// Interval of polling.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// A running server, or one that has ended and is not yet started again.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    watcher: Child,
    ending: Signal,
    ended: bool,
}

impl Process {
    /// Starts `command` in a process group of its own (Ctrl-C in a terminal is for us to handle), with
    /// its output going to `log`. `ending` is the signal that ends the server in an orderly way.
    pub(super) fn spawn(command: &mut Command, log: &Path, ending: Signal) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let watcher = watch(child.id(), ending)?;
        Ok(Self {
            child,
            watcher,
            ending,
            ended: false,
        })
    }

    /// Process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs (or is paused).
    pub(super) fn is_running(&mut self) -> bool {
        if !self.ended && matches!(self.child.try_wait(), Ok(None)) {
            return true;
        }
        self.release_watcher();
        false
    }

    /// Sends a signal; one to an ended process goes nowhere.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            send(self.pid(), signal);
        }
    }

    /// Waits for its end; false when it still runs after `limit`.
    pub(super) async fn ends_within(&mut self, limit: Duration) -> bool {
        let watch = Stopwatch::start();
        while self.is_running() {
            if watch.elapsed() > limit {
                return false;
            }
            clock::sleep(POLL).await;
        }
        true
    }

    /// Ends it with its signal, and with SIGKILL after `limit`.
    pub(super) async fn end(&mut self, limit: Duration) {
        self.signal(self.ending);
        self.signal(Signal::SIGCONT);
        if !self.ends_within(limit).await {
            self.signal(Signal::SIGKILL);
            self.ends_within(limit).await;
        }
    }

    /// Ends it and waits without an executor, for use while dropping.
    pub(super) fn end_now(&mut self) {
        self.signal(self.ending);
        self.signal(Signal::SIGCONT);
        if self.is_running() {
            // The caller chose a signal that ends it quickly.
            let _ = self.child.wait();
        }
        self.release_watcher();
    }

    fn release_watcher(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(mut pipe) = self.watcher.stdin.take() {
            let _ = pipe.write_all(b"gone\n");
        }
        let _ = self.watcher.wait();
    }
}

fn watch(server: u32, ending: Signal) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", WATCHER, "sallyport-watcher"])
        .arg((ending as i32).to_string())
        .arg(server.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Sends a signal to a process by its id.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The processes whose parent is `parent`, from `/proc`.
pub(super) fn children_of(parent: u32) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

/// `pid (name) state parent …`; the name may contain anything, parentheses included.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Whether process `pid` works in `folder`: it is its working directory, or an argument that it was started
/// with. (The working directory of another user's process cannot always be read, so either is enough.)
pub(super) fn works_in(pid: u32, folder: &Path) -> bool {
    let is_cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
    let is_argument = std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
        line.split(|byte| *byte == 0)
            .any(|argument| Some(argument) == folder.to_str().map(str::as_bytes))
    });
    is_cwd || is_argument
}

/// Ends the process that a pid file in `folder` names, if it is a server that an earlier run has left behind, and
/// waits for its end.
pub(super) async fn end_leftover(pid_file: &Path, folder: &Path, ending: Signal) {
    let Some(pid) = first_line_pid(pid_file) else {
        return;
    };
    if !works_in(pid, folder) {
        return;
    }
    tracing::warn!(pid, folder = %folder.display(), "ending a server that an earlier run left behind");
    send(pid, Signal::SIGCONT);
    send(pid, ending);
    let watch = Stopwatch::start();
    while works_in(pid, folder) {
        if watch.elapsed() > Duration::from_secs(10) {
            send(pid, Signal::SIGKILL);
        }
        clock::sleep(POLL).await;
    }
}

fn first_line_pid(pid_file: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    text.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Process {
        let mut command = Command::new("sleep");
        command.arg("600").current_dir(folder);
        Process::spawn(&mut command, &folder.join("log"), Signal::SIGTERM).unwrap()
    }

    #[tokio::test]
    async fn process_that_is_ended_takes_its_watcher_along() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        let watcher = process.watcher.id();
        assert!(process.is_running());
        assert!(children_of(std::process::id()).contains(&watcher));
        process.end(Duration::from_secs(10)).await;
        assert!(!process.is_running());
        assert!(!children_of(std::process::id()).contains(&watcher));
    }

    #[tokio::test]
    async fn watcher_ends_the_server_when_its_pipe_closes() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        process.signal(Signal::SIGSTOP);
        drop(process.watcher.stdin.take());
        assert!(process.ends_within(Duration::from_secs(30)).await);
    }

    #[tokio::test]
    async fn leftover_is_ended_only_when_it_works_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        let pid_file = folder.path().join("pid");
        std::fs::write(&pid_file, format!("{}\n", process.pid())).unwrap();

        end_leftover(&pid_file, other.path(), Signal::SIGTERM).await;
        assert!(process.is_running());

        let reaped = async { assert!(process.ends_within(Duration::from_secs(30)).await) };
        let path = folder.path().canonicalize().unwrap();
        tokio::join!(end_leftover(&pid_file, &path, Signal::SIGTERM), reaped);
    }
}
