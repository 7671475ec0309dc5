//! One connection: TCP or TLS, lines and counted octets.
//!
//! *Owns*: connecting, buffering, the bounds of what a server may send. *Promises*: an idle connection keeps
//! no buffer; bodies are counted, not kept. *Assumes*: the caller sets a time-out around it.
//! *Never*: knows a protocol beyond lines.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, Kind};
use crate::options::Common;

/// Octets of one line of a reply.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// Octets of one line of an answer that may list a whole mailbox.
const LIST_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Octets read at once.
const READ_BYTES: usize = 64 * 1024;
/// Octets up to which several pieces are joined into one write.
const JOIN_BYTES_MAX: usize = 64 * 1024;
/// Local addresses that connections to a loopback target are spread over: 28,000 ports each.
const LOOPBACK_ADDRESSES: usize = 200;

/// Where to connect, and how.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Resolves the host once.
    pub fn new(common: &Common, port: u16) -> Result<Target, String> {
        use std::net::ToSocketAddrs;
        let found = (common.host.as_str(), port).to_socket_addrs();
        let address = found
            .map_err(|error| format!("cannot find host {}: {error}", common.host))?
            .next()
            .ok_or(format!("host {} has no address", common.host))?;
        let tls = common.tls.then(|| tls_client(&common.host)).transpose()?;
        Ok(Target { address, tls })
    }

    /// For the report.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same target without TLS on another port (deliveries beside an idle run).
    pub fn plain(&self, port: u16) -> Target {
        Target { address: SocketAddr::new(self.address.ip(), port), tls: None }
    }
}

fn tls_client(host: &str) -> Result<(TlsConnector, ServerName<'static>), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAll { provider }))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for TLS"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Takes any certificate, checks the signatures made with it: the work is that of a real client.
#[derive(Debug)]
struct AcceptAll {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection with what was received and not yet consumed.
pub struct Connection {
    stream: Stream,
    buffer: BytesMut,
}

impl Connection {
    /// Opens the `index`-th connection.
    pub async fn open(target: &Target, index: usize) -> Result<Connection, Failure> {
        let failed = |error: std::io::Error| Failure::new(Kind::Connect, error.to_string());
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(failed)?;
        if let IpAddr::V4(address) = target.address.ip()
            && address.is_loopback()
        {
            let local = Ipv4Addr::new(127, 0, 0, (index % LOOPBACK_ADDRESSES) as u8 + 1);
            socket.bind(SocketAddr::new(local.into(), 0)).map_err(failed)?;
        }
        let tcp = socket.connect(target.address).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let stream = match &target.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                Stream::Tls(Box::new(connector.connect(name.clone(), tcp).await.map_err(failed)?))
            }
        };
        Ok(Connection { stream, buffer: BytesMut::new() })
    }

    /// Sends the pieces, in one write where they are small.
    pub async fn send(&mut self, pieces: &[&[u8]]) -> Result<(), Failure> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total <= JOIN_BYTES_MAX {
            self.write(&pieces.concat()).await?;
        } else {
            for piece in pieces {
                self.write(piece).await?;
            }
        }
        if let Stream::Tls(stream) = &mut self.stream {
            stream.flush().await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await?,
            Stream::Tls(stream) => stream.write_all(bytes).await?,
        }
        Ok(())
    }

    /// Receives more; an end of the stream is a failure, because every caller waits for something.
    async fn fill(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            // Waits without a buffer, so that idle sessions cost little here; TLS keeps its own.
            if let Stream::Plain(stream) = &self.stream {
                stream.readable().await?;
            }
        }
        self.buffer.reserve(READ_BYTES);
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await?,
        };
        if count == 0 {
            return Err(Failure::new(Kind::Closed, "the server closed the connection"));
        }
        Ok(())
    }

    /// The next line without its CRLF.
    pub async fn line(&mut self) -> Result<Bytes, Failure> {
        let mut looked = 0;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[looked..]) {
                let mut line = self.buffer.split_to(looked + found + 1);
                self.give_back();
                let end = line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 };
                line.truncate(end);
                return Ok(line.freeze());
            }
            looked = self.buffer.len();
            if looked > LINE_BYTES_MAX {
                return Err(Failure::malformed("line too long", &self.buffer));
            }
            self.fill().await?;
        }
    }

    /// Lets the answer to the IMAP command `tag` pass without a copy: each line before the tagged one goes to
    /// `on_line` without its end, octets of literals are let pass. The tagged line, and how many octets came.
    pub async fn answer(
        &mut self,
        tag: &[u8],
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<(Bytes, u64), Failure> {
        let mut octets = 0;
        loop {
            let mut reader = LineReader { buffer: &self.buffer, at: 0 };
            let mut literal = 0;
            while let Some(line) = reader.next() {
                if line.strip_prefix(tag).is_some_and(|rest| rest.starts_with(b" ")) {
                    let (line, used) = (Bytes::copy_from_slice(line), reader.at);
                    self.buffer.advance(used);
                    self.give_back();
                    return Ok((line, octets + used as u64));
                }
                on_line(line);
                literal = literal_len(line).unwrap_or(0);
                let there = (literal as usize).min(reader.buffer.len() - reader.at);
                reader.at += there;
                literal -= there as u64;
                if literal > 0 {
                    break;
                }
            }
            let used = reader.at;
            octets += used as u64 + literal;
            self.buffer.advance(used);
            if literal > 0 {
                self.skip(literal).await?;
                continue;
            }
            if self.buffer.len() > LIST_LINE_BYTES_MAX {
                return Err(Failure::malformed("line too long", &self.buffer));
            }
            self.fill_behind_a_part().await?;
        }
    }

    /// Receives more until there is a line's end in it: a part of a line is not looked at again and again.
    async fn fill_behind_a_part(&mut self) -> Result<(), Failure> {
        loop {
            let looked = self.buffer.len();
            self.fill().await?;
            let too_long = self.buffer.len() > LIST_LINE_BYTES_MAX;
            if too_long || memchr::memchr(b'\n', &self.buffer[looked..]).is_some() {
                return Ok(());
            }
        }
    }

    /// Lets `count` octets pass.
    pub async fn skip(&mut self, mut count: u64) -> Result<(), Failure> {
        while count > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let step = count.min(self.buffer.len() as u64);
            self.buffer.advance(step as usize);
            count -= step;
        }
        self.give_back();
        Ok(())
    }

    /// Lets a dot-terminated text pass (rfc1939#3); its octets without the stuffed dots and the end.
    pub async fn skip_dotted(&mut self) -> Result<u64, Failure> {
        let mut counter = DotCounter::default();
        loop {
            let (consumed, is_end) = counter.push(&self.buffer);
            self.buffer.advance(consumed);
            if is_end {
                self.give_back();
                return Ok(counter.octets);
            }
            self.fill().await?;
        }
    }

    fn give_back(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// The complete lines at the beginning of a buffer.
struct LineReader<'a> {
    buffer: &'a [u8],
    at: usize,
}

impl<'a> LineReader<'a> {
    /// The next one, without its end.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.buffer[self.at..];
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The octets that a line announces by `{n}` at its end (rfc3501#4.3).
pub fn literal_len(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    super::imap::parse_number(&inner[open + 1..])
}

/// Counts a dot-terminated text that comes in pieces.
#[derive(Default)]
struct DotCounter {
    octets: u64,
    /// Octets of the current line so far.
    line_len: u64,
    begins_with_dot: bool,
    last: u8,
}

impl DotCounter {
    /// How many octets of the piece belong to the text, its end included, and whether the end was among them.
    fn push(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < piece.len() {
            if self.line_len == 0 {
                self.begins_with_dot = piece[at] == b'.';
            }
            let Some(found) = memchr::memchr(b'\n', &piece[at..]) else {
                self.line_len += (piece.len() - at) as u64;
                self.last = piece[piece.len() - 1];
                return (piece.len(), false);
            };
            let before = if found > 0 { piece[at + found - 1] } else { self.last };
            self.line_len += found as u64 + 1;
            at += found + 1;
            if self.begins_with_dot && self.line_len == 3 && before == b'\r' {
                return (at, true);
            }
            self.octets += self.line_len - u64::from(self.begins_with_dot);
            self.line_len = 0;
            self.last = b'\n';
        }
        (at, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &[u8], piece_len: usize) -> Option<(u64, usize)> {
        let mut counter = DotCounter::default();
        let mut consumed = 0;
        for piece in text.chunks(piece_len) {
            let (count, is_end) = counter.push(piece);
            consumed += count;
            if is_end {
                return Some((counter.octets, consumed));
            }
        }
        None
    }

    #[test]
    fn dotted_texts_are_counted_in_any_pieces() {
        let text = b"a: b\r\n\r\n..\r\n...x\r\n.\n\n.\r\nnext";
        let whole = b"a: b\r\n\r\n.\r\n..x\r\n\n\n".len() as u64;
        for piece_len in 1..=text.len() {
            assert_eq!(counted(text, piece_len), Some((whole, text.len() - 4)), "{piece_len}");
        }
        assert_eq!(counted(b".\r\n", 1), Some((0, 3)));
        assert_eq!(counted(b"no end\r\n..\r\n.", 2), None);
    }
}
