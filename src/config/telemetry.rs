//! Settings of logs.

use super::form::{Choice, Text};
use super::setting::settings;

settings! {
    /// Logs.
    pub struct Telemetry = config.telemetry {
        /// Whether logs, on standard output, are one JSON object a line, or text for people. `sallyport dev` writes text when nothing is said.
        log_format: LogFormat = LogFormat::Json, "LOG_FORMAT", LOG_FORMAT;
        /// Filter of the logs: a level, or targets with levels.
        // At info sqlx passes on every NOTICE of PostgreSQL, "already exists, skipping" among them.
        log_filter: String = "info,sqlx=warn".to_owned(), "RUST_LOG", LOG_FILTER;
    }
}

/// How logs are written (`LOG_FORMAT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

const LOG_FORMAT: Choice<LogFormat> =
    Choice(&[("json", LogFormat::Json), ("text", LogFormat::Text)]);

const LOG_FILTER: Text = Text {
    accepts: |text| text.parse::<tracing_subscriber::EnvFilter>().is_ok(),
    allowed: "error, warn, info, debug, trace, off, or target=level with commas between them",
};
