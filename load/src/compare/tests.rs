use super::*;
use crate::machine::Machine;
use crate::record::Summary;
use crate::scenario::Scenario;
use crate::settings::Settings;

fn row(rate: f64, count: u64, p50: u64, p99: u64) -> Row {
    Row {
        route: "GET /auth/me".to_owned(),
        status: 200,
        count,
        failed: 0,
        rate,
        latency: Percentiles {
            mean: 1.0,
            p50,
            p90: p50,
            p99,
            p999: p99,
            max: p99,
        },
        curve: Vec::new(),
    }
}

fn report(rows: Vec<Row>) -> Report {
    let summary = Summary {
        rows,
        ..Summary::default()
    };
    let phase = PhaseReport {
        name: "me".to_owned(),
        rate: None,
        connections: 1,
        summary,
        server: None,
        client_cores_busy: 0.0,
    };
    Report {
        format: Report::FORMAT,
        began_at: String::new(),
        machine: Machine::default(),
        settings: Settings::of(Scenario::Me),
        interrupted: false,
        phases: vec![phase],
        findings: Vec::new(),
    }
}

fn is_worse(before: Row, after: Row) -> bool {
    reports(&report(vec![before]), &report(vec![after]), 0.1).worse
}

#[test]
fn what_lies_within_the_tolerance_is_not_worse() {
    let before = row(100.0, 100_000, 100, 1000);
    assert!(!is_worse(before.clone(), before.clone()));
    assert!(!is_worse(before.clone(), row(91.0, 100_000, 109, 1090)));
    assert!(!is_worse(before, row(500.0, 100_000, 10, 100)));
}

#[test]
fn slower_rate_or_percentile_is_worse() {
    let before = row(100.0, 100_000, 100, 1000);
    assert!(is_worse(before.clone(), row(89.0, 100_000, 100, 1000)));
    assert!(is_worse(before.clone(), row(100.0, 100_000, 112, 1000)));
    assert!(is_worse(before, row(100.0, 100_000, 100, 1200)));
}

#[test]
fn percentile_of_too_few_is_shown_and_not_judged() {
    let (before, after) = (row(100.0, 900, 100, 1000), row(100.0, 900, 100, 9000));
    let result = reports(&report(vec![before]), &report(vec![after]), 0.1);
    assert!(!result.worse, "{}", result.text);
    assert!(result.text.contains("p99 (9.00)"), "{}", result.text);
}

#[test]
fn route_that_is_gone_and_new_failures_are_worse() {
    let before = row(100.0, 1000, 100, 1000);
    let gone = reports(&report(vec![before.clone()]), &report(Vec::new()), 0.1);
    assert!(gone.worse && gone.text.contains("only in the first"));
    let failing = Row {
        failed: 1,
        ..before.clone()
    };
    assert!(is_worse(before.clone(), failing.clone()));
    assert!(!is_worse(failing, before));
}

#[test]
fn other_settings_are_told() {
    let before = report(Vec::new());
    let mut after = before.clone();
    after.settings.connections = 7;
    after.machine.cores = 3;
    let text = reports(&before, &after, 0.1).text;
    assert!(
        text.contains("different setting connections: 64 → 7"),
        "{text}"
    );
    assert!(text.contains("different machine cores"), "{text}");
}
