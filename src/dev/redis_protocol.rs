//! The part of Redis's protocol that asks a private server for its state and joins nodes to a cluster.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Authenticates, sends one command and returns its answer as text.
///
/// # Errors
/// When the server cannot be reached, does not answer in time, or answers with an error.
pub(super) async fn ask(port: u16, password: &str, command: &[&str]) -> io::Result<String> {
    let conversation = async {
        let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
        send(&mut stream, &["AUTH", password]).await?;
        answer(&mut stream).await?;
        send(&mut stream, command).await?;
        answer(&mut stream).await
    };
    timeout(ANSWER_WITHIN, conversation)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn send(stream: &mut BufReader<TcpStream>, words: &[&str]) -> io::Result<()> {
    use std::fmt::Write as _;
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(text, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(text.as_bytes()).await
}

/// A simple string, an integer, a bulk string or an error; nothing else is asked for here.
async fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("$", length)) => bulk(stream, length).await,
        Some(("-", text)) => Err(io::Error::other(text.to_owned())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn bulk(stream: &mut BufReader<TcpStream>, length: &str) -> io::Result<String> {
    let length: usize = length.parse().map_err(io::Error::other)?;
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(io::Error::other)
}
