//! The generated tables in `docs/` are what `sallyport docs` writes now.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn committed_documents_are_what_the_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    fs::create_dir(&docs).unwrap();
    let written = Command::new(env!("CARGO_BIN_EXE_sallyport"))
        .args(["docs", "--dir"])
        .arg(&docs)
        .env_clear()
        .status();
    assert!(written.unwrap().success());
    let mut files = vec![PathBuf::from(".env.example")];
    for entry in fs::read_dir(&docs).unwrap() {
        files.push(Path::new("docs").join(entry.unwrap().file_name()));
    }
    for file in files {
        let fresh = fs::read_to_string(folder.path().join(&file)).unwrap();
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let kept = fs::read_to_string(committed).unwrap_or_default();
        let stale = fresh.lines().find(|line| !kept.contains(line));
        assert!(
            fresh == kept,
            "{} is stale; run `cargo run --bin sallyport -- docs` and commit it. First line that differs: {stale:?}",
            file.display(),
        );
    }
}
