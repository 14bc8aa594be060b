//! A front before a gateway or fixture: gives each request a key, and lets through only one era where that is asked.
//!
//! For suites and clients that bring no key, and for upstreams that speak one era only. Heads are looked at, bodies and
//! answers pass as they are.

use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Which era gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eras {
    Both,
    Legacy,
    Modern,
}

impl FromStr for Eras {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "both" => Ok(Self::Both),
            "legacy" => Ok(Self::Legacy),
            "modern" => Ok(Self::Modern),
            other => bail!("{other:?} is not both, legacy or modern"),
        }
    }
}

/// What a front does.
#[derive(Debug, Clone)]
pub struct Front {
    /// Sent as `Authorization: Bearer`, if there is one.
    pub key: Option<String>,
    pub eras: Eras,
}

const MODERN: &str = "2026-07-28";

impl Front {
    /// Serve until dropped.
    pub async fn serve(self, listener: TcpListener, behind: SocketAddr) -> Result<()> {
        let front = Arc::new(self);
        loop {
            let (client, _) = listener.accept().await?;
            let front = front.clone();
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(behind).await {
                    let _ = front.relay(client, server).await;
                }
            });
        }
    }

    async fn relay(&self, client: TcpStream, server: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from, back) = client.into_split();
        let (mut answers, mut to) = server.into_split();
        let mut from = BufReader::new(from);
        let back = tokio::sync::Mutex::new(back);
        let up = async {
            loop {
                let Some((head, length, modern)) = self.head(&mut from).await? else {
                    to.shutdown().await?;
                    return anyhow::Ok(());
                };
                let mut body = (&mut from).take(length);
                if self.eras == Eras::Both || modern == (self.eras == Eras::Modern) {
                    to.write_all(&head).await?;
                    tokio::io::copy(&mut body, &mut to).await?;
                } else {
                    tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
                    back.lock().await.write_all(REFUSED).await?;
                }
            }
        };
        let down = async {
            let mut chunk = vec![0; 16 << 10];
            loop {
                let n = answers.read(&mut chunk).await?;
                if n == 0 {
                    return Ok(());
                }
                back.lock().await.write_all(&chunk[..n]).await?;
            }
        };
        tokio::select! {
            done = up => done,
            done = down => done,
        }
    }

    // The head as it goes on, how long the body is, and whether it is of the modern era.
    async fn head(
        &self,
        from: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
    ) -> Result<Option<(Vec<u8>, u64, bool)>> {
        let (mut head, mut length, mut modern) = (Vec::new(), 0, false);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse()?;
                }
                modern |= name.eq_ignore_ascii_case("mcp-protocol-version") && value.trim() == MODERN;
            }
            let first = head.is_empty();
            head.extend_from_slice(line.as_bytes());
            if let (true, Some(key)) = (first, &self.key) {
                head.extend_from_slice(format!("Authorization: Bearer {key}\r\n").as_bytes());
            }
            if line == "\r\n" {
                return Ok(Some((head, length, modern)));
            }
        }
    }
}

// As a server answers that never heard of the other era.
const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 75\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"Bad Request\"}}";
