//! Stories as lines.
//!
//! *Owns*: what a person reads at three in the morning, and the same for machines. *Promises*: one line an event,
//! time first. *Assumes*: names are as they were at the time. *Never*: lets text of a message reach a terminal
//! raw.

use serde_json::{Value, json};

use super::Standing;
use super::sessions::{Session, Sessions};
use super::tale::{Card, DELIVERED, Event, Named, Tale, What};
use crate::data::Shard;
use crate::output::{Output, moment, name, number, plain};
use crate::who::By;

impl Named {
    fn json(&self) -> Value {
        json!({
            "account": self.at.account.0, "address": self.address, "mailbox": self.mailbox,
            "mailbox_id": self.at.mailbox.0, "uid": self.at.uid.0,
        })
    }

    fn text(&self) -> String {
        format!("{} {} UID {}", plain(&self.address), plain(&self.mailbox), self.at.uid)
    }
}

impl What {
    /// Where the message was before it, or came to by it.
    pub fn place(&self) -> &Named {
        match self {
            What::Arrived { to: named, .. }
            | What::Copied { from: named, .. }
            | What::Restored { from: named, .. }
            | What::Replaced { gone: named }
            | What::Flags { of: named, .. }
            | What::Read { of: named }
            | What::Expunged { of: named }
            | What::Left { of: named, .. }
            | What::Renamed { of: named, .. }
            | What::MailboxGone { of: named }
            | What::AccountGone { of: named } => named,
        }
    }

    /// Where it was after it.
    pub fn end(&self) -> &Named {
        match self {
            What::Copied { to, .. } | What::Restored { to, .. } => to,
            other => other.place(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            What::Arrived { how, .. } => how,
            What::Replaced { .. } => "replaced",
            What::Flags { now: Some(_), .. } => "flags",
            What::Flags { now: None, .. } => "flags-refused",
            What::Copied { moved: false, .. } => "copied",
            What::Copied { moved: true, .. } => "moved",
            What::Restored { .. } => "restored",
            What::Read { .. } => "read",
            What::Expunged { .. } => "expunged",
            What::Left { .. } => "left",
            What::Renamed { .. } => "mailbox-renamed",
            What::MailboxGone { .. } => "mailbox-deleted",
            What::AccountGone { .. } => "account-deleted",
        }
    }

    fn text(&self) -> String {
        let (word, place) = (self.word(), self.place().text());
        let list = |flags: &[String]| plain(&flags.join(" "));
        match self {
            What::Arrived { flags, .. } => format!("{word} to {place}, flags ({})", list(flags)),
            What::Replaced { .. } => format!("{word} {place}, which is gone"),
            What::Flags { asked, now: Some(now), .. } => {
                format!("flags {} of {place}, now ({})", plain(asked), list(now))
            }
            What::Flags { asked, now: None, .. } => {
                format!("flags {} of {place}: not carried out, it had changed meanwhile", plain(asked))
            }
            What::Copied { to, .. } | What::Restored { to, .. } => {
                format!("{word} from {place} to {}", to.text())
            }
            What::Left { how, .. } => format!("left {place}, by {how}"),
            What::Renamed { to, .. } => format!("the mailbox of {place} is called {} now", plain(to)),
            What::Read { .. } => format!("sent whole to a POP3 client, or some seconds before: {place}"),
            What::Expunged { .. } => format!("expunged from {place}"),
            What::MailboxGone { .. } => format!("gone with its mailbox: {place}"),
            What::AccountGone { .. } => format!("gone with its account: {place}"),
        }
    }

    fn json(&self) -> Value {
        match self {
            What::Arrived { flags, .. } => json!({"flags": flags}),
            What::Flags { asked, now, .. } => json!({"asked": asked, "flags": now}),
            What::Copied { to, .. } | What::Restored { to, .. } => json!({"to": to.json()}),
            What::Renamed { to, .. } => json!({"name": to}),
            _ => json!({}),
        }
    }
}

/// One body's story.
pub fn tale(shard: &Shard, tale: &Tale, sessions: Option<&Sessions>, output: &mut Output) {
    let Some(message) = &tale.card else {
        let object = json!({"type": "message", "shard": number(shard), "lsn": null});
        return output.line(&object, || "the message's record could not be read".to_owned());
    };
    // What came by SMTP or LMTP carries the server's own fields first; what was appended, a client's.
    let arrivals = tale.events.iter().filter(|event| matches!(event.what, What::Arrived { .. }));
    let arrival = arrivals.map(|event| event.what.word()).min_by_key(|word| *word != DELIVERED);
    card(shard, message, arrival, output);
    for event in &tale.events {
        let nameless = event.what.word() != DELIVERED && event.by == By::Nobody;
        let open = sessions.filter(|_| nameless);
        let open = open.map(|all| all.open_at(&event.what.place().address, event.time_ms));
        line(shard, message, event, open, output);
    }
}

fn card(shard: &Shard, card: &Card, arrival: Option<&str>, output: &mut Output) {
    let trace = arrival.is_none_or(|how| how == DELIVERED).then_some(&card.trace);
    let object = json!({
        "type": "message", "shard": number(shard), "lsn": card.body.0, "file": card.file.name(),
        "offset": card.offset, "octets": card.octets, "batch": card.batch.map(|(number, _)| number),
        "time": card.batch.map(|(_, time_ms)| moment(time_ms)),
        "message_id": card.message_id, "from": card.from, "subject": card.subject,
        "received": trace.map(|trace| trace.json()), "arrival_told": arrival.is_some(),
    });
    output.line(&object, || {
        let known = |text: &Option<String>| plain(text.as_deref().unwrap_or("(none)"));
        let (id, lsn) = (known(&card.message_id), card.body);
        let mut text = format!("message <{id}>, position {lsn} of {}\n", name(shard));
        text += &format!("  from      {}\n  subject   {}\n", known(&card.from), known(&card.subject));
        text += &match trace {
            Some(trace) if arrival.is_some() => format!("  received  {}\n", plain(&trace.text())),
            Some(trace) if trace.queue_id.is_some() => {
                format!(
                    "  received  as its first fields say (a client may have written them): {}\n",
                    plain(&trace.text())
                )
            }
            Some(_) => "  received  the log does not tell any more how it came\n".to_owned(),
            None => "  received  by APPEND or import, not by SMTP or LMTP\n".to_owned(),
        };
        let (octets, offset, file) = (card.octets, card.offset, card.file.name());
        text += &format!("  stored    {octets} octets at byte {offset} of {file}");
        match card.batch {
            Some((batch, time_ms)) => {
                text + &format!(", batch {batch}\n  {} {:>12}  stored", moment(time_ms), card.body)
            }
            None => text + ", by compaction",
        }
    });
}

fn line(shard: &Shard, card: &Card, event: &Event, open: Option<Vec<&Session>>, output: &mut Output) {
    let sessions = open.as_ref().map(|open| open.iter().map(|session| session.json()).collect::<Vec<_>>());
    let mut object = json!({
        "type": "event", "shard": number(shard), "message": card.body.0, "time": moment(event.time_ms),
        "lsn": event.lsn, "event": event.what.word(), "at": event.what.place().json(), "by": event.by.json(),
        "sessions": sessions,
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut object, event.what.json()) {
        all.extend(own);
    }
    output.line(&object, || {
        let mut text = format!("  {} {:>12}  {}", moment(event.time_ms), event.lsn, event.what.text());
        let names =
            |open: &[&Session]| open.iter().map(|one| plain(&one.text())).collect::<Vec<_>>().join(", ");
        let by = match open.as_deref() {
            None => event.by.text().map(|by| format!("by {by}")),
            Some([]) => Some("no session that has ended was open then".to_owned()),
            Some([one]) => Some(format!("open then: {}, and no other that has ended", plain(&one.text()))),
            Some(several) => Some(format!("open then, one of: {}", names(several))),
        };
        if let Some(by) = by {
            text += &format!("\n{:41}{by}", "");
        }
        text
    });
}

/// Where a message stands now.
pub fn standing(shard: &Shard, now: &Standing, output: &mut Output) {
    let at = &now.at;
    let object = json!({
        "type": "now", "shard": number(shard), "account": at.account.0, "address": now.address,
        "mailbox": now.mailbox, "mailbox_id": at.mailbox.0, "uid": at.uid.0, "flags": now.flags,
        "in_index": now.in_index, "in_story": now.in_story,
    });
    output.line(&object, || {
        let place = format!("{} {} UID {}", plain(&now.address), plain(&now.mailbox), at.uid);
        match (now.in_index, now.in_story) {
            (true, true) => format!("  now       {place}, flags ({})", plain(&now.flags.join(" "))),
            (true, false) => format!("  now       {place}: the story above does not say how it came there"),
            (false, _) => format!("  now       not in {place}: the store refused it (quota, or a bound)"),
        }
    });
}

/// What a story cannot tell.
pub fn limits(shard: &Shard, tales: &[Tale], sessions: bool, output: &mut Output) {
    let mut events = tales.iter().flat_map(|tale| &tale.events);
    let nameless = events.any(|event| event.by == By::Nobody && event.what.word() != DELIVERED);
    notes(shard, nameless, Some(sessions), output);
}

/// The same: whether some change has nobody's name, and whether the server's lines were at hand; of what is no message
/// neither they nor reading are told.
pub fn notes(shard: &Shard, nameless: bool, sessions: Option<bool>, output: &mut Output) {
    let who = match (nameless, sessions) {
        (false, _) => None,
        (true, None) => Some("changes without a name are the store's own, or of a version that named nobody"),
        (true, Some(false)) => Some(
            "the log does not name who made the changes without a name; --server-log names the sessions that were open",
        ),
        (true, Some(true)) => {
            Some("sessions that were open are from the server's log lines; one that still lasts has none yet")
        }
    };
    let read = "what was read by POP3 is noted if store.note_reads is on; FETCH by IMAP leaves only the \\Seen it sets";
    for note in who.into_iter().chain(sessions.map(|_| read)) {
        let object = json!({"type": "note", "shard": number(shard), "note": note});
        output.line(&object, || format!("  note      {note}"));
    }
}
