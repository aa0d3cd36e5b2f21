//! Errors of PostgreSQL, by their meaning for a batch of changes.

/// Remedy for a failed write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The primary is not there (or not a primary): wait and try all of it again.
    Away,
    /// Somebody else was in the way: try again at once.
    Collision,
    /// Somebody else holds a lock, or a statement took too long: try again later. The primary is there all the same.
    Blocked,
    /// A unique index refuses a name: its account must be withdrawn.
    Taken {
        /// Name of the index.
        constraint: String,
    },
    /// The data itself is refused: put it aside.
    Refused {
        /// SQLSTATE.
        code: String,
        /// Message of PostgreSQL.
        message: String,
    },
}

impl Failure {
    /// Judges an error by its class (PostgreSQL, appendix A).
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            // A value that does not fit a parameter is ours to put aside; all else is the connection.
            return match error {
                sqlx::Error::Encode(cause) => Self::refused("", &cause.to_string()),
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                    Self::refused("", &error.to_string())
                }
                _ => Self::Away,
            };
        };
        let code = database.code().unwrap_or_default();
        match &*code {
            "23505" => Self::Taken {
                constraint: database.constraint().unwrap_or_default().to_owned(),
            },
            "40001" | "40P01" | "23503" => Self::Collision,
            // Time-outs of a lock and of a statement.
            "55P03" | "57014" => Self::Blocked,
            // A read-only transaction: not a primary.
            "25006" => Self::Away,
            // A missing table, column or privilege (42) is a mistake that will be corrected, not bad data.
            _ if code.starts_with("22") || code.starts_with("23") => {
                Self::refused(&code, database.message())
            }
            _ => Self::Away,
        }
    }

    fn refused(code: &str, message: &str) -> Self {
        Self::Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// For metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Collision => "collision",
            Self::Blocked => "blocked",
            Self::Taken { .. } => "taken",
            Self::Refused { .. } => "refused",
        }
    }
}
