//! Frames on a stream.

use std::io;
use std::time::Duration;

use join_hmac::wire::{HEADER_LEN, fields_len};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::LinkError;

/// Reads one frame of at most `max` bytes. Memory is taken for what has come, not for what is announced.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    max: usize,
    within: Duration,
) -> Result<Vec<u8>, LinkError> {
    let frame = async {
        let mut header = [0; HEADER_LEN];
        from.read_exact(&mut header).await?;
        let length = fields_len(header, max)?;
        let mut frame = header.to_vec();
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        if from.take(limit).read_to_end(&mut frame).await? != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(frame)
    };
    tokio::time::timeout(within, frame).await.unwrap_or_else(|_| Err(late().into()))
}

/// Sends one frame.
pub(crate) async fn send<W: AsyncWrite + Unpin>(to: &mut W, frame: &[u8]) -> Result<(), LinkError> {
    let sent = async {
        to.write_all(frame).await?;
        to.flush().await
    };
    Ok(tokio::time::timeout(SEND_TIMEOUT, sent).await.unwrap_or_else(|_| Err(late()))?)
}

/// Sends the last frame, and waits until the other side has seen the connection's end, so that nothing sent is lost.
pub(crate) async fn send_last<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, frame: &[u8]) {
    let over = async {
        if send(stream, frame).await.is_ok() && stream.shutdown().await.is_ok() {
            let _ = stream.read(&mut [0; 1]).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, over).await;
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_secs(2);
