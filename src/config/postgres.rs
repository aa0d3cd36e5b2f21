//! Settings of PostgreSQL.

use super::form::{Number, StoreUrl};
use super::setting::settings;

settings! {
    /// PostgreSQL.
    pub struct Postgres = config.postgres {
        /// Address of PostgreSQL's primary.
        url: String = "postgres://127.0.0.1:5432/sallyport".to_owned(), "DATABASE_URL", DATABASE_URL;
        /// Connections to PostgreSQL at most.
        connections: u32 = 10, "DATABASE_CONNECTIONS", Number(2..=1000);
    }
}

const DATABASE_URL: StoreUrl = StoreUrl {
    schemes: &["postgres", "postgresql"],
    allowed: "postgres://user:password@host:port/database; special characters in a password as %XX",
};
