//! The admin socket: accepts, reads one request, writes the answer.
//!
//! *Owns*: the socket file and its threads. *Promises*: mode 0600 from the first moment, bounded request
//! size, bounded number of clients. *Assumes*: the data folder's lock is held, so a left-over socket is
//! nobody's.
//! *Never*: holds a shard up; it waits for the shard.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::import::server::octets_expected;
use super::import::wire::ImportStep;
use super::route::{Shards, carry_out};
use super::wire::{Line, REQUEST_BYTES_MAX, Request};

/// Administrators' connections at a time; the next one waits in the socket's queue.
const CLIENTS_MAX: usize = 32;
/// How long a client may take to send its request or to take a line of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the socket and serves it from a thread of its own until the process ends.
pub fn serve(path: &Path, shards: Arc<dyn Shards>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: cannot make the admin socket: {error}", path.display());
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Bound under another name and renamed when its mode is right, so that nobody else can open it in
    // between.
    let unready = path.with_extension("new");
    drop(std::fs::remove_file(&unready));
    let listener = UnixListener::bind(&unready).map_err(failed)?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&unready, path).map_err(failed)?;
    let thread = std::thread::Builder::new().name("admin".to_string());
    thread.spawn(move || accept(&listener, &shards)).map(drop).map_err(failed)
}

fn accept(listener: &UnixListener, shards: &Arc<dyn Shards>) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        while busy.load(Ordering::Acquire) >= CLIENTS_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        let Ok((client, _)) = listener.accept() else {
            // Out of descriptors, most likely: the clients that hold them end within their patience.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        busy.fetch_add(1, Ordering::AcqRel);
        let (shards, done) = (Arc::clone(shards), Arc::clone(&busy));
        let serve = move || {
            // An error here is the client's own end of the line: it went away.
            let _gone = answer(client, &*shards);
            done.fetch_sub(1, Ordering::AcqRel);
        };
        if std::thread::Builder::new().name("admin-client".to_string()).spawn(serve).is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn answer(client: UnixStream, shards: &dyn Shards) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(&client);
    (&mut reader).take(REQUEST_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    let mut out = BufWriter::new(&client);
    let mut sink = |line: Line| {
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
        // Whoever waits for long sees how far it is.
        if matches!(line, Line::Moving { .. } | Line::Moved { .. }) { out.flush() } else { Ok(()) }
    };
    let request = serde_json::from_slice::<Request>(&line).map_err(|error| {
        format!("the request is not understood ({error}): use the ringpost command of the server's version")
    });
    match request.and_then(|request| with_octets(request, &mut reader)) {
        Ok(request) => carry_out(shards, request, &mut sink)?,
        Err(why) => sink(Line::Refused(why))?,
    }
    out.flush()
}

/// Takes in the octets that follow the line of a step that appends.
fn with_octets(request: Request, input: &mut impl Read) -> Result<Request, String> {
    let Request::Import { step, .. } = &request else { return Ok(request) };
    let expected = octets_expected(step)?;
    let mut held = Vec::new();
    let read = input.take(expected as u64).read_to_end(&mut held).map_err(|error| error.to_string())?;
    if read < expected {
        return Err(format!("{read} octets came instead of {expected}"));
    }
    Ok(import_octets(request, held.into()))
}

/// The request with the octets that belong to it; only a step that appends has any.
pub fn import_octets(mut request: Request, given: Bytes) -> Request {
    if let Request::Import { step: ImportStep::Append { octets, .. }, .. } = &mut request {
        *octets = given;
    }
    request
}
