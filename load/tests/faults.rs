//! The history checker for about two minutes: a few seeds over one Redis, and nothing that was answered is lost.

use std::path::Path;
use std::process::Command;

#[test]
fn nothing_that_was_answered_is_lost_undone_or_done_twice_under_faults() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["faults", "--seeds", "1..3", "--seconds", "20", "--quiet"]);
    // The service that its own tests use, which is built already.
    let built = Path::new(env!("CARGO_BIN_EXE_load")).with_file_name("sallyport");
    if built.is_file() {
        command.arg("--binary").arg(built);
    }
    let ran = command.output().expect("the checker");
    let told = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}{complaint}");
    assert!(
        told.contains("3 seeds") && told.contains("\n0 violations"),
        "{told}"
    );
}
