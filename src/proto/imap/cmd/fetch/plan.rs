//! What a FETCH command needs, worked out once for all its messages.
//!
//! *Owns*: the items in wire order with their labels. *Promises*: the same plan for every message, so that
//! nothing is decided or formatted twice; octets come last, for they may take several calls. *Assumes*: the
//! parser expanded macros. *Never*: sees a message.

use bytes::{Bytes, BytesMut};

use super::fields::Names;
use crate::proto::imap::command::{Fetch, FetchItem, Partial, Section, SectionText};
use crate::proto::imap::write;

/// One item that is written at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `FLAGS`
    Flags,
    /// `UID`
    Uid,
    /// `MODSEQ`
    ModSeq,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `EMAILID`
    EmailId,
    /// `THREADID`
    ThreadId,
    /// `SAVEDATE`
    SaveDate,
    /// `PREVIEW`
    Preview,
    /// `SNIPPET`
    Snippet,
}

/// How octets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are stored.
    Stored,
    /// Decoded (rfc3516#4.3).
    Binary,
    /// Only how many they would be, decoded.
    BinarySize,
}

/// Octets of the message, under the label that the client used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets {
    /// `BODY[…]<…>` or `RFC822…`
    pub label: Bytes,
    /// How.
    pub form: Form,
    /// Which.
    pub section: Section,
    /// Which of them.
    pub partial: Option<Partial>,
    /// The header fields that the section names, if it picks some.
    pub fields: Option<Names>,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are written.
    pub items: Vec<Item>,
    /// Written behind the items.
    pub octets: Vec<Octets>,
    /// FLAGS is among them.
    pub flags: bool,
    /// MODSEQ is among them.
    pub modseq: bool,
    /// UID is among them.
    pub uid: bool,
    /// Reading sets `\Seen`.
    pub marks_seen: bool,
    /// Something of the stored message is sent: its summary has to be looked at.
    pub needs_summary: bool,
    /// A header has to be looked at.
    pub picks_fields: bool,
    /// More than headers are sent, from this octet of the message on.
    pub sends_from: Option<u64>,
}

impl Plan {
    /// The plan of a command.
    pub fn new(fetch: &Fetch, uid_only: bool) -> Plan {
        let mut plan = Plan {
            items: Vec::with_capacity(fetch.items.len() + 2),
            octets: Vec::new(),
            flags: false,
            modseq: false,
            uid: fetch.uid,
            marks_seen: false,
            needs_summary: false,
            picks_fields: false,
            sends_from: None,
        };
        if fetch.uid && !uid_only {
            // rfc3501#6.4.8: UID is always part of the reply to UID FETCH. UIDFETCH begins with it, and says it
            // again only if asked (rfc9586#3.3).
            plan.items.push(Item::Uid);
        }
        for item in &fetch.items {
            plan.add(item);
        }
        if fetch.changed_since.is_some() && !plan.modseq {
            // rfc7162#3.1.4.1
            plan.add(&FetchItem::ModSeq);
        }
        plan
    }

    fn add(&mut self, item: &FetchItem) {
        let item = match item {
            FetchItem::Flags => Item::Flags,
            FetchItem::Uid => Item::Uid,
            FetchItem::ModSeq => Item::ModSeq,
            FetchItem::InternalDate => Item::InternalDate,
            FetchItem::Rfc822Size => Item::Size,
            FetchItem::Envelope => Item::Envelope,
            FetchItem::Body => Item::Body,
            FetchItem::BodyStructure => Item::BodyStructure,
            FetchItem::EmailId => Item::EmailId,
            FetchItem::ThreadId => Item::ThreadId,
            FetchItem::SaveDate => Item::SaveDate,
            FetchItem::Preview => Item::Preview,
            FetchItem::Snippet => Item::Snippet,
            FetchItem::Binary { peek, path, partial } => {
                return self.add_binary(b"BINARY", Form::Binary, path, *partial, !peek);
            }
            // rfc3516#4.2: the size is no content, and nobody has seen it.
            FetchItem::BinarySize(path) => {
                return self.add_binary(b"BINARY.SIZE", Form::BinarySize, path, None, false);
            }
            FetchItem::Rfc822 => return self.add_old_name(b"RFC822", SectionText::Whole, true),
            FetchItem::Rfc822Header => {
                return self.add_old_name(b"RFC822.HEADER", SectionText::Header, false);
            }
            FetchItem::Rfc822Text => return self.add_old_name(b"RFC822.TEXT", SectionText::Text, true),
            FetchItem::Section { peek, section, partial } => {
                let mut label = BytesMut::new();
                write::body_section(&mut label, section, *partial);
                return self.add_octets(label.freeze(), section.clone(), *partial, !peek);
            }
        };
        if item == Item::Uid && self.items.contains(&Item::Uid) {
            return;
        }
        self.flags |= item == Item::Flags;
        self.modseq |= item == Item::ModSeq;
        self.uid |= item == Item::Uid;
        let of_index =
            matches!(item, Item::Flags | Item::Uid | Item::ModSeq | Item::InternalDate | Item::Size);
        self.needs_summary |= !of_index && !matches!(item, Item::EmailId | Item::SaveDate);
        self.items.push(item);
    }

    /// The names of rfc822 times for whole, header and text.
    fn add_old_name(&mut self, label: &'static [u8], text: SectionText, marks_seen: bool) {
        self.add_octets(Bytes::from_static(label), Section { path: Vec::new(), text }, None, marks_seen);
    }

    fn add_binary(
        &mut self,
        name: &[u8],
        form: Form,
        path: &[u32],
        partial: Option<Partial>,
        marks_seen: bool,
    ) {
        let mut label = BytesMut::from(name);
        write::binary_section(&mut label, path, partial);
        let section = Section { path: path.to_vec(), text: SectionText::Whole };
        self.add_octets(label.freeze(), section, partial, marks_seen);
        if let Some(octets) = self.octets.last_mut() {
            octets.form = form;
        }
    }

    fn add_octets(&mut self, label: Bytes, section: Section, partial: Option<Partial>, marks_seen: bool) {
        self.marks_seen |= marks_seen;
        if matches!(section.text, SectionText::Whole | SectionText::Text) {
            let from = partial.filter(|_| section.path.is_empty()).map_or(0, |partial| partial.start);
            self.sends_from = Some(self.sends_from.map_or(from, |before| before.min(from)));
        }
        // Where a section is, and whether it may be sent as it is stored, stands in the summary.
        self.needs_summary = true;
        let fields = Names::of(&section);
        self.picks_fields |= fields.is_some();
        self.octets.push(Octets { label, form: Form::Stored, section, partial, fields });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::imap::command::{Bound, SequenceSet};
    use ringpost_engine::ids::ModSeq;

    fn plan(items: Vec<FetchItem>, uid: bool, changed_since: Option<ModSeq>) -> Plan {
        let set = SequenceSet { ranges: vec![(Bound::At(1), Bound::Last)], saved: false };
        Plan::new(&Fetch { uid, set, items, changed_since, vanished: false, partial: None }, false)
    }

    #[test]
    fn index_items_touch_no_message() {
        let items = vec![FetchItem::Flags, FetchItem::Uid, FetchItem::Rfc822Size, FetchItem::InternalDate];
        let plan = plan(items, true, Some(ModSeq(3)));
        assert!(!plan.needs_summary && !plan.marks_seen);
        let expected = [Item::Uid, Item::Flags, Item::Size, Item::InternalDate, Item::ModSeq];
        assert_eq!(plan.items, expected, "UID once, MODSEQ by CHANGEDSINCE");
    }

    #[test]
    fn octets_come_last_and_mark_as_seen_unless_they_only_peek() {
        let whole = |peek| FetchItem::Section {
            peek,
            section: Section { path: Vec::new(), text: SectionText::Whole },
            partial: None,
        };
        let seen = plan(vec![whole(false), FetchItem::Flags], false, None);
        assert!(seen.needs_summary && seen.marks_seen && seen.flags);
        assert_eq!((seen.items.as_slice(), seen.octets.len()), (&[Item::Flags][..], 1));
        assert!(!plan(vec![whole(true)], false, None).marks_seen);
        assert!(!plan(vec![FetchItem::Rfc822Header], false, None).marks_seen, "rfc3501#6.4.5");
        assert!(plan(vec![FetchItem::Rfc822Text], false, None).marks_seen);
    }
}
