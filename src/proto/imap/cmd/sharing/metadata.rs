//! GETMETADATA and SETMETADATA (rfc5464).
//!
//! *Owns*: which entries a client sees and may set. *Promises*: all entries of one SETMETADATA are set or
//! none; a long answer comes in pieces. *Assumes*: the store's bounds on names, values and their sum.
//! *Never*: shows an owner's private entries to others, or what the server keeps for itself.
//!
//! Entries of the server are an account's own: `/private` ones are its user's, `/shared` ones only the
//! administrator could set, so clients cannot. On another user's mailbox only `/shared` entries exist.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use ringpost_engine::change::{Change, Outcome, Refusal, Rights};
use ringpost_engine::ids::{AccountId, MailboxId};
use ringpost_engine::index::{AccountEvent, AccountRef, MailboxRef};
use ringpost_engine::limits::METADATA_VALUE_BYTES_MAX;

use crate::proto::Cx;
use crate::proto::imap::access::{self, Target};
use crate::proto::imap::cmd::mailbox::show::special_use_name;
use crate::proto::imap::command::{Depth, MetadataCommand};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::{parse, write};

/// rfc6154#4
const SPECIAL_USE: &str = "/private/specialuse";
/// Values of filters (rfc5466#3.2).
const FILTER_VALUES: &str = "/private/filters/values/";
/// What the server keeps for itself.
const RESERVED: &str = "/private/vendor/ringpost";

/// See the module.
#[derive(Debug)]
pub struct Metadata {
    command: MetadataCommand,
    /// The last entry shown.
    after: Option<String>,
    /// Octets of the largest value that was left out for its size.
    longest: usize,
}

/// What entries belong to.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Server(AccountRef<'a>),
    Mailbox(Target<'a>),
}

impl Metadata {
    /// A command that has not begun.
    pub fn new(command: MetadataCommand) -> Metadata {
        Metadata { command, after: None, longest: 0 }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match (wake, &self.command) {
            (Wake::Committed(Outcome::Refused(Refusal::Limit)), _) => {
                Reply::no("[METADATA TOOMANY] No room for more annotations").into()
            }
            (Wake::Committed(Outcome::Refused(refusal)), _) => Reply::from(refusal).into(),
            (Wake::Committed(_), MetadataCommand::Set { mailbox, entries }) => {
                note_own(mailbox, entries, core, cx);
                Reply::done().into()
            }
            (_, MetadataCommand::Get { .. }) => self.get(core, cx).unwrap_or_else(Step::Done),
            (_, MetadataCommand::Set { mailbox, entries }) => {
                set(mailbox, entries, core, cx).unwrap_or_else(Step::Done)
            }
        }
    }

    fn get(&mut self, core: &mut Core, cx: &Cx<'_>) -> Result<Step, Reply> {
        let MetadataCommand::Get { mailbox, entries, size_max, depth } = &self.command else {
            return Ok(Reply::done().into());
        };
        let subject = subject(mailbox, core, cx)?;
        let mut found = subject.entries(entries, *depth, core);
        if let Some(max) = *size_max {
            let too_long = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len) > max as usize;
            let longest = found.values().filter(|value| too_long(value)).flatten().map(Bytes::len).max();
            self.longest = self.longest.max(longest.unwrap_or(0));
            found.retain(|_, value| !too_long(value));
        }
        let after = self.after.take();
        let rest = found.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
        self.after = put_some(mailbox, rest, &mut core.out);
        if self.after.is_some() {
            return Ok(Step::Room);
        }
        Ok(match self.longest {
            0 => Reply::done(),
            // rfc5464#4.2.1
            longest => Reply::ok(format!("[METADATA LONGENTRIES {longest}] GETMETADATA completed")),
        }
        .into())
    }
}

impl<'a> Subject<'a> {
    /// What a client asked for: the entries named, and those below them. Without DEPTH an entry that is not
    /// there is told as NIL.
    fn entries(self, names: &[String], depth: Depth, core: &Core) -> BTreeMap<String, Option<Bytes>> {
        let mut found = BTreeMap::new();
        let visible = |name: &str| match self {
            Subject::Server(_) => !is_reserved(name),
            Subject::Mailbox(target) => target.is_own(core) || !name.starts_with("/private/"),
        };
        for name in names {
            let value = self.value(name).filter(|_| visible(name));
            if value.is_some() || depth == Depth::Zero {
                found.insert(name.clone(), value);
            }
            let near = |entry: &str| depth == Depth::Infinity || !entry[name.len() + 1..].contains('/');
            if depth != Depth::Zero {
                let below = self.below(name).filter(|(entry, _)| visible(entry) && near(entry));
                found.extend(
                    below.map(|(entry, value)| (entry.to_owned(), Some(Bytes::copy_from_slice(value)))),
                );
            }
        }
        found
    }

    fn value(self, name: &str) -> Option<Bytes> {
        match self {
            Subject::Server(account) => account.metadata(name).map(Bytes::copy_from_slice),
            Subject::Mailbox(target) => mailbox_value(target.mailbox, name),
        }
    }

    fn below(self, name: &str) -> Box<dyn Iterator<Item = (&'a str, &'a [u8])> + 'a> {
        match self {
            Subject::Server(account) => account.metadata_below(name),
            Subject::Mailbox(target) => target.mailbox.metadata_below(name),
        }
    }
}

/// Whether the server keeps an entry for itself.
pub fn is_reserved(name: &str) -> bool {
    name.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An entry of a mailbox, those included that the server computes.
fn mailbox_value(mailbox: MailboxRef<'_>, name: &str) -> Option<Bytes> {
    if name == SPECIAL_USE {
        return mailbox.special_use().map(|special| Bytes::from_static(special_use_name(special).as_bytes()));
    }
    mailbox.metadata(name).map(Bytes::copy_from_slice)
}

fn subject<'a>(name: &str, core: &Core, cx: &'a Cx<'_>) -> Result<Subject<'a>, Reply> {
    if name.is_empty() {
        return core.account(cx).map(Subject::Server);
    }
    let target = access::find(name, core, cx)?;
    target.allow(Rights::LOOKUP)?;
    if may_annotate(target.rights) {
        Ok(Subject::Mailbox(target))
    } else {
        Err(Reply::no("[NOPERM] The rights do not suffice"))
    }
}

/// Whether rights suffice for annotations (rfc5464#3.3).
pub fn may_annotate(rights: Rights) -> bool {
    let one_of = [Rights::READ, Rights::SEEN, Rights::WRITE, Rights::INSERT, Rights::POST];
    rights.contains(Rights::LOOKUP) && one_of.iter().any(|&right| rights.contains(right))
}

/// One METADATA reply with as many entries as there is room for; the last one shown if there are more.
fn put_some(
    name: &str,
    entries: impl Iterator<Item = (String, Option<Bytes>)>,
    out: &mut Out,
) -> Option<String> {
    let mut entries = entries.peekable();
    entries.peek()?;
    out.put(b"* METADATA ");
    out.mailbox(name);
    let (mut before, mut last) = (&b" ("[..], None);
    while let Some((entry, value)) = entries.next() {
        out.put(before);
        before = b" ";
        put_entry(out.text(), &entry, value.as_deref());
        if !out.has_room() && entries.peek().is_some() {
            last = Some(entry);
            break;
        }
    }
    out.put(b")\r\n");
    last
}

fn put_entry(text: &mut BytesMut, name: &str, value: Option<&[u8]>) {
    write::astring(text, name.as_bytes());
    text.extend_from_slice(b" ");
    match value {
        None => text.extend_from_slice(b"NIL"),
        // rfc5464#5 `value`: what holds a NUL is a literal8.
        Some(value) if memchr::memchr(0, value).is_some() => {
            text.extend_from_slice(format!("~{{{}}}\r\n", value.len()).as_bytes());
            text.extend_from_slice(value);
        }
        Some(value) => write::string(text, value),
    }
}

/// The METADATA reply that LIST was asked for (rfc9590#3): NIL for entries that are not there.
pub fn put_listed(out: &mut Out, name: &str, mailbox: MailboxRef<'_>, entries: &[String], own: bool) {
    out.put(b"* METADATA ");
    out.mailbox(name);
    let text = out.text();
    for (index, entry) in entries.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b" (" } else { b" " });
        let value = mailbox_value(mailbox, entry).filter(|_| own || !entry.starts_with("/private/"));
        put_entry(text, entry, value.as_deref());
    }
    text.extend_from_slice(b")\r\n");
}

fn set(
    name: &str,
    entries: &[(String, Option<Bytes>)],
    core: &mut Core,
    cx: &mut Cx<'_>,
) -> Result<Step, Reply> {
    let (account, mailbox): (AccountId, Option<MailboxId>) = match subject(name, core, cx)? {
        Subject::Server(account) => (account.id(), None),
        Subject::Mailbox(target) => {
            let private = entries.iter().any(|(entry, _)| entry.starts_with("/private/"));
            if private && !target.is_own(core) {
                return Err(Reply::no("[METADATA NOPRIVATE] Only its owner has private annotations there"));
            }
            (target.account.id(), Some(target.mailbox.id()))
        }
    };
    for (entry, value) in entries {
        check(entry, value.as_deref(), mailbox.is_none())?;
    }
    let entries = entries
        .iter()
        // A slice would keep the whole command.
        .map(|(entry, value)| (entry.clone(), value.as_ref().map(|value| Bytes::copy_from_slice(value))))
        .collect();
    Ok(Step::Commit(core.append_to(account, cx, Change::Metadata { mailbox, entries })?))
}

/// What the client annotated itself is not told to it (rfc5465#5).
fn note_own(name: &str, entries: &[(String, Option<Bytes>)], core: &mut Core, cx: &Cx<'_>) {
    let annotated = subject(name, core, cx).map(|subject| match subject {
        Subject::Server(account) => (account, None),
        Subject::Mailbox(target) => (target.account, Some(target.mailbox.id())),
    });
    let (Ok((account, of)), Some(watch)) = (annotated, &mut core.watch) else { return };
    if watch.account() == account.id() {
        let set = |known: &String| entries.iter().any(|(entry, _)| entry == known);
        watch.note_own_event(account, |event| match event {
            AccountEvent::Metadata { mailbox, entries } => *mailbox == of && entries.iter().all(set),
            _ => false,
        });
    }
}

/// Whether a client may set an entry to that.
fn check(entry: &str, value: Option<&[u8]>, server: bool) -> Result<(), Reply> {
    let (removed, value) = (value.is_none(), value.unwrap_or_default());
    if value.len() > METADATA_VALUE_BYTES_MAX {
        // rfc5464#4.3
        return Err(Reply::no(format!(
            "[METADATA MAXSIZE {METADATA_VALUE_BYTES_MAX}] The value is too long"
        )));
    }
    if server && (entry.starts_with("/shared/") || is_reserved(entry)) || !server && entry == SPECIAL_USE {
        return Err(Reply::no("[CANNOT] That annotation is read-only"));
    }
    let filter = entry.strip_prefix(FILTER_VALUES).filter(|_| server);
    if let Some(filter) = filter
        && (!filter.bytes().all(parse::lexer::is_atom_char) || filter.contains('/'))
    {
        // rfc5466#4 `filter-name`
        return Err(Reply::bad("A filter's name is an atom without a slash"));
    }
    if filter.is_some() && !removed && !parse::search::is_criteria(Bytes::copy_from_slice(value)) {
        // rfc5466#3.2
        return Err(Reply::no("[CANNOT] A filter holds search criteria"));
    }
    Ok(())
}
