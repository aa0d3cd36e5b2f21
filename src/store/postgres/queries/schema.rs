//! The version of the schema.

use crate::store::Error;
use crate::store::postgres::{MIGRATIONS, Postgres};

/// Version of the newest migration that this program knows.
pub(crate) fn newest_migration() -> i64 {
    MIGRATIONS.iter().map(|one| one.version).max().unwrap_or(0)
}

/// The error of a program on a schema with a migration that it does not know.
pub(crate) fn newer_schema(version: i64) -> Error {
    Error::Setup(format!(
        "the database's schema is newer than this version of sallyport: it has migration {version}, and {} is \
         the newest known here; run the newer version",
        newest_migration()
    ))
}

impl Postgres {
    /// Refuses a schema with migrations missing, or with ones that this binary does not know.
    pub(crate) async fn check_schema(&self) -> Result<(), Error> {
        let applied = self.ask("schema", async |connection| {
            let applied = sqlx::query_scalar::<_, i64>(
                "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version",
            );
            match applied.fetch_all(connection).await {
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
                    Ok(Vec::new())
                }
                applied => applied,
            }
        });
        let applied = applied.await?;
        let known: Vec<i64> = MIGRATIONS.iter().map(|one| one.version).collect();
        if applied == known {
            return Ok(());
        }
        if let Some(newer) = applied
            .iter()
            .find(|version| **version > newest_migration())
        {
            return Err(newer_schema(*newer));
        }
        let present = applied.iter().filter(|version| known.contains(version));
        Err(Error::Setup(format!(
            "the database has {} of the {} migrations this version needs; run `sallyport migrate`",
            present.count(),
            known.len(),
        )))
    }
}
