//! Plots as SVG, drawn here so that the page needs nothing from elsewhere. Colours are classes of the page's
//! style, so the plot is readable in light and dark.

use std::fmt::Write as _;

use super::html::escape;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 30.0;

/// Scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Log,
}

/// A line with its name.
pub(super) struct Line {
    /// For the legend.
    pub(super) name: String,
    /// In the order of x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot.
pub(super) struct Plot<'a> {
    /// Title, with units.
    pub(super) title: &'a str,
    /// Labels below, at their places.
    pub(super) ticks: Vec<(f64, String)>,
    /// Upper end of x.
    pub(super) x_max: f64,
    /// Of y.
    pub(super) scale: Scale,
    /// The curves.
    pub(super) lines: Vec<Line>,
}

impl Plot<'_> {
    /// `<figure>` with the plot and its legend; nothing when there is nothing to draw.
    pub(super) fn render(&self) -> String {
        let Some(range) = self.range() else {
            return String::new();
        };
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(self.title),
            escape(self.title)
        );
        self.grid(&mut svg, range);
        for (number, line) in self.lines.iter().enumerate() {
            self.line(&mut svg, number, line, range);
        }
        svg.push_str("</svg>");
        self.legend(&mut svg);
        svg.push_str("</figure>\n");
        svg
    }

    /// Bounds of y, round ones.
    fn range(&self) -> Option<(f64, f64)> {
        let values = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.1);
        let (least, most) = values
            .filter(|value| value.is_finite() && (*value > 0.0 || self.scale == Scale::Linear))
            .fold(None, |range: Option<(f64, f64)>, value| {
                let (least, most) = range.unwrap_or((value, value));
                Some((least.min(value), most.max(value)))
            })?;
        Some(match self.scale {
            Scale::Linear => (0.0, nice(most)),
            Scale::Log => {
                let floor = 10_f64.powf(least.log10().floor());
                (floor, 10_f64.powf(most.log10().ceil()).max(floor * 10.0))
            }
        })
    }

    fn grid(&self, svg: &mut String, range: (f64, f64)) {
        for value in self.levels(range) {
            let y = self.y(value, range);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(value)
            );
        }
        for (at, label) in &self.ticks {
            let _ = write!(
                svg,
                "<text class=\"middle\" x=\"{:.1}\" y=\"{}\">{}</text>",
                self.x(*at),
                HEIGHT - 10.0,
                escape(label)
            );
        }
    }

    fn levels(&self, (floor, top): (f64, f64)) -> Vec<f64> {
        match self.scale {
            Scale::Linear => (0..=4).map(|step| top * f64::from(step) / 4.0).collect(),
            Scale::Log => std::iter::successors(Some(floor), |level| Some(level * 10.0))
                .take_while(|level| *level <= top * 1.001)
                .collect(),
        }
    }

    fn line(&self, svg: &mut String, number: usize, line: &Line, range: (f64, f64)) {
        let mut points = String::new();
        for (x, y) in &line.points {
            let _ = write!(points, "{:.1},{:.1} ", self.x(*x), self.y(*y, range));
        }
        let colour = colour(number);
        match *line.points {
            [(x, y)] => {
                let (x, y) = (self.x(x), self.y(y, range));
                let _ = write!(
                    svg,
                    "<circle class=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
                );
            }
            _ => {
                let _ = write!(
                    svg,
                    "<polyline class=\"{colour}\" points=\"{}\"/>",
                    points.trim_end()
                );
            }
        }
    }

    fn legend(&self, svg: &mut String) {
        svg.push_str("<p class=\"legend\">");
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write!(
                svg,
                "<span><i class=\"{}\"></i>{}</span> ",
                colour(number),
                escape(&line.name)
            );
        }
        svg.push_str("</p>");
    }

    fn x(&self, x: f64) -> f64 {
        let share = if self.x_max > 0.0 {
            x / self.x_max
        } else {
            0.0
        };
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64, (floor, top): (f64, f64)) -> f64 {
        let share = match self.scale {
            Scale::Linear => (y - floor) / (top - floor),
            Scale::Log => (y.max(floor).log10() - floor.log10()) / (top.log10() - floor.log10()),
        };
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
    }
}

/// One of eight.
fn colour(number: usize) -> String {
    format!("c{}", number % 8)
}

/// The next 1, 2 or 5 with zeros that is not smaller.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn short(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{}k", value / 1000.0)
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: Vec<(f64, f64)>) -> String {
        let name = "a <b>".to_owned();
        let plot = Plot {
            title: "t & u",
            ticks: vec![(0.0, "0".to_owned())],
            x_max: 10.0,
            scale,
            lines: vec![Line { name, points }],
        };
        plot.render()
    }

    #[test]
    fn names_are_escaped_and_nothing_is_drawn_of_nothing() {
        let svg = plot(Scale::Linear, vec![(0.0, 1.0), (10.0, 3.0)]);
        assert!(
            svg.contains("a &lt;b&gt;") && svg.contains("t &amp; u"),
            "{svg}"
        );
        assert!(!svg.contains("<b>"));
        assert_eq!(plot(Scale::Linear, Vec::new()), "");
    }

    #[test]
    fn every_point_lies_within_the_picture() {
        for scale in [Scale::Linear, Scale::Log] {
            let svg = plot(scale, vec![(0.0, 0.0), (5.0, 0.02), (10.0, 99_999.0)]);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let (_, points) = svg.split_once("points=\"").unwrap();
            let (points, _) = points.split_once('"').unwrap();
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(
                    (LEFT..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y),
                    "{point}"
                );
            }
        }
    }

    #[test]
    fn ends_of_axes_are_round() {
        for (value, end) in [(3.0, 5.0), (11.0, 20.0), (0.4, 0.5), (100.0, 100.0)] {
            assert!((nice(value) - end).abs() < 1e-9, "{value}");
        }
        assert_eq!(short(20_000.0), "20k");
        assert_eq!(short(0.25), "0.25");
    }
}
