//! The certificate: the operator's, or a self-signed one made at the first start.
//!
//! *Owns*: `tls/certificate.pem` and `tls/private-key.pem` in the data folder. *Promises*: the private key
//! is readable by its owner only, and never half written. *Assumes*: the runtime checks what the PEM holds.
//! *Never*: replaces an existing pair.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::config::Config;
use crate::runtime::Tls;

/// The certificate to serve with.
pub fn find_or_make(data: &Path, config: &Config) -> Result<Tls, String> {
    if let Some((certificate, key)) = config.tls_files() {
        return read(&certificate, &key);
    }
    let folder = data.join("tls");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("private-key.pem"));
    if !certificate.exists() || !key.exists() {
        make(&folder, &certificate, &key, &config.server().hostname)?;
    }
    read(&certificate, &key)
}

fn read(certificate: &Path, key: &Path) -> Result<Tls, String> {
    let read = |file: &Path, key: &str| {
        std::fs::read(file).map_err(|error| {
            format!(
                "{}: cannot be read: {error}; set {key} to a PEM file that this user may read",
                file.display()
            )
        })
    };
    Ok(Tls {
        certificate_pem: read(certificate, "tls.certificate_file")?,
        private_key_pem: read(key, "tls.private_key_file")?,
    })
}

fn make(folder: &Path, certificate: &Path, key: &Path, hostname: &str) -> Result<(), String> {
    let failed = |what: &Path, error: String| {
        format!("{}: cannot make the certificate: {error}; run as the folder's owner", what.display())
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error.to_string()))?;
    let mut names = vec!["localhost".to_string(), "127.0.0.1".to_string(), "::1".to_string()];
    if !names.iter().any(|name| name == hostname) {
        names.insert(0, hostname.to_string());
    }
    let made =
        rcgen::generate_simple_self_signed(names).map_err(|error| failed(certificate, error.to_string()))?;
    write(key, 0o600, made.signing_key.serialize_pem().as_bytes())
        .map_err(|error| failed(key, error.to_string()))?;
    write(certificate, 0o644, made.cert.pem().as_bytes())
        .map_err(|error| failed(certificate, error.to_string()))
}

/// Writes beside and renames, so that a crash leaves the whole file or none.
pub fn write(file: &Path, mode: u32, bytes: &[u8]) -> std::io::Result<()> {
    let unready = file.with_extension("new");
    let mut open = std::fs::OpenOptions::new();
    let mut out = open.write(true).create(true).truncate(true).mode(mode).open(&unready)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(&unready, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_self_signed_pair_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = find_or_make(folder.path(), &Config::embedded()).unwrap();
        let again = find_or_make(folder.path(), &Config::embedded()).unwrap();
        assert_eq!(first.private_key_pem, again.private_key_pem);
        assert!(first.certificate_pem.starts_with(b"-----BEGIN CERTIFICATE-----"));
        let mode = std::fs::metadata(folder.path().join("tls/private-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named_with_its_key() {
        let text = "[tls]\ncertificate_file = \"/nowhere/c.pem\"\nprivate_key_file = \"/nowhere/k.pem\"\n";
        let config = Config::parse("x", text).unwrap();
        let error = find_or_make(Path::new("/nowhere"), &config).err().unwrap();
        assert!(error.contains("/nowhere/c.pem") && error.contains("tls.certificate_file"), "{error}");
    }
}
