//! The result as plain text.

use std::fmt::Write as _;

use super::{Finding, PhaseReport, Report};
use crate::record::Percentiles;
use crate::scrape::ServerFigures;

/// Everything in plain text.
pub(crate) fn render(report: &Report) -> String {
    let settings = &report.settings;
    let argon2 = settings.argon2;
    let mut text = format!("\n{} on {}", settings.scenario, report.machine.processor);
    let _ = write!(
        text,
        ", {} cores, {} build",
        report.machine.cores, report.machine.build
    );
    if settings.target == "private" {
        let _ = write!(
            text,
            ", Argon2id m={} KiB t={} p={}, limits {:?}",
            argon2.memory_kib, argon2.iterations, argon2.parallelism, settings.limits
        );
    } else {
        let _ = write!(text, ", {}", settings.target);
    }
    text.push('\n');
    if report.interrupted {
        text.push_str("Ended early: figures are of what was measured until then.\n");
    }
    for phase in &report.phases {
        self::phase(&mut text, phase, settings.threads);
    }
    findings(&mut text, &report.findings);
    text
}

fn phase(text: &mut String, phase: &PhaseReport, threads: usize) {
    let summary = &phase.summary;
    let pace = match phase.rate {
        None => format!("closed loop, {} connections", phase.connections),
        Some(rate) => format!(
            "open loop, {rate:.1}/s, at most {} in flight",
            phase.connections
        ),
    };
    let _ = writeln!(
        text,
        "\n{}: {pace}, {:.1} s measured\n",
        phase.name, summary.seconds
    );
    let _ = writeln!(
        text,
        "  {:<30} {:>6} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "route",
        "status",
        "count",
        "per second",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms"
    );
    for row in &summary.rows {
        let latency = &row.latency;
        let _ = writeln!(
            text,
            "  {:<30} {:>6} {:>9} {:>10.1} {:>9} {:>9} {:>9} {:>9} {:>9}",
            row.route,
            status(row.status),
            row.count,
            row.rate,
            millis(latency.p50),
            millis(latency.p90),
            millis(latency.p99),
            millis(latency.p999),
            millis(latency.max),
        );
    }
    if summary.rows.is_empty() {
        text.push_str("  nothing was answered\n");
    }
    not_well(text, phase);
    let _ = writeln!(
        text,
        "\n  suite     {:.2} of {threads} cores busy{}",
        phase.client_cores_busy,
        limit_of_the_suite(phase.client_cores_busy, threads)
    );
    if let Some(server) = &phase.server {
        self::server(text, server);
    }
}

/// Note about the suite's own load: the figures are the service's only while the suite has time left.
pub(super) fn limit_of_the_suite(busy: f64, threads: usize) -> &'static str {
    let threads = u32::try_from(threads).map_or(1.0, f64::from);
    if busy > 0.9 * threads {
        ": the suite itself is the limit here, give it more --threads"
    } else {
        ""
    }
}

fn not_well(text: &mut String, phase: &PhaseReport) {
    let summary = &phase.summary;
    for line in &summary.codes {
        let _ = writeln!(
            text,
            "  {:<30} {:>6} {:>9}  {}",
            line.route,
            status(line.status),
            line.count,
            line.code
        );
    }
    if phase.failed() > 0 {
        let _ = writeln!(
            text,
            "  FAILED: {} requests that should not have",
            phase.failed()
        );
    }
    if summary.missed > 0 {
        let begun: u64 = summary.rows.iter().map(|row| row.count).sum();
        let _ = writeln!(
            text,
            "  missed: {} turns found no connection idle ({begun} requests were begun); latencies are of those begun",
            summary.missed
        );
    }
    for (why, count) in &summary.skipped {
        let _ = writeln!(text, "  not asked: {count}, {why}");
    }
    if let Some(lateness) = &summary.lateness {
        let Percentiles { p50, p99, max, .. } = lateness;
        let _ = writeln!(
            text,
            "  begun late by (within the latencies): p50 {} ms, p99 {} ms, max {} ms",
            millis(*p50),
            millis(*p99),
            millis(*max)
        );
    }
}

fn server(text: &mut String, server: &ServerFigures) {
    let _ = writeln!(
        text,
        "  service   {:.2} cores busy; memory {:.0} MiB before, {:.0} at most, {:.0} after",
        server.cores_busy,
        server.memory_before_mib,
        server.memory_peak_mib,
        server.memory_after_mib
    );
    let hash = &server.hash;
    if let Some(mean) = hash.run_mean {
        let _ = writeln!(
            text,
            "  hashing   {:.0} in {:.3} ms each; waited p50 {}, p99 {}; {:.0} refused; {:.0} waiting at most",
            hash.count,
            mean * 1000.0,
            bound(hash.wait_p50),
            bound(hash.wait_p99),
            hash.shed,
            hash.waiting_peak
        );
    }
    let _ = writeln!(
        text,
        "  writing   lag p50 {}, p99 {}; {:.0} pending at most; {:.1} PostgreSQL transactions/s; {:.0} conflicts",
        bound(server.lag_p50),
        bound(server.lag_p99),
        server.pending_peak,
        server.flushes_per_second,
        server.conflicts
    );
    let troubles = [
        ("errors of Redis", server.redis_errors),
        ("errors of PostgreSQL", server.postgres_errors),
        ("dead letters", server.dead_letters),
        ("panics", server.panics),
    ];
    for (name, count) in troubles {
        if count > 0.0 {
            let _ = writeln!(text, "  TROUBLE   {count:.0} {name}");
        }
    }
}

fn findings(text: &mut String, findings: &[Finding]) {
    if !findings.is_empty() {
        text.push('\n');
    }
    for finding in findings {
        let _ = writeln!(
            text,
            "{:<36} {:>10.3} {:<10} {}",
            finding.name, finding.value, finding.unit, finding.note
        );
    }
    text.push('\n');
}

fn status(status: u16) -> String {
    if status == 0 {
        "none".to_owned()
    } else {
        status.to_string()
    }
}

/// Microseconds as milliseconds with three digits that count.
pub(super) fn millis(micros: u64) -> String {
    let millis = std::time::Duration::from_micros(micros).as_secs_f64() * 1000.0;
    let digits = match micros {
        0..10_000 => 3,
        10_000..100_000 => 2,
        100_000..1_000_000 => 1,
        _ => 0,
    };
    format!("{millis:.digits$}")
}

/// Seconds that are the bound of a bucket.
pub(super) fn bound(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), |seconds| {
        format!("≤ {} ms", seconds * 1000.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html;
    use crate::report::tests::sample;

    #[test]
    fn times_have_the_digits_that_count() {
        assert_eq!(millis(7), "0.007");
        assert_eq!(millis(12_345), "12.35");
        assert_eq!(millis(123_456), "123.5");
        assert_eq!(millis(4_500_000), "4500");
    }

    #[test]
    fn table_tells_what_is_not_well() {
        let mut report = sample();
        report.phases[0].summary.missed = 3;
        report.phases[0].client_cores_busy = 0.99;
        let text = render(&report);
        for part in [
            "missed: 3",
            "the suite itself is the limit",
            "FAILED: 1",
            "overloaded",
            "none",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(html::render(&report).contains("the suite itself is the limit"));
    }
}
