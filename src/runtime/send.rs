//! Output on its way to a client.
//!
//! *Owns*: how pieces become gathered sends, or TLS records. *Promises*: on a plaintext connection a mapped piece goes
//! to the kernel as a slice of the mapping, unseen; with TLS it is encrypted from where it lies, after it was brought
//! in; a client that takes nothing for `SEND_STALL_MS` is given up. *Assumes*: one send per connection at a time.
//! *Never*: holds more ciphertext than `TLS_SEND_BYTES` and a record.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::disk::Files;
use super::ring;
use super::tls::{RECORD_BYTES_MAX, Secured};
use crate::limits::{SEND_STALL_MS, TLS_JOIN_BYTES_MAX, TLS_SEND_BYTES};
use crate::shard::event::{CloseReason, Piece};
use crate::sys::request::{self, Descriptor, Gather};
use crate::sys::socket::{Direction, shut};

/// Sends bytes as they are.
///
/// # Errors
/// Why the connection must end; the socket is ended already where the client stalled.
pub async fn send_plain(
    socket: &Descriptor,
    parts: impl IntoIterator<Item = Bytes>,
) -> Result<(), CloseReason> {
    let mut gather = Gather::new(parts);
    while !gather.is_empty() {
        let sending = ring::submit(request::send(socket, gather));
        let Ok(done) = timeout(Duration::from_millis(SEND_STALL_MS), sending).await else {
            // Lets the operation complete, and with it go of its bytes.
            shut(socket, Direction::Both);
            return Err(CloseReason::Stalled);
        };
        gather = done.data;
        match done.result {
            Ok(sent) => gather.advance(sent),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CloseReason::Error(format!("sending: {error}"))),
        }
    }
    Ok(())
}

/// Sends pieces over whatever the connection is.
///
/// # Errors
/// As [`send_plain`]; and when TLS or reading the log fails.
pub async fn send(
    socket: &Descriptor,
    pieces: Vec<Piece>,
    tls: Option<&mut Secured>,
    files: &Files,
) -> Result<(), CloseReason> {
    let bytes = |piece: Piece| match piece {
        Piece::Bytes(bytes) | Piece::Mapped { bytes, .. } => bytes,
    };
    match tls {
        None => send_plain(socket, pieces.into_iter().map(bytes)).await,
        Some(secured) => send_secured(socket, pieces, secured, files).await,
    }
}

async fn send_secured(
    socket: &Descriptor,
    pieces: Vec<Piece>,
    secured: &mut Secured,
    files: &Files,
) -> Result<(), CloseReason> {
    // Small pieces share a record.
    let mut joined = Vec::new();
    for piece in pieces {
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Mapped { extent, bytes } => {
                let cold = [(extent, bytes)];
                files.warm(&cold).await.map_err(unreadable)?;
                let [(_, bytes)] = cold;
                bytes
            }
        };
        if bytes.len() <= TLS_JOIN_BYTES_MAX {
            joined.extend_from_slice(&bytes);
            if joined.len() + TLS_JOIN_BYTES_MAX > RECORD_BYTES_MAX {
                secured.encrypt(&joined).map_err(CloseReason::Tls)?;
                joined.clear();
            }
            continue;
        }
        if !joined.is_empty() {
            secured.encrypt(&joined).map_err(CloseReason::Tls)?;
            joined.clear();
        }
        for record in bytes.chunks(RECORD_BYTES_MAX) {
            secured.encrypt(record).map_err(CloseReason::Tls)?;
            if secured.outgoing_len() >= TLS_SEND_BYTES {
                flush(socket, secured).await?;
            }
        }
    }
    if !joined.is_empty() {
        secured.encrypt(&joined).map_err(CloseReason::Tls)?;
    }
    flush(socket, secured).await
}

/// Sends the ciphertext that waits.
///
/// # Errors
/// As [`send_plain`].
pub async fn flush(socket: &Descriptor, secured: &mut Secured) -> Result<(), CloseReason> {
    send_plain(socket, [Bytes::from(secured.take_outgoing())]).await
}

/// A body that cannot be read: its length is announced already, so nothing sensible can follow.
pub fn unreadable(error: std::io::Error) -> CloseReason {
    CloseReason::Error(format!("reading the log: {error}"))
}
