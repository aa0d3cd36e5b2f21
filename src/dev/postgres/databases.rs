//! Making databases in a private PostgreSQL, through its own `psql`.

use std::process::Command;

use super::{Error, PrivatePostgres, USER, output_of};

impl PrivatePostgres {
    /// Makes a database, when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Refused`] with what PostgreSQL said.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let name = plain_name(name)?;
        let known = self
            .psql(&format!(
                "SELECT 1 FROM pg_database WHERE datname = '{name}'"
            ))
            .await?;
        if known.trim().is_empty() {
            self.psql(&format!("CREATE DATABASE {name}")).await?;
        }
        Ok(())
    }

    /// Makes a database that is a copy of another, to which nobody may be connected.
    ///
    /// # Errors
    /// [`Error::Refused`] with what PostgreSQL said.
    pub async fn copy_database(&self, template: &str, name: &str) -> Result<(), Error> {
        let (template, name) = (plain_name(template)?, plain_name(name)?);
        self.psql(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await?;
        Ok(())
    }

    /// Runs one statement as superuser in the database `postgres` and returns what `psql` printed, bare.
    ///
    /// # Errors
    /// [`Error::Refused`] with what PostgreSQL said.
    pub async fn psql(&self, statement: &str) -> Result<String, Error> {
        let mut command = Command::new(&self.installation.programs.psql);
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", USER, "--dbname", "postgres"])
            .args(["--command", statement])
            .env_clear()
            .env("PGPASSWORD", &self.installation.password);
        let output = output_of(command, "psql").await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Names go into statements as they are: letters, digits and underscores only.
fn plain_name(name: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.is_empty() && name.len() < 64 && name.bytes().all(plain) {
        return Ok(name);
    }
    Err(Error::Refused(format!(
        "{name:?} is no plain database name"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_reach_a_statement() {
        assert!(plain_name("test_01").is_ok());
        for name in ["", "a b", "a;b", "A", "a'", &"a".repeat(64)] {
            assert!(plain_name(name).is_err(), "{name}");
        }
    }
}
