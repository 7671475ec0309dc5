//! Maildir++, as Dovecot keeps it.
//!
//! *Owns*: names of files and what they tell: flags, keywords (`dovecot-keywords`), order (`dovecot-uidlist`), dates
//! (the files' times). *Promises*: messages in order of UID, or of arrival where no list tells. *Assumes*: nobody
//! delivers meanwhile. *Never*: changes a Maildir that is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ringpost::sys::plain::{is_folder, is_link};
use ringpost_engine::change::{FlagBits, Flags};
use ringpost_engine::limits::{BODY_BYTES_MAX, MAILBOX_LEVELS_MAX};

use super::{IS_LINK, Kind, NO_NAME, PassedOver, TOO_DEEP, beside, listed, modified_ms, read_bounded, told};
use crate::Failure;
use crate::carry::{Folder, Found, Mail, Sink, Source, as_sent, names};

/// The letters of system flags, in the order that they stand in.
const LETTERS: [(char, FlagBits); 5] = [
    ('D', FlagBits::DRAFT),
    ('F', FlagBits::FLAGGED),
    ('R', FlagBits::ANSWERED),
    ('S', FlagBits::SEEN),
    ('T', FlagBits::DELETED),
];
/// The keyword that has a letter of its own, `P` for passed.
const FORWARDED: &str = "$Forwarded";
/// Keywords of a folder that letters are left for: `a` to `z`.
const KEYWORDS_MAX: usize = 26;

/// A Maildir that is read.
pub struct Maildir {
    folders: Vec<(String, PathBuf)>,
    passed_over: PassedOver,
    subscriptions: Vec<String>,
}

impl Maildir {
    /// Finds its folders; the Maildir itself is `inbox`.
    pub fn open(root: &Path, inbox: &str) -> Result<Maildir, Failure> {
        let (mut folders, mut passed_over) = (Vec::new(), PassedOver::new());
        if is_folder(&root.join("cur")) {
            folders.push((inbox.to_owned(), root.to_owned()));
        }
        find(root, "", 0, &mut folders, &mut passed_over)?;
        if folders.is_empty() && passed_over.is_empty() {
            return Err(format!("{} is no Maildir: it has no folder cur", root.display()));
        }
        folders.sort();
        Ok(Maildir { folders, passed_over, subscriptions: subscriptions(root)? })
    }
}

/// The folders below: `.A.B` of a Maildir++, or `A/B` as they lie.
fn find(
    at: &Path,
    above: &str,
    depth: usize,
    folders: &mut Vec<(String, PathBuf)>,
    passed_over: &mut PassedOver,
) -> Result<(), Failure> {
    for name in listed(at)? {
        let path = at.join(&name.own);
        let is_own = ["cur", "new", "tmp"].contains(&name.text.as_str());
        let cur = path.join("cur");
        // A link to the folder itself, or to where its mail is.
        if name.kind == Kind::LinkedFolder && (is_own || cur.is_dir()) || is_link(&cur) && cur.is_dir() {
            passed_over.push((path.display().to_string(), IS_LINK.to_owned()));
        }
        if name.kind != Kind::Folder || is_own {
            continue;
        }
        let own = match name.text.strip_prefix('.').filter(|_| depth == 0) {
            Some(name) => names::of_maildir(name),
            None => names::of_maildir(&name.text.replace('.', "\\2e")),
        };
        let own = own.filter(|own| !own.is_empty() && name.is_text());
        let why = if depth == MAILBOX_LEVELS_MAX { TOO_DEEP } else { NO_NAME };
        let Some(own) = own.filter(|_| depth < MAILBOX_LEVELS_MAX) else {
            if is_folder(&cur) {
                passed_over.push((path.display().to_string(), why.to_owned()));
            }
            continue;
        };
        let full = if above.is_empty() { own } else { format!("{above}/{own}") };
        if is_folder(&cur) {
            folders.push((full.clone(), path.clone()));
        }
        if !name.text.starts_with('.') {
            find(&path, &full, depth + 1, folders, passed_over)?;
        }
    }
    Ok(())
}

/// The file `subscriptions`, in the form of Dovecot's first or second version; none where there is no such file.
fn subscriptions(root: &Path) -> Result<Vec<String>, Failure> {
    let text = beside(&root.join("subscriptions"))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(match text.starts_with("V\t2") {
        true => lines
            .skip(1)
            .filter_map(|line| names::of_maildir(&line.replace('.', "\\2e").replace('\t', ".")))
            .collect(),
        false => lines.filter_map(|line| names::of_maildir(&line.replace('/', "."))).collect(),
    })
}

/// UIDs by the part of file names that does not change.
fn uids(folder: &Path) -> Result<BTreeMap<String, u32>, Failure> {
    let text = beside(&folder.join("dovecot-uidlist"))?;
    let line = |line: &str| {
        let (uid, name) = line.split_once(" :")?;
        let uid = uid.split(' ').next()?.parse().ok()?;
        Some((base(name).to_owned(), uid))
    };
    Ok(text.lines().skip(1).filter_map(line).collect())
}

fn base(name: &str) -> &str {
    name.split_once(":2,").map_or(name, |(base, _)| base)
}

/// What the letters mean that keywords have here.
fn keywords(folder: &Path) -> Result<BTreeMap<char, String>, Failure> {
    let text = beside(&folder.join("dovecot-keywords"))?;
    let line = |line: &str| {
        let (at, name) = line.split_once(' ')?;
        let letter = (b'a'..=b'z').nth(at.parse().ok()?)?;
        Some((char::from(letter), name.to_owned()))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn flags(name: &str, keywords: &BTreeMap<char, String>) -> Flags {
    let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
    let mut flags = Flags::default();
    for letter in letters.chars() {
        let system = LETTERS.iter().find(|&&(own, _)| own == letter);
        flags.system = system.map_or(flags.system, |&(_, bit)| flags.system.union(bit));
        let keyword = if letter == 'P' { Some(FORWARDED) } else { keywords.get(&letter).map(String::as_str) };
        flags.keywords.extend(keyword.map(str::to_owned));
    }
    flags
}

impl Source for Maildir {
    fn folders(&self) -> Vec<String> {
        self.folders.iter().map(|(name, _)| name.clone()).collect()
    }

    fn each(&mut self, at: usize, tell: &mut dyn FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure> {
        let folder = &self.folders[at].1;
        let (uids, keywords) = (uids(folder)?, keywords(folder)?);
        let mut files = Vec::new();
        for part in ["new", "cur"] {
            let path = folder.join(part);
            if is_folder(&path) {
                files.extend(listed(&path)?.into_iter().map(|name| (path.join(&name.own), name.text)));
            }
        }
        // Names begin with the second of their arrival.
        let second = |name: &str| name.split('.').next().and_then(|text| text.parse::<u64>().ok());
        files.sort_by_cached_key(|(_, name)| {
            (uids.get(base(name)).copied().unwrap_or(u32::MAX), second(name), name.clone())
        });
        for (path, name) in files.iter().filter(|(_, name)| !name.starts_with('.')) {
            tell(read(path, flags(name, &keywords)))?;
        }
        Ok(())
    }

    fn passed_over(&self) -> &[(String, String)] {
        &self.passed_over
    }

    fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        Ok(self.subscriptions.clone())
    }
}

/// Reads a file with one message.
pub fn read(path: &Path, flags: Flags) -> Found {
    let place = path.display().to_string();
    match read_bounded(path, BODY_BYTES_MAX as u64) {
        Ok((octets, about)) => {
            Found::Mail(Mail { place, octets: as_sent(octets), flags, internal_ms: modified_ms(&about) })
        }
        Err(error) => Found::Unreadable { place, why: error.to_string() },
    }
}

/// A Maildir that is being made.
pub struct Making {
    root: PathBuf,
    open: Option<Open>,
}

/// The folder that is being written.
struct Open {
    path: PathBuf,
    uids: File,
    keywords: Vec<String>,
}

impl Making {
    /// Makes the folder.
    pub fn new(root: &Path) -> Result<Making, Failure> {
        fs::create_dir_all(root).map_err(|error| told(root, &error))?;
        Ok(Making { root: root.to_owned(), open: None })
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let lines: String =
            open.keywords.iter().enumerate().map(|(at, name)| format!("{at} {name}\n")).collect();
        let path = open.path.join("dovecot-keywords");
        if lines.is_empty() { Ok(()) } else { fs::write(&path, lines).map_err(|error| told(&path, &error)) }
    }
}

impl Sink for Making {
    fn folder(&mut self, folder: &Folder) -> Result<bool, Failure> {
        self.close()?;
        let path =
            names::maildir(&folder.name).map_or(self.root.clone(), |name| self.root.join(format!(".{name}")));
        let make = || {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(path.join(part))?;
            }
            if path != self.root {
                File::create(path.join("maildirfolder"))?;
            }
            let mut uids = File::create(path.join("dovecot-uidlist"))?;
            writeln!(uids, "3 V{} N{}", folder.uid_validity, folder.uid_next)?;
            Ok(uids)
        };
        let uids = make().map_err(|error| told(&path, &error))?;
        self.open = Some(Open { path, uids, keywords: Vec::new() });
        Ok(names::is_kept_in_maildir(&folder.name))
    }

    fn mail(&mut self, uid: u32, mail: &Mail) -> Result<Option<&'static str>, Failure> {
        let Some(open) = &mut self.open else { return Err("a message without a folder".to_owned()) };
        let system = LETTERS.iter().filter(|(_, bit)| mail.flags.system.contains(*bit));
        let mut letters: Vec<char> = system.map(|&(letter, _)| letter).collect();
        let mut lost = None;
        for keyword in &mail.flags.keywords {
            if keyword.eq_ignore_ascii_case(FORWARDED) {
                letters.push('P');
                continue;
            }
            let at = open.keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword));
            let at = at.unwrap_or_else(|| {
                open.keywords.push(keyword.clone());
                open.keywords.len() - 1
            });
            if at >= KEYWORDS_MAX {
                open.keywords.truncate(KEYWORDS_MAX);
                lost = Some("a keyword: a Maildir has letters for 26");
            } else {
                letters.push(char::from(b'a' + at as u8));
            }
        }
        letters.sort_unstable();
        if as_sent(mail.octets.clone()) != mail.octets {
            lost = Some("line ends: its first line ends by LF alone");
        }
        let seconds = mail.internal_ms / 1000;
        let base = format!("{seconds}.U{uid}.ringpost,S={}", mail.octets.len());
        let path = open.path.join("cur").join(format!("{base}:2,{}", letters.iter().collect::<String>()));
        let mut write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&mail.octets)?;
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))?;
            writeln!(open.uids, "{uid} :{base}")
        };
        write().map_err(|error| told(&path, &error))?;
        Ok(lost)
    }

    fn finish(&mut self, subscriptions: &[String]) -> Result<(), Failure> {
        self.close()?;
        let line = |name: &String| names::maildir(name).unwrap_or_else(|| name.clone()) + "\n";
        let path = self.root.join("subscriptions");
        fs::write(&path, subscriptions.iter().map(line).collect::<String>())
            .map_err(|error| told(&path, &error))
    }
}
