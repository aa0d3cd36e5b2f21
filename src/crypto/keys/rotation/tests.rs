//! Rotations by operators: one after another, too early, at the same time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const OVERLAP: Duration = Duration::from_mins(16);

fn generated() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    Keys::generate(&path, NOW).expect("generates");
    (folder, path)
}

#[test]
fn a_rotation_adds_both_keys_after_the_delay() {
    let (folder, path) = generated();
    let before = Keys::load(&path).expect("loads");
    let now = NOW.after(HOUR);
    let done = Keys::rotate(&path, now, HOUR, OVERLAP).expect("rotates");
    let begins = now.after(HOUR);
    assert_eq!((done.begins, done.ends), (begins, begins.after(OVERLAP)));
    assert_eq!((done.sealing_version, done.forgotten), (2, 0));

    let keys = Keys::load(&path).expect("loads");
    assert_eq!(
        *keys.derive("a"),
        *before.derive("a"),
        "the same master secret"
    );
    let just_before = Timestamp::from_micros(begins.micros() - 1);
    let (old, new) = (keys.list(just_before), keys.list(begins));
    assert_eq!(old[0].kid, before.list(now)[0].kid);
    assert!(old[0].active && !old[1].active);
    assert!(!new[0].active && new[1].active && new[1].kid == done.kid);
    assert_eq!(old[0].window.not_after, Some(done.ends));
    let sealing = |now| {
        keys.list_sealing(now)
            .iter()
            .map(|key| key.active)
            .collect::<Vec<_>>()
    };
    assert_eq!(sealing(just_before), [true, false]);
    assert_eq!(sealing(begins), [false, true]);
    assert_ne!(keys.sealing[0].secret, keys.sealing[1].secret);

    let mode = fs::metadata(&path).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(folder.path()).expect("lists").count(),
        1,
        "nothing is left behind"
    );
}

#[test]
fn a_second_rotation_waits_for_the_first() {
    let (_folder, path) = generated();
    Keys::rotate(&path, NOW, HOUR, OVERLAP).expect("rotates");
    let before = fs::read(&path).expect("reads");
    for now in [
        NOW,
        NOW.after(HOUR / 2),
        NOW.after(HOUR).before(Duration::from_micros(1)),
    ] {
        let error = Keys::rotate(&path, now, HOUR, OVERLAP).expect_err("too early");
        assert!(matches!(error, KeyError::Pending(begins) if begins == NOW.after(HOUR)));
        assert_eq!(fs::read(&path).expect("reads"), before);
    }
    let done = Keys::rotate(&path, NOW.after(HOUR), HOUR, OVERLAP).expect("rotates");
    assert_eq!(done.sealing_version, 3);
}

#[test]
fn signing_keys_that_have_ended_are_forgotten_and_sealing_keys_never() {
    let (_folder, path) = generated();
    let mut forgotten = 0;
    for day in 1..=5 {
        let done = Keys::rotate(&path, NOW.after(24 * day * HOUR), HOUR, OVERLAP).expect("rotates");
        forgotten += done.forgotten;
    }
    let keys = Keys::load(&path).expect("loads");
    assert_eq!(forgotten, 4);
    assert_eq!(keys.list(NOW).len(), 2);
    let versions: Vec<_> = keys
        .list_sealing(NOW)
        .iter()
        .map(|key| key.version)
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn of_rotations_at_the_same_time_one_is_done() {
    let (_folder, path) = generated();
    let done: Vec<_> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| Keys::rotate(&path, NOW.after(HOUR), HOUR, OVERLAP));
        let threads: Vec<_> = (0..8).map(|_| start()).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("joins"))
            .collect()
    });
    let rotated: Vec<_> = done
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert_eq!(rotated.len(), 1);
    let keys = Keys::load(&path).expect("loads");
    assert_eq!(keys.list(NOW).len(), 2);
    assert_eq!(keys.list(NOW)[1].kid, rotated[0].kid);
}

#[test]
fn a_link_stays_a_link() {
    let (folder, path) = generated();
    let link = folder.path().join("current.json");
    symlink(&path, &link).expect("links");
    Keys::rotate(&link, NOW, HOUR, OVERLAP).expect("rotates");
    assert!(fs::symlink_metadata(&link).expect("exists").is_symlink());
    assert_eq!(Keys::load(&path).expect("loads").list(NOW).len(), 2);
}

#[test]
fn a_rotation_without_delay_takes_effect_at_once() {
    let (_folder, path) = generated();
    let now = NOW.after(HOUR);
    Keys::rotate(&path, now, Duration::ZERO, OVERLAP).expect("rotates");
    assert!(Keys::load(&path).expect("loads").list(now)[1].active);
    assert!(Keys::rotate(&path, now, Duration::ZERO, OVERLAP).is_err());
    assert_eq!(Keys::load(&path).expect("loads").list(now).len(), 2);
}
