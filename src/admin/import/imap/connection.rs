//! A connection to an IMAP server, as its client.
//!
//! *Owns*: the socket, TLS by URL or STARTTLS, login, and one command after the other. *Promises*: a password goes
//! over TLS only, unless the user said otherwise; one response in memory, bounded. *Assumes*: somebody waits for it.
//! *Never*: changes anything at the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use ringpost_engine::limits::BODY_BYTES_MAX;

use super::response::literal_len;
use super::url::Url;
use crate::runtime::dial::{Link, secure};

/// How long a server may be silent: it may have to read a whole mailbox.
const PATIENCE: Duration = Duration::from_secs(300);
/// Octets of one response: a message and what stands around it.
const RESPONSE_BYTES_MAX: usize = BODY_BYTES_MAX + 1024 * 1024;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where and as whom.
    pub url: Url,
    /// The password.
    pub password: String,
    /// Trusted certificates, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the password may go over a connection without TLS.
    pub plaintext: bool,
}

/// See the module.
pub struct Connection {
    link: BufReader<Box<dyn Link>>,
    commands: u64,
    capabilities: Vec<String>,
}

impl Connection {
    /// Connects and logs in.
    pub fn open(access: &Access) -> Result<Connection, String> {
        let Url { tls, host, port, .. } = &access.url;
        let failed = |error: std::io::Error| format!("{host}:{port}: {error}");
        let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs().map_err(failed)?.collect();
        let stream = TcpStream::connect(&addresses[..]).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let again = stream.try_clone().map_err(failed)?;
        let link: Box<dyn Link> =
            if *tls { secure(stream, host, access.ca_file.as_deref())? } else { Box::new(stream) };
        let mut connection = Connection { link: BufReader::new(link), commands: 0, capabilities: Vec::new() };
        let greeting = connection.response()?;
        if !greeting.starts_with(b"* OK") {
            return Err(format!(
                "{host} does not serve us: {}",
                String::from_utf8_lossy(&greeting).trim_end()
            ));
        }
        connection.ask_capabilities()?;
        if !tls && connection.has("STARTTLS") {
            connection.command("STARTTLS", &mut |_| Ok(()))?;
            // rfc3501#6.2.1: nothing that came before the handshake counts.
            connection.link = BufReader::new(secure(again, host, access.ca_file.as_deref())?);
            connection.ask_capabilities()?;
        } else if !tls && !access.plaintext {
            return Err(format!(
                "{host} offers no TLS: use imaps://, or --plaintext if the network is yours"
            ));
        }
        connection.log_in(&access.url.user, &access.password)?;
        connection.ask_capabilities()?;
        Ok(connection)
    }

    /// Whether the server can do something.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known.eq_ignore_ascii_case(capability))
    }

    fn ask_capabilities(&mut self) -> Result<(), String> {
        let mut capabilities = Vec::new();
        self.command("CAPABILITY", &mut |line| {
            let line = String::from_utf8_lossy(line);
            if let Some(names) = line.strip_prefix("CAPABILITY ") {
                capabilities = names.split_whitespace().map(str::to_owned).collect();
            }
            Ok(())
        })?;
        self.capabilities = capabilities;
        Ok(())
    }

    fn log_in(&mut self, user: &str, password: &str) -> Result<(), String> {
        if !self.has("AUTH=PLAIN") {
            let user = quoted(user).ok_or("this server takes no user name but in ASCII")?;
            let password = quoted(password).ok_or("this server takes no password but in ASCII")?;
            return self.command(&format!("LOGIN {user} {password}"), &mut |_| Ok(()));
        }
        // rfc3501#6.2.2, rfc4616#2
        let tag = self.send("AUTHENTICATE PLAIN")?;
        loop {
            let line = self.response()?;
            if line.starts_with(b"+") {
                break;
            }
            if line.starts_with(tag.as_bytes()) {
                return Err(words(&line));
            }
        }
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.write(format!("{secret}\r\n").as_bytes())?;
        self.answer(&tag, &mut |_| Ok(()))
    }

    /// Sends a command and hands over its untagged responses, without their `* ` and their CRLF. The error is what the
    /// server says, or what became of the connection.
    pub fn command(
        &mut self,
        command: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let tag = self.send(command)?;
        self.answer(&tag, each)
    }

    fn send(&mut self, command: &str) -> Result<String, String> {
        self.commands += 1;
        let tag = format!("R{}", self.commands);
        self.write(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(format!("{tag} "))
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        let link = self.link.get_mut();
        link.write_all(octets).and_then(|()| link.flush()).map_err(lost)
    }

    fn answer(&mut self, tag: &str, each: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        loop {
            let line = self.response()?;
            if let Some(untagged) = line.strip_prefix(b"* ") {
                each(untagged.strip_suffix(b"\r\n").unwrap_or(untagged))?;
            } else if let Some(end) = line.strip_prefix(tag.as_bytes()) {
                return if end.starts_with(b"OK") { Ok(()) } else { Err(words(end)) };
            }
        }
    }

    /// One response with its literals.
    fn response(&mut self) -> Result<Vec<u8>, String> {
        let mut response = Vec::new();
        loop {
            let start = response.len();
            let room = (RESPONSE_BYTES_MAX - start) as u64;
            (&mut self.link).take(room).read_until(b'\n', &mut response).map_err(lost)?;
            if response.last() != Some(&b'\n') {
                return Err(match response.len() < RESPONSE_BYTES_MAX {
                    true => "the server ended the connection".to_owned(),
                    false => format!("the server sent a response of more than {RESPONSE_BYTES_MAX} octets"),
                });
            }
            let Some(len) = literal_len(&response[start..]) else { return Ok(response) };
            if len > RESPONSE_BYTES_MAX - response.len() {
                return Err(format!("the server sends a literal of {len} octets"));
            }
            let read = (&mut self.link).take(len as u64).read_to_end(&mut response).map_err(lost)?;
            if read < len {
                return Err("the server ended the connection".to_owned());
            }
        }
    }
}

fn lost(error: std::io::Error) -> String {
    format!("the connection to the server is lost: {error}")
}

fn words(line: &[u8]) -> String {
    format!("the server says: {}", String::from_utf8_lossy(line).trim_end())
}

/// A quoted string (rfc3501#4.3); none for what cannot be one. Whoever asks says what it is: it may be a password.
pub fn quoted(text: &str) -> Option<String> {
    if text.bytes().any(|octet| octet == 0 || octet == b'\r' || octet == b'\n' || octet >= 0x80) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
