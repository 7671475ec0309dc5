//! mbox: many messages in a file, a `From ` line before each.
//!
//! *Owns*: files of folders, and the fields that carry flags (`Status`, `X-Status`, `X-Keywords`). *Promises*: what
//! it wrote itself is read back octet for octet: `X-Ringpost-Octets` says how long the message was and how its lines
//! ended. *Assumes*: a `From ` line begins a message at the file's start and behind an empty line. *Never*: holds
//! more than one message.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ringpost::proto::mime::date::parse_rfc5322;
use ringpost::proto::mime::header;
use ringpost::sys::plain::open_plain;
use ringpost_engine::change::{FlagBits, Flags};
use ringpost_engine::limits::{BODY_BYTES_MAX, MAILBOX_LEVELS_MAX};

use super::quoting::{Quoting, separated_ms, separator};
use super::{IS_LINK, Kind, NO_NAME, PassedOver, TOO_DEEP, listed, modified_ms, told};
use crate::carry::{Folder, Found, Mail, Sink, Source, as_sent, names, too_large, with_crlf};
use crate::{Failure, body};

/// The field that says what we wrote.
const OCTETS: &str = "X-Ringpost-Octets";
/// The fields that carry flags.
const FLAG_FIELDS: [&str; 3] = ["Status", "X-Status", "X-Keywords"];
/// Letters of `X-Status` and `Status`.
const LETTERS: [(char, FlagBits); 5] = [
    ('R', FlagBits::SEEN),
    ('A', FlagBits::ANSWERED),
    ('F', FlagBits::FLAGGED),
    ('D', FlagBits::DELETED),
    ('T', FlagBits::DRAFT),
];

/// mbox files that are read.
pub struct Mbox {
    files: Vec<(String, PathBuf)>,
    passed_over: PassedOver,
    quoting: Quoting,
    /// The one file was named, as it is or by a link to it; files that are found are not opened by a link.
    is_named: bool,
}

impl Mbox {
    /// A file, which is `mailbox`, or all `NAME.mbox` in a folder.
    pub fn open(path: &Path, mailbox: &str, quoting: Quoting) -> Result<Mbox, Failure> {
        let (mut files, mut passed_over) = (Vec::new(), PassedOver::new());
        let is_named = !path.is_dir();
        if !is_named {
            find(path, Path::new(""), 0, &mut files, &mut passed_over)?;
            files.sort();
        } else {
            File::open(path).map_err(|error| told(path, &error))?;
            files.push((mailbox.to_owned(), path.to_owned()));
        }
        if files.is_empty() && passed_over.is_empty() {
            return Err(format!("{} holds no file that ends in .mbox", path.display()));
        }
        Ok(Mbox { files, passed_over, quoting, is_named })
    }
}

fn find(
    root: &Path,
    below: &Path,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
    passed_over: &mut PassedOver,
) -> Result<(), Failure> {
    for name in listed(&root.join(below))? {
        let inner = below.join(&name.own);
        let path = root.join(&inner);
        let mut pass_over = |why: &str| passed_over.push((path.display().to_string(), why.to_owned()));
        if name.kind == Kind::LinkedFolder {
            pass_over(IS_LINK);
        } else if name.kind == Kind::Folder {
            match depth < MAILBOX_LEVELS_MAX {
                true => find(root, &inner, depth + 1, files, passed_over)?,
                false => pass_over(TOO_DEEP),
            }
        } else if let Some(stem) = name.text.strip_suffix(".mbox") {
            match names::of_path(&below.join(stem)).filter(|_| name.is_text()) {
                Some(folder) => files.push((folder, path)),
                None => pass_over(NO_NAME),
            }
        }
    }
    Ok(())
}

impl Source for Mbox {
    fn folders(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }

    fn each(&mut self, at: usize, tell: &mut dyn FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure> {
        let path = &self.files[at].1;
        let open = || {
            let file = if self.is_named { File::open(path)? } else { open_plain(path)? };
            let modified = modified_ms(&file.metadata()?);
            Ok((BufReader::new(file), modified))
        };
        let (mut file, modified_ms) = match open() {
            Ok(opened) => opened,
            // One that cannot be read does not keep the others from being read.
            Err(error) => {
                let error: std::io::Error = error;
                return tell(Found::Unreadable { place: path.display().to_string(), why: error.to_string() });
            }
        };
        let (mut number, mut message) = (0, None::<Reading>);
        let (mut line, mut after_empty) = (Vec::new(), true);
        loop {
            line.clear();
            let read = file.by_ref().take(BODY_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
            let ended = read.map_err(|error| told(path, &error))? == 0;
            if ended || (after_empty && line.starts_with(b"From ")) {
                if let Some(message) = message.take() {
                    number += 1;
                    let place = format!("{}, message {number}", path.display());
                    tell(message.finish(place, modified_ms))?;
                }
                if ended {
                    return Ok(());
                }
                message = Some(Reading { came_ms: separated_ms(&line), octets: Vec::new(), bytes: 0 });
            } else if let Some(message) = &mut message {
                message.line(self.quoting.unquoted(&line));
            } else if line.iter().any(|octet| !octet.is_ascii_whitespace()) {
                let why = "no mbox: it does not begin with a From line".to_owned();
                return tell(Found::Unreadable { place: path.display().to_string(), why });
            }
            after_empty = line == b"\n" || line == b"\r\n";
        }
    }

    fn passed_over(&self) -> &[(String, String)] {
        &self.passed_over
    }

    fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }
}

/// A message that is being read.
struct Reading {
    came_ms: Option<u64>,
    octets: Vec<u8>,
    /// Of the whole, also when it is too large to keep.
    bytes: u64,
}

impl Reading {
    fn line(&mut self, line: &[u8]) {
        self.bytes += line.len() as u64;
        if self.octets.len() + line.len() <= BODY_BYTES_MAX + 2 {
            self.octets.extend_from_slice(line);
        }
    }

    fn finish(self, place: String, modified_ms: u64) -> Found {
        // The empty line before the next `From `.
        if let Some(why) = too_large(self.bytes.saturating_sub(2)) {
            return Found::Unreadable { place, why };
        }
        let flags = flags(&self.octets);
        let octets = own(&self.octets).unwrap_or_else(|| foreign(self.octets));
        let dated = || {
            let date = parse_rfc5322(body::field(&octets, "Date")?.as_bytes())?;
            u64::try_from(date.unix_seconds()).ok().map(|seconds| seconds * 1000)
        };
        let internal_ms = self.came_ms.or_else(dated).unwrap_or(modified_ms);
        Found::Mail(Mail { place, octets, flags, internal_ms })
    }
}

/// The message that we wrote: behind our fields, and as long as they say.
fn own(text: &[u8]) -> Option<Vec<u8>> {
    let first = header::fields(text).next().filter(|field| field.is(OCTETS.as_bytes()))?;
    let value = String::from_utf8_lossy(first.value).into_owned();
    let (octets, ends) = value.trim().split_once(' ')?;
    let octets: usize = octets.parse().ok()?;
    let is_ours = |name: &&str| FLAG_FIELDS.contains(name);
    let ours = header::fields(text)
        .skip(1)
        .take_while(|field| std::str::from_utf8(field.name).is_ok_and(|name| is_ours(&name)));
    // Each of our three fields stands there once, in this order.
    let start = first.raw.len() + ours.take(FLAG_FIELDS.len()).map(|field| field.raw.len()).sum::<usize>();
    let rest = &text[start..];
    let mut message = if ends == "crlf" { with_crlf(rest) } else { rest.to_vec() };
    (message.len() >= octets).then(|| {
        message.truncate(octets);
        message
    })
}

/// Somebody else's message: without the fields that only carry flags, and the empty line behind it.
fn foreign(text: Vec<u8>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut end = 0;
    for field in header::fields(&text) {
        let carries_flags = FLAG_FIELDS.iter().any(|name| field.is(name.as_bytes()));
        end = field.range().end;
        if !carries_flags {
            kept.extend_from_slice(field.raw);
        }
    }
    let rest = &text[end..];
    kept.extend_from_slice(rest);
    // One empty line belongs to the file; the one that ends the header does not.
    if rest.ends_with(b"\n\n") || rest.ends_with(b"\n\r\n") {
        kept.truncate(kept.len() - if rest.ends_with(b"\r\n") { 2 } else { 1 });
    }
    as_sent(kept)
}

fn flags(text: &[u8]) -> Flags {
    let mut flags = Flags::default();
    for name in ["Status", "X-Status"] {
        let letters = body::field(text, name).unwrap_or_default();
        for (letter, bit) in LETTERS {
            if letters.contains(letter) {
                flags.system = flags.system.union(bit);
            }
        }
    }
    let keywords = body::field(text, "X-Keywords").unwrap_or_default();
    flags.keywords = keywords.split_whitespace().map(str::to_owned).collect();
    flags
}

/// mbox files that are being made.
pub struct Making {
    root: PathBuf,
    quoting: Quoting,
    open: Option<(PathBuf, BufWriter<File>)>,
}

impl Making {
    /// Makes the folder.
    pub fn new(root: &Path, quoting: Quoting) -> Result<Making, Failure> {
        fs::create_dir_all(root).map_err(|error| told(root, &error))?;
        Ok(Making { root: root.to_owned(), quoting, open: None })
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some((path, mut file)) = self.open.take() else { return Ok(()) };
        file.flush().map_err(|error| told(&path, &error))
    }
}

impl Sink for Making {
    fn folder(&mut self, folder: &Folder) -> Result<bool, Failure> {
        self.close()?;
        let mut path = self.root.join(names::path(&folder.name)).into_os_string();
        path.push(".mbox");
        let path = PathBuf::from(path);
        let parent = path.parent().unwrap_or(&self.root);
        let made = fs::create_dir_all(parent).and_then(|()| File::create_new(&path));
        self.open = Some((path.clone(), BufWriter::new(made.map_err(|error| told(&path, &error))?)));
        Ok(names::is_kept_in_path(&folder.name))
    }

    fn mail(&mut self, _uid: u32, mail: &Mail) -> Result<Option<&'static str>, Failure> {
        let quoting = self.quoting;
        let Some((path, file)) = &mut self.open else { return Err("a message without a folder".to_owned()) };
        let lossy = write(file, mail, quoting).map_err(|error| told(path, &error))?;
        Ok(lossy.then_some("a line that begins with >From: mboxrd can tell it from one that was quoted"))
    }

    fn finish(&mut self, _subscriptions: &[String]) -> Result<(), Failure> {
        self.close()
    }
}

/// Writes a message. Returns whether its quoting cannot be undone.
fn write(file: &mut impl Write, mail: &Mail, quoting: Quoting) -> std::io::Result<bool> {
    let sender = body::field(&mail.octets, "Return-Path").unwrap_or_default();
    file.write_all(separator(body::bare_id(&sender), mail.internal_ms).as_bytes())?;
    // Lines end by LF in an mbox; only where that could not be undone are they left as they are.
    let lf: Vec<u8> = lines_by_lf(&mail.octets);
    let crlf = with_crlf(&lf) == mail.octets;
    let (text, ends) = if crlf { (lf.as_slice(), "crlf") } else { (mail.octets.as_slice(), "as-is") };
    writeln!(file, "{OCTETS}: {} {ends}", mail.octets.len())?;
    let letter = |wanted: &str| {
        let set = LETTERS
            .iter()
            .filter(|(letter, bit)| wanted.contains(*letter) && mail.flags.system.contains(*bit));
        set.map(|(letter, _)| letter).collect::<String>()
    };
    writeln!(file, "Status: {}O\nX-Status: {}", letter("R"), letter("AFDT"))?;
    writeln!(file, "X-Keywords: {}", mail.flags.keywords.join(" "))?;
    let mut lossy = false;
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        if quoting.quotes(line) {
            file.write_all(b">")?;
        }
        lossy |= quoting == Quoting::Plain && quoting.unquoted(line) != line;
        file.write_all(line)?;
    }
    if !text.ends_with(b"\n") {
        file.write_all(b"\n")?;
    }
    file.write_all(b"\n")?;
    Ok(lossy)
}

/// Every CRLF becomes LF.
fn lines_by_lf(octets: &[u8]) -> Vec<u8> {
    let mut lf = Vec::with_capacity(octets.len());
    for (at, &octet) in octets.iter().enumerate() {
        if !(octet == b'\r' && octets.get(at + 1) == Some(&b'\n')) {
            lf.push(octet);
        }
    }
    lf
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(octets: &[u8], quoting: Quoting) -> Mail {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made");
        let flags =
            Flags { system: FlagBits::SEEN.union(FlagBits::DRAFT), keywords: vec!["$a".into(), "b".into()] };
        let mail =
            Mail { place: String::new(), octets: octets.to_vec(), flags, internal_ms: 1_700_000_000_000 };
        let mut making = Making::new(&path, quoting).expect("a folder");
        making.folder(&Folder { name: "x".into(), uid_validity: 1, uid_next: 3 }).expect("a file");
        for uid in [1, 2] {
            making.mail(uid, &mail).expect("written");
        }
        making.finish(&[]).expect("written");
        let mut read = Vec::new();
        let mut mbox = Mbox::open(&path, "INBOX", quoting).expect("it is there");
        mbox.each(0, &mut |found| {
            read.push(found);
            Ok(())
        })
        .expect("it can be read");
        let [Found::Mail(one), Found::Mail(two)] = &read[..] else { panic!("{read:?}") };
        assert_eq!((&one.octets, &one.flags, one.internal_ms), (&two.octets, &mail.flags, mail.internal_ms));
        one.clone()
    }

    #[test]
    fn what_was_written_is_read_octet_for_octet() {
        for octets in [
            &b"Subject: x\r\n\r\nbody\r\n"[..],
            b"Subject: x\r\n\r\nFrom me\r\n>From you\r\n>>From them\r\n\r\nFrom us",
            b"Status: RO\r\nX-Status: F\r\nX-Keywords: own\r\nSubject: x\r\n\r\n\r\n\r\n",
            b"a\nb\r\nc\r",
            b"a\n",
            b"\r\n",
            b"From x",
            b"",
        ] {
            assert_eq!(round(octets, Quoting::Every).octets, octets, "{:?}", String::from_utf8_lossy(octets));
        }
        let quoted = round(b"x: y\r\n\r\nFrom me\r\n", Quoting::Plain);
        assert_eq!(quoted.octets, b"x: y\r\n\r\nFrom me\r\n");
    }

    #[test]
    fn a_foreign_file_gives_its_flags_and_loses_their_fields() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("inbox");
        let text = "From a@b Thu Jan  1 00:01:00 1970\nSubject: x\nStatus: RO\nX-Keywords: $k  l\n\n>From me\n\n\
                    From c@d Thu Jan  1 00:02:00 1970\nX-Status: A\n\nlast";
        fs::write(&path, text).expect("written");
        let mut read = Vec::new();
        let mut mbox = Mbox::open(&path, "Sent", Quoting::Every).expect("it is there");
        assert_eq!(mbox.folders(), ["Sent"]);
        let mut keep = |found| {
            read.push(found);
            Ok(())
        };
        mbox.each(0, &mut keep).expect("it can be read");
        let [Found::Mail(one), Found::Mail(two)] = &read[..] else { panic!("{read:?}") };
        assert_eq!(one.octets, b"Subject: x\r\n\r\nFrom me\r\n");
        assert_eq!(
            (one.flags.system, one.flags.keywords.join(" "), one.internal_ms),
            (FlagBits::SEEN, "$k l".into(), 60_000)
        );
        assert_eq!((two.octets.as_slice(), two.flags.system), (&b"\r\nlast"[..], FlagBits::ANSWERED));
        fs::write(&path, "Subject: x\n\nno mbox\n").expect("written");
        let mut seen = Vec::new();
        let mut keep = |found| {
            seen.push(found);
            Ok(())
        };
        mbox.each(0, &mut keep).expect("it can be read");
        assert!(matches!(&seen[..], [Found::Unreadable { .. }]), "{seen:?}");
    }
}
