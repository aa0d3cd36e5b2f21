use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::client::Answer;
use crate::record::{Ledger, Sample};
use crate::scenario::Scenario;

/// A report of a run that went nearly well.
pub(super) fn sample() -> Report {
    let ledger = Ledger::begin(Duration::ZERO, Duration::from_secs(10), &[503]);
    for number in 0..900_u64 {
        let started = Duration::from_millis(number * 10);
        let (status, body) = match number {
            7 => (0, "closed"),
            8 | 9 => (503, r#"{"code":"overloaded"}"#),
            _ => (200, "{}"),
        };
        let answer = Answer {
            status,
            retry_after: status == 503,
            body: Bytes::from_static(body.as_bytes()),
        };
        ledger.note(&Sample {
            route: Route::Login,
            due: None,
            started,
            ended: started + Duration::from_micros(500 + number),
            answer: &answer,
        });
    }
    Report {
        format: Report::FORMAT,
        began_at: "2026-01-02T03:04:05Z".to_owned(),
        machine: Machine::default(),
        settings: Settings::of(Scenario::Login),
        interrupted: false,
        phases: vec![PhaseReport {
            name: "login".to_owned(),
            rate: None,
            connections: 50,
            summary: ledger.summary(Duration::from_secs(10)),
            server: Some(ServerFigures::default()),
            client_cores_busy: 0.1,
        }],
        findings: vec![Finding::new("a", 1.0, "ratio", String::new())],
    }
}

#[test]
fn phase_knows_its_rates_shares_and_failures() {
    let report = sample();
    let phase = &report.phases[0];
    assert!((phase.rate_of(Route::Login, 200) - 89.7).abs() < 1e-9);
    assert!((phase.share_of(Route::Login, 503) - 2.0 / 900.0).abs() < 1e-9);
    assert!(phase.rate_of(Route::Me, 200).abs() < 1e-9);
    assert_eq!(report.failed(), 1);
}

#[test]
fn json_brings_back_what_was_written_and_refuses_what_is_not_ours() {
    let path = std::env::temp_dir().join(format!("load-test-{}.json", std::process::id()));
    let report = sample();
    json::write(&report, &path).unwrap();
    let read = json::read(&path);
    let mut other = report.clone();
    other.format = 99;
    json::write(&other, &path).unwrap();
    let refused = json::read(&path);
    std::fs::write(&path, "{}").unwrap();
    let nothing = json::read(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read.unwrap(), report);
    assert!(refused.unwrap_err().to_string().contains("format"));
    assert!(nothing.is_err());
}
