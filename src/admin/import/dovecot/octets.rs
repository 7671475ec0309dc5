//! A message's octets as Dovecot serves them.
//!
//! *Owns*: line ends, and what is no message. *Promises*: one LF becomes CRLF, CRLF stays; nothing else changes.
//! *Assumes*: the file is in memory. *Never*: opens a compressed file: whoever wrote it must unpack it.

/// What compressed files begin with: gzip, bzip2, xz, zstd, lz4 frames.
const COMPRESSED: [&[u8]; 5] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"];

/// Whether a file was compressed by a plugin.
pub fn is_compressed(file: &[u8]) -> bool {
    COMPRESSED.iter().any(|magic| file.starts_with(magic))
}

/// With CRLF at the end of every line.
pub fn with_crlf(file: Vec<u8>) -> Vec<u8> {
    let bare = |at: &usize| *at == 0 || file[at - 1] != b'\r';
    let count = memchr::memchr_iter(b'\n', &file).filter(bare).count();
    if count == 0 {
        return file;
    }
    let mut octets = Vec::with_capacity(file.len() + count);
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', &file).filter(bare) {
        octets.extend_from_slice(&file[from..at]);
        octets.extend_from_slice(b"\r\n");
        from = at + 1;
    }
    octets.extend_from_slice(&file[from..]);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_crlf_and_nothing_else_changes() {
        for (file, octets) in [
            ("", ""),
            ("\n", "\r\n"),
            ("a\nb\r\nc\rd\n\n", "a\r\nb\r\nc\rd\r\n\r\n"),
            ("\r\r\nx", "\r\r\nx"),
            ("no end", "no end"),
        ] {
            assert_eq!(with_crlf(file.into()), octets.as_bytes(), "{file:?}");
        }
    }

    #[test]
    fn compressed_files_are_known_by_their_first_octets() {
        assert!(is_compressed(b"\x1f\x8b\x08\0"));
        assert!(!is_compressed(b"Return-Path: <>\n"));
    }
}
