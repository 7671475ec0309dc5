//! TLS towards another server, for commands that wait.
//!
//! *Owns*: a blocking client's TLS: which certificates are trusted, the handshake. *Promises*: a certificate that does
//! not verify for the name ends the connection. *Assumes*: whoever calls set timeouts on the socket. *Never*: serves
//! anybody, or runs in a shard's thread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Where Linux distributions keep the certificates that everybody trusts.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A connection, secured or not.
pub trait Link: Read + Write {}
impl<T: Read + Write> Link for T {}

/// Makes a connection secure. Trusts the certificates in `ca_file`, else those of the system.
///
/// # Errors
/// What is wrong with the certificates, in words.
pub fn secure(stream: TcpStream, host: &str, ca_file: Option<&Path>) -> Result<Box<dyn Link>, String> {
    let roots = roots(ca_file)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host:?} is no name that a certificate could have"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut stream = stream;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| format!("TLS with {host}: {error}"))?;
    }
    Ok(Box::new(StreamOwned::new(connection, stream)))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let path = ca_file.or_else(system).ok_or("no file of trusted certificates is found: give --ca-file")?;
    let failed = |why: String| format!("{}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        // A bundle may hold some that nobody can use; the others count.
        roots.add_parsable_certificates([certificate]);
    }
    match roots.is_empty() {
        true => Err(failed("no certificate in it can be used".to_owned())),
        false => Ok(roots),
    }
}
