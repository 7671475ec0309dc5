//! What LIST and LSUB tell of one name.
//!
//! *Owns*: attributes, extended data items, and the replies that follow a LIST reply because they were asked
//! for. *Promises*: every attribute is accurate; costs the same whatever the mailbox holds. *Assumes*: the
//! caller decided that the name is shown. *Never*: goes through names.

use ringpost_engine::change::{Rights, SpecialUse};
use ringpost_engine::index::MailboxRef;

use super::status;
use crate::proto::imap::cmd::sharing::{acl, metadata};
use crate::proto::imap::command::ListReturn;
use crate::proto::imap::out::Out;

/// Which of the two commands shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// LIST
    List,
    /// LSUB
    Lsub,
}

/// What is shown of one name.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// As it is written.
    pub name: &'a str,
    /// None if there is no such mailbox.
    pub mailbox: Option<MailboxRef<'a>>,
    /// There are mailboxes below it that the user may see.
    pub children: bool,
    /// The name itself is subscribed; looked at only if that was asked for.
    pub subscribed: bool,
    /// It is shown because names below it meet the selection criteria, and that was asked for.
    pub below: bool,
    /// It meets the criteria itself.
    pub itself: bool,
    /// What the user may do with it.
    pub rights: Rights,
    /// Whether the user owns it.
    pub own: bool,
}

/// A whole LIST or LSUB reply and what was asked to follow it.
pub fn put(out: &mut Out, word: Word, shown: &Shown<'_>, returns: &ListReturn, facts: status::Facts) {
    let text = out.text();
    text.extend_from_slice(match word {
        Word::List => b"* LIST (",
        Word::Lsub => b"* LSUB (",
    });
    let attributes = attributes(word, shown, returns);
    for (index, attribute) in attributes.into_iter().flatten().enumerate() {
        if index > 0 {
            text.extend_from_slice(b" ");
        }
        text.extend_from_slice(attribute.as_bytes());
    }
    text.extend_from_slice(b") \"/\" ");
    out.mailbox(shown.name);
    let text = out.text();
    if shown.below && word == Word::List {
        // rfc5258#3.5
        text.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    }
    text.extend_from_slice(b"\r\n");
    // rfc5819#3, rfc8440#4: nothing follows for a name that is shown because of its children only.
    let Some(mailbox) = shown.mailbox.filter(|_| shown.itself) else { return };
    if !returns.status.is_empty() && !mailbox.no_select() && shown.rights.contains(Rights::READ) {
        status::put(out, shown.name, mailbox, &returns.status, facts);
    }
    if returns.my_rights {
        acl::put_mine(out, shown.name, shown.rights);
    }
    if !returns.metadata.is_empty() && metadata::may_annotate(shown.rights) {
        metadata::put_listed(out, shown.name, mailbox, &returns.metadata, shown.own);
    }
}

/// A name that only holds other users' mailboxes.
pub fn put_root(out: &mut Out, name: &str) {
    out.put(b"* LIST (\\Noselect \\HasChildren) \"/\" ");
    out.mailbox(name);
    out.put(b"\r\n");
}

/// A LIST reply that nobody asked for, with the name it had before (rfc5465#5.4, #5.5).
pub fn put_event(out: &mut Out, shown: &Shown<'_>, old: Option<&str>) {
    out.put(b"* LIST (");
    let returns = ListReturn { subscribed: true, ..ListReturn::default() };
    let mut attributes = attributes(Word::List, shown, &returns);
    if old.is_some() && shown.mailbox.is_none() {
        // rfc5465#5.4: after this event it was there; what became of it since is told by the next ones.
        attributes[0] = None;
    }
    for (index, attribute) in attributes.into_iter().flatten().enumerate() {
        out.put(if index > 0 { b" " } else { b"" });
        out.put(attribute.as_bytes());
    }
    out.put(b") \"/\" ");
    out.mailbox(shown.name);
    if let Some(old) = old {
        out.put(b" (\"OLDNAME\" (");
        out.mailbox(old);
        out.put(b"))");
    }
    out.line("");
}

fn attributes(word: Word, shown: &Shown<'_>, returns: &ListReturn) -> [Option<&'static str>; 4] {
    if word == Word::Lsub {
        // rfc3501#6.3.9: \Noselect marks a name that is only above a subscribed one.
        let selectable = shown.subscribed && shown.mailbox.is_none_or(|mailbox| !mailbox.no_select());
        return [(!selectable).then_some("\\Noselect"), None, None, None];
    }
    let existence = match shown.mailbox {
        None => Some("\\NonExistent"),
        Some(mailbox) if mailbox.no_select() => Some("\\Noselect"),
        // rfc5819#2: without "r" its figures are not told, and it says why.
        Some(_) if !shown.rights.contains(Rights::READ) => Some("\\Noselect"),
        Some(_) => None,
    };
    let children = match shown.children {
        true => "\\HasChildren",
        false => "\\HasNoChildren",
    };
    let special_use = shown.mailbox.and_then(|mailbox| mailbox.special_use());
    [
        existence,
        // rfc3348#3
        Some(children),
        (returns.subscribed && shown.subscribed).then_some("\\Subscribed"),
        special_use.filter(|_| returns.special_use && shown.own).map(special_use_name),
    ]
}

/// rfc6154#2
pub fn special_use_name(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
        SpecialUse::Flagged => "\\Flagged",
        SpecialUse::All => "\\All",
    }
}
