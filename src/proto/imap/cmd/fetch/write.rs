//! The head of one message's FETCH reply: all but octets of the message.
//!
//! *Owns*: items on the wire. *Promises*: what the summary holds ready is the only copy; of a message with a huge
//! structure, not even that. *Assumes*: what is looked at here was warmed. *Never*: skips an item.

use ringpost_engine::ids::ShardId;
use ringpost_engine::index::Message;
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;

use super::plan::{Item, Plan};
use crate::limits::IMAP_READY_BYTES_MAX;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::{self, Name};
use crate::proto::imap::write;

/// What is known of the message beside its octets.
pub struct Facts<'a> {
    /// What it is called.
    pub name: Name,
    /// Its row.
    pub message: &'a Message,
    /// Where it lies.
    pub shard: ShardId,
    /// Whether it is `\Recent` here.
    pub recent: bool,
    /// The mailbox's keywords.
    pub keywords: &'a [String],
    /// FLAGS is added, because this command changed them (rfc3501#6.4.5).
    pub add_flags: bool,
    /// UID and MODSEQ go along with them (rfc7162#3.2.4).
    pub add_uid: bool,
    /// See `add_uid`.
    pub add_modseq: bool,
}

/// A summary and where it is stored.
type Stored<'a> = (SummaryView<'a>, Extent);

/// `* n FETCH (…` up to where octets follow, or whole if none do. Whether anything stands behind the
/// parenthesis.
pub fn head(plan: &Plan, facts: &Facts<'_>, stored: Option<&Stored<'_>>, out: &mut Out) -> bool {
    reply::fetch_begin(out.text(), facts.name);
    let extra = [
        facts.add_flags.then_some(Item::Flags),
        facts.add_uid.then_some(Item::Uid),
        facts.add_modseq.then_some(Item::ModSeq),
    ];
    let mut any = false;
    for item in extra.iter().flatten().chain(&plan.items) {
        if std::mem::replace(&mut any, true) {
            out.put(b" ");
        }
        put_item(item, facts, stored, out);
    }
    if plan.octets.is_empty() {
        out.put(b")\r\n");
    }
    any
}

fn put_item(item: &Item, facts: &Facts<'_>, stored: Option<&Stored<'_>>, out: &mut Out) {
    let summary = stored.map(|(summary, _)| summary);
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
        Item::Envelope => put_ready(b"ENVELOPE ", Ready::Envelope, stored, out),
        Item::Body => put_ready(b"BODY ", Ready::Body, stored, out),
        Item::Preview => {
            out.put(b"PREVIEW ");
            write::string(out.text(), summary.map_or("", |summary| summary.preview()).as_bytes());
        }
        Item::Snippet => {
            out.put(b"SNIPPET (FUZZY ");
            write::string(out.text(), summary.map_or("", |summary| summary.preview()).as_bytes());
            out.put(b")");
        }
        Item::BodyStructure => put_ready(b"BODYSTRUCTURE ", Ready::BodyStructure, stored, out),
        Item::EmailId => {
            out.put(b"EMAILID (");
            write::email_id(out.text(), facts.message.email(facts.shard));
            out.put(b")");
        }
        Item::ThreadId => {
            out.put(b"THREADID (");
            let thread = summary.map_or(0, |summary| summary.thread_id());
            write::thread_id(out.text(), thread, facts.message.email(facts.shard));
            out.put(b")");
        }
        Item::SaveDate => {
            out.put(b"SAVEDATE ");
            write::date_time(out.text(), facts.message.saved_ms as i64);
        }
    }
}

/// What the summary holds in wire form.
#[derive(Clone, Copy)]
enum Ready {
    Envelope,
    Body,
    BodyStructure,
}

fn put_ready(name: &[u8], ready: Ready, stored: Option<&Stored<'_>>, out: &mut Out) {
    out.put(name);
    let Some((summary, extent)) = stored else { return out.put(b"NIL") };
    let (envelope, body) = (summary.envelope(), summary.body());
    let start = summary.envelope_start();
    let (octets, start) = match ready {
        Ready::Envelope => (envelope, start),
        Ready::Body => (body, start + envelope.len()),
        Ready::BodyStructure => (summary.bodystructure(), start + envelope.len() + body.len()),
    };
    if octets.len() <= IMAP_READY_BYTES_MAX {
        out.put(octets);
    } else {
        out.octets(extent.slice(start as u32, octets.len() as u32));
    }
}
