//! The user that runs PostgreSQL, which refuses to run as root, and a folder that this user can reach.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::{Error, folder};
use crate::clock;

/// Folder for data that its user could not reach inside the project (below `/root`, say).
const ELSEWHERE: &str = "/var/lib/sallyport-dev";

/// The user to run a server as.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// For root the user `postgres`, or `nobody`; otherwise none, so that servers run as the current user.
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
pub(super) fn reachable_folder(wished: &Path, owner: Option<&Owner>) -> Result<PathBuf, Error> {
    reachable_folder_or(wished, owner, Path::new(ELSEWHERE))
}

fn reachable_folder_or(
    wished: &Path,
    owner: Option<&Owner>,
    elsewhere: &Path,
) -> Result<PathBuf, Error> {
    let parent = wished.parent().unwrap_or(Path::new("/"));
    if !wished.exists() && owner.is_some_and(|owner| !owner.reaches(parent)) {
        let name = hex::encode(clock::random::<6>());
        let target = elsewhere.join(name);
        folder::make(elsewhere, 0o711)?;
        folder::make(&target, 0o700)?;
        // A link that leads nowhere is what is left when that folder was removed by hand.
        let _ = std::fs::remove_file(wished);
        std::os::unix::fs::symlink(&target, wished)
            .map_err(Error::io(format!("linking {}", wished.display())))?;
        tracing::warn!(
            folder = %target.display(), link = %wished.display(),
            "the user who runs PostgreSQL cannot enter this folder: its data is kept elsewhere"
        );
    }
    folder::make(wished, 0o700)?;
    let folder = wished
        .canonicalize()
        .map_err(Error::io(format!("finding {}", wished.display())))?;
    if let Some(owner) = owner {
        owner.own(&folder)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn other_user() -> Owner {
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
    fn other_user_reaches_what_is_open_all_the_way_up() {
        let base = tempfile::tempdir().unwrap();
        let closed = closed_folder(base.path());
        let inner = closed.join("inner");
        folder::make(&inner, 0o777).unwrap();
        assert!(other_user().reaches(base.path()));
        assert!(!other_user().reaches(&closed));
        assert!(!other_user().reaches(&inner));
    }

    #[test]
    fn unreachable_data_goes_elsewhere_and_is_found_again() {
        if !geteuid().is_root() {
            return; // only root gives files away
        }
        let base = tempfile::tempdir().unwrap();
        let elsewhere = base.path().join("elsewhere");
        let wished = closed_folder(base.path()).join("postgres");
        let first = reachable_folder_or(&wished, Some(&other_user()), &elsewhere).unwrap();
        assert!(first.starts_with(elsewhere.canonicalize().unwrap()));
        assert_eq!(first.metadata().unwrap().uid(), other_user().uid);
        let second = reachable_folder_or(&wished, Some(&other_user()), &elsewhere).unwrap();
        assert_eq!(first, second);

        std::fs::remove_dir_all(&first).unwrap();
        let third = reachable_folder_or(&wished, Some(&other_user()), &elsewhere).unwrap();
        assert_ne!(first, third);
    }

    #[test]
    fn reachable_data_stays_where_it_was_wished() {
        let base = tempfile::tempdir().unwrap();
        let wished = base.path().join("postgres");
        let folder = reachable_folder_or(&wished, None, Path::new("/nowhere")).unwrap();
        assert_eq!(folder, wished.canonicalize().unwrap());
    }
}
