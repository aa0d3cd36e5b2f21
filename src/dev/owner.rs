//! Who runs PostgreSQL, which refuses to run as root, and where that user's data can be.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::{Error, folder};
use crate::clock;

/// Data that its user could not reach inside the project (below `/root`, say) is kept here.
const ELSEWHERE: &str = "/var/lib/sallyport-dev";

/// The user to run a server as.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// Nobody else, or for root the user `postgres`, or `nobody`.
    pub(super) fn for_postgres() -> Result<Option<Self>, Error> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let found = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten());
        let user = found.ok_or_else(|| {
            Error::Refused(
                "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody"
                    .to_owned(),
            )
        })?;
        Ok(Some(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }))
    }

    /// Makes `command` run as this user.
    pub(super) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        chown(path, Some(self.uid), Some(self.gid))
            .map_err(Error::io(format!("giving away {}", path.display())))
    }

    /// Whether this user may enter `folder` and every folder above it.
    fn reaches(&self, folder: &Path) -> bool {
        folder.ancestors().all(|step| {
            step.metadata().is_ok_and(|folder| {
                let needed = if folder.uid() == self.uid {
                    0o100
                } else if folder.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                folder.mode() & needed != 0
            })
        })
    }
}

/// The folder to use for `wished`: itself, or where its owner cannot reach it another one, to which
/// `wished` becomes a symbolic link. The folder is made, and belongs to its owner.
pub(super) fn place(wished: &Path, owner: Option<&Owner>) -> Result<PathBuf, Error> {
    place_or(wished, owner, Path::new(ELSEWHERE))
}

fn place_or(wished: &Path, owner: Option<&Owner>, elsewhere: &Path) -> Result<PathBuf, Error> {
    let parent = wished.parent().unwrap_or(Path::new("/"));
    if !wished.exists() && owner.is_some_and(|owner| !owner.reaches(parent)) {
        let name = hex::encode(clock::random::<6>());
        let place = elsewhere.join(name);
        folder::make(elsewhere, 0o711)?;
        folder::make(&place, 0o700)?;
        // A link that leads nowhere is what is left when that folder was removed by hand.
        let _ = std::fs::remove_file(wished);
        std::os::unix::fs::symlink(&place, wished)
            .map_err(Error::io(format!("linking {}", wished.display())))?;
        tracing::warn!(
            place = %place.display(), link = %wished.display(),
            "the user who runs PostgreSQL cannot enter this folder: its data is kept elsewhere"
        );
    }
    folder::make(wished, 0o700)?;
    let place = wished
        .canonicalize()
        .map_err(Error::io(format!("finding {}", wished.display())))?;
    if let Some(owner) = owner {
        owner.own(&place)?;
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn stranger() -> Owner {
        Owner {
            uid: 65_534,
            gid: 65_534,
        }
    }

    fn closed_folder(base: &Path) -> PathBuf {
        let closed = base.join("closed");
        folder::make(&closed, 0o700).unwrap();
        std::fs::set_permissions(base, Permissions::from_mode(0o711)).unwrap();
        closed
    }

    #[test]
    fn stranger_reaches_what_is_open_all_the_way_up() {
        let base = tempfile::tempdir().unwrap();
        let closed = closed_folder(base.path());
        let inner = closed.join("inner");
        folder::make(&inner, 0o777).unwrap();
        assert!(stranger().reaches(base.path()));
        assert!(!stranger().reaches(&closed));
        assert!(!stranger().reaches(&inner));
    }

    #[test]
    fn unreachable_data_goes_elsewhere_and_is_found_again() {
        if !geteuid().is_root() {
            return; // only root gives files away
        }
        let base = tempfile::tempdir().unwrap();
        let elsewhere = base.path().join("elsewhere");
        let wished = closed_folder(base.path()).join("postgres");
        let first = place_or(&wished, Some(&stranger()), &elsewhere).unwrap();
        assert!(first.starts_with(elsewhere.canonicalize().unwrap()));
        assert_eq!(first.metadata().unwrap().uid(), stranger().uid);
        let second = place_or(&wished, Some(&stranger()), &elsewhere).unwrap();
        assert_eq!(first, second);

        std::fs::remove_dir_all(&first).unwrap();
        let third = place_or(&wished, Some(&stranger()), &elsewhere).unwrap();
        assert_ne!(first, third);
    }

    #[test]
    fn reachable_data_stays_where_it_was_wished() {
        let base = tempfile::tempdir().unwrap();
        let wished = base.path().join("postgres");
        let place = place_or(&wished, None, Path::new("/nowhere")).unwrap();
        assert_eq!(place, wished.canonicalize().unwrap());
    }
}
