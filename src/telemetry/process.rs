//! Metrics of this process from the system, under the names that Prometheus clients agree on.

use std::fmt::Write as _;
use std::fs;

/// Ticks of the times in /proc/*/stat per second: `USER_HZ`, which Linux promises to be 100 there.
const TICKS: f64 = 100.0;

/// One sample.
struct Sample {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: Option<f64>,
}

/// All samples in Prometheus's text format; where there is no /proc, none.
pub(super) fn render() -> String {
    let stat = Stat::read();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |field: &str| kib(&status, field).map(|kib| kib * 1024.0);
    let samples = [
        Sample {
            name: "process_cpu_seconds_total",
            kind: "counter",
            help: "User and system time of this process.",
            value: stat.as_ref().map(|stat| stat.cpu_seconds),
        },
        Sample {
            name: "process_start_time_seconds",
            kind: "gauge",
            help: "When this process started, since the Unix epoch.",
            value: stat.and_then(|stat| Some(boot_time()? + stat.started_after_boot)),
        },
        Sample {
            name: "process_resident_memory_bytes",
            kind: "gauge",
            help: "Memory of this process that is in RAM.",
            value: bytes("VmRSS:"),
        },
        Sample {
            name: "process_virtual_memory_bytes",
            kind: "gauge",
            help: "Memory that this process has asked for.",
            value: bytes("VmSize:"),
        },
        Sample {
            name: "process_open_fds",
            kind: "gauge",
            help: "File descriptors in use.",
            value: open_fds(),
        },
        Sample {
            name: "process_max_fds",
            kind: "gauge",
            help: "File descriptors that may be in use.",
            value: max_fds(),
        },
    ];
    let mut text = String::new();
    for Sample {
        name,
        kind,
        help,
        value,
    } in samples
    {
        if let Some(value) = value {
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        }
    }
    text
}

/// From /proc/self/stat, see proc(5).
struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The second field is the name in parentheses and may contain anything; fields count from its end.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // `rest` begins with field 3.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS,
            started_after_boot: ticks(22)? / TICKS,
        })
    }
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn kib(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 descriptors")]
fn open_fds() -> Option<f64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the listing's own.
    Some(listed.saturating_sub(1) as f64)
}

fn max_fds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_shift_the_fields() {
        let stat = Stat::parse(
            "7 (a) b (c)) R 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 4 0 12345 1000000 500",
        )
        .expect("parses");
        assert!((stat.cpu_seconds - 4.0).abs() < 1e-9);
        assert!((stat.started_after_boot - 123.45).abs() < 1e-9);
        assert!(Stat::parse("7 (a) R 1").is_none());
        assert!(Stat::parse("").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_sample_is_there_on_linux() {
        let text = render();
        assert_eq!(text.matches("# HELP").count(), 6, "{text}");
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.expect("present").trim().parse().expect("a number")
        };
        assert!(value("process_resident_memory_bytes ") > 1e5);
        assert!(value("process_open_fds ") >= 3.0);
        let started = value("process_start_time_seconds ");
        let now = crate::clock::Clock::system().now().micros();
        #[expect(clippy::cast_precision_loss, reason = "exact to a microsecond")]
        let now = now as f64 / 1e6;
        assert!(started > 1.5e9 && started <= now + 2.0, "{started} {now}");
    }
}
