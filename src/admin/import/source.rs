//! Where an import takes mail from.
//!
//! *Owns*: what every other store can be asked. *Promises*: messages by place, 0-based and ascending by UID, in the
//! folder that was opened last. *Assumes*: nobody expunges much meanwhile; what has gone does not come, which is
//! told. *Never*: writes to the other store.

use super::report::same_flags;

/// A folder of the other store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Full name in UTF-8, levels split by `/`; `INBOX` for the inbox.
    pub name: String,
    /// How the other store names it.
    pub there: String,
    /// `\Sent` and the like, where it is known.
    pub special_use: Option<&'static str>,
}

/// What an open folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// UIDVALIDITY; 0 where the folder has none yet, and then it has no messages either.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDs, ascending.
    pub uids: Vec<u32>,
    /// What cannot be taken over, each in a line of words.
    pub problems: Vec<String>,
}

/// A message without its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `\Seen` and the like, and keywords; none where they cannot be told.
    pub flags: Option<Vec<String>>,
    /// POP3 unique-id, where it is not the usual one.
    pub unique_id: Option<String>,
}

impl Facts {
    /// The flags, if they are known and others than these.
    pub fn other_flags(self, flags: &[String]) -> Option<Vec<String>> {
        self.flags.filter(|there| !same_flags(there, flags))
    }
}

/// What there is, and what cannot be looked into, each in a line of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// In any order.
    pub folders: Vec<Folder>,
    /// Folders that cannot be taken over.
    pub problems: Vec<String>,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its place in the folder.
    pub place: usize,
    /// Why, in words without its UID.
    pub why: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its place in the folder.
    pub place: usize,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// Octets, line ends CRLF.
    pub octets: Vec<u8>,
}

/// Takes messages as they come, or why one cannot be read.
pub type Taker<'a> = dyn FnMut(Result<Mail, Unread>) -> Result<(), String> + 'a;

/// Another store. Errors end the import.
pub trait Source {
    /// Its folders.
    fn folders(&mut self) -> Result<Folders, String>;
    /// Subscribed names, as [`Folder::name`].
    fn subscriptions(&mut self) -> Result<Vec<String>, String>;
    /// Opens a folder.
    fn open(&mut self, folder: &Folder) -> Result<Contents, String>;
    /// What is known of a message of the open folder.
    fn facts(&mut self, place: usize) -> Result<Facts, String>;
    /// Hands messages of the open folder over, in the order of `places`, or why not. Those that do not
    /// come have gone, or nobody knows why.
    fn fetch(&mut self, places: &[usize], take: &mut Taker<'_>) -> Result<(), String>;
    /// Whether POP3 names messages there as Dovecot does by default.
    fn dovecot_unique_ids(&self) -> bool;
}

/// The special use that a folder of this name has nearly everywhere.
pub fn usual_use(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "drafts" => "\\Drafts",
        "sent" | "sent messages" | "sent items" | "sent mail" => "\\Sent",
        "junk" | "spam" | "junk e-mail" => "\\Junk",
        "trash" | "deleted messages" | "deleted items" => "\\Trash",
        "archive" | "archives" => "\\Archive",
        _ => return None,
    })
}
