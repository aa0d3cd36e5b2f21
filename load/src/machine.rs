//! The machine of a run, and the suite's own use of it.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// Description of the machine, reported with every figure: absolute times mean little without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Name of the processor.
    pub(crate) processor: String,
    /// Memory in MiB.
    pub(crate) memory_mib: u64,
    /// Name and release of the system.
    pub(crate) system: String,
    /// `debug` or `release`: how suite and service were compiled.
    pub(crate) build: String,
}

impl Machine {
    /// The present machine.
    pub(crate) fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_mib: memory
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            system: format!("{} {}", std::env::consts::OS, release.trim()),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
        }
    }
}

/// `name : value`
fn field(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    });
    value.unwrap_or_default()
}

/// Processor time of the suite since it started, in seconds.
pub(crate) fn own_cpu_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}

/// Every connection needs a file descriptor: raises the soft limit to the hard one.
pub(crate) fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_found_by_its_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: A Processor: 2\n";
        assert_eq!(field(text, "model name"), "A Processor: 2");
        assert_eq!(field(text, "name"), "");
    }
}
