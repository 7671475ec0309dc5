//! Mail as Dovecot keeps it in Maildirs.
//!
//! *Owns*: reading a Maildir tree with Dovecot's own files: UIDs, keywords, flags, subscriptions. *Promises*: what
//! IMAP and POP3 clients of that Dovecot saw; the names of one folder's files in memory, about 100 octets each.
//! *Assumes*: Dovecot may run meanwhile: a file that is renamed is looked for, and only one that is absent twice is
//! gone. *Never*: writes, or follows a link below the root: users make those.

mod names;
mod octets;
mod uidlist;

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ringpost_engine::limits::BODY_BYTES_MAX;

use super::source::{Contents, Facts, Folder, Folders, Mail, Source, Taker, Unread, usual_use};
use crate::sys::plain::{IS_LINK, is_folder, is_link, open_plain};
pub use names::Layout;
use uidlist::Record;

/// Octets of `dovecot-keywords` and `subscriptions`.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Letters for keywords: a to z.
const KEYWORDS: usize = 26;
/// How often a message's file is looked for under the names that it gets meanwhile.
const LOOKS: usize = 4;

/// A Maildir tree.
pub struct Dovecot {
    root: PathBuf,
    layout: Layout,
    open: Open,
}

/// The folder that is open.
#[derive(Default)]
struct Open {
    path: PathBuf,
    /// The names of its keywords, by letter.
    keywords: Vec<String>,
    /// Ascending by UID.
    messages: Vec<Message>,
}

struct Message {
    uid: u32,
    unique_id: Option<Box<str>>,
    file: Box<str>,
    is_new: bool,
}

/// One look at the files.
#[derive(Default)]
struct Paired {
    messages: Vec<Message>,
    /// What has no file.
    absent: Vec<Record>,
    /// Files without a UID.
    without: usize,
}

/// A file's name without its flags.
fn base_of(file: &str) -> &str {
    file.split_once(':').map_or(file, |(base, _)| base)
}

impl Dovecot {
    /// The tree at `root`, where INBOX is.
    pub fn new(root: &Path, layout: Layout) -> Result<Dovecot, String> {
        if !is_folder(&root.join("cur")) {
            return Err(format!("{}: no Maildir: there is no folder `cur` in it", root.display()));
        }
        let layout = if layout == Layout::Auto { names::layout_of(root)? } else { layout };
        Ok(Dovecot { root: root.to_owned(), layout, open: Open::default() })
    }
}

/// The text of a small file; none when there is none.
fn text_of(path: &Path) -> Result<Option<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = match open_plain(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Names by letter: lines of a number, 0 for `a`, and a name.
fn keywords_of(text: &str) -> Vec<String> {
    let mut keywords = vec![String::new(); KEYWORDS];
    for (number, name) in text.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(place) = number.parse().ok().and_then(|number: usize| keywords.get_mut(number)) {
            name.clone_into(place);
        }
    }
    keywords
}

impl Open {
    /// Reads which files there are. Names that cannot be mail of a Maildir begin with a dot.
    fn files(&self, folder: &str) -> Result<Vec<Box<str>>, String> {
        let path = self.path.join(folder);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut files = Vec::new();
        if is_link(&path) {
            return Err(format!("{}: {IS_LINK}", path.display()));
        }
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            // No list of UIDs names what is no UTF-8: it is told with what has no UID.
            let name = name.to_string_lossy();
            files.extend((!name.starts_with('.')).then(|| Box::from(&*name)));
        }
        files.sort_unstable_by(|a, b| base_of(a).cmp(base_of(b)));
        Ok(files)
    }

    /// Pairs the files with the list of UIDs. Returns how many files have none.
    fn pair(&mut self, records: Vec<Record>) -> Result<usize, String> {
        let once = self.listed(records)?;
        self.messages = once.messages;
        // A file that gets another name meanwhile may be missed; it is not gone before it is missed twice.
        if !once.absent.is_empty() {
            self.messages.extend(self.listed(once.absent)?.messages);
        }
        self.messages.sort_by_key(|message| message.uid);
        self.messages.dedup_by_key(|message| message.uid);
        Ok(once.without)
    }

    /// Lists the files once, and finds those of the records.
    fn listed(&self, records: Vec<Record>) -> Result<Paired, String> {
        let (cur, new) = (self.files("cur")?, self.files("new")?);
        let find = |files: &[Box<str>], base: &str| {
            files.binary_search_by(|file| base_of(file).cmp(base)).ok().map(|at| files[at].clone())
        };
        let mut paired = Paired::default();
        for Record { uid, base, unique_id } in records {
            let found = find(&cur, &base).map(|file| (file, false));
            match found.or_else(|| find(&new, &base).map(|file| (file, true))) {
                Some((file, is_new)) => paired.messages.push(Message { uid, unique_id, file, is_new }),
                None => paired.absent.push(Record { uid, base, unique_id }),
            }
        }
        paired.without = (cur.len() + new.len()).saturating_sub(paired.messages.len());
        Ok(paired)
    }

    /// Where a message's file is now: its flags may have changed since it was listed.
    fn find(&self, message: &Message) -> Result<Option<File>, String> {
        let folder = if message.is_new { "new" } else { "cur" };
        let mut path = self.path.join(folder).join(&*message.file);
        for _ in 0..LOOKS {
            match open_plain(&path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.to_string()),
            }
            let base = base_of(&message.file);
            let files = self.files("cur")?;
            if let Some(renamed) = files.iter().find(|file| base_of(file) == base) {
                path = self.path.join("cur").join(&**renamed);
            }
        }
        Ok(None)
    }

    fn read(&self, message: &Message, place: usize) -> Result<Option<Mail>, String> {
        let Some(file) = self.find(message)? else { return Ok(None) };
        let modified =
            file.metadata().and_then(|about| about.modified()).map_err(|error| error.to_string())?;
        // Dovecot's INTERNALDATE is the time of the file.
        let internal_ms = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 1000);
        let mut octets = Vec::new();
        let read = file.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut octets);
        read.map_err(|error| error.to_string())?;
        if octets::is_compressed(&octets) {
            return Err("it is compressed".to_owned());
        }
        let octets = octets::with_crlf(octets);
        match octets.len() {
            0 => Err("it is empty".to_owned()),
            1..=BODY_BYTES_MAX => Ok(Some(Mail { place, internal_ms, octets })),
            _ => Err(format!("more than {BODY_BYTES_MAX} octets")),
        }
    }
}

impl Source for Dovecot {
    fn folders(&mut self) -> Result<Folders, String> {
        let inbox = (self.root.clone(), "INBOX".to_owned());
        let names::Found { mut folders, problems } = names::folders(&self.root, self.layout)?;
        folders.retain(|(_, name)| name != "INBOX");
        folders.insert(0, inbox);
        let folder = |(path, name): (PathBuf, String)| Folder {
            special_use: usual_use(&name),
            there: path.to_string_lossy().into_owned(),
            name,
        };
        Ok(Folders { folders: folders.into_iter().map(folder).collect(), problems })
    }

    fn subscriptions(&mut self) -> Result<Vec<String>, String> {
        let text = text_of(&self.root.join("subscriptions"))?.unwrap_or_default();
        Ok(names::subscriptions(&text, self.layout))
    }

    fn open(&mut self, folder: &Folder) -> Result<Contents, String> {
        self.open = Open { path: PathBuf::from(&folder.there), ..Open::default() };
        self.open.keywords =
            keywords_of(&text_of(&self.open.path.join("dovecot-keywords"))?.unwrap_or_default());
        let (list, mut records) = (self.open.path.join("dovecot-uidlist"), Vec::new());
        let header = match open_plain(&list) {
            Ok(file) => {
                let header = uidlist::read(BufReader::new(file), &mut |record| records.push(record));
                Some(header.map_err(|why| format!("{}: {why}", list.display()))?)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", list.display())),
        };
        let last = records.iter().map(|record| record.uid).max().unwrap_or(0);
        let without = self.open.pair(records)?;
        let mut contents = Contents {
            uid_validity: header.map_or(0, |header| header.uid_validity),
            uid_next: header.map_or(1, |header| header.uid_next.max(last.saturating_add(1))),
            uids: self.open.messages.iter().map(|message| message.uid).collect(),
            problems: Vec::new(),
        };
        if without > 0 {
            contents.problems.push(format!(
                "{without} messages have no UID yet: let Dovecot give them one (doveadm index) and run this again"
            ));
        }
        Ok(contents)
    }

    fn facts(&mut self, place: usize) -> Result<Facts, String> {
        let Message { file, unique_id, .. } = &self.open.messages[place];
        let letters = file.split_once(":2,").map_or("", |(_, letters)| letters);
        let letters = letters.split(',').next().unwrap_or_default();
        let mut flags = Vec::new();
        for letter in letters.bytes() {
            match letter {
                b'S' => flags.push("\\Seen".to_owned()),
                b'R' => flags.push("\\Answered".to_owned()),
                b'F' => flags.push("\\Flagged".to_owned()),
                b'T' => flags.push("\\Deleted".to_owned()),
                b'D' => flags.push("\\Draft".to_owned()),
                b'a'..=b'z' => {
                    let name = &self.open.keywords[usize::from(letter - b'a')];
                    flags.extend((!name.is_empty()).then(|| name.clone()));
                }
                // P, passed on, is no flag to Dovecot; of others nobody knows.
                _ => {}
            }
        }
        Ok(Facts { flags: Some(flags), unique_id: unique_id.as_deref().map(str::to_owned) })
    }

    fn fetch(&mut self, places: &[usize], take: &mut Taker<'_>) -> Result<(), String> {
        for &place in places {
            let message = &self.open.messages[place];
            match self.open.read(message, place) {
                Ok(Some(mail)) => take(Ok(mail))?,
                Ok(None) => {}
                Err(why) => take(Err(Unread { place, why: format!("{}: {why}", message.file) }))?,
            }
        }
        Ok(())
    }

    fn dovecot_unique_ids(&self) -> bool {
        true
    }
}
