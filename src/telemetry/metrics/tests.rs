//! Content of a scrape.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::telemetry::names;
use crate::telemetry::names::CONSTANTS;

/// A recorder with a sample of every metric.
fn used() -> String {
    let (recorder, metrics) = build().expect("builds");
    metrics::with_local_recorder(&recorder, || {
        for metric in METRICS {
            match metric.kind {
                Kind::Counter => {
                    metrics::counter!(metric.name, "label" => "a\"b\\c\nd").increment(1);
                }
                Kind::Gauge => metrics::gauge!(metric.name, "label" => "x").set(1.5),
                Kind::Histogram(_) => metrics::histogram!(metric.name, "label" => "x").record(0.02),
            }
        }
    });
    metrics.run_upkeep();
    metrics.render()
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

#[test]
fn every_metric_is_described_and_histograms_have_buckets() {
    let text = used();
    for metric in METRICS {
        let name = metric.name;
        assert!(
            text.contains(&format!("# HELP {name} {}\n", metric.help)),
            "{name}"
        );
        let kind = kind(metric);
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        if let Kind::Histogram(buckets) = metric.kind {
            let count = text.matches(&format!("{name}_bucket{{")).count();
            assert_eq!(count, buckets.len() + 1, "{name}");
        }
    }
}

#[test]
fn what_has_no_labels_is_there_from_the_start() {
    let (_recorder, metrics) = build().expect("builds");
    let text = metrics.render();
    for name in [
        names::HTTP_IN_FLIGHT,
        names::HASH_WAITING,
        names::STORE_DEAD_LETTERS,
    ] {
        assert!(text.contains(&format!("\n{name} 0\n")), "{name}\n{text}");
    }
    for name in [names::HTTP_REQUESTS, names::HASH_SHED, names::HASH_ENGINE] {
        assert!(
            !text.contains(name),
            "{name}: an empty series beside the labelled ones"
        );
    }
}

#[test]
fn a_second_installation_returns_the_first() {
    let one = Metrics::install().expect("installs");
    metrics::counter!(names::STORE_SWEPT).increment(3);
    let two = Metrics::install().expect("installs");
    for metrics in [one, two] {
        assert!(
            metrics
                .render()
                .contains(&format!("\n{} 3\n", names::STORE_SWEPT))
        );
    }
}

#[test]
fn names_are_unique_and_follow_the_rules() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        assert!(metric.name.starts_with("sallyport_"), "{}", metric.name);
        let total = metric.name.ends_with("_total");
        assert_eq!(
            total,
            matches!(metric.kind, Kind::Counter),
            "{}",
            metric.name
        );
        assert!(metric.help.ends_with('.'), "{}", metric.name);
        if let Kind::Histogram(buckets) = metric.kind {
            assert!(buckets.is_sorted(), "{}", metric.name);
        }
    }
}

/// Text of every source below a folder.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder");
    let text = |path: PathBuf| {
        if path.is_dir() {
            sources(&path)
        } else {
            fs::read_to_string(&path).unwrap_or_default()
        }
    };
    entries
        .map(|entry| text(entry.expect("an entry").path()))
        .collect()
}

/// Name of a label, out of `"name" => value`.
fn label(argument: &str) -> Option<&str> {
    let (label, _) = argument.trim().strip_prefix('"')?.split_once("\" =>")?;
    Some(label)
}

/// Constant and labels of a metric, out of the arguments of the macro that measures it.
fn constant_and_labels(call: &str) -> Option<(&str, Vec<&str>)> {
    let mut depth = 0_i32;
    let end = call.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0
    });
    let mut arguments = call[..end?].split(',');
    let constant = arguments.next()?.trim().strip_prefix("names::")?;
    Some((constant, arguments.filter_map(label).collect()))
}

#[test]
fn every_metric_is_measured_with_the_kind_and_labels_of_its_row() {
    let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut measured = BTreeSet::new();
    for kind in ["counter", "gauge", "histogram"] {
        for call in code.split(&format!("{kind}!(")).skip(1) {
            measured.extend(
                constant_and_labels(call).map(|(constant, labels)| (constant, kind, labels)),
            );
        }
    }
    let declared: BTreeSet<_> = CONSTANTS
        .iter()
        .zip(METRICS)
        .map(|(constant, metric)| (*constant, kind(metric), metric.labels.to_vec()))
        .collect();
    let differ: Vec<_> = measured.symmetric_difference(&declared).collect();
    assert!(
        differ.is_empty(),
        "in the code or in names.rs, but not in both: {differ:#?}"
    );
}

/// The queries of docs/operations.md, one a line.
fn documented_queries() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(path).expect("the page");
    let (_, block) = page.split_once("```promql\n").expect("a block of queries");
    let (block, _) = block.split_once("```").expect("its end");
    let queries = block.lines().filter(|line| !line.starts_with('#'));
    queries.map(str::to_owned).collect()
}

/// Also parsed by promtool, where it is installed.
#[test]
fn every_documented_query_asks_for_metrics_and_labels_that_exist() {
    let queries = documented_queries();
    assert!(queries.len() >= 20, "{queries:#?}");
    for query in &queries {
        for (start, _) in query.match_indices("sallyport_") {
            let rest = &query[start..];
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let asked = &rest[..end];
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| asked.strip_suffix(part));
            let is_asked = |metric: &&Metric| match metric.kind {
                Kind::Histogram(_) => base == Some(metric.name),
                _ => metric.name == asked,
            };
            let metric = METRICS
                .iter()
                .find(is_asked)
                .unwrap_or_else(|| panic!("{asked}: {query}"));
            let labels = rest[end..]
                .strip_prefix('{')
                .and_then(|labels| labels.split_once('='));
            if let Some((label, _)) = labels {
                assert!(metric.labels.contains(&label), "{label}: {query}");
            }
        }
    }
    let mut rules = String::from("groups: [{name: documented, rules: [\n");
    for (number, query) in queries.iter().enumerate() {
        let _ = writeln!(
            rules,
            "{{record: 'documented:query{number}', expr: '{query}'}},"
        );
    }
    rules.push_str("]}]\n");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules).expect("written");
    let Ok(checked) = Command::new("promtool")
        .args(["check", "rules"])
        .arg(file.path())
        .output()
    else {
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// With promtool where it is installed, and without it by the form of each line.
#[test]
fn prometheus_accepts_what_is_rendered() {
    let text = used();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let sample = line
            .strip_prefix("# HELP ")
            .or(line.strip_prefix("# TYPE "));
        let (name, value) = match sample {
            Some(comment) => comment.split_once(' ').expect("two parts"),
            None => line.rsplit_once(' ').expect("name and value"),
        };
        let first = name.chars().next().expect("a name");
        assert!(first.is_ascii_lowercase() && !value.is_empty(), "{line}");
        assert!(sample.is_some() || value.parse::<f64>().is_ok(), "{line}");
    }
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else { return };
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("reads all");
    drop(input);
    let output = promtool.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
