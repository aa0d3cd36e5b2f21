//! Prometheus' text format, as far as the service uses it.

use std::collections::HashMap;

/// One reading: values by name, summed over labels, and histograms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exposition {
    values: HashMap<String, f64>,
    /// Upper bound and how many are not above it, summed over labels, by name.
    buckets: HashMap<String, Vec<(f64, f64)>>,
}

impl Exposition {
    /// Lines that are not understood are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            reading.take(line);
        }
        for buckets in reading.buckets.values_mut() {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        reading
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (series, value) = line.rsplit_once(' ')?;
        let value: f64 = value.parse().ok()?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        if let Some(histogram) = name.strip_suffix("_bucket")
            && let Some(bound) = bound(labels)
        {
            let buckets = self.buckets.entry(histogram.to_owned()).or_default();
            match buckets
                .iter_mut()
                .find(|bucket| bucket.0.total_cmp(&bound).is_eq())
            {
                Some(bucket) => bucket.1 += value,
                None => buckets.push((bound, value)),
            }
        } else {
            *self.values.entry(name.to_owned()).or_default() += value;
        }
        Some(())
    }

    /// The value of `name` over all labels; absent metrics have not happened yet.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(0.0)
    }

    /// Distribution of a histogram's values since `earlier`.
    pub(crate) fn since(&self, earlier: &Self, name: &str) -> Distribution {
        let of = |suffix: &str| {
            let name = format!("{name}{suffix}");
            self.value(&name) - earlier.value(&name)
        };
        let before: &[(f64, f64)] = earlier.buckets.get(name).map_or(&[], Vec::as_slice);
        let buckets = self.buckets.get(name).map_or(&[][..], Vec::as_slice);
        let less = |bound: f64| {
            let found = before
                .iter()
                .find(|bucket| bucket.0.total_cmp(&bound).is_eq());
            found.map_or(0.0, |bucket| bucket.1)
        };
        Distribution {
            count: of("_count"),
            sum: of("_sum"),
            buckets: buckets
                .iter()
                .map(|(bound, count)| (*bound, count - less(*bound)))
                .collect(),
        }
    }
}

/// `…le="0.005"…`
fn bound(labels: &str) -> Option<f64> {
    let (_, rest) = labels.split_once("le=\"")?;
    let (bound, _) = rest.split_once('"')?;
    if bound == "+Inf" {
        return Some(f64::INFINITY);
    }
    bound.parse().ok()
}

/// Distribution of a histogram's values over a time.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    /// Number of values.
    pub(crate) count: f64,
    /// Sum of the values.
    pub(crate) sum: f64,
    buckets: Vec<(f64, f64)>,
}

impl Distribution {
    /// Mean; `None` without any.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// The bound that a share of them is not above: the truth is at most that. `None` without any, or when
    /// it lies beyond the last bound.
    pub(crate) fn at_most(&self, share: f64) -> Option<f64> {
        if self.count <= 0.0 {
            return None;
        }
        let found = self
            .buckets
            .iter()
            .find(|(_, count)| *count >= share * self.count)?;
        found.0.is_finite().then_some(found.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE wait histogram\nwait_bucket{le=\"0.001\"} 10\nwait_bucket{le=\"0.1\"} 10\nwait_bucket{le=\"+Inf\"} 10\n\
        wait_sum 0.005\nwait_count 10\nrequests{route=\"/a b\"} 4\nrequests{route=\"/c\"} 5\n";
    const AFTER: &str = "wait_bucket{le=\"0.001\"} 20\nwait_bucket{le=\"0.1\"} 29\nwait_bucket{le=\"+Inf\"} 30\n\
        wait_sum 2.005\nwait_count 30\nnonsense\nrequests 20\n";

    #[test]
    fn values_are_summed_over_labels_and_absent_ones_are_nothing() {
        let reading = Exposition::parse(BEFORE);
        assert!((reading.value("requests") - 9.0).abs() < 1e-9);
        assert!(reading.value("other").abs() < 1e-9);
    }

    #[test]
    fn histogram_between_two_readings_knows_mean_and_bounds() {
        let (before, after) = (Exposition::parse(BEFORE), Exposition::parse(AFTER));
        let wait = after.since(&before, "wait");
        assert!((wait.count - 20.0).abs() < 1e-9);
        assert!((wait.mean().unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(wait.at_most(0.5), Some(0.001));
        assert_eq!(wait.at_most(0.9), Some(0.1));
        assert_eq!(wait.at_most(0.999), None, "beyond the last bound");
        assert!(before.since(&before, "wait").mean().is_none());
    }
}
