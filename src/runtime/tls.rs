//! TLS of one connection, by rustls' unbuffered interface: bytes in, bytes out.
//!
//! *Owns*: the server's TLS settings; a connection's keys and its incomplete record. *Promises*: an idle
//! connection holds no buffer; plaintext is encrypted straight from where it lies; at most one flight of
//! output is gathered.
//! *Assumes*: the caller moves the bytes. *Never*: waits. (TLS 1.2 and 1.3, rfc8446, rfc5246; early data is
//! off.)

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError};

use super::Tls;
use crate::limits::TLS_INCOMING_BYTES_MAX;

/// What encryption adds to one record at most (rfc8446#5.2: 256 over the plaintext, and the 5 of its header).
const RECORD_OVERHEAD_BYTES: usize = 256 + 5;
/// Plaintext bytes of one record (rfc8446#5.1).
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// What an ended connection says of itself.
const AFTER_FAILURE: &str = "the connection has failed already";

/// The settings that all connections share.
///
/// # Errors
/// What is wrong with certificate or key, in words.
pub fn settings(tls: &Tls) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(&tls.certificate_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate file (tls.certificate_file) holds no certificate in PEM form".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&tls.private_key_pem)
        .map_err(|error| format!("the private key (tls.private_key_file) is no PEM key: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(Arc::new)
        .map_err(|error| {
            format!("certificate and private key do not fit: {error}; give the key that the certificate has")
        })
}

/// How a connection's TLS stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The handshake needs more from the client.
    Handshaking,
    /// Application data may flow.
    Open,
    /// The client said close_notify: nothing more will come.
    PeerClosed,
}

/// TLS of one connection. A plain value: it moves with its connection.
pub struct Secured {
    connection: UnbufferedServerConnection,
    /// Ciphertext of a record that is not complete yet.
    incoming: Vec<u8>,
    /// Ciphertext that must leave.
    outgoing: Vec<u8>,
    peer_closed: bool,
    /// rustls must not be asked again after an error.
    failed: bool,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secured({} bytes incomplete)", self.incoming.len())
    }
}

impl Secured {
    /// Before the handshake.
    ///
    /// # Errors
    /// What rustls says.
    pub fn new(settings: &Arc<ServerConfig>) -> Result<Secured, String> {
        let connection =
            UnbufferedServerConnection::new(settings.clone()).map_err(|error| error.to_string())?;
        Ok(Secured {
            connection,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            peer_closed: false,
            failed: false,
        })
    }

    /// Takes ciphertext in, appends the plaintext of complete records to `plaintext`.
    /// What must be sent in answer is in [`Secured::take_outgoing`] then, after an error as well: its alert.
    ///
    /// # Errors
    /// The client broke the protocol, in words.
    pub fn receive(&mut self, ciphertext: &mut [u8], plaintext: &mut Vec<u8>) -> Result<Standing, String> {
        if self.failed {
            return Err(AFTER_FAILURE.to_owned());
        }
        let (left, standing) = if self.incoming.is_empty() {
            let (used, standing) = self.process(ciphertext, plaintext);
            (ciphertext[used..].to_vec(), standing)
        } else {
            let mut incoming = std::mem::take(&mut self.incoming);
            incoming.extend_from_slice(ciphertext);
            let (used, standing) = self.process(&mut incoming, plaintext);
            if used == incoming.len() {
                incoming = Vec::new();
            } else {
                incoming.drain(..used);
            }
            (incoming, standing)
        };
        self.incoming = left;
        let standing = match standing {
            Ok(_) if self.incoming.len() > TLS_INCOMING_BYTES_MAX => {
                Err("an incomplete record or handshake message is too long".to_owned())
            }
            other => other,
        };
        self.failed |= standing.is_err();
        standing
    }

    /// Encrypts what the client may see next. Only after the handshake.
    ///
    /// # Errors
    /// The keys are worn out, in words.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<(), String> {
        let records = plaintext.len().div_ceil(RECORD_BYTES_MAX).max(1);
        let room = plaintext.len() + records * RECORD_OVERHEAD_BYTES;
        self.write(room, |traffic, out| traffic.encrypt(plaintext, out))
    }

    /// Says that nothing more will be sent (rfc8446#6.1).
    ///
    /// # Errors
    /// The handshake is not done.
    pub fn close(&mut self) -> Result<(), String> {
        self.write(RECORD_OVERHEAD_BYTES, |traffic, out| traffic.queue_close_notify(out))
    }

    /// Whether the client has said close_notify.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Ciphertext that must leave now, in order.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// How much of it there is.
    pub fn outgoing_len(&self) -> usize {
        self.outgoing.len()
    }

    /// Drives rustls until it needs more; says how many bytes of `incoming` it has used.
    fn process(&mut self, incoming: &mut [u8], plaintext: &mut Vec<u8>) -> (usize, Result<Standing, String>) {
        let mut used = 0;
        loop {
            match self.step(&mut incoming[used..], plaintext) {
                (discard, Ok(None)) => used += discard,
                (discard, Ok(Some(_))) if self.peer_closed => {
                    return (used + discard, Ok(Standing::PeerClosed));
                }
                (discard, Ok(Some(standing))) => return (used + discard, Ok(standing)),
                (discard, Err(why)) => {
                    self.encode_alert(&mut incoming[used + discard..]);
                    return (incoming.len(), Err(why));
                }
            }
        }
    }

    /// One state of rustls; with a standing when there is nothing more to do for now.
    fn step(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut Vec<u8>,
    ) -> (usize, Result<Option<Standing>, String>) {
        let status = self.connection.process_tls_records(incoming);
        let mut discard = status.discard;
        let done = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        plaintext.extend_from_slice(record.payload);
                    }
                    Some(Err(error)) => break Err(error.to_string()),
                    None => break Ok(None),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(&mut self.outgoing, 0, |out| data.encode(out)).map(|()| None)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It waits in `outgoing`, which the caller sends before anything else.
                data.done();
                Ok(None)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Some(Standing::Handshaking)),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Some(Standing::Open)),
            Ok(ConnectionState::PeerClosed) => {
                self.peer_closed = true;
                Ok(None)
            }
            Ok(ConnectionState::Closed) => Ok(Some(Standing::PeerClosed)),
            Ok(other) => Err(format!("unexpected state {other:?}")),
            Err(error) => Err(error.to_string()),
        };
        (discard, done)
    }

    /// After an error: encodes the alert that answers it, and reads nothing more. rustls gives what waits to
    /// be sent before it looks at `unread`, but wants to see the same bytes again.
    fn encode_alert(&mut self, unread: &mut [u8]) {
        while self.connection.wants_write() {
            let status = self.connection.process_tls_records(unread);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else { return };
            if append(&mut self.outgoing, 0, |out| data.encode(out)).is_err() {
                return;
            }
        }
    }

    /// Writes through rustls' write state into `outgoing`.
    fn write(
        &mut self,
        room: usize,
        mut write: impl FnMut(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), String> {
        if self.failed {
            return Err(AFTER_FAILURE.to_owned());
        }
        loop {
            // rustls remembers places in an incomplete message, so it must see its beginning here too.
            let status = self.connection.process_tls_records(&mut self.incoming);
            let discard = status.discard;
            let written = match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    Some(append(&mut self.outgoing, room, |out| write(&mut traffic, out)))
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, 0, |out| data.encode(out)).err().map(Err)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    None
                }
                Ok(other) => Some(Err(format!("cannot send in state {other:?}"))),
                Err(error) => Some(Err(error.to_string())),
            };
            self.incoming.drain(..discard);
            if let Some(written) = written {
                self.failed |= written.is_err();
                return written;
            }
        }
    }
}

/// Why rustls did not write; both of its write errors say how much room they need.
trait NoRoom: fmt::Display {
    fn required(&self) -> Option<usize>;
}

impl NoRoom for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl NoRoom for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Lets `write` append to `outgoing`: once with `room`, and once more with what it then says it needs.
fn append<E: NoRoom>(
    outgoing: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), String> {
    let len = outgoing.len();
    outgoing.resize(len + room, 0);
    let mut written = write(&mut outgoing[len..]);
    if let Some(required) = written.as_ref().err().and_then(NoRoom::required) {
        outgoing.resize(len + required, 0);
        written = write(&mut outgoing[len..]);
    }
    outgoing.truncate(len + written.as_ref().copied().unwrap_or(0));
    written.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::client::ClientConfig;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, RootCertStore, SupportedProtocolVersion};
    use std::io::{Read, Write};

    fn pair(version: &'static SupportedProtocolVersion) -> (Secured, ClientConnection) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let server = settings(&Tls {
            certificate_pem: made.cert.pem().into_bytes(),
            private_key_pem: made.signing_key.serialize_pem().into_bytes(),
        });
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        (
            Secured::new(&server.expect("settings")).expect("a server"),
            ClientConnection::new(Arc::new(client), name).expect("a client"),
        )
    }

    /// Carries bytes both ways, `step` at a time towards the server, until neither has more to say.
    fn carry(server: &mut Secured, client: &mut ClientConnection, step: usize) -> (Vec<u8>, Standing) {
        let (mut plaintext, mut standing) = (Vec::new(), Standing::Handshaking);
        loop {
            let mut to_server = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut to_server).expect("a vector takes all");
            }
            for chunk in to_server.chunks_mut(step) {
                standing = server.receive(chunk, &mut plaintext).expect("an honest client");
            }
            let to_client = server.take_outgoing();
            let mut unread = to_client.as_slice();
            while !unread.is_empty() {
                client.read_tls(&mut unread).expect("a slice gives all");
                client.process_new_packets().expect("an honest server");
            }
            if to_client.is_empty() && !client.wants_write() {
                return (plaintext, standing);
            }
        }
    }

    #[test]
    fn both_versions_carry_bytes_in_any_chunking() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for step in [1, 7, 100_000] {
                let (mut server, mut client) = pair(version);
                assert_eq!(carry(&mut server, &mut client, step).1, Standing::Open);
                let large: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
                client.set_buffer_limit(None);
                client.writer().write_all(&large).expect("unbounded");
                assert_eq!(carry(&mut server, &mut client, step).0, large);
                assert_eq!(server.incoming.capacity(), 0, "an idle connection holds no buffer");
                server.encrypt(&large[..50_000]).expect("open");
                server.close().expect("open");
                let mut got = Vec::new();
                let outgoing = server.take_outgoing();
                let mut unread = outgoing.as_slice();
                while !unread.is_empty() {
                    client.read_tls(&mut unread).expect("a slice gives all");
                    client.process_new_packets().expect("an honest server");
                    match client.reader().read_to_end(&mut got) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        done => assert!(done.is_ok(), "a clean end"),
                    }
                }
                assert!(got == large[..50_000]);
                client.send_close_notify();
                assert_eq!(carry(&mut server, &mut client, step).1, Standing::PeerClosed);
            }
        }
    }

    #[test]
    fn nonsense_gets_an_alert_and_endless_records_an_end() {
        let (mut server, _) = pair(&rustls::version::TLS13);
        let mut nonsense = *b"EHLO client.example.test\r\n";
        assert!(server.receive(&mut nonsense, &mut Vec::new()).is_err());
        assert_eq!(server.take_outgoing().first(), Some(&21));
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            answer_in_the_middle_of_a_fragment(version);
        }
        let (mut server, _) = pair(&rustls::version::TLS13);
        // The first fragment of a handshake message that claims sixteen megabytes.
        let mut endless = vec![22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff];
        endless.resize(5 + 0x4000, 0);
        let mut later = vec![22, 3, 1, 0x40, 0x00];
        later.resize(5 + 0x4000, 0);
        let mut received = server.receive(&mut endless, &mut Vec::new());
        for _ in 0..100 {
            if received.is_err() {
                break;
            }
            received = server.receive(&mut later.clone(), &mut Vec::new());
        }
        assert!(received.is_err());
    }

    /// Half a record waits while the server speaks; then all kinds of wrong bytes follow.
    fn answer_in_the_middle_of_a_fragment(version: &'static SupportedProtocolVersion) {
        for broken in 0..40usize {
            let (mut server, mut client) = pair(version);
            carry(&mut server, &mut client, 1_000);
            client.writer().write_all(b"half of this").expect("bounded");
            let mut record = Vec::new();
            client.write_tls(&mut record).expect("a vector takes all");
            let half = record.len() / 2;
            let mut plaintext = Vec::new();
            server.receive(&mut record[..half].to_vec(), &mut plaintext).expect("incomplete, not wrong");
            server.encrypt(b"meanwhile").expect("open");
            let place = (half + broken) % record.len();
            record[place] ^= 0x41;
            let mut rest = record[half..].to_vec();
            rest.extend_from_slice(&[22, 3, 3, 0, 4, 24, 0, 0, 1]);
            // Whatever it says, it does not panic, also when asked to go on.
            let first = server.receive(&mut rest, &mut plaintext);
            let ended = server.close();
            let last = server.receive(&mut [23, 3, 3, 0, 1, 0], &mut plaintext);
            assert!(first.is_err() || ended.is_err() || last.is_err() || plaintext != b"half of this");
        }
    }
}
