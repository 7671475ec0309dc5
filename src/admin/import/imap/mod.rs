//! Mail as any IMAP server shows it.
//!
//! *Owns*: folders, special uses, subscriptions and messages over IMAP4rev1 (rfc3501). *Promises*: reads only (EXAMINE,
//! BODY.PEEK); about 20 octets for each message of the folder that is open, and one message in memory. *Assumes*: one
//! connection for the whole import. *Never*: marks anything as seen.

mod connection;
mod response;
mod url;

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::limits::MAILBOXES_PER_ACCOUNT_MAX;

use super::source::{Contents, Facts, Folder, Folders, Mail, Source, Taker, Unread, usual_use};
use crate::proto::imap::utf7;
use crate::proto::mime::date::parse_imap_date_time;
pub use connection::Access;
use connection::{Connection, quoted};
use response::{Value, values};
pub use url::Url;

/// A logged-in session.
pub struct Imap {
    connection: Connection,
    /// What the personal names begin with (rfc2342#5), and what those of others do.
    personal: String,
    foreign: Vec<String>,
    dovecot_unique_ids: bool,
    /// Sets of flags that messages of the open folder have.
    flags: Vec<Vec<String>>,
    messages: Vec<Message>,
}

struct Message {
    uid: u32,
    /// Place in `flags`; none where the server does not tell them.
    flags: Option<u32>,
    /// None where the server does not tell it.
    internal_ms: Option<u64>,
}

/// A row of LIST or LSUB.
struct Listed {
    attributes: Vec<String>,
    separator: String,
    spelt: String,
}

impl Imap {
    /// Connects and logs in.
    pub fn open(access: &Access, dovecot_unique_ids: bool) -> Result<Imap, String> {
        let connection = Connection::open(access)?;
        let (personal, foreign) = (String::new(), Vec::new());
        let (flags, messages) = (Vec::new(), Vec::new());
        let mut imap = Imap { connection, personal, foreign, dovecot_unique_ids, flags, messages };
        if imap.connection.has("NAMESPACE") {
            imap.ask_namespaces()?;
        }
        Ok(imap)
    }

    fn ask_namespaces(&mut self) -> Result<(), String> {
        let (mut personal, mut foreign) = (String::new(), Vec::new());
        self.connection.command("NAMESPACE", &mut |line| {
            let Some(line) = line.strip_prefix(b"NAMESPACE ") else { return Ok(()) };
            let kinds = values(line).ok_or("the server's namespaces are not understood")?;
            let prefixes = |kind: &Value| -> Vec<String> {
                kind.items().iter().filter_map(|one| one.items().first()?.text()).collect()
            };
            personal = kinds.first().and_then(|kind| prefixes(kind).into_iter().next()).unwrap_or_default();
            foreign = kinds.iter().skip(1).flat_map(prefixes).filter(|prefix| !prefix.is_empty()).collect();
            Ok(())
        })?;
        (self.personal, self.foreign) = (personal, foreign);
        Ok(())
    }

    /// Rows of a listing, and those that are not understood.
    fn list(&mut self, command: &str) -> Result<(Vec<Listed>, Vec<String>), String> {
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        self.connection.command(command, &mut |line| {
            if ["LIST ", "LSUB "].iter().any(|kind| begins_with(line, kind)) {
                match listed(line) {
                    Some(row) => rows.push(row),
                    None if problems.len() < MAILBOXES_PER_ACCOUNT_MAX => {
                        problems.push(format!("not understood: {}", String::from_utf8_lossy(line)));
                    }
                    None => return Err("the server lists more names than can be told".to_owned()),
                }
            }
            Ok(())
        })?;
        rows.retain(|row| !self.foreign.iter().any(|prefix| row.spelt.starts_with(prefix)));
        Ok((rows, problems))
    }

    /// The name here of a name there.
    fn name_of(&self, row: &Listed) -> String {
        if row.spelt.eq_ignore_ascii_case("INBOX") {
            return "INBOX".to_owned();
        }
        let own = row.spelt.strip_prefix(&self.personal).unwrap_or(&row.spelt);
        let name = utf7::decode(own.as_bytes()).unwrap_or_else(|_| own.to_owned());
        if row.separator.is_empty() { name } else { name.replace(&row.separator, "/") }
    }

    /// Reads what is known of all messages, of which there are so many.
    fn scan(&mut self, exists: u32) -> Result<(), String> {
        let (mut sets, mut messages, mut expected) = (BTreeMap::new(), Vec::new(), exists);
        self.connection.command("UID FETCH 1:* (FLAGS INTERNALDATE)", &mut |line| {
            // rfc3501#7.4.1: messages may go while a UID command is carried out.
            expected = expected.saturating_sub(u32::from(counted(line, " EXPUNGE").is_some()));
            if let Some(Fetched { uid: Some(uid), flags, internal_ms, .. }) = fetched(line) {
                let next = sets.len() as u32;
                let flags = flags.map(|flags| *sets.entry(flags).or_insert(next));
                messages.push(Message { uid, flags, internal_ms });
            }
            Ok(())
        })?;
        // Of two responses about a message the one that tells its date is the answer.
        messages.sort_by_key(|message| (message.uid, message.internal_ms.is_none()));
        messages.dedup_by_key(|message| message.uid);
        if messages.len() < expected as usize {
            self.search(&mut messages)?;
        }
        if messages.len() < expected as usize {
            let count = messages.len();
            return Err(format!("the server says that {expected} messages are there, and lists {count}"));
        }
        let mut flags = vec![Vec::new(); sets.len()];
        sets.into_iter().for_each(|(set, at)| flags[at as usize] = set);
        (self.flags, self.messages) = (flags, messages);
        Ok(())
    }

    /// Adds messages that a scan did not tell, or not in a form that is understood.
    fn search(&mut self, messages: &mut Vec<Message>) -> Result<(), String> {
        let mut uids = BTreeSet::new();
        self.connection.command("UID SEARCH ALL", &mut |line| {
            if begins_with(line, "SEARCH ") {
                let words = std::str::from_utf8(line).unwrap_or_default().split(' ').skip(1);
                uids.extend(words.filter_map(|word| word.parse().ok()).filter(|&uid: &u32| uid > 0));
            }
            Ok(())
        })?;
        uids.retain(|uid| messages.binary_search_by_key(uid, |message| message.uid).is_err());
        messages.extend(uids.into_iter().map(|uid| Message { uid, flags: None, internal_ms: None }));
        messages.sort_by_key(|message| message.uid);
        Ok(())
    }
}

fn begins_with(line: &[u8], word: &str) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// The number of a response like `7 EXISTS`.
fn counted(line: &[u8], kind: &str) -> Option<u32> {
    let at = line.len().checked_sub(kind.len())?;
    let is_kind = line[at..].eq_ignore_ascii_case(kind.as_bytes());
    is_kind.then(|| std::str::from_utf8(&line[..at]).ok()?.parse().ok()).flatten()
}

fn listed(line: &[u8]) -> Option<Listed> {
    let values = values(line)?;
    let [_, attributes, separator, name, ..] = &values[..] else { return None };
    let attributes = attributes.items().iter().filter_map(Value::text).collect();
    let separator = separator.text().filter(|text| text != "NIL").unwrap_or_default();
    name.text().map(|spelt| Listed { attributes, separator, spelt })
}

/// What a FETCH response tells.
#[derive(Default)]
struct Fetched {
    uid: Option<u32>,
    flags: Option<Vec<String>>,
    internal_ms: Option<u64>,
    octets: Option<Vec<u8>>,
}

fn fetched(line: &[u8]) -> Option<Fetched> {
    let mut values = values(line)?.into_iter();
    let (_number, kind) = (values.next()?.number()?, values.next()?.text()?);
    let Value::List(items) = values.next().filter(|_| kind.eq_ignore_ascii_case("FETCH"))? else {
        return None;
    };
    let (mut found, mut items) = (Fetched::default(), items.into_iter());
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        match name.text()?.to_ascii_uppercase().as_str() {
            "UID" => found.uid = value.number().filter(|&uid| uid > 0),
            "FLAGS" => {
                let recent = |flag: &String| flag.eq_ignore_ascii_case("\\Recent");
                let flags = value.items().iter().filter_map(Value::text).filter(|flag| !recent(flag));
                found.flags = Some(flags.collect());
            }
            "INTERNALDATE" => {
                let date = value.text().and_then(|text| parse_imap_date_time(&text));
                found.internal_ms = date.map(|date| u64::try_from(date.unix_seconds()).unwrap_or(0) * 1000);
            }
            "BODY[]" => {
                found.octets = match value {
                    Value::Text(octets) => Some(octets),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    Some(found)
}

/// A number of a response code: `OK [UIDNEXT 7] …`.
fn code(line: &[u8], name: &str) -> Option<u32> {
    let line = String::from_utf8_lossy(line);
    let code = line.strip_prefix("OK [")?.split(']').next()?;
    let (known, number) = code.split_once(' ')?;
    known.eq_ignore_ascii_case(name).then(|| number.parse().ok()).flatten()
}

const USES: [&str; 5] = ["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"];

impl Source for Imap {
    fn folders(&mut self) -> Result<Folders, String> {
        let extended = self.connection.has("SPECIAL-USE") && self.connection.has("LIST-EXTENDED");
        // rfc6154#5.2: RETURN belongs to LIST-EXTENDED.
        let (rows, problems) =
            self.list(if extended { "LIST \"\" \"*\" RETURN (SPECIAL-USE)" } else { "LIST \"\" \"*\"" })?;
        let is =
            |row: &Listed, attribute: &str| row.attributes.iter().any(|a| a.eq_ignore_ascii_case(attribute));
        let folder = |row: &Listed| {
            let name = self.name_of(row);
            let told = USES.into_iter().find(|special_use| is(row, special_use));
            Folder { special_use: told.or_else(|| usual_use(&name)), there: row.spelt.clone(), name }
        };
        let real = rows.iter().filter(|row| !is(row, "\\Noselect") && !is(row, "\\NonExistent"));
        Ok(Folders { folders: real.map(folder).collect(), problems })
    }

    fn subscriptions(&mut self) -> Result<Vec<String>, String> {
        // What is not understood was told with the folders, or there is none of that name.
        let (rows, _) = self.list("LSUB \"\" \"*\"")?;
        Ok(rows.iter().map(|row| self.name_of(row)).collect())
    }

    fn open(&mut self, folder: &Folder) -> Result<Contents, String> {
        let mut contents = Contents { uid_next: 0, ..Contents::default() };
        let mut exists = 0;
        let there = quoted(&folder.there);
        let there = there.ok_or_else(|| format!("{:?} cannot be sent to this server", folder.there))?;
        self.connection.command(&format!("EXAMINE {there}"), &mut |line| {
            contents.uid_validity = code(line, "UIDVALIDITY").unwrap_or(contents.uid_validity);
            contents.uid_next = code(line, "UIDNEXT").unwrap_or(contents.uid_next);
            exists = counted(line, " EXISTS").unwrap_or(exists);
            Ok(())
        })?;
        (self.flags, self.messages) = (Vec::new(), Vec::new());
        if exists > 0u32 {
            self.scan(exists)?;
        }
        if contents.uid_validity == 0 && exists > 0 {
            return Err("the server keeps no UIDs there".to_owned());
        }
        contents.uids = self.messages.iter().map(|message| message.uid).collect();
        let after = contents.uids.last().map_or(1, |last| last.saturating_add(1));
        contents.uid_next = contents.uid_next.max(after);
        Ok(contents)
    }

    fn facts(&mut self, place: usize) -> Result<Facts, String> {
        let message = &self.messages[place];
        let flags = message.flags.map(|flags| self.flags[flags as usize].clone());
        Ok(Facts { flags, unique_id: None })
    }

    fn fetch(&mut self, places: &[usize], take: &mut Taker<'_>) -> Result<(), String> {
        let uids: Vec<u32> = places.iter().map(|&place| self.messages[place].uid).collect();
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let (messages, mut last) = (&self.messages, 0);
        self.connection.command(&format!("UID FETCH {set} (UID BODY.PEEK[])"), &mut |line| {
            let Some(Fetched { uid: Some(uid), octets: Some(octets), .. }) = fetched(line) else {
                return Ok(());
            };
            let Ok(nth) = uids.binary_search(&uid) else { return Ok(()) };
            if uid <= last {
                return Err("the server does not send messages in order of their UIDs".to_owned());
            }
            last = uid;
            let (place, of) = (places[nth], &messages[places[nth]]);
            let unread = |why: &str| Err(Unread { place, why: why.to_owned() });
            take(match (of.internal_ms, of.flags) {
                _ if octets.is_empty() => unread("it is empty"),
                (Some(internal_ms), Some(_)) => Ok(Mail { place, internal_ms, octets }),
                _ => unread("the server does not tell its date and flags in a form that is understood"),
            })
        })
    }

    fn dovecot_unique_ids(&self) -> bool {
        self.dovecot_unique_ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_response_tells_uid_flags_date_and_octets() {
        let line = b"3 FETCH (FLAGS (\\Seen \\Recent x) UID 9 \
            INTERNALDATE \" 5-Feb-2019 03:04:05 +0000\" BODY[] {2}\r\nhi)";
        let found = fetched(line).expect("well-formed");
        assert_eq!((found.uid, found.internal_ms), (Some(9), Some(1_549_335_845_000)));
        assert_eq!(found.flags, Some(vec!["\\Seen".to_owned(), "x".to_owned()]));
        assert_eq!(found.octets.as_deref(), Some(&b"hi"[..]));
        assert!(fetched(b"3 EXPUNGE").is_none());
        let odd = fetched(b"3 FETCH (UID 9 FLAGS ([odd) INTERNALDATE NIL BODY[] NIL)").expect("well-formed");
        assert_eq!((odd.uid, odd.internal_ms, odd.octets), (Some(9), None, None));
        assert_eq!(odd.flags, Some(vec!["[odd".to_owned()]), "a bracket is any octet in a keyword");
    }

    #[test]
    fn counts_are_read() {
        assert_eq!((counted(b"7 EXISTS", " EXISTS"), counted(b"7 EXPUNGE", " EXISTS")), (Some(7), None));
        assert_eq!((counted(b"EXISTS", " EXISTS"), counted(b"x EXISTS", " EXISTS")), (None, None));
    }

    #[test]
    fn codes_are_read() {
        assert_eq!(code(b"OK [UIDNEXT 7] next", "UIDNEXT"), Some(7));
        assert_eq!(code(b"OK [UIDNEXT 7] next", "UIDVALIDITY"), None);
        assert_eq!(code(b"NO [UIDNEXT 7] next", "UIDNEXT"), None);
    }
}
