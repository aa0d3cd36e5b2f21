//! Curves of the page, and their points.

use std::collections::BTreeSet;

use crate::record::{Moment, Summary};
use crate::report::plot::{Line, Plot, Scale};

/// Answers and latencies of each route, slice by slice.
pub(super) fn over_time(page: &mut String, summary: &Summary) {
    if summary.slices.len() < 2 {
        return;
    }
    let ticks = (0..=4).map(|step| {
        let at = summary.seconds * f64::from(step) / 4.0;
        (at, format!("{at:.1} s"))
    });
    let ticks: Vec<(f64, String)> = ticks.collect();
    let plot = |title, scale, value: &dyn Fn(&Moment) -> f64| {
        Plot {
            title,
            ticks: ticks.clone(),
            x_max: summary.seconds,
            scale,
            lines: lines(summary, value),
        }
        .render()
    };
    let per_second = |moment: &Moment| float(moment.count) / summary.slice_seconds;
    page.push_str(&plot("answers per second", Scale::Linear, &per_second));
    let p99 = |moment: &Moment| float(moment.p99) / 1000.0;
    page.push_str(&plot("p99 over time, ms", Scale::Log, &p99));
    let p50 = |moment: &Moment| float(moment.p50) / 1000.0;
    page.push_str(&plot("p50 over time, ms", Scale::Log, &p50));
}

/// One line for each route, a point at the middle of each whole slice.
fn lines(summary: &Summary, value: &dyn Fn(&Moment) -> f64) -> Vec<Line> {
    let slices = summary.slices.iter().map(|slice| {
        let number = u32::try_from(slice.number).unwrap_or(u32::MAX);
        ((f64::from(number) + 0.5) * summary.slice_seconds, slice)
    });
    let whole = |at: f64| at + summary.slice_seconds / 2.0 <= summary.seconds + 1e-6;
    let slices: Vec<_> = slices.filter(|(at, _)| whole(*at)).collect();
    let routes: BTreeSet<&String> = slices
        .iter()
        .flat_map(|(_, slice)| slice.moments.keys())
        .collect();
    let line = |route: &String| Line {
        name: route.clone(),
        points: slices
            .iter()
            .filter_map(|(at, slice)| Some((*at, value(slice.moments.get(route)?))))
            .collect(),
    };
    routes.into_iter().map(line).collect()
}

/// Latency by share of requests, the axis stretched towards the slowest.
pub(super) fn by_share(page: &mut String, summary: &Summary) {
    let place = |share: f64| -(1.0 - share).max(1e-5).log10();
    let lines = summary.rows.iter().map(|row| Line {
        name: format!("{} {}", row.route, row.status),
        points: row
            .curve
            .iter()
            .map(|(share, micros)| (place(*share), float(*micros) / 1000.0))
            .collect(),
    });
    let shares = [
        (0.0, "0"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
    ];
    let plot = Plot {
        title: "latency by share of requests, ms",
        ticks: shares
            .map(|(share, label)| (place(share), label.to_owned()))
            .to_vec(),
        x_max: 5.0,
        scale: Scale::Log,
        lines: lines.collect(),
    };
    page.push_str(&plot.render());
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
