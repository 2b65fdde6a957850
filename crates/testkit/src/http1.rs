//! HTTP/1.1 over a socket, as simple as can be: what a listener answers to bytes.

use std::net::SocketAddr;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends these bytes on a connection of its own, and reads until the other side closes it. `None` where there is no
/// connection, or it breaks.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(answer)
}

/// Status and body of `GET`.
pub async fn ask(address: SocketAddr, path: &str) -> Option<(StatusCode, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = String::from_utf8(exchange(address, request.as_bytes()).await?).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}
