//! The key file as operators and the service use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);

fn generated() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    Keys::generate(&path, NOW).expect("generates");
    (folder, path)
}

/// The text of a refusal; `expect_err` would have to print the keys when there is none.
fn refusal(result: Result<Keys, KeyError>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_file_is_private_and_loads_to_the_same_keys() {
    let (_folder, path) = generated();
    let mode = fs::metadata(&path).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (one, two) = (
        Keys::load(&path).expect("loads"),
        Keys::load(&path).expect("loads"),
    );
    assert_eq!(one.derive("a"), two.derive("a"));
    assert_eq!(one.list(NOW), two.list(NOW));
    assert_eq!(one.list(NOW).len(), 1);
    assert!(one.list(NOW)[0].kid.starts_with("k4.pid."));
}

#[test]
fn a_key_file_is_never_overwritten() {
    let (_folder, path) = generated();
    let before = fs::read(&path).expect("reads");
    assert!(matches!(Keys::generate(&path, NOW), Err(KeyError::Io(_))));
    assert_eq!(fs::read(&path).expect("reads"), before);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let (_folder, path) = generated();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        assert!(refusal(Keys::load(&path)).contains("chmod 600"), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("chmod");
    assert!(Keys::load(&path).is_ok());
}

#[test]
fn purposes_and_deployments_have_keys_of_their_own() {
    let (_folder, path) = generated();
    let (_other_folder, other) = generated();
    let (keys, other) = (
        Keys::load(&path).expect("loads"),
        Keys::load(&other).expect("loads"),
    );
    assert_ne!(keys.derive("a"), keys.derive("b"));
    assert_ne!(keys.derive("a"), other.derive("a"));
    assert_ne!(*keys.derive("a"), *keys.master);
}

/// A change of the derivation of keys would log every user out.
#[test]
fn derivation_is_fixed() {
    let (_folder, path) = generated();
    let mut keys = Keys::load(&path).expect("loads");
    keys.master = Zeroizing::new([7; 32]);
    assert_eq!(
        hex::encode(*keys.derive("refresh token")),
        "786159c8fd955b1f63722eeb0ea65ba97601d3cb559be81c82446eb476e10c08"
    );
}

#[test]
fn a_rotation_overlaps_and_survives_the_file() {
    let (_folder, path) = generated();
    let mut keys = Keys::load(&path).expect("loads");
    let begins = NOW.after(5 * MINUTE);
    keys.add_signing_key(begins, 16 * MINUTE).expect("adds");
    keys.save(&path).expect("saves");
    let mode = fs::metadata(&path).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(path.parent().expect("folder"))
            .expect("lists")
            .count(),
        1
    );

    let mut keys = Keys::load(&path).expect("loads");
    let listed = keys.list(NOW);
    assert_eq!(listed[0].window.not_after, Some(begins.after(16 * MINUTE)));
    assert_eq!(listed[1].window.not_after, None);
    assert!(listed[0].active && !listed[1].active);
    assert!(keys.list(begins)[1].active);
    assert_eq!(keys.prune(begins.after(15 * MINUTE)), 0);
    assert_eq!(keys.prune(begins.after(16 * MINUTE)), 1);
    assert!(keys.list(begins)[0].active);

    let too_early = keys.add_signing_key(begins, MINUTE);
    assert!(matches!(too_early, Err(KeyError::Invalid(_))));
    assert_eq!(keys.list(begins).len(), 1);
}

#[test]
fn a_file_with_gaps_foreign_ids_or_other_nonsense_is_refused() {
    let (_folder, path) = generated();
    let good = fs::read_to_string(&path).expect("reads");
    let mut two = Keys::load(&path).expect("loads");
    two.add_signing_key(NOW.after(MINUTE), MINUTE)
        .expect("adds");
    let two = two.to_text().expect("writes");
    let end = NOW.after(2 * MINUTE).to_string();
    let kid = Keys::load(&path).expect("loads").list(NOW)[0].kid.clone();
    let start = good.find("k4.secret.").expect("has a secret") + 10;
    let zero = format!(
        "{}{}{}",
        &good[..start],
        "A".repeat(86),
        &good[start + 86..]
    );
    for (text, why) in [
        (String::new(), "not a key file"),
        ("{}".to_owned(), "not a key file"),
        (
            good.replace("\"version\": 2", "\"version\": 3"),
            "version 3",
        ),
        (
            good.replace("\"version\": 2", "\"version\": 1"),
            "version 1 has no sealingKeys",
        ),
        (
            good.replace("\"version\": 1", "\"version\": 0"),
            "counted from 1",
        ),
        (good.replace("sealingKeys", "sealing"), "not a key file"),
        (without_sealing_keys(&good), "has no sealing key"),
        (good.replace("masterSecret", "master"), "not a key file"),
        (good.replace(&kid, "k4.pid.x"), "not the id"),
        (
            good.replace("k4.secret.", "k4.public."),
            "no valid k4.secret",
        ),
        (zero, "no valid k4.secret"),
        (
            two.replace(&end, &NOW.after(MINUTE / 2).to_string()),
            "must have a notAfter",
        ),
        (two.replace("notAfter", "notafter"), "not a key file"),
    ] {
        let error = refusal(Keys::from_text(&text));
        assert!(error.contains(why), "{error}: {why}");
    }
}

fn without_sealing_keys(text: &str) -> String {
    let mut file: serde_json::Value = serde_json::from_str(text).expect("is JSON");
    let members = file.as_object_mut().expect("an object");
    members.remove("sealingKeys").expect("had some");
    serde_json::to_string_pretty(&file).expect("writes")
}

#[test]
fn sealing_keys_out_of_order_are_refused() {
    let (_folder, path) = generated();
    let two = Keys::load(&path).expect("loads");
    let two = two.with_sealing_key(NOW.after(MINUTE));
    let text = two.to_text().expect("writes");
    assert_eq!(Keys::from_text(&text).expect("loads").sealing().len(), 2);
    let begins = NOW.after(MINUTE).to_string();
    for bad in [
        text.replace(&begins, &NOW.to_string()),
        text.replace(&begins, &NOW.before(MINUTE).to_string()),
        text.replacen(
            "\"version\": 2,\n      \"secret",
            "\"version\": 1,\n      \"secret",
            1,
        ),
    ] {
        let error = refusal(Keys::from_text(&bad));
        assert!(error.contains("must begin later"), "{error}");
    }
    let secret = hex::encode(*two.sealing()[0].secret);
    assert!(!format!("{:?}", two.sealing()).contains(&secret));
}

/// The derived sealing key stays the same, and is kept when the file is written anew.
#[test]
fn a_file_without_sealing_keys_derives_its_one() {
    let (_folder, path) = generated();
    let text = fs::read_to_string(&path).expect("reads");
    let old = without_sealing_keys(&text).replace("\"version\": 2", "\"version\": 1");
    fs::write(&path, &old).expect("writes");
    let keys = Keys::load(&path).expect("loads");
    let listed = keys.list_sealing(NOW);
    assert_eq!((listed.len(), listed[0].version), (1, 1));
    assert!(listed[0].active && listed[0].not_before < NOW);
    assert_eq!(keys.sealing()[0].secret, keys.derive("sealing 1"));

    keys.save(&path).expect("saves");
    let saved = Keys::load(&path).expect("loads");
    assert_eq!(saved.sealing()[0].secret, keys.derive("sealing 1"));
    assert_eq!(saved.list_sealing(NOW), listed);
    assert_eq!(saved.list(NOW), keys.list(NOW));
}

#[test]
fn a_new_file_has_a_sealing_key_of_its_own() {
    let (_folder, path) = generated();
    let keys = Keys::load(&path).expect("loads");
    assert_ne!(keys.sealing()[0].secret, keys.derive("sealing 1"));
    assert_eq!(keys.list_sealing(NOW)[0].not_before, NOW);
}

#[test]
fn errors_never_quote_the_file() {
    let (_folder, path) = generated();
    let good = fs::read_to_string(&path).expect("reads");
    let secret = "SECRETSECRET";
    let bad = good.replace("\"version\": 2", &format!("\"version\": \"{secret}\""));
    assert!(!refusal(Keys::from_text(&bad)).contains(secret));
}
