//! The version of the schema.

use crate::store::Error;
use crate::store::postgres::{MIGRATIONS, Postgres};

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
        let present = applied.iter().filter(|version| known.contains(version));
        Err(Error::Setup(format!(
            "the database has {} of the {} migrations this version needs; run `sallyport migrate`",
            present.count(),
            known.len(),
        )))
    }
}
