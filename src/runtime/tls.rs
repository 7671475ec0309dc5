//! TLS of one connection, by rustls' unbuffered interface: bytes in, bytes out.
//!
//! *Owns*: the server's TLS settings; a connection's keys and its incomplete record. *Promises*: an idle connection
//! holds no buffer; plaintext is encrypted straight from where it lies; at most one flight of output is gathered.
//! *Assumes*: the caller moves the bytes. *Never*: waits. (TLS 1.2 and 1.3, rfc8446, rfc5246; early data is off.)

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

/// The settings that all connections share.
///
/// # Errors
/// What is wrong with certificate or key, in words.
pub fn settings(tls: &Tls) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(&tls.certificate_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate file holds no certificate in PEM form".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&tls.private_key_pem)
        .map_err(|error| format!("the private key cannot be read: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(Arc::new)
        .map_err(|error| format!("certificate and private key cannot be used together: {error}"))
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
        Ok(Secured { connection, incoming: Vec::new(), outgoing: Vec::new(), peer_closed: false })
    }

    /// Takes ciphertext in, appends the plaintext of complete records to `plaintext`.
    /// What must be sent in answer is in [`Secured::take_outgoing`] then, after an error as well: its alert.
    ///
    /// # Errors
    /// The client broke the protocol, in words.
    pub fn receive(&mut self, ciphertext: &mut [u8], plaintext: &mut Vec<u8>) -> Result<Standing, String> {
        if self.incoming.is_empty() {
            let (used, standing) = self.process(ciphertext, plaintext);
            self.incoming.extend_from_slice(&ciphertext[used..]);
            return standing.and_then(|standing| self.within_bound(standing));
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.extend_from_slice(ciphertext);
        let (used, standing) = self.process(&mut incoming, plaintext);
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        standing.and_then(|standing| self.within_bound(standing))
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
        let mut failed = None;
        loop {
            // After an error nothing more is read; what is left is to encode the alert that answers it.
            let unread = if failed.is_none() { &mut incoming[used..] } else { &mut [] };
            let status = self.connection.process_tls_records(unread);
            let mut discard = status.discard;
            let standing = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plaintext.extend_from_slice(record.payload);
                            }
                            Err(error) => failed = Some(error.to_string()),
                        }
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if let Err(why) = append(&mut self.outgoing, 0, |out| data.encode(out)) {
                        failed = Some(why);
                    }
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::BlockedHandshake) => Some(Standing::Handshaking),
                Ok(ConnectionState::WriteTraffic(_)) => Some(Standing::Open),
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    None
                }
                Ok(ConnectionState::Closed) => Some(Standing::PeerClosed),
                Ok(other) => {
                    failed = Some(format!("unexpected state {other:?}"));
                    Some(Standing::PeerClosed)
                }
                Err(error) if failed.is_none() => {
                    failed = Some(error.to_string());
                    None
                }
                Err(_) => Some(Standing::PeerClosed),
            };
            used += discard;
            if let Some(standing) = standing {
                let standing = if self.peer_closed { Standing::PeerClosed } else { standing };
                return match failed {
                    None => (used, Ok(standing)),
                    Some(why) => (incoming.len(), Err(why)),
                };
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
        loop {
            let status = self.connection.process_tls_records(&mut []);
            match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(&mut self.outgoing, room, |out| write(&mut traffic, out));
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, 0, |out| data.encode(out))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(other) => return Err(format!("cannot send in state {other:?}")),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn within_bound(&self, standing: Standing) -> Result<Standing, String> {
        if self.incoming.len() <= TLS_INCOMING_BYTES_MAX {
            Ok(standing)
        } else {
            Err("an incomplete record or handshake message is too long".to_owned())
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
