//! Accounts by their login names.

use sqlx::types::Uuid;

use crate::model::{Id, Identifier, IdentifierKind, UserId};
use crate::store::Error;
use crate::store::postgres::Postgres;

impl Postgres {
    /// The account of a login name.
    pub(crate) async fn user_of(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        let sql = match name.kind {
            IdentifierKind::Email => {
                "SELECT id FROM users WHERE email_key = $1 AND deleted_at IS NULL"
            }
            IdentifierKind::Username => {
                "SELECT id FROM users WHERE username_key = $1 AND deleted_at IS NULL"
            }
        };
        let id = self.ask_if_up("user_of", async |connection| {
            sqlx::query_scalar::<_, Uuid>(sql)
                .bind(&name.key)
                .fetch_optional(connection)
                .await
        });
        Ok(id.await?.map(|id| UserId::from(Id::from(id))))
    }
}
