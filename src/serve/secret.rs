//! The secret that keys of authorised URLs are derived from (rfc4467#2.2).
//!
//! *Owns*: `url.key` in the data folder. *Promises*: random, made once, readable by its owner only, whole or
//! not there. *Assumes*: the folder is nobody else's. *Never*: replaces it: that would void every URL.

use std::path::Path;

use super::certificate::write;
use crate::proto::Secret;

/// Octets of the secret: as many as the hash below gives (rfc2104#3).
const SECRET_BYTES: usize = 32;

/// The secret of this data folder.
pub fn find_or_make(data: &Path) -> Result<Secret, String> {
    let file = data.join("url.key");
    let failed = |why: String| format!("{}: {why}; it must be readable by this user alone", file.display());
    if !file.exists() {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| failed(format!("no randomness for it: {error}")))?;
        write(&file, 0o600, &secret).map_err(|error| failed(format!("cannot be made: {error}")))?;
    }
    let secret = std::fs::read(&file).map_err(|error| failed(format!("cannot be read: {error}")))?;
    if secret.len() < SECRET_BYTES {
        return Err(failed(format!("holds {} octets instead of {SECRET_BYTES}", secret.len())));
    }
    Ok(Secret(secret))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_kept_private_and_never_short() {
        let folder = tempfile::tempdir().unwrap();
        let first = find_or_make(folder.path()).unwrap();
        assert!(first.0.len() == SECRET_BYTES && first == find_or_make(folder.path()).unwrap());
        let file = folder.path().join("url.key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, b"short").unwrap();
        assert!(find_or_make(folder.path()).unwrap_err().contains("url.key"));
    }
}
