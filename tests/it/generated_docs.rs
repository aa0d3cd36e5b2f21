//! The generated tables in `docs/` are what `sallyport docs` writes now.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn committed_documents_are_what_the_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(env!("CARGO_BIN_EXE_sallyport"))
        .args(["docs", "--dir"])
        .arg(folder.path())
        .env_clear()
        .status();
    assert!(written.unwrap().success());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for entry in fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let fresh = fs::read_to_string(folder.path().join(&name)).unwrap();
        let kept = fs::read_to_string(committed.join(&name)).unwrap_or_default();
        let stale = fresh.lines().find(|line| !kept.contains(line));
        assert!(
            fresh == kept,
            "docs/{} is stale; run `cargo run --bin sallyport -- docs` and commit it. First line that differs: {stale:?}",
            name.display(),
        );
    }
}
