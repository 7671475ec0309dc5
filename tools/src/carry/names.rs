//! Names of folders as names of files.
//!
//! *Owns*: two spellings: paths of files, and Maildir++ (`.A.B`). *Promises*: what is written is read back as it was,
//! no name leads out of its folder, and none is longer than
//! a file's may be: one that would be is cut, and a sum tells it from others. *Assumes*: names that a store takes.
//! *Never*: touches a file.

use std::path::{Path, PathBuf};

use ringpost::proto::imap::utf7;

/// Endings that have a meaning for files of ours.
const ENDINGS: [&str; 4] = [".mbox", ".eml", ".jsonl", ".txt"];

/// Octets of a file's name, with room for what a form puts around it; a file system takes 255.
const LEVEL_BYTES_MAX: usize = 240;

/// As it is, or what of it fits with the sum of the whole.
fn fitting(text: String) -> String {
    if text.len() <= LEVEL_BYTES_MAX {
        return text;
    }
    let sum = format!("~{:08x}", crc32fast::hash(text.as_bytes()));
    let end = text.floor_char_boundary(LEVEL_BYTES_MAX - sum.len());
    format!("{}{sum}", &text[..end])
}

/// A folder's path below some folder; each level is one of it, what a file name cannot have as `%2E`.
pub fn path(name: &str) -> PathBuf {
    name.split('/').map(level).collect()
}

fn level(level: &str) -> String {
    let ending = ENDINGS.iter().any(|ending| level.to_ascii_lowercase().ends_with(ending));
    let last_dot = level.rfind('.').filter(|_| ending);
    let mut text = String::with_capacity(level.len());
    for (at, c) in level.char_indices() {
        let hidden = c == '.' && (at == 0 || Some(at) == last_dot);
        if hidden || c == '%' || c == '\\' || c.is_ascii_control() {
            text += &format!("%{:02X}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    fitting(text)
}

/// Whether a path that [`path`] makes is read back as the name.
pub fn is_kept_in_path(name: &str) -> bool {
    of_path(&path(name)).as_deref() == Some(name)
}

/// The folder of a path that [`path`] made, or of any other in UTF-8.
pub fn of_path(path: &Path) -> Option<String> {
    let levels = path.iter().map(|level| unescaped(level.to_str()?, '%'));
    levels.collect::<Option<Vec<String>>>().map(|levels| levels.join("/"))
}

/// Takes `%2E` or `\2e` for a dot; what is no such thing stays.
fn unescaped(text: &str, mark: char) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = &rest[at + 3..];
            }
            None => {
                octets.push(mark as u8);
                rest = &rest[at + 1..];
            }
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    String::from_utf8(octets).ok()
}

/// A folder's name in a Maildir++, without the dot in front; none for INBOX, which is the Maildir itself. Levels are
/// split by dots, so a dot in a name is written as Dovecot's listescape plugin does.
pub fn maildir(name: &str) -> Option<String> {
    if name == "INBOX" {
        return None;
    }
    let level = |level: &str| {
        let mut text = String::new();
        for c in utf7::encode(level).chars() {
            match c {
                '.' | '\\' | '/' => text += &format!("\\{:02x}", u32::from(c)),
                c => text.push(c),
            }
        }
        text
    };
    Some(fitting(name.split('/').map(level).collect::<Vec<_>>().join(".")))
}

/// Whether what [`maildir`] makes is read back as the name.
pub fn is_kept_in_maildir(name: &str) -> bool {
    maildir(name).is_none_or(|folder| of_maildir(&folder).as_deref() == Some(name))
}

/// The folder of a name in a Maildir++.
pub fn of_maildir(name: &str) -> Option<String> {
    let level = |level: &str| {
        let wire = unescaped(level, '\\')?;
        // Some write plain UTF-8.
        Some(utf7::decode(wire.as_bytes()).unwrap_or(wire)).filter(|level| !level.contains('/'))
    };
    name.split('.').map(level).collect::<Option<Vec<String>>>().map(|levels| levels.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] = [
        "INBOX",
        "Work/2025",
        "a.b/c\\d",
        "..",
        ".hidden/.x",
        "Entwürfe & mehr",
        "50%2E",
        "x.mbox/y.eml",
        "日本/&",
    ];

    #[test]
    fn names_are_read_back_and_stay_inside() {
        for name in NAMES {
            let path = path(name);
            assert_eq!(of_path(&path).as_deref(), Some(name));
            let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            assert!(plain, "{path:?}");
            if let Some(maildir) = maildir(name) {
                assert_eq!(of_maildir(&maildir).as_deref(), Some(name), "{maildir}");
                assert!(!maildir.contains('/') && maildir.is_ascii(), "{maildir}");
            }
        }
        let [long, other] = ["x", "y"].map(|end| format!("Ü{}/{}{end}", "ü".repeat(400), "z".repeat(150)));
        for name in [&long, &other] {
            assert!(!is_kept_in_path(name) && !is_kept_in_maildir(name));
            let levels = path(name).iter().map(|level| level.len()).max();
            assert!(
                levels <= Some(LEVEL_BYTES_MAX) && maildir(name).is_some_and(|m| m.len() <= LEVEL_BYTES_MAX)
            );
        }
        assert_ne!(maildir(&long), maildir(&other));
        assert_ne!(path(&long), path(&other));
        assert!(NAMES.iter().all(|name| is_kept_in_path(name) && is_kept_in_maildir(name)));
        assert_eq!(maildir("a.b/Ü").as_deref(), Some("a\\2eb.&ANw-"));
        assert_eq!(of_maildir("&AN"), Some("&AN".to_owned()), "no UTF-7: as it stands");
        assert_eq!(of_maildir("a\\2fb"), None, "a level has no separator in it");
    }
}
