//! The `OpenAPI` document before a validator that nobody here wrote (`openapi-spec-validator`).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The Python that `deploy/test.sh` prepares.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment of the test run, not of the service"
)]
fn python() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME");
        PathBuf::from(home).join(".cache")
    });
    cache.join("sallyport/python/bin/python")
}

/// The number of examples checked, or what is wrong with the document.
fn checked(document: &Value) -> Result<u32, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/openapi/check.py");
    let mut check = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("is the validator installed? deploy/test.sh does it");
    let mut input = check.stdin.take().expect("piped");
    input.write_all(document.to_string().as_bytes()).unwrap();
    drop(input);
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    if output.status.success() {
        return Ok(said.trim().parse().expect("a number"));
    }
    Err(said)
}

#[test]
fn the_document_is_valid_and_every_example_fits_its_schema() {
    match checked(&sallyport::http::openapi()) {
        Ok(examples) => assert!(examples > 100, "{examples}"),
        Err(faults) => panic!("{faults}"),
    }
}

#[test]
fn the_validator_sees_every_kind_of_fault() {
    let login = "/paths/~1auth~1login/post";
    let request = format!("{login}/requestBody/content/application~1json");
    let faults = [
        (
            format!("{login}/operationId"),
            json!("register"),
            "document: Operation ID 'register'",
        ),
        (
            format!("{login}/parameters/0/in"),
            json!("nowhere"),
            "document: ",
        ),
        (
            format!("{request}/schema/$ref"),
            json!("#/components/schemas/Nobody"),
            "leads nowhere",
        ),
        (
            format!("{request}/example/password"),
            json!(17),
            "17 is not of type 'string'",
        ),
        (
            "/components/examples/not_found/value/code".to_owned(),
            json!("nonsense"),
            "'nonsense' is not one of",
        ),
    ];
    for (pointer, value, expected) in faults {
        let mut document = sallyport::http::openapi();
        *document.pointer_mut(&pointer).expect("is there") = value;
        let said = checked(&document).expect_err("is refused");
        assert!(said.contains(expected), "{pointer}: {said}");
    }
}
