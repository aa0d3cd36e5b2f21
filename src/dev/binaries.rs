//! Finds the programs of Redis and PostgreSQL on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Error;

/// Folders that are searched, in this order: the given folders, `PATH`, Debian's folders.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    /// `PG_BIN`: folder of `initdb`, `postgres` and `psql`.
    pub pg_bin: Option<PathBuf>,
    /// `REDIS_BIN`: folder of `redis-server`.
    pub redis_bin: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
}

/// The programs that a private store is made of.
#[derive(Clone, Debug)]
pub struct Binaries {
    search: SearchPath,
}

/// The three programs of one PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct PostgresPrograms {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) psql: PathBuf,
}

/// Debian and Ubuntu keep each major version in a folder of its own, none of them in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

impl Binaries {
    /// Remembers where to look. Each program is searched when it is needed, so that a machine without
    /// PostgreSQL can still run a private Redis.
    #[must_use]
    pub fn find(search: SearchPath) -> Self {
        Self { search }
    }

    /// `redis-server`.
    pub(super) fn redis_server(&self) -> Result<PathBuf, Error> {
        self.folders(self.search.redis_bin.as_deref())
            .map(|folder| folder.join("redis-server"))
            .find(|program| program.is_file())
            .ok_or(Error::Missing {
                program: "redis-server",
                package: "redis-server",
                name: "Redis 7 or newer",
                variable: "REDIS_BIN",
            })
    }

    /// The programs of one PostgreSQL, all from one folder.
    pub(super) fn postgres(&self) -> Result<PostgresPrograms, Error> {
        self.folders(self.search.pg_bin.as_deref())
            .chain(debian_folders(Path::new(DEBIAN)))
            .find_map(|folder| PostgresPrograms::in_folder(&folder))
            .ok_or(Error::Missing {
                program: "postgres",
                package: "postgresql",
                name: "PostgreSQL 14 or newer",
                variable: "PG_BIN",
            })
    }

    /// The given folder alone, when one is given: falling back would hide its mistake.
    fn folders(&self, given: Option<&Path>) -> impl Iterator<Item = PathBuf> {
        let path = self.search.path.clone().unwrap_or_default();
        let listed = match given {
            Some(folder) => vec![folder.to_owned()],
            None => std::env::split_paths(&path).collect(),
        };
        listed.into_iter()
    }
}

impl PostgresPrograms {
    /// Symbolic links are followed: a link in `PATH` leads to the folder where all programs are.
    fn in_folder(folder: &Path) -> Option<Self> {
        let postgres = folder.join("postgres").canonicalize().ok()?;
        let home = postgres.parent()?;
        let programs = Self {
            initdb: home.join("initdb"),
            psql: home.join("psql"),
            postgres: postgres.clone(),
        };
        (programs.initdb.is_file() && programs.psql.is_file()).then_some(programs)
    }
}

/// `…/<major>/bin`, newest first.
fn debian_folders(root: &Path) -> Vec<PathBuf> {
    let mut majors: Vec<u32> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|one, other| other.cmp(one));
    majors
        .into_iter()
        .map(|major| root.join(major.to_string()).join("bin"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn newest_debian_version_comes_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "100", "notes"] {
            std::fs::create_dir_all(root.path().join(version)).unwrap();
        }
        let found = debian_folders(root.path());
        let expected = ["100", "15", "9"].map(|major| root.path().join(major).join("bin"));
        assert_eq!(found, expected);
    }

    #[test]
    fn given_folder_is_the_only_one_searched() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join("listed/redis-server"));
        let listed = Binaries::find(SearchPath {
            path: Some(root.path().join("listed").into()),
            ..SearchPath::default()
        });
        let program = listed.redis_server().unwrap();
        assert_eq!(program, root.path().join("listed/redis-server"));

        let given = Binaries::find(SearchPath {
            redis_bin: Some(root.path().join("given")),
            path: Some(root.path().join("listed").into()),
            ..SearchPath::default()
        });
        let error = given.redis_server().unwrap_err().to_string();
        assert!(error.contains("apt-get install redis-server"), "{error}");
        assert!(error.contains("REDIS_BIN"), "{error}");
    }

    #[test]
    fn link_to_postgres_leads_to_the_folder_with_all_programs() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("15/bin");
        for program in ["initdb", "postgres", "psql"] {
            touch(&home.join(program));
        }
        let linked = root.path().join("links");
        std::fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(home.join("postgres"), linked.join("postgres")).unwrap();
        let programs = PostgresPrograms::in_folder(&linked).unwrap();
        assert_eq!(programs.psql, home.canonicalize().unwrap().join("psql"));
    }
}
