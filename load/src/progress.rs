//! Progress of a run: a bar on a terminal, lines elsewhere, nothing when quiet. All of it goes to standard error;
//! standard output is for the result.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Verbosity of the progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    quiet: bool,
    bars: bool,
}

impl Progress {
    /// Shows progress unless `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bars: !quiet && std::io::stderr().is_terminal(),
        }
    }

    /// Prints the present step.
    pub(crate) fn say(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A bar for a step that takes `length`; hidden where there is no terminal.
    pub(crate) fn bar(self, name: &str, length: Duration) -> Bar {
        if !self.bars {
            self.say(name);
            return Bar(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(millis(length));
        let style = ProgressStyle::with_template("{prefix:24} [{bar:32}] {percent:>3}%  {msg}");
        bar.set_style(style.map_or_else(
            |_| ProgressStyle::default_bar(),
            |s| s.progress_chars("=> "),
        ));
        bar.set_prefix(name.to_owned());
        Bar(bar)
    }
}

/// A bar; gone when dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Moves the bar to `elapsed`, with a remark.
    pub(crate) fn at(&self, elapsed: Duration, remark: String) {
        self.0.set_position(millis(elapsed));
        self.0.set_message(remark);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
