//! The whole suite once: a private service, 50 requests, and no remains of either.

use std::path::Path;
use std::process::{Command, Output};

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load"))
        .args(arguments)
        .output()
        .expect("the suite")
}

#[test]
fn fifty_requests_to_a_private_service_are_counted_told_and_comparable() {
    let folder = std::env::temp_dir().join(format!("load-smoke-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = |name: &str| folder.join(name).display().to_string();
    let (json, html) = (file("me.json"), file("me.html"));
    let options =
        "me --requests 50 --connections 4 --users 4 --warm-up 0s --duration 60s --argon2 8,1,1";
    let mut arguments: Vec<&str> = options.split(' ').collect();
    arguments.extend(["--quiet", "--json", &json, "--html", &html]);
    // The service that its own tests use. By itself the suite would build it once more, with the features that it
    // has without tests.
    let built = Path::new(env!("CARGO_BIN_EXE_load")).with_file_name("sallyport");
    let built = built.display().to_string();
    if Path::new(&built).is_file() {
        arguments.extend(["--binary", &built]);
    }

    let ran = load(&arguments);
    let told = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}{complaint}");
    assert!(told.contains("GET /auth/me"), "{told}");

    let report = std::fs::read(&json).expect("the result");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let phase = &report["phases"][0];
    let row = &phase["summary"]["rows"][0];
    assert_eq!(row["count"], 50, "{report:#}");
    assert_eq!(row["failed"], 0, "{report:#}");
    assert!(
        phase["server"]["memory_after_mib"].as_f64() > Some(1.0),
        "{report:#}"
    );
    let page = std::fs::read_to_string(&html).expect("the page");
    assert!(page.contains("GET /auth/me"));

    let same = load(&["compare", &json, &json]);
    assert!(
        same.status.success(),
        "{}",
        String::from_utf8_lossy(&same.stdout)
    );
    std::fs::remove_dir_all(&folder).expect("gone");
}

#[test]
fn other_machines_and_nonsense_are_refused_before_anything_starts() {
    for (arguments, part) in [
        (
            &["me", "--url", "http://192.0.2.1/api"][..],
            "--i-own-this-host",
        ),
        (&["login", "--duration", "1d"][..], "duration"),
        (&["me", "--limits", "on"][..], "stress"),
        (
            &["compare", "/nowhere.json", "/nowhere.json"][..],
            "nowhere",
        ),
    ] {
        let ran = load(arguments);
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success());
        assert!(complaint.contains(part), "{complaint}");
    }
}
