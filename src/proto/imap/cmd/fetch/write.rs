//! One message's FETCH reply.
//!
//! *Owns*: items on the wire. *Promises*: octets of the message leave as extents, picked header fields and
//! what the summary holds ready are the only copies. *Assumes*: what is looked at here was warmed. *Never*:
//! skips an item.

use bytes::Bytes;
use ringpost_engine::index::Message;
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use super::plan::{Item, Plan};
use super::section::{Located, clip, is_whole_message, locate, pick_fields};
use crate::limits::IMAP_WARM_HEADER_BYTES;
use crate::proto::imap::command::{Partial, Section};
use crate::proto::imap::out::Out;
use crate::proto::imap::{reply, write};

/// Where a message is, as far as the plan needs it.
pub struct Stored {
    /// The octets; none if no item sends any.
    pub bytes: Option<Extent>,
    /// The encoded summary; empty if no item needs it.
    pub summary: Bytes,
}

impl Stored {
    /// The summary, unless it is damaged or was not asked for.
    pub fn view(&self) -> Option<SummaryView<'_>> {
        SummaryView::new(&self.summary)
    }

    fn size(&self) -> u32 {
        self.bytes.map_or(0, |bytes| bytes.len)
    }

    fn locate(&self, section: &Section) -> Located {
        if is_whole_message(section) {
            return Located::Run(0, self.size());
        }
        self.view().map_or(Located::Missing, |view| locate(section, &view, self.size()))
    }
}

/// What is known of the message beside its octets.
pub struct Facts<'a> {
    /// Its sequence number.
    pub number: u32,
    /// Its row.
    pub message: &'a Message,
    /// Whether it is `\Recent` here.
    pub recent: bool,
    /// The mailbox's keywords.
    pub keywords: &'a [String],
    /// FLAGS is added, because this command changed them (rfc3501#6.4.5).
    pub add_flags: bool,
    /// MODSEQ goes along with them (rfc7162#3.1).
    pub add_modseq: bool,
}

/// The run that has to be brought in because fields are picked from beyond what was warmed in advance.
pub fn cold_header(plan: &Plan, stored: &Stored) -> Option<Extent> {
    if !plan.picks_fields {
        return None;
    }
    let end_of = |item: &Item| match item {
        Item::Octets { section, .. } => match stored.locate(section) {
            Located::Fields(_, end) => Some(end),
            _ => None,
        },
        _ => None,
    };
    let end = plan.items.iter().filter_map(end_of).max()?;
    (end > IMAP_WARM_HEADER_BYTES).then(|| stored.bytes.map(|bytes| bytes.slice(0, end))).flatten()
}

/// `* n FETCH (…)`
pub fn message(plan: &Plan, facts: &Facts<'_>, stored: &Stored, store: &Store, out: &mut Out) {
    reply::fetch_begin(out.text(), facts.number);
    let extra = [facts.add_flags.then_some(Item::Flags), facts.add_modseq.then_some(Item::ModSeq)];
    for (index, item) in extra.iter().flatten().chain(&plan.items).enumerate() {
        if index > 0 {
            out.put(b" ");
        }
        put_item(item, facts, stored, store, out);
    }
    out.put(b")\r\n");
}

fn put_item(item: &Item, facts: &Facts<'_>, stored: &Stored, store: &Store, out: &mut Out) {
    match item {
        Item::Flags => {
            out.put(b"FLAGS ");
            reply::flags(out.text(), facts.message.flags, facts.recent, facts.keywords);
        }
        Item::Uid => {
            out.put(b"UID ");
            reply::number(out.text(), u64::from(facts.message.uid.0));
        }
        Item::ModSeq => reply::modseq(out.text(), facts.message.modseq),
        Item::InternalDate => {
            out.put(b"INTERNALDATE ");
            write::date_time(out.text(), facts.message.internal_ms as i64);
        }
        Item::Size => {
            out.put(b"RFC822.SIZE ");
            reply::number(out.text(), u64::from(facts.message.size));
        }
        Item::Envelope => put_ready(b"ENVELOPE ", stored, |view| view.envelope(), out),
        Item::Body => put_ready(b"BODY ", stored, |view| view.body(), out),
        Item::BodyStructure => put_ready(b"BODYSTRUCTURE ", stored, |view| view.bodystructure(), out),
        Item::Octets { label, section, partial } => {
            out.put(label);
            put_octets(section, *partial, stored, store, out);
        }
    }
}

/// What the summary holds in wire form.
fn put_ready(name: &[u8], stored: &Stored, octets: for<'v> fn(&SummaryView<'v>) -> &'v [u8], out: &mut Out) {
    out.put(name);
    match stored.view() {
        Some(view) => out.put(octets(&view)),
        None => out.put(b"NIL"),
    }
}

fn put_octets(section: &Section, partial: Option<Partial>, stored: &Stored, store: &Store, out: &mut Out) {
    let Some(bytes) = stored.bytes else { return out.put(b" NIL") };
    match stored.locate(section) {
        Located::Missing => out.put(b" NIL"),
        Located::Run(start, end) => {
            let (from, to) = clip(start, end, partial);
            put_literal_head(out, to - from);
            out.extent(bytes.slice(from, to - from));
        }
        Located::Fields(start, end) => {
            let header = store.bytes(bytes.slice(start, end - start)).unwrap_or_default();
            let picked = pick_fields(&header, &section.text);
            let (from, to) = clip(0, picked.len() as u32, partial);
            put_literal_head(out, to - from);
            out.put(&picked[from as usize..to as usize]);
        }
    }
}

fn put_literal_head(out: &mut Out, len: u32) {
    out.put(b" {");
    reply::number(out.text(), u64::from(len));
    out.put(b"}\r\n");
}
