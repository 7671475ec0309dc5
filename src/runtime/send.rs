//! Output on its way to a client.
//!
//! *Owns*: how pieces become gathered sends, or TLS records. *Promises*: on a plaintext connection a mapped
//! piece goes to the kernel as a slice of the mapping, unseen; with TLS it is encrypted from where it lies; in
//! both cases after it was brought in, and likewise deflated where that is asked for; a client that takes
//! nothing for `SEND_STALL_MS` is given up. *Assumes*: one send per connection at a time. *Never*: holds more
//! ciphertext than `TLS_SEND_BYTES` and a record, or more deflated octets than a step makes.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use ringpost_engine::io::Extent;
use tokio::time::timeout;

use super::compress::Deflater;
use super::disk::Files;
use super::ring;
use super::tls::{RECORD_BYTES_MAX, Secured};
use crate::limits::{
    DEFLATE_STEP_BYTES, SEND_STALL_MS, SEND_WINDOW_BYTES, TLS_JOIN_BYTES_MAX, TLS_SEND_BYTES,
};
use crate::shard::event::{CloseReason, Piece, Unreadable};
use crate::sys::fault;
use crate::sys::request::{self, Descriptor, Gather};
use crate::sys::socket::{Direction, shut};

/// How long a client may take nothing.
pub const PATIENCE: Duration = Duration::from_millis(SEND_STALL_MS);

/// Sends bytes as they are. Each piece of progress gives the client another `patience`.
///
/// # Errors
/// Why the connection must end; the socket is ended already where the client stalled.
pub async fn send_plain(
    socket: &Descriptor,
    parts: impl IntoIterator<Item = Bytes>,
    patience: Duration,
) -> Result<(), CloseReason> {
    let mut gather = Gather::new(parts);
    while !gather.is_empty() {
        let sending = ring::submit(request::send(socket, gather));
        let Ok(done) = timeout(patience, sending).await else {
            // Lets the operation complete, and with it go of its bytes.
            shut(socket, Direction::Both);
            return Err(CloseReason::Stalled);
        };
        gather = done.data;
        match done.result {
            Ok(sent) => gather.advance(sent),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => return Err(CloseReason::Peer),
                _ => return Err(CloseReason::Error(format!("sending: {error}"))),
            },
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
    match tls {
        None => send_clear(socket, pieces, files).await,
        Some(secured) => send_secured(socket, pieces, secured, files).await,
    }
}

/// Deflates pieces step by step, each of which the client can inflate at once, and sends them over whatever the
/// connection is.
///
/// # Errors
/// As [`send`]; and when the compressor fails.
pub async fn send_deflated(
    socket: &Descriptor,
    pieces: Vec<Piece>,
    mut tls: Option<&mut Secured>,
    files: &Files,
    deflater: &RefCell<Deflater>,
) -> Result<(), CloseReason> {
    let (mut step, mut looked, mut gathered) = (Vec::new(), Vec::new(), 0);
    let deflate = |step: &[Bytes]| -> Result<Vec<Piece>, CloseReason> {
        let deflated = deflater.borrow_mut().deflate(step).map_err(CloseReason::Compression)?;
        Ok(vec![Piece::Bytes(Bytes::from(deflated))])
    };
    for piece in pieces {
        let (extent, mut rest) = match piece {
            Piece::Bytes(bytes) => (None, bytes),
            Piece::Mapped { extent, bytes } => (Some(extent), bytes),
        };
        let mut done = 0;
        while !rest.is_empty() {
            let next = rest.split_to(rest.len().min(DEFLATE_STEP_BYTES - gathered));
            gathered += next.len();
            if let Some(extent) = extent {
                let cold = [(extent.slice(done, next.len() as u32), next.clone())];
                files.warm(&cold).await.map_err(CloseReason::Unreadable)?;
                looked.extend(cold);
                done += next.len() as u32;
            }
            step.push(next);
            if gathered == DEFLATE_STEP_BYTES {
                let deflated = deflate(&step)?;
                looked.drain(..).try_for_each(|(extent, bytes)| sound(extent, &bytes))?;
                send(socket, deflated, tls.as_deref_mut(), files).await?;
                step.clear();
                gathered = 0;
            }
        }
    }
    if step.is_empty() {
        return Ok(());
    }
    let deflated = deflate(&step)?;
    looked.drain(..).try_for_each(|(extent, bytes): (Extent, Bytes)| sound(extent, &bytes))?;
    send(socket, deflated, tls, files).await
}

/// Sends pieces as they are, a window at a time: what the kernel is to send is in memory first, or the shard's
/// thread would wait for the disk in its place.
async fn send_clear(socket: &Descriptor, pieces: Vec<Piece>, files: &Files) -> Result<(), CloseReason> {
    let (mut ready, mut window, mut mapped) = (Vec::with_capacity(pieces.len()), Vec::new(), 0);
    for piece in pieces {
        let (extent, bytes) = match piece {
            Piece::Bytes(bytes) => {
                ready.push(bytes);
                continue;
            }
            Piece::Mapped { extent, bytes } => (extent, bytes),
        };
        for start in (0..bytes.len()).step_by(SEND_WINDOW_BYTES) {
            let bytes = bytes.slice(start..bytes.len().min(start + SEND_WINDOW_BYTES));
            mapped += bytes.len();
            let next = [(extent.slice(start as u32, bytes.len() as u32), bytes)];
            files.warm(&next).await.map_err(CloseReason::Unreadable)?;
            ready.extend(next.iter().map(|(_, bytes)| bytes.clone()));
            window.extend(next);
            if mapped >= SEND_WINDOW_BYTES {
                mapped = 0;
                send_window(socket, &mut ready, &mut window, files).await?;
            }
        }
    }
    send_window(socket, &mut ready, &mut window, files).await
}

/// Sends what was brought in. The kernel may find that a page has left memory since and cannot be read (EFAULT): then
/// it is found out which.
async fn send_window(
    socket: &Descriptor,
    ready: &mut Vec<Bytes>,
    window: &mut Vec<(Extent, Bytes)>,
    files: &Files,
) -> Result<(), CloseReason> {
    let bad_pages = fault::count();
    let sent = send_plain(socket, ready.drain(..), PATIENCE).await;
    if matches!(&sent, Err(CloseReason::Error(_))) || fault::count() != bad_pages {
        files.forget_recent();
        files.warm(window).await.map_err(CloseReason::Unreadable)?;
    }
    window.clear();
    sent
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
            Piece::Mapped { extent, bytes } if bytes.len() > TLS_JOIN_BYTES_MAX => {
                encrypt_joined(secured, &mut joined)?;
                send_mapped_secured(socket, extent, &bytes, secured, files).await?;
                continue;
            }
            Piece::Mapped { extent, bytes } => {
                let cold = [(extent, bytes)];
                files.warm(&cold).await.map_err(CloseReason::Unreadable)?;
                let [(_, bytes)] = cold;
                let copy = Bytes::copy_from_slice(&bytes);
                sound(extent, &bytes)?;
                copy
            }
        };
        if bytes.len() <= TLS_JOIN_BYTES_MAX {
            joined.extend_from_slice(&bytes);
            if joined.len() + TLS_JOIN_BYTES_MAX > RECORD_BYTES_MAX {
                encrypt_joined(secured, &mut joined)?;
                flush_if_full(socket, secured).await?;
            }
            continue;
        }
        encrypt_joined(secured, &mut joined)?;
        send_records(socket, None, &bytes, secured).await?;
    }
    encrypt_joined(secured, &mut joined)?;
    flush(socket, secured).await
}

/// Encrypts a run of the log a window at a time, each brought in when its turn comes.
async fn send_mapped_secured(
    socket: &Descriptor,
    extent: Extent,
    bytes: &Bytes,
    secured: &mut Secured,
    files: &Files,
) -> Result<(), CloseReason> {
    for start in (0..bytes.len()).step_by(SEND_WINDOW_BYTES) {
        let window = bytes.slice(start..bytes.len().min(start + SEND_WINDOW_BYTES));
        let cold = [(extent.slice(start as u32, window.len() as u32), window)];
        files.warm(&cold).await.map_err(CloseReason::Unreadable)?;
        let [(extent, window)] = cold;
        send_records(socket, Some(extent), &window, secured).await?;
    }
    Ok(())
}

/// Encrypts and sends bytes, of a run of the log or made by a session.
async fn send_records(
    socket: &Descriptor,
    of: Option<Extent>,
    bytes: &[u8],
    secured: &mut Secured,
) -> Result<(), CloseReason> {
    for record in bytes.chunks(RECORD_BYTES_MAX) {
        secured.encrypt(record).map_err(CloseReason::Tls)?;
        of.map_or(Ok(()), |extent| sound(extent, record))?;
        flush_if_full(socket, secured).await?;
    }
    Ok(())
}

fn encrypt_joined(secured: &mut Secured, joined: &mut Vec<u8>) -> Result<(), CloseReason> {
    if !joined.is_empty() {
        secured.encrypt(joined).map_err(CloseReason::Tls)?;
        joined.clear();
    }
    Ok(())
}

async fn flush_if_full(socket: &Descriptor, secured: &mut Secured) -> Result<(), CloseReason> {
    if secured.outgoing_len() < TLS_SEND_BYTES { Ok(()) } else { flush(socket, secured).await }
}

/// Sends the ciphertext that waits.
///
/// # Errors
/// As [`send_plain`].
pub async fn flush(socket: &Descriptor, secured: &mut Secured) -> Result<(), CloseReason> {
    send_plain(socket, [Bytes::from(secured.take_outgoing())], PATIENCE).await
}

/// Refuses bytes that were looked at, and of which a page turned out to be zeroes in the place of what cannot be read:
/// what was made of them must not leave.
fn sound(extent: Extent, bytes: &[u8]) -> Result<(), CloseReason> {
    if fault::is_sound(bytes) {
        return Ok(());
    }
    let mut what = Unreadable::default();
    what.add(extent, "a page cannot be read");
    Err(CloseReason::Unreadable(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Instant;

    fn pair() -> (Descriptor, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (Arc::new(OwnedFd::from(ours)), theirs)
    }

    fn parts() -> Vec<Bytes> {
        (0..3_000u32).map(|n| Bytes::from(vec![n as u8; 1 + n as usize])).collect()
    }

    #[test]
    fn more_than_one_operation_takes_arrives_whole() {
        let (ours, mut theirs) = pair();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).map(|_| all)
        });
        ring::run(async { send_plain(&ours, parts(), PATIENCE).await.expect("taken") }).expect("done");
        drop(ours);
        let all = reader.join().expect("the reader").expect("an end");
        assert!(all == parts().concat());
    }

    #[test]
    fn a_client_that_takes_nothing_is_given_up_and_its_bytes_are_let_go() {
        let (ours, theirs) = pair();
        let body = Arc::new(vec![7u8; 8 << 20]);
        let begun = Instant::now();
        let patience = Duration::from_millis(50);
        let bytes = Bytes::from_owner(Shared(body.clone()));
        let sent = ring::run(async { send_plain(&ours, [bytes], patience).await }).expect("completed");
        assert_eq!(sent, Err(CloseReason::Stalled));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(Arc::strong_count(&body), 1, "the operation has let go of the bytes");
        drop(theirs);
    }

    #[test]
    fn a_client_that_is_gone_is_no_fault() {
        let (ours, theirs) = pair();
        drop(theirs);
        let sent = ring::run(async { send_plain(&ours, parts(), PATIENCE).await }).expect("completed");
        assert_eq!(sent, Err(CloseReason::Peer));
    }

    struct Shared(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
}
