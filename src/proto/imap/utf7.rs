//! Modified UTF-7: mailbox names on an IMAP4rev1 wire (rfc3501#5.1.3).
//!
//! *Owns*: the encoding, both ways. *Promises*: `decode` takes exactly what `encode` makes, so a name has one
//! spelling; each way is one pass. *Assumes*: names are UTF-8 inside. *Never*: judges a name beyond its
//! encoding.

use std::borrow::Cow;

use crate::proto::mime::decode::base64_digit;

/// Why octets are not modified UTF-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// An octet that is not printable US-ASCII.
    Octet,
    /// A shift (`&`) that no `-` ends.
    Unterminated,
    /// A character that is not of the modified base64 alphabet.
    Base64,
    /// Bits left over in a shift: not a whole number of UTF-16 units, or not padded with zeros.
    Bits,
    /// A surrogate without its pair.
    Surrogate,
    /// A character in base64 that must stand for itself.
    Printable,
    /// A shift straight after a shift: they must be one.
    Adjacent,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The name that `wire` spells.
pub fn decode(wire: &[u8]) -> Result<String, Error> {
    let mut name = String::with_capacity(wire.len());
    let (mut rest, mut after_shift) = (wire, false);
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match octet {
            b'&' => {
                let end = memchr::memchr(b'-', rest).ok_or(Error::Unterminated)?;
                let shifted = &rest[..end];
                rest = &rest[end + 1..];
                if shifted.is_empty() {
                    name.push('&');
                    after_shift = false;
                    continue;
                }
                if after_shift {
                    return Err(Error::Adjacent);
                }
                decode_shift(shifted, &mut name)?;
                after_shift = true;
            }
            b' '..=b'~' => {
                name.push(char::from(octet));
                after_shift = false;
            }
            _ => return Err(Error::Octet),
        }
    }
    Ok(name)
}

/// The characters of one shift, without its `&` and `-`.
fn decode_shift(shifted: &[u8], name: &mut String) -> Result<(), Error> {
    let (mut bits, mut count, mut high) = (0u32, 0u32, None);
    for &octet in shifted {
        bits = (bits << 6) | sextet(octet).ok_or(Error::Base64)?;
        count += 6;
        if count < 16 {
            continue;
        }
        count -= 16;
        let unit = bits >> count;
        bits &= (1 << count) - 1;
        let code = match (high.take(), unit) {
            (None, 0xD800..=0xDBFF) => {
                high = Some(unit);
                continue;
            }
            (Some(high), 0xDC00..=0xDFFF) => 0x1_0000 + ((high - 0xD800) << 10) + (unit - 0xDC00),
            (None, unit) => unit,
            (Some(_), _) => return Err(Error::Surrogate),
        };
        if (0x20..=0x7E).contains(&code) {
            return Err(Error::Printable);
        }
        name.push(char::from_u32(code).ok_or(Error::Surrogate)?);
    }
    if high.is_some() {
        return Err(Error::Surrogate);
    }
    if bits != 0 || count >= 6 { Err(Error::Bits) } else { Ok(()) }
}

/// The modified alphabet has `,` in the place of `/` (rfc3501#5.1.3).
fn sextet(octet: u8) -> Option<u32> {
    match octet {
        b',' => base64_digit(b'/'),
        b'/' => None,
        _ => base64_digit(octet),
    }
}

/// How `name` is spelled on the wire; most names as they are.
pub fn encode(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|octet| (b' '..=b'~').contains(&octet) && octet != b'&') {
        return Cow::Borrowed(name);
    }
    let mut wire = String::with_capacity(name.len() * 2);
    let mut shift: Option<(u32, u32)> = None;
    for character in name.chars() {
        if (' '..='~').contains(&character) {
            end_shift(shift.take(), &mut wire);
            wire.push(character);
            if character == '&' {
                wire.push('-');
            }
            continue;
        }
        let (mut bits, mut count) = shift.unwrap_or_else(|| {
            wire.push('&');
            (0, 0)
        });
        for unit in character.encode_utf16(&mut [0; 2]) {
            bits = (bits << 16) | u32::from(*unit);
            count += 16;
            while count >= 6 {
                count -= 6;
                wire.push(char::from(ALPHABET[(bits >> count) as usize]));
                bits &= (1 << count) - 1;
            }
        }
        shift = Some((bits, count));
    }
    end_shift(shift, &mut wire);
    Cow::Owned(wire)
}

/// Ends a shift that `count` `bits` are left of.
fn end_shift(shift: Option<(u32, u32)>, wire: &mut String) {
    let Some((bits, count)) = shift else { return };
    if count > 0 {
        wire.push(char::from(ALPHABET[(bits << (6 - count)) as usize]));
    }
    wire.push('-');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        for (name, wire) in [
            // rfc3501#5.1.3
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("☺!", "&Jjo-!"),
            ("台北日本語", "&U,BTF2XlZyyKng-"),
            ("INBOX", "INBOX"),
            ("", ""),
            ("&", "&-"),
            ("R&D & co", "R&-D &- co"),
            ("&☺", "&-&Jjo-"),
            ("☺&", "&Jjo-&-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"),
            ("𝒳a😀😀", "&2DXcsw-a&2D3eANg93gA-"),
            ("a\tb\u{7f}\0", "a&AAk-b&AH8AAA-"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Ok(name), "{wire}");
        }
    }

    #[test]
    fn errors_are_exact() {
        for (wire, error) in [
            ("&Jjo!", Error::Unterminated), // rfc3501#5.1.3: not terminated before "!"
            ("&", Error::Unterminated),
            ("a&AA", Error::Unterminated),
            ("&U,BTFw-&ZeVnLIqe-", Error::Adjacent), // rfc3501#5.1.3: superfluous shift
            ("&AGE-", Error::Printable),
            ("&ACY-", Error::Printable),
            ("&Jj/-", Error::Base64),
            ("&Jj==-", Error::Base64),
            ("&J-", Error::Bits),
            ("&Jj-", Error::Bits),
            ("&Jjp-", Error::Bits),
            ("&JjoA-", Error::Bits),
            ("&2D0-", Error::Surrogate),
            ("&3gA-", Error::Surrogate),
            ("&2D0AYQ-", Error::Surrogate),
            ("&2D3YPQ-", Error::Surrogate),
            ("\u{e9}", Error::Octet),
            ("a\r\n", Error::Octet),
            ("\x7f", Error::Octet),
        ] {
            assert_eq!(decode(wire.as_bytes()), Err(error), "{wire}");
        }
    }

    #[test]
    fn a_name_has_one_spelling() {
        // Whatever of three characters around a shift decodes, encodes to the same again.
        let alphabet = b"&-AJojgw,/2D3e a\x7f";
        let mut good = 0;
        for n in 0..alphabet.len().pow(5) {
            let wire: Vec<u8> =
                (0..5).map(|i| alphabet[n / alphabet.len().pow(i) % alphabet.len()]).collect();
            let Ok(name) = decode(&wire) else { continue };
            assert_eq!(encode(&name).as_bytes(), wire);
            good += 1;
        }
        assert!(good > 10_000, "{good}");
    }
}
