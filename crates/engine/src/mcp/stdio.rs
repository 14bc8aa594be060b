//! MCP over lines (stdio): one message a line, both eras on one channel.
//!
//! Called by the binary with standard input and output. The end of the input lets running calls finish; a writer that
//! fails ends everything, and so does a client that after its end does not read. What happens in between is `channel`'s.

use super::channel::{Room, Visitor};
use super::{Out, channel};
use crate::Engine;
use futures_util::stream;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use toolgate_core::Caller;
use toolgate_core::name::Door;
use toolgate_wire::line::{Line, LineReader};
use toolgate_wire::sse;

// How long a line may take to be read by a client that has ended its input.
const UNREAD: Duration = Duration::from_secs(30);

/// Serve one client until its input ends. With a scope, only that server's tools, by their own names.
pub async fn serve_lines<R, W>(
    engine: Engine,
    caller: Arc<Caller>,
    scope: Option<Door>,
    reader: R,
    writer: W,
) -> std::io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let door = scope.as_ref().filter(|door| super::is_door(&engine, door));
    let _connection = engine.connection(door.map(Door::as_str));
    let max_line = usize::try_from(engine.clients().max_line.0).unwrap_or(usize::MAX);
    let lines = LineReader::new(BufReader::new(reader), max_line);
    let (end, ended) = watch::channel(false);
    let incoming = stream::unfold((lines, end), |(mut lines, end)| async {
        match lines.next().await {
            Ok(Line::End) => {
                end.send_replace(true);
                None
            }
            line => Some((line.map(|line| (line, Room::Uncounted)), (lines, end))),
        }
    });
    let visitor = Visitor { caller, scope, forwarded: None, hold: None };
    let (reading, outgoing) = channel::open(engine, visitor, Box::pin(incoming));
    channel::run(reading, write_lines(writer, outgoing, ended)).await
}

async fn write_lines<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut outgoing: mpsc::Receiver<Out>,
    ended: watch::Receiver<bool>,
) -> std::io::Result<()> {
    while let Some(out) = outgoing.recv().await {
        let mut line = match out {
            Out::Message(line) => line,
            Out::Answer(line) => line.into(),
            // There is no connection to let go of: this is the only one.
            Out::Pause => continue,
        };
        sse::on_one_line(&mut line);
        line.push(b'\n');
        let last = outgoing.is_empty();
        let write = async {
            writer.write_all(&line).await?;
            if last { writer.flush().await } else { Ok(()) }
        };
        tokio::select! {
            written = write => written?,
            () = too_long(ended.clone()) => {
                let why = "the client has ended its input and does not read what is answered";
                return Err(Error::new(ErrorKind::TimedOut, why));
            }
        }
    }
    writer.flush().await
}

async fn too_long(mut ended: watch::Receiver<bool>) {
    // Without the sender the input has ended by an error, which ends everything.
    let _ = ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(UNREAD).await;
}
