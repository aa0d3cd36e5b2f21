//! A private Redis.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::{POLL, Process, end_leftover};
use super::{Binaries, Error, Lifetime, folder, new_password, port, redis_protocol};
use crate::clock::{self, Stopwatch};

/// Moment at which Redis syncs its append-only file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// No append-only file: a restart starts empty.
    Off,
    /// Once a second, which is Redis's default.
    EverySecond,
    /// Before every answer.
    Always,
}

/// Set-up of a private Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Whether it and its data outlive this run.
    pub lifetime: Lifetime,
    /// Its append-only file.
    pub append_fsync: AppendFsync,
    /// Further lines of its configuration, such as `("maxmemory", "100mb")`.
    pub settings: Vec<(String, String)>,
}

impl RedisOptions {
    /// Options of `sallyport dev`: kept, synced once a second.
    #[must_use]
    pub fn lasting() -> Self {
        Self {
            lifetime: Lifetime::Lasting,
            append_fsync: AppendFsync::EverySecond,
            settings: Vec::new(),
        }
    }

    /// Options of most tests: an append-only file, so that data survives a restart, and no care for the disk.
    #[must_use]
    pub fn throwaway() -> Self {
        Self {
            lifetime: Lifetime::Throwaway,
            append_fsync: AppendFsync::EverySecond,
            settings: Vec::new(),
        }
    }

    /// The same with one more line of configuration.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A Redis of our own on a loopback port. Ends when dropped, or with this process.
#[derive(Debug)]
pub struct PrivateRedis {
    installation: Installation,
    port: u16,
    process: Process,
}

/// Facts about the server that stay the same over restarts.
#[derive(Debug)]
struct Installation {
    program: PathBuf,
    folder: PathBuf,
    options: RedisOptions,
    password: String,
}

/// Time limit of a start: a large append-only file takes long to load.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Time after which a server that does not end by itself is killed.
const END_WITHIN: Duration = Duration::from_secs(10);

impl PrivateRedis {
    /// Starts a Redis with its data in `folder`, and waits until it answers. The port of the last start is
    /// used again when it is free.
    ///
    /// # Errors
    /// When Redis is not installed or does not get ready; the text says what to do.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        options: RedisOptions,
    ) -> Result<Self, Error> {
        let program = binaries.redis_server()?;
        folder::make(folder, 0o700)?;
        let folder = folder
            .canonicalize()
            .map_err(Error::io(format!("finding {}", folder.display())))?;
        end_leftover(&folder.join("redis.pid"), &folder, Signal::SIGTERM).await;
        let password = folder::read_or_create(&folder.join("password"), new_password)?;

        let installation = Installation {
            program,
            folder,
            options,
            password,
        };
        let (port, process) = port::launch(&installation.folder.join("port"), async |port| {
            installation.launch(port).await
        })
        .await?;
        Ok(Self {
            installation,
            port,
            process,
        })
    }

    /// `redis://…`, with its password.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "redis://default:{}@127.0.0.1:{}",
            self.installation.password, self.port
        )
    }

    /// The loopback port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.installation.password
    }

    /// Its process id; another one after a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether its process exists.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.ends_within(END_WITHIN).await;
    }

    /// Ends it in an orderly way: the append-only file is written and synced.
    pub async fn stop(&mut self) {
        self.written().await;
        self.process.end(END_WITHIN).await;
    }

    /// Completes when everything that it has acknowledged is in its append-only file, or when it does not say so.
    ///
    /// While a sync with the disk is under way, `appendfsync everysec` keeps writes in memory for up to two seconds,
    /// and Redis 7 does not wait for it when it ends.
    pub async fn written(&mut self) {
        let watch = Stopwatch::start();
        while watch.elapsed() < END_WITHIN && self.is_running() {
            let asked = ["INFO", "persistence"];
            let info = redis_protocol::ask(self.port, self.password(), &asked).await;
            let Ok(info) = info else { return };
            let is_written = info.contains("aof_enabled:0")
                || info.contains("\naof_buffer_length:0\r")
                    && info.contains("\naof_pending_bio_fsync:0\r");
            if is_written {
                return;
            }
            clock::sleep(POLL).await;
        }
    }

    /// Stops its process from running (SIGSTOP): connections stay open and silent.
    pub fn pause(&mut self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Starts it again on the same port, with the data that its file has. A running one is stopped first.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await;
        self.process = self.installation.launch(self.port).await?;
        Ok(())
    }

    /// Starts it again on the same port with nothing in it. A running one is killed first.
    pub async fn restart_empty(&mut self) -> Result<(), Error> {
        self.kill().await;
        for name in ["appendonlydir", "dump.rdb"] {
            let path = self.installation.folder.join(name);
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else if path.exists() {
                std::fs::remove_file(&path)
            } else {
                Ok(())
            };
            removed.map_err(Error::io(format!("removing {}", path.display())))?;
        }
        self.restart().await
    }

    /// Sends one command and returns its answer as text (bulk string, simple string or integer).
    pub async fn ask(&self, command: &[&str]) -> Result<String, Error> {
        redis_protocol::ask(self.port, &self.installation.password, command)
            .await
            .map_err(Error::io(format!("asking Redis on port {}", self.port)))
    }
}

impl Drop for PrivateRedis {
    /// A throw-away server is gone when this returns; a lasting one is left to its watcher, which ends it
    /// in an orderly way.
    fn drop(&mut self) {
        if self.installation.options.lifetime == Lifetime::Throwaway {
            self.process.end_now();
        }
    }
}

impl Installation {
    async fn launch(&self, port: u16) -> Result<Process, Error> {
        let file = self.folder.join("redis.conf");
        folder::write_private(&file, &self.configuration(port))?;
        let log = self.folder.join("redis.log");
        let ending = match self.options.lifetime {
            Lifetime::Lasting => Signal::SIGTERM,
            Lifetime::Throwaway => Signal::SIGKILL,
        };
        let mut command = Command::new(&self.program);
        command.arg(&file).current_dir(&self.folder);
        let mut process = Process::spawn(&mut command, &log, ending)
            .map_err(Error::io(format!("starting {}", self.program.display())))?;
        match wait_until_ready(&mut process, port, &self.password).await {
            Ok(()) => Ok(process),
            Err(why) => {
                process.end(END_WITHIN).await;
                Err(Error::not_started("redis-server", why, &log))
            }
        }
    }

    /// The text of `redis.conf`. In a file rather than in arguments because of the password.
    fn configuration(&self, port: u16) -> String {
        let (append_only, fsync) = match self.options.append_fsync {
            AppendFsync::Off => ("no", "no"),
            AppendFsync::EverySecond => ("yes", "everysec"),
            AppendFsync::Always => ("yes", "always"),
        };
        let settings = [
            ("bind", "127.0.0.1"),
            ("port", &port.to_string()),
            ("requirepass", &self.password),
            ("masterauth", &self.password),
            ("dir", &self.folder.to_string_lossy()),
            ("pidfile", "redis.pid"),
            ("daemonize", "no"),
            ("appendonly", append_only),
            ("appendfsync", fsync),
            ("save", ""),
            ("maxmemory-policy", "noeviction"),
        ];
        let further = self.options.settings.iter();
        let further = further.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut text = String::new();
        for (name, value) in settings.into_iter().chain(further) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(text, "{name} \"{value}\"");
        }
        text
    }
}

async fn wait_until_ready(
    process: &mut Process,
    port: u16,
    password: &str,
) -> Result<(), &'static str> {
    let watch = Stopwatch::start();
    loop {
        if !process.is_running() {
            return Err("it ended at once");
        }
        // The process id tells our server from another one that took the port first.
        if let Ok(info) = redis_protocol::ask(port, password, &["INFO", "everything"]).await
            && info.contains(&format!("process_id:{}\r\n", process.pid()))
            && info.contains("\nloading:0\r\n")
        {
            return Ok(());
        }
        if watch.elapsed() > READY_WITHIN {
            return Err("it was not ready in time");
        }
        clock::sleep(POLL).await;
    }
}
