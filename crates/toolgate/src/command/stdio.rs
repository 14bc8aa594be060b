//! `toolgate stdio`: MCP on standard input and output, for clients that start their servers.
//!
//! Whose calls these are is decided by a key, as over HTTP: that of `--key-file`, TOOLGATE_KEY, or the administrator's in the data directory.
//! A key that is revoked or expires ends the process. A signal ends the input: what runs then is still answered. Nothing but protocol is written to standard output.

use crate::client;
use crate::config::{Settings, Sources};
use crate::exit;
use crate::key::KeyText;
use crate::life;
use crate::logging;
use crate::wiring;
use anyhow::{Context as _, Result};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use toolgate_engine::mcp::stdio::serve_lines;

pub async fn run(settings: Settings, sources: Sources, key_file: Option<PathBuf>) -> Result<()> {
    logging::install(&settings.document.log);
    let stop = life::Stop::new()?;
    let gate = Arc::new(wiring::open(settings, "stdio").await?);
    let key = match key_file {
        Some(file) => Some(KeyText::read(&file)?.with_context(|| format!("there is no {}", file.display()))?),
        None => client::given_key(None, &gate.dir)?,
    };
    let Some(key) = key else {
        anyhow::bail!(
            "there is no key: set TOOLGATE_KEY to one made with `toolgate keys create NAME --role ROLE`, or put one \
             into {}",
            gate.dir.admin_key_file().display()
        );
    };
    let caller = gate.engine.identify(Some(key.reveal())).map_err(|_| {
        anyhow::anyhow!(
            "the key {key:?} is unknown, revoked or expired; `toolgate keys list` shows which are active"
        )
    })?;
    let watch = life::watch(&gate, &sources, None).await?;
    gate.event("stdio_started", Some(&caller.id)).await?;
    let gone = gate.key_gone(&key);
    let stopping = stop.asked().boxed().shared();
    let input = Until { reader: tokio::io::stdin(), end: stopping.clone() };
    let too_long = async {
        stopping.await;
        tokio::time::sleep(life::DRAIN).await;
    };
    let served = tokio::select! {
        served = serve_lines(gate.engine.clone(), caller, None, input, tokio::io::stdout()) => served.map_err(anyhow::Error::from),
        () = gone => {
            tracing::warn!(key = ?key, "the key was revoked or has expired; ending");
            Err(exit::Silent.into())
        }
        () = too_long => Ok(()),
    };
    life::end(gate, watch).await?;
    served
}

/// A reader whose input ends when a future does.
struct Until<R> {
    reader: R,
    end: Shared<BoxFuture<'static, ()>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Until<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // `Shared` must not be polled again once it has ended.
        if self.end.peek().is_some() || self.end.poll_unpin(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}
