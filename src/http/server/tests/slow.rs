//! Clients that drip: every limit counts from where it began, however often a byte comes.

use super::*;

/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(20);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
/// Of a request that has more headers to come.
const OPEN_HEADERS: &[u8] = b"\0\0\x01\x01\x01\0\0\0\x01\x82";
const CONTINUATION: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01\x90";

async fn hasty() -> Running {
    let settings = config::Http {
        header_timeout: DRIP * 5,
        ..patient()
    };
    start(settings).await
}

/// Sends `first`, then one of `drops` after the other for as long as the server listens; what it said.
async fn drip(server: &Running, first: &[u8], drops: impl Iterator<Item = &[u8]>) -> Vec<u8> {
    let (mut reading, mut writing) = server.connect().await.into_split();
    writing.write_all(first).await.expect("is sent");
    let mut said = Vec::new();
    let listen = reading.read_to_end(&mut said);
    let talk = async {
        for drop in drops {
            clock::sleep(DRIP).await;
            if writing.write_all(drop).await.is_err() {
                break;
            }
        }
    };
    // A reset ends the conversation as well as a close does.
    let _ = tokio::join!(listen, talk).0;
    said
}

#[tokio::test]
async fn a_dripped_preface_is_not_waited_for() {
    let server = hasty().await;
    let said = drip(&server, b"", PREFACE.chunks(1)).await;
    assert_eq!(said, b"", "the preface was never whole");
}

#[tokio::test]
async fn a_header_block_that_does_not_end_is_not_waited_for() {
    let server = hasty().await;
    let first = [PREFACE, SETTINGS, OPEN_HEADERS].concat();
    let drops = std::iter::repeat_n(CONTINUATION, 3);
    let said = drip(&server, &first, drops).await;
    let goodbye = said.windows(4).any(|part| part == [0, 0, 8, 7]);
    assert!(!goodbye, "is cut, not let go for another reason: {said:?}");
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_not_waited_for() {
    let server = hasty().await;
    let first = [PREFACE, SETTINGS, b"\0\x01\0\x06".as_slice()].concat();
    drip(&server, &first, std::iter::repeat_n(b"x".as_slice(), 1)).await;
}

#[tokio::test]
async fn pings_neither_hurry_nor_keep_a_silent_connection() {
    let settings = config::Http {
        header_timeout: DRIP,
        idle_timeout: DRIP * 10,
        ..patient()
    };
    let server = start(settings).await;
    let first = [PREFACE, SETTINGS].concat();
    let said = drip(&server, &first, std::iter::repeat_n(PING, 400)).await;
    let answers = said.windows(8).filter(|part| part == b"pingpong").count();
    assert!(answers < 400, "kept to the last of them");
    let goodbye = said.windows(4).any(|part| part == [0, 0, 8, 7]);
    assert!(goodbye, "was let go politely: {said:?}");
}

/// A server that wants `min_body_rate` after a moment, and what it says to a body that drips in.
async fn said_to_a_dripping_body(min_body_rate: u32) -> String {
    let settings = config::Http {
        min_body_rate,
        body_grace: DRIP * 3,
        ..patient()
    };
    let server = start(settings).await;
    let head = "POST /take HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 12\r\n\r\n";
    let body = b"{\"a\":[1,2]}\n".chunks(1);
    let said = drip(&server, head.as_bytes(), body).await;
    String::from_utf8(said).expect("text")
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_and_a_slow_one_is_taken() {
    let dripping = said_to_a_dripping_body(1_000_000).await;
    assert!(dripping.starts_with("HTTP/1.1 408 "), "{dripping}");
    assert!(dripping.contains("request_timeout"), "{dripping}");
    assert!(dripping.contains("connection: close"), "{dripping}");
    for rate in [0, 1] {
        let slow = said_to_a_dripping_body(rate).await;
        assert!(slow.starts_with("HTTP/1.1 200 "), "{rate}: {slow}");
    }
}
