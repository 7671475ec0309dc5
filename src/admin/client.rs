//! The command's end of the admin socket.
//!
//! *Owns*: one connection a request. *Promises*: says where it looked and what to do when nobody answers.
//! *Assumes*: the server's data folder is given. *Never*: retries; the person who asked is there.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::wire::{Line, Request};

/// Reaches a running server through its data folder.
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The server that runs on this data folder.
    pub fn new(data: &Path) -> Client {
        Client { socket: data.join("admin.sock") }
    }

    /// Sends a request and hands every line but the last to `each`; a refusal is the error.
    pub fn call(
        &self,
        request: &Request,
        each: &mut dyn FnMut(Line) -> Result<(), String>,
    ) -> Result<(), String> {
        self.call_with(request, &[], each)
    }

    /// The same, with octets behind the request's line.
    pub fn call_with(
        &self,
        request: &Request,
        octets: &[u8],
        each: &mut dyn FnMut(Line) -> Result<(), String>,
    ) -> Result<(), String> {
        let stream = UnixStream::connect(&self.socket).map_err(|error| {
            format!(
                "no server answers at {}: {error}; start it with `ringpost serve` or give its folder with --data",
                self.socket.display()
            )
        })?;
        let lost = |error: std::io::Error| format!("the server went away before it answered: {error}");
        let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        line.push(b'\n');
        (&stream).write_all(&line).and_then(|()| (&stream).write_all(octets)).map_err(lost)?;
        for line in BufReader::new(&stream).lines() {
            let line = serde_json::from_str(&line.map_err(lost)?).map_err(|error| {
                format!(
                    "the answer is not understood ({error}): use the ringpost command of the server's version"
                )
            })?;
            match line {
                Line::Done => return Ok(()),
                Line::Refused(why) => return Err(why),
                line => each(line)?,
            }
        }
        Err("the server went away before it answered: see its log".to_string())
    }
}
