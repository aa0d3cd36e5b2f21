//! The result as one HTML page that needs nothing else: no scripts, no fonts, no network.

mod curves;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::table::{bound, limit_of_the_suite, millis};
use super::{PhaseReport, Report};
use crate::record::Summary;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(crate) fn render(report: &Report) -> String {
    let title = format!("Load: {}", report.settings.scenario);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
        escape(&title)
    );
    head(&mut page, report);
    findings(&mut page, report);
    for phase in &report.phases {
        self::phase(&mut page, phase, report.settings.threads);
    }
    settings(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

/// For text and attributes of HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn head(page: &mut String, report: &Report) {
    let machine = &report.machine;
    let _ = writeln!(
        page,
        "<p class=\"soft\">{} · {}, {} cores, {} MiB · {} · {} build</p>",
        escape(&report.began_at),
        escape(&machine.processor),
        machine.cores,
        machine.memory_mib,
        escape(&machine.system),
        escape(&machine.build)
    );
    if report.interrupted {
        page.push_str(
            "<p class=\"bad\">Ended early: figures are of what was measured until then.</p>\n",
        );
    }
}

fn findings(page: &mut String, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    page.push_str("<table>\n");
    for finding in &report.findings {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:.3}</td><td class=\"text\">{}</td><td class=\"text\">{}</td></tr>",
            escape(&finding.name),
            finding.value,
            escape(&finding.unit),
            escape(&finding.note)
        );
    }
    page.push_str("</table>\n");
}

fn phase(page: &mut String, phase: &PhaseReport, threads: usize) {
    let how = match phase.rate {
        None => format!("closed loop, {} connections", phase.connections),
        Some(rate) => format!(
            "open loop, {rate:.1}/s, at most {} in flight",
            phase.connections
        ),
    };
    let _ = writeln!(
        page,
        "<h2>{}</h2>\n<p class=\"soft\">{how}, {:.1} s measured; the suite kept {:.2} of {threads} cores busy{}</p>",
        escape(&phase.name),
        phase.summary.seconds,
        phase.client_cores_busy,
        limit_of_the_suite(phase.client_cores_busy, threads)
    );
    rows(page, &phase.summary);
    not_well(page, phase);
    page.push_str("<div class=\"plots\">\n");
    curves::over_time(page, &phase.summary);
    curves::by_share(page, &phase.summary);
    page.push_str("</div>\n");
    server(page, phase);
}

fn rows(page: &mut String, summary: &Summary) {
    page.push_str(
        "<div class=\"wide\"><table>\n<tr><th>route</th><th>status</th><th>count</th><th>failed</th><th>per second</th>\
         <th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>p99.9 ms</th><th>max ms</th></tr>\n",
    );
    for row in &summary.rows {
        let bad = if row.failed > 0 { " class=\"bad\"" } else { "" };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td{bad}>{}</td><td>{:.1}</td>",
            escape(&row.route),
            row.status,
            row.count,
            row.failed,
            row.rate
        );
        let latency = &row.latency;
        for micros in [
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
        ] {
            let _ = write!(page, "<td>{}</td>", millis(micros));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

fn not_well(page: &mut String, phase: &PhaseReport) {
    let summary = &phase.summary;
    let mut lines: Vec<String> = summary
        .codes
        .iter()
        .map(|line| {
            format!(
                "{} {} {}: {}",
                line.route, line.status, line.code, line.count
            )
        })
        .collect();
    if summary.missed > 0 {
        lines.push(format!(
            "turns that found no connection idle: {}",
            summary.missed
        ));
    }
    let skipped = summary.skipped.iter();
    lines.extend(skipped.map(|(why, count)| format!("not asked, {why}: {count}")));
    if let Some(late) = &summary.lateness {
        let (p50, p99) = (millis(late.p50), millis(late.p99));
        lines.push(format!(
            "begun late by p50 {p50} ms, p99 {p99} ms (within the latencies)"
        ));
    }
    if lines.is_empty() {
        return;
    }
    page.push_str("<ul>\n");
    for line in lines {
        let _ = writeln!(page, "<li>{}</li>", escape(&line));
    }
    page.push_str("</ul>\n");
}

fn server(page: &mut String, phase: &PhaseReport) {
    let Some(server) = &phase.server else {
        return;
    };
    let hash = &server.hash;
    let rows = BTreeMap::from([
        ("service, cores busy", format!("{:.2}", server.cores_busy)),
        (
            "service, memory before / at most / after",
            format!(
                "{:.0} / {:.0} / {:.0} MiB",
                server.memory_before_mib, server.memory_peak_mib, server.memory_after_mib
            ),
        ),
        (
            "hash pool: passwords, mean, refused",
            format!(
                "{:.0}, {:.3} ms, {:.0}",
                hash.count,
                hash.run_mean.unwrap_or(0.0) * 1000.0,
                hash.shed
            ),
        ),
        (
            "hash pool: waited p50, p99",
            format!("{}, {}", bound(hash.wait_p50), bound(hash.wait_p99)),
        ),
        (
            "write-behind: lag p50, p99, pending at most",
            format!(
                "{}, {}, {:.0}",
                bound(server.lag_p50),
                bound(server.lag_p99),
                server.pending_peak
            ),
        ),
        (
            "write-behind: PostgreSQL transactions per second",
            format!("{:.1}", server.flushes_per_second),
        ),
        (
            "conflicts, errors of Redis, of PostgreSQL, dead letters, panics",
            format!(
                "{:.0}, {:.0}, {:.0}, {:.0}, {:.0}",
                server.conflicts,
                server.redis_errors,
                server.postgres_errors,
                server.dead_letters,
                server.panics
            ),
        ),
    ]);
    page.push_str("<dl>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
    }
    page.push_str("</dl>\n");
}

fn settings(page: &mut String, report: &Report) {
    page.push_str("<h2>Settings</h2>\n");
    let text = serde_json::to_string_pretty(&report.settings).unwrap_or_default();
    let _ = writeln!(page, "<pre>{}</pre>", escape(&text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn what_others_wrote_cannot_become_markup() {
        assert_eq!(
            escape("<a href=\"x\">&'"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"
        );
        let mut report = sample();
        let mark = "<script>alert(1)</script>";
        report.settings.target = mark.to_owned();
        report.machine.processor = mark.to_owned();
        report.phases[0].name = mark.to_owned();
        report.phases[0].summary.codes[0].code = mark.to_owned();
        report.findings[0].note = mark.to_owned();
        let page = render(&report);
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn page_needs_nothing_from_elsewhere() {
        let page = render(&sample());
        for reference in ["src=", "http", "url(", "@import", "<link"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(page.contains("<svg") && page.contains("polyline"));
    }
}
