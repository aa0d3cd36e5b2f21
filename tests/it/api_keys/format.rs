//! The text of a key: found by scanners, verified by a program that shares no code with ours, used with curl.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use sallyport::clock::{self, Clock};
use sallyport::config::ApiKeyMode;
use sallyport::crypto::ApiKeyToken;

use super::Key;
use crate::harness::{Kind, Options, TestServer, TestStores};

const PAGE: &str = include_str!("../../../docs/api-keys.md");
/// Bytes of a block of text.
const BLOCK: usize = 1 << 20;
/// Different blocks; together with their repetitions a gigabyte.
const BLOCKS: usize = 64;
const REPETITIONS: usize = 1024 / BLOCKS;
/// Texts in a block that look like a key.
const LURES: usize = 20;

/// The first block of a language on the page.
fn from_page(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(begin.as_str()).expect("is on the page");
    let (block, _) = rest.split_once("\n```").expect("ends");
    block
}

/// A program that is fed in pieces; its lines.
fn piped(
    program: &str,
    arguments: &[&str],
    feed: impl FnOnce(&mut dyn Write) + Send,
) -> Vec<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} could not be started: {error}"));
    let mut input = child.stdin.take().expect("is piped");
    let mut output = child.stdout.take().expect("is piped");
    let mut text = String::new();
    std::thread::scope(|scope| {
        scope.spawn(move || feed(&mut input));
        output.read_to_string(&mut text).expect("text");
    });
    child.wait().expect("ends");
    text.lines().map(str::to_owned).collect()
}

fn minted(number: usize) -> String {
    let mode = [ApiKeyMode::Live, ApiKeyMode::Test][number % 2];
    ApiKeyToken::mint(mode, Clock::system().new_id())
        .text()
        .to_string()
}

/// Text of letters, digits and signs as sources and logs have them, with lures in it.
fn block() -> Vec<u8> {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_\n";
    let mut state = u64::from_le_bytes(clock::random::<8>()) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut text = Vec::with_capacity(BLOCK);
    while text.len() < BLOCK {
        for byte in next().to_le_bytes() {
            text.push(SIGNS[usize::from(byte & 63)]);
        }
    }
    for _ in 0..LURES {
        let at = usize::try_from(next()).expect("64 bits") % (BLOCK - 80);
        let prefix: &[u8] = if next() & 1 == 0 {
            b"pk_live_"
        } else {
            b"pk_test_"
        };
        text[at..at + 8].copy_from_slice(prefix);
        for byte in &mut text[at + 8..at + 78] {
            *byte = SIGNS[usize::from(next().to_le_bytes()[3]) % 62];
        }
    }
    text
}

#[test]
fn a_scanner_finds_a_thousand_keys_in_a_gigabyte_and_nothing_else() {
    let keys: Vec<String> = (0..1000).map(minted).collect();
    let hidden = &keys;
    let expression = from_page("regex");
    let found = piped("grep", &["-a", "-E", "-o", expression], |input| {
        let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| block()).collect();
        let mut keys = hidden.iter();
        for _ in 0..REPETITIONS {
            for block in &blocks {
                // Now at the beginning of a line, now in the middle of one.
                let key = keys.next().map_or("", String::as_str);
                let whole = [
                    &block[..BLOCK / 3],
                    b"\nkey = \"",
                    key.as_bytes(),
                    b"\"; ",
                    &block[BLOCK / 3..],
                ];
                for part in whole {
                    input.write_all(part).expect("grep reads");
                }
            }
        }
        assert!(keys.next().is_none(), "all are hidden");
    });
    assert!(
        found.len() >= 1000 + BLOCKS * REPETITIONS * LURES / 2,
        "lures are found too: {}",
        found.len()
    );
    let good = found.iter().filter(|text| ApiKeyToken::parse(text).is_ok());
    let good: Vec<&String> = good.collect();
    assert_eq!(good, keys.iter().collect::<Vec<_>>());
}

#[test]
fn a_foreign_program_tells_keys_from_what_looks_like_them() {
    let keys: Vec<String> = (0..50).map(minted).collect();
    let lines: Vec<String> = keys
        .iter()
        .flat_map(|key| {
            let other = if key.ends_with('0') { '1' } else { '0' };
            [
                key.clone(),
                format!("{}{other}", &key[..77]),
                key.replace("live", "TEST")
                    .replace("test", "live")
                    .replace("TEST", "test"),
                format!("{}{}", &key[..8], "z".repeat(70)),
            ]
        })
        .collect();
    let accepted = piped("python3", &["-c", from_page("python")], |input| {
        input
            .write_all(lines.join("\n").as_bytes())
            .expect("python reads");
    });
    assert_eq!(accepted, keys);
    let ours: Vec<String> = lines
        .into_iter()
        .filter(|text| ApiKeyToken::parse(text).is_ok())
        .collect();
    assert_eq!(accepted, ours);
}

#[tokio::test]
async fn a_key_is_used_with_curl() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["user:read"]).await;
    let url = format!("http://{}/api/auth/me", server.address);
    for header in [
        format!("X-API-Key: {}", key.text),
        format!("Authorization: Bearer {}", key.text),
    ] {
        let output = tokio::process::Command::new("curl")
            .args(["-s", "-H", &header, &url])
            .output()
            .await;
        let output = output.expect("curl runs");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answer["data"]["user"]["username"], "alice", "{answer}");
    }
}
