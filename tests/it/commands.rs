//! The program as a user starts it: its subcommands, and the one command that runs everything.

mod dev_mode;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sallyport::clock::{self, Clock};
use sallyport::dev::free_port;

use crate::harness::store_servers::own_folder;
use crate::harness::{Kind, Options, TestServer, TestStores};

/// The program with an environment that holds nothing but what is given.
fn sallyport(arguments: &[&str], variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.args(arguments).env_clear();
    for name in ["PATH", "PG_BIN", "REDIS_BIN"] {
        if let Some(value) = crate::harness::store_servers::variable(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn openapi_is_printed_without_any_setting() {
    let output = sallyport(&["openapi"], &[]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn keys_are_made_once_and_listed() {
    let folder = own_folder();
    let file = folder.path().join("keys.json").display().to_string();
    let made = sallyport(&["keys", "generate", "--file", &file], &[]).output();
    assert!(made.unwrap().status.success());
    let before = std::fs::read(&file).unwrap();

    let again = sallyport(&["keys", "generate"], &[("KEYS_FILE", file.clone())]).output();
    let again = again.unwrap();
    assert_eq!(again.status.code(), Some(1));
    let told = text(&again);
    assert!(
        told.contains(&file) && told.contains("never overwritten"),
        "{told}"
    );
    assert!(!told.contains("keys generate"), "it advises itself: {told}");
    assert_eq!(std::fs::read(&file).unwrap(), before);

    let listed = sallyport(&["keys", "list"], &[("KEYS_FILE", file)]).output();
    let listed = text(&listed.unwrap());
    assert!(listed.starts_with("k4.pid."), "{listed}");
    assert!(listed.contains("signs now"), "{listed}");
}

#[test]
fn keys_are_rotated_and_the_operator_is_told_what_to_do() {
    let folder = own_folder();
    let file = folder.path().join("keys.json").display().to_string();
    let run = |arguments: &[&str]| {
        let variables = [("KEYS_FILE", file.clone())];
        let output = sallyport(arguments, &variables).output().unwrap();
        (output.status.code(), text(&output))
    };
    assert_eq!(run(&["keys", "generate"]).0, Some(0));
    let before = run(&["keys", "list"]).1;
    assert!(before.contains("sealing key 1  from "), "{before}");
    assert!(before.contains("seals now"), "{before}");

    let (code, told) = run(&["keys", "rotate", "--delay", "45m"]);
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "k4.pid.",
        "sealing key 2",
        "restart",
        "Nobody is logged out",
        "930 seconds",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let after = run(&["keys", "list"]).1;
    assert_eq!(after.lines().count(), 4, "{after}");
    assert_eq!(after.matches("signs now").count(), 1, "{after}");
    let old = after
        .lines()
        .find(|line| line.contains("signs now"))
        .unwrap();
    assert!(
        before.starts_with(old.split(' ').next().unwrap()),
        "{after}"
    );

    let bytes = std::fs::read(&file).unwrap();
    let (code, told) = run(&["keys", "rotate"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("added before begin at"), "{told}");
    assert!(!told.contains("keys generate"), "{told}");
    for delay in ["soon", "31d", "-1s", ""] {
        let (code, told) = run(&["keys", "rotate", &format!("--delay={delay}")]);
        assert_eq!(code, Some(2), "{delay}: {told}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn mistakes_in_the_configuration_are_told_all_at_once() {
    let variables = [
        ("PORT", "many".to_owned()),
        ("DURABILITY", "maybe".to_owned()),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:1".to_owned()),
    ];
    let output = sallyport(&["check-config"], &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output);
    assert!(
        told.contains("PORT") && told.contains("DURABILITY"),
        "{told}"
    );

    let output = sallyport(&["check-config"], &variables[2..]).output();
    let told = text(&output.unwrap());
    assert!(told.contains("REDIS_URL"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn unsafe_settings_stop_the_start_unless_their_codes_are_allowed() {
    let folder = own_folder();
    let keys = folder.path().join("none.json").display().to_string();
    let mut variables = vec![
        ("HOST", "0.0.0.0".to_owned()),
        ("ARGON2_MEMORY_KIB", "8".to_owned()),
        ("ADMIN_ADDR", "0.0.0.0:0".to_owned()),
        ("PORT", "0".to_owned()),
        ("KEYS_FILE", keys),
    ];
    let run = |command: &str, variables: &[_]| {
        let output = sallyport(&[command], variables).output().unwrap();
        (output.status.code(), text(&output))
    };
    for command in ["serve", "worker", "check-config"] {
        let (code, told) = run(command, &variables);
        assert_eq!(code, Some(2), "{command}: {told}");
        for part in [
            "error plain_http: HOST=0.0.0.0. ",
            "error weak_argon2: ARGON2_MEMORY_KIB=8, ",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    assert!(
        run("serve", &variables)
            .1
            .contains("ALLOW_UNSAFE=plain_http,weak_argon2")
    );

    variables.push(("ALLOW_UNSAFE", "plain_http,weak_argon2".to_owned()));
    let (code, told) = run("check-config", &variables);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("warning admin_wildcard: ADMIN_ADDR=0.0.0.0:0. "),
        "{told}"
    );
    let (code, told) = run("serve", &variables);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("keys generate"),
        "it goes on to the keys: {told}"
    );
    assert!(told.contains("warning admin_wildcard"), "{told}");
}

#[test]
fn what_the_client_of_postgresql_reads_from_the_environment_is_judged_too() {
    let url = ("DATABASE_URL", "postgres://db.example.com/a".to_owned());
    for (mode, code, finding) in [
        ("disable", Some(2), "error plain_postgres: "),
        ("require", Some(0), "warning unverified_postgres: "),
        ("verify-full", Some(0), ""),
    ] {
        let variables = [url.clone(), ("PGSSLMODE", mode.to_owned())];
        let output = sallyport(&["check-config"], &variables).output().unwrap();
        let told = text(&output);
        assert_eq!(output.status.code(), code, "{told}");
        assert!(told.contains(finding), "{told}");
        assert_eq!(told.contains("_postgres: "), !finding.is_empty(), "{told}");
    }
}

#[test]
fn the_example_of_an_environment_file_is_safe_and_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let example = std::fs::read_to_string(path).unwrap();
    let lines = example
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let variables: Vec<_> = lines.map(|line| line.split_once('=').unwrap()).collect();
    let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["REDIS_URL", "DATABASE_URL", "KEYS_FILE"]);
    let variables: Vec<_> = variables
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let output = sallyport(&["check-config"], &variables).output().unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    assert!(
        !told.contains("error ") && !told.contains("warning "),
        "{told}"
    );
}

#[test]
fn a_command_that_does_not_exist_is_not_taken_for_a_hidden_one() {
    let told = text(&sallyport(&["start"], &[]).output().unwrap());
    assert!(
        told.contains("'start'") && !told.contains("stores"),
        "{told}"
    );
    let told = text(&sallyport(&["migrte"], &[]).output().unwrap());
    assert!(told.contains("'migrate'"), "{told}");
}

#[test]
fn a_code_of_an_authenticator_app_is_printed() {
    let secret = sallyport::crypto::TotpSecret::generate();
    let now = || secret.code_at(sallyport::clock::Clock::system().now());
    let before = now();
    let output = sallyport(&["totp", &secret.base32()], &[])
        .output()
        .unwrap();
    let printed = text(&output);
    assert!(
        [before, now()]
            .iter()
            .any(|code| *code == printed.trim_end()),
        "{printed}"
    );
    let bad = sallyport(&["totp", "secret"], &[]).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
}

#[tokio::test]
async fn why_postgresql_cannot_be_used_is_told_with_its_address() {
    let stores = TestStores::new(Kind::Single).await;
    let url = url::Url::parse(&stores.postgres.url).unwrap();
    let port = url.port().unwrap_or(5432);
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut url = url.clone();
        change(&mut url);
        url.to_string()
    };
    let free = free_port();
    for (url, parts) in [
        (
            with(&|url| url.set_path("/nothing_here")),
            [
                format!(":{port}/nothing_here): "),
                "(3D000)".to_owned(),
                "createdb".to_owned(),
            ],
        ),
        (
            with(&|url| url.set_password(Some("s3cret")).unwrap()),
            [
                format!(":{port}/"),
                "(28P01)".to_owned(),
                "password is wrong".to_owned(),
            ],
        ),
        (
            with(&|url| url.set_port(Some(free)).unwrap()),
            [
                format!(":{free}/"),
                "refused".to_owned(),
                "is it running?".to_owned(),
            ],
        ),
        (
            with(&|url| url.set_query(Some("sslmode=require"))),
            [
                format!(":{port}/"),
                "TLS failed".to_owned(),
                "sslmode".to_owned(),
            ],
        ),
    ] {
        let output = sallyport(&["migrate"], &[("DATABASE_URL", url)])
            .output()
            .unwrap();
        let told = text(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        for part in parts {
            assert!(told.contains(&part), "{part}: {told}");
        }
        let password = url::Url::parse(&stores.postgres.url)
            .unwrap()
            .password()
            .unwrap_or("none")
            .to_owned();
        assert!(
            !told.contains("s3cret") && !told.contains(&password),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_schema_of_the_database_holds_everything() {
    let stores = TestStores::new(Kind::Single).await;
    let url = format!("{}?schema=Own-1.a&connection_limit=3", stores.postgres.url);
    for _ in 0..2 {
        let migrated = sallyport(&["migrate"], &[("DATABASE_URL", url.clone())])
            .output()
            .unwrap();
        assert!(migrated.status.success(), "{}", text(&migrated));
    }
    let found = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'Own-1.a' AND table_name IN ('users', 'audit_logs')",
    );
    assert_eq!(found.fetch_one(&stores.pool).await.unwrap(), 2);
}

#[test]
fn serving_without_keys_says_how_to_make_them() {
    let folder = own_folder();
    let file = folder.path().join("none.json").display().to_string();
    let variables = [
        ("KEYS_FILE", file.clone()),
        ("PORT", free_port().to_string()),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", free_port())),
    ];
    let output = sallyport(&["serve"], &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    assert!(
        told.contains(&file) && told.contains("keys generate"),
        "{told}"
    );
}

#[tokio::test]
async fn a_start_without_postgresql_does_not_say_that_it_is_ready() {
    let stores = TestStores::new(Kind::Single).await;
    let folder = own_folder();
    let keys = folder.path().join("keys.json").display().to_string();
    let made = sallyport(&["keys", "generate", "--file", &keys], &[]).output();
    assert!(made.unwrap().status.success());
    let nothing = format!("postgres://127.0.0.1:{}/a", free_port());
    let variables = [
        ("REDIS_URL", stores.redis.url.clone()),
        ("REDIS_PREFIX", stores.redis.prefix.clone()),
        ("DATABASE_URL", nothing),
        ("KEYS_FILE", keys),
        ("LOG_FORMAT", "json".to_owned()),
        ("PORT", "0".to_owned()),
        ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
    ];
    let mut command = sallyport(&["serve"], &variables);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let started = lines.find(|line| line.contains("\"durability\""));
    child.kill().unwrap();
    child.wait().unwrap();
    let started = started.expect("a line of the start");
    assert!(started.contains("started, and not ready"), "{started}");
}

#[test]
fn stores_are_told_to_a_command_whose_exit_code_is_passed_on() {
    let script = r#"test -n "$SALLYPORT_TEST_REDIS_URL" && test -n "$SALLYPORT_TEST_DATABASE_URL" && exit 7"#;
    let output = sallyport(&["stores", "--", "sh", "-c", script], &[]).output();
    assert_eq!(output.unwrap().status.code(), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_reset_2fa_removes_the_second_factors_of_one_account() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.clock = Clock::system();
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.scan_app(&stores.clock).await;
    alice.finish_set_up("totp", &app.code()).await.ok();
    server.half_login("alice").await;
    server.store.flush().await.expect("flushed");
    let id = server.user_id("alice").await.to_string();
    let variables = [
        ("REDIS_URL", stores.redis.url.clone()),
        ("REDIS_PREFIX", stores.redis.prefix.clone()),
        ("DATABASE_URL", stores.postgres.url.clone()),
        ("KEYS_FILE", server.keys_file().display().to_string()),
    ];
    let mut command = sallyport(&["users", "reset-2fa", &id], &variables);
    let reset = command.output().expect("started");
    assert!(reset.status.success(), "{}", text(&reset));
    assert!(
        text(&reset).contains("Removed 1 second factor(s) of")
            && text(&reset).contains("and ended its sessions"),
        "{}",
        text(&reset)
    );
    server.login("alice").await;
    assert_eq!(server.audited("2fa.reset").await, 1);

    let mut command = sallyport(&["users", "reset-2fa", "nobody"], &variables);
    let missing = command.output().expect("started");
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing)
            .contains("there is no account with the id, e-mail address or username nobody"),
        "{}",
        text(&missing)
    );
}
