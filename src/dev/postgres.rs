//! A private PostgreSQL.

mod databases;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::binaries::PostgresPrograms;
use super::owner::{self, Owner};
use super::process::{self, POLL, Process, end_leftover};
use super::{Binaries, Error, Lifetime, folder, new_password, port};
use crate::clock::{self, Stopwatch};

/// A PostgreSQL of our own on a loopback port. Ends when dropped, or with this process.
#[derive(Debug)]
pub struct PrivatePostgres {
    installation: Installation,
    port: u16,
    process: Process,
}

/// Facts about the server that stay the same over restarts.
#[derive(Debug)]
struct Installation {
    programs: PostgresPrograms,
    owner: Option<Owner>,
    lifetime: Lifetime,
    folder: PathBuf,
    password: String,
}

/// The superuser of a private PostgreSQL.
const USER: &str = "sallyport";
/// Time limit of a start: recovery after a crash takes long.
const READY_WITHIN: Duration = Duration::from_mins(1);
const END_WITHIN: Duration = Duration::from_secs(20);

/// Settings for tests: a run has many processes, each with a pool of its own. Commits are synchronous: what was
/// acknowledged survives the kill of the server (though not of the machine), as fault tests expect.
const THROWAWAY_SETTINGS: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_connections=600",
    "shared_buffers=64MB",
    "checkpoint_timeout=1h",
];
const LASTING_SETTINGS: &[&str] = &["max_connections=100", "shared_buffers=128MB"];

impl PrivatePostgres {
    /// Starts a PostgreSQL with its data in `folder`, which is filled first when it is new, and waits until
    /// it accepts connections. Started by root it runs as `postgres` or `nobody`; a `folder` that this user
    /// cannot reach becomes a symbolic link to one below `/var/lib/sallyport-dev`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not get ready; the text says what to do.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        lifetime: Lifetime,
    ) -> Result<Self, Error> {
        let owner = Owner::for_postgres()?;
        let folder = owner::reachable_folder(folder, owner.as_ref())?;
        let password = folder::read_or_create(&folder.join("password"), new_password)?;
        let installation = Installation {
            programs: binaries.postgres()?,
            owner,
            lifetime,
            folder,
            password,
        };
        end_leftover(
            &installation.pid_file(),
            &installation.data(),
            Signal::SIGINT,
        )
        .await;
        if !installation.data().join("PG_VERSION").exists() {
            installation.fill().await?;
        }
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

    /// `postgres://…` of one database, with user and password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self {
            installation, port, ..
        } = self;
        format!(
            "postgres://{USER}:{}@127.0.0.1:{port}/{database}",
            installation.password
        )
    }

    /// The loopback port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the postmaster; another one after a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether its postmaster exists.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Kills the postmaster and all its backends (SIGKILL) and waits for the end.
    pub async fn kill(&mut self) {
        // Stopped first, so that no backend starts between listing and killing.
        self.process.signal(Signal::SIGSTOP);
        let backends = process::children_of(self.pid());
        self.process.signal(Signal::SIGKILL);
        for backend in backends {
            process::send(backend, Signal::SIGKILL);
        }
        self.process.ends_within(END_WITHIN).await;
    }

    /// Ends it in an orderly way: clients are disconnected, everything is written.
    pub async fn stop(&mut self) {
        self.process.signal(Signal::SIGINT);
        self.process.ends_within(END_WITHIN).await;
        self.process.end(END_WITHIN).await;
    }

    /// Stops postmaster and backends from running (SIGSTOP): connections stay open and silent.
    pub fn pause(&mut self) {
        self.process.signal(Signal::SIGSTOP);
        for backend in process::children_of(self.pid()) {
            process::send(backend, Signal::SIGSTOP);
        }
    }

    /// Lets paused processes go on.
    pub fn resume(&mut self) {
        for backend in process::children_of(self.pid()) {
            process::send(backend, Signal::SIGCONT);
        }
        self.process.signal(Signal::SIGCONT);
    }

    /// Starts it again on the same port with the same data. A running one is stopped first.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await;
        self.process = self.installation.launch(self.port).await?;
        Ok(())
    }
}

impl Drop for PrivatePostgres {
    /// A throw-away server is gone when this returns; a lasting one is left to its watcher, which ends it
    /// in an orderly way.
    fn drop(&mut self) {
        if self.installation.lifetime == Lifetime::Throwaway {
            self.resume();
            self.process.end_now();
        }
    }
}

impl Installation {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    /// A command that runs as the owner, in a folder that the owner can enter.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(owner) = &self.owner {
            owner.run(&mut command);
        }
        command
    }

    /// `initdb`, into a folder that gets its name when complete.
    async fn fill(&self) -> Result<(), Error> {
        let unfinished = self.folder.join("data.unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)
                .map_err(Error::io(format!("removing {}", unfinished.display())))?;
        }
        let password_file = self.folder.join("password");
        if let Some(owner) = &self.owner {
            owner.own(&password_file)?;
        }
        let mut command = self.command(&self.programs.initdb);
        command
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", USER, "--encoding", "UTF8", "--locale", "C"])
            .args(["--auth", "scram-sha-256", "--pwfile"])
            .arg(&password_file);
        if self.lifetime == Lifetime::Throwaway {
            command.arg("--no-sync");
        }
        output_of(command, "initdb").await?;
        std::fs::rename(&unfinished, self.data())
            .map_err(Error::io(format!("renaming {}", unfinished.display())))
    }

    async fn launch(&self, port: u16) -> Result<Process, Error> {
        let log = self.folder.join("postgres.log");
        let (ending, settings) = match self.lifetime {
            Lifetime::Lasting => (Signal::SIGINT, LASTING_SETTINGS),
            Lifetime::Throwaway => (Signal::SIGQUIT, THROWAWAY_SETTINGS),
        };
        let mut command = self.command(&self.programs.postgres);
        command.arg("-D").arg(self.data());
        command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "timezone=UTC"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn(&mut command, &log, ending)
            .map_err(Error::io("starting postgres".to_owned()))?;
        match self.wait_until_ready(&mut process).await {
            Ok(()) => Ok(process),
            Err(why) => {
                process.end(END_WITHIN).await;
                Err(Error::not_started("postgres", why, &log))
            }
        }
    }

    /// The postmaster writes its state into the last line of its pid file.
    async fn wait_until_ready(&self, process: &mut Process) -> Result<(), &'static str> {
        let watch = Stopwatch::start();
        loop {
            if !process.is_running() {
                return Err("it ended at once");
            }
            let text = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
            let ours = text.lines().next() == Some(process.pid().to_string().as_str());
            if ours && text.trim_end().ends_with("ready") {
                return Ok(());
            }
            if watch.elapsed() > READY_WITHIN {
                return Err("it was not ready in time");
            }
            clock::sleep(POLL).await;
        }
    }
}

async fn output_of(command: Command, program: &str) -> Result<Output, Error> {
    let output = tokio::process::Command::from(command)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io(format!("running {program}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::Refused(format!("{program} failed: {}", text.trim())))
}
