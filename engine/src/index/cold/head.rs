//! An account as bytes: its head, with everything but rows in it or where to find it.
//!
//! *Owns*: the encoding of accounts and mailboxes in a checkpoint (README §10.1). *Promises*: what is read back
//! has the same digest; totals that can be counted are counted, not read. *Assumes*: the sums were verified;
//! what does not hold together all the same is none, never a panic. *Never*: holds rows; a block is a blob.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::change::{Services, SpecialUse};
use crate::checkpoint::Piece;
use crate::checkpoint::format::open_blob;
use crate::checkpoint::images::{Held, hold};
use crate::checkpoint::round::Round;
use crate::checkpoint::wire::{Wire, put, put_from, put_octets, put_text};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::index::account::{Account, INBOX_ID};
use crate::index::columns::Columns;
use crate::index::events::Events;
use crate::index::extras::{AccountExtras, Grants, MailboxExtras};
use crate::index::history::History;
use crate::index::keywords::Keywords;
use crate::index::mailbox::Mailbox;
use crate::index::names;
use crate::limits::HEAD_PART_BYTES_MAX;

const NO_SELECT: u8 = 1;
const SUBSCRIBED: u8 = 2;
const KEYWORDS: u8 = 4;
const EXPUNGED: u8 = 8;
const EXTRAS: u8 = 16;
const USE_SHIFT: u32 = 5;

/// Beside the services: the account comes from another log and is not all there yet.
const ARRIVING: u8 = 1 << 7;

/// What a start has to know of an account without reading all of its head.
pub(in crate::index) struct Digested<'a> {
    pub(in crate::index) address: &'a str,
    pub(in crate::index) mailboxes: u64,
    pub(in crate::index) messages: u64,
    /// Who is named in its access control lists.
    pub(in crate::index) grantees: Vec<&'a str>,
    /// It comes from another log and is not all there yet.
    pub(in crate::index) arriving: bool,
}

/// Where the long parts of an account are, and what it held when it was last written.
#[derive(Debug, Default)]
pub(in crate::index) struct Parts(Vec<Piece>);

impl Parts {
    /// Where they are.
    pub(in crate::index) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.0.iter().copied()
    }

    /// What they hold of checkpoint files.
    pub(in crate::index) fn hold(&self, held: &mut Held) {
        self.0.iter().for_each(|piece| hold(held, piece.file, u64::from(piece.len)));
    }

    /// Puts what is short into the head, and what is long into a blob.
    fn put(&mut self, round: &mut Round, out: &mut Vec<u8>, part: &[u8]) {
        if part.len() <= HEAD_PART_BYTES_MAX {
            out.push(0);
            return put_octets(out, part);
        }
        let piece = round.blob(part);
        out.push(1);
        put(out, u64::from(piece.file));
        put(out, piece.offset);
        put(out, u64::from(piece.len));
        self.0.push(piece);
    }

    fn get(&mut self, wire: &mut Wire<'_>, image: &impl Fn(Piece) -> Option<Bytes>) -> Option<Bytes> {
        match wire.byte()? {
            0 => wire.octets().map(Bytes::copy_from_slice),
            1 => {
                let piece = Piece { file: wire.word()?, offset: wire.number()?, len: wire.word()? };
                let blob = image(piece)?;
                let part = open_blob(&blob)?.len();
                self.0.push(piece);
                Some(blob.slice(blob.len() - part..))
            }
            _ => None,
        }
    }
}

/// Looks at the front of a head.
pub(in crate::index) fn digest(head: &[u8]) -> Option<Digested<'_>> {
    let mut wire = Wire::new(head);
    let (address, mailboxes, messages) = (wire.text()?, wire.number()?, wire.number()?);
    let grantees = (0..wire.count()?).map(|_| wire.text()).collect::<Option<_>>()?;
    wire.text()?;
    let arriving = wire.byte()? & ARRIVING != 0;
    Some(Digested { address, mailboxes, messages, grantees, arriving })
}

/// Puts what has changed of an account into a round. None: bytes of an older checkpoint that are still needed
/// are damaged.
pub(in crate::index) fn write(account: &mut Account, arriving: bool, round: &mut Round) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    let mut parts = Parts::default();
    put_text(&mut out, &account.address);
    put(&mut out, account.mailboxes.len() as u64);
    put(&mut out, account.messages);
    put(&mut out, account.grants.identifiers().count() as u64);
    account.grants.identifiers().for_each(|identifier| put_text(&mut out, identifier));
    put_text(&mut out, &account.password_hash);
    out.push(account.services.0 & !ARRIVING | if arriving { ARRIVING } else { 0 });
    put(&mut out, account.created_ms);
    put(&mut out, account.highest_modseq.0);
    put(&mut out, u64::from(account.next_mailbox.0));
    put(&mut out, u64::from(account.last_uid_validity));
    let (first, last) = account.lost_uid_validity.unwrap_or_default();
    put(&mut out, u64::from(first));
    put(&mut out, u64::from(last));
    put(&mut out, u64::from(round.file));
    let mut part = Vec::new();
    account.events.write(&mut part);
    parts.put(round, &mut out, &part);
    part.clear();
    if let Some(extras) = &account.extras {
        extras.write(&mut part);
    }
    parts.put(round, &mut out, &part);
    let other = account.subscriptions.iter().filter(|name| !account.names.contains_key(*name));
    put(&mut out, other.clone().count() as u64);
    other.for_each(|name| put_text(&mut out, name));
    let (mut id, mut uid_validity) = (0, account.last_uid_validity);
    for mailbox in account.mailboxes.values_mut() {
        put(&mut out, u64::from(mailbox.id.0 - id));
        put_from(&mut out, u64::from(uid_validity), u64::from(mailbox.uid_validity));
        (id, uid_validity) = (mailbox.id.0, mailbox.uid_validity);
        let subscribed = account.subscriptions.contains(&mailbox.name);
        write_mailbox(mailbox, subscribed, round, &mut parts, &mut out)?;
    }
    account.parts = parts;
    Some(out)
}

fn write_mailbox(
    mailbox: &mut Mailbox,
    subscribed: bool,
    round: &mut Round,
    parts: &mut Parts,
    out: &mut Vec<u8>,
) -> Option<()> {
    let special_use = mailbox.special_use.map_or(0, |special_use| special_use as u8);
    let flags = [
        (mailbox.no_select, NO_SELECT),
        (subscribed, SUBSCRIBED),
        (!mailbox.keywords.names().is_empty(), KEYWORDS),
        (!mailbox.expunges.is_new(), EXPUNGED),
        (mailbox.extras.is_some(), EXTRAS),
    ];
    let flags =
        flags.iter().filter(|(set, _)| *set).fold(special_use << USE_SHIFT, |all, (_, bit)| all | bit);
    out.push(flags);
    put_text(out, &mailbox.name);
    put(out, u64::from(mailbox.uid_next.0));
    put(out, u64::from(mailbox.uid_next.0 - mailbox.recent_from.0));
    put(out, mailbox.highest_modseq.0);
    for count in [mailbox.unseen as u64, mailbox.deleted as u64, mailbox.deleted_bytes, mailbox.bytes] {
        put(out, count);
    }
    mailbox.columns.write(round, out)?;
    if flags & KEYWORDS != 0 {
        put(out, mailbox.keywords.names().len() as u64);
        mailbox.keywords.names().iter().for_each(|name| put_text(out, name));
    }
    let mut part = Vec::new();
    if flags & EXPUNGED != 0 {
        mailbox.expunges.write(&mut part);
        parts.put(round, out, &part);
    }
    if let Some(extras) = &mailbox.extras {
        part.clear();
        extras.write(&mut part);
        parts.put(round, out, &part);
    }
    Some(())
}

/// Reads what [`write`] put. None: the head does not hold together, or a part of it is damaged.
pub(in crate::index) fn read(
    id: AccountId,
    head: &[u8],
    image: impl Fn(Piece) -> Option<Bytes>,
) -> Option<Account> {
    let mut wire = Wire::new(head);
    let address = wire.text()?.to_owned();
    let (mailboxes, messages) = (wire.number()?, wire.number()?);
    for _ in 0..wire.count()? {
        wire.text()?;
    }
    let password_hash = wire.text()?.to_owned();
    let services = wire.byte()?;
    let (services, arriving) = (Services(services & !ARRIVING), services & ARRIVING != 0);
    let (created_ms, highest_modseq) = (wire.number()?, ModSeq(wire.number()?));
    let (next_mailbox, last_uid_validity) = (MailboxId(wire.word()?), wire.word()?);
    let lost = (wire.word()?, wire.word()?);
    let file = wire.word()?;
    let mut parts = Parts::default();
    let events = Events::read(&mut Wire::new(&parts.get(&mut wire, &image)?))?;
    let extras = parts.get(&mut wire, &image)?;
    let extras = match extras.is_empty() {
        true => None,
        false => Some(Box::new(AccountExtras::read(&mut Wire::new(&extras))?)),
    };
    let mut subscriptions = BTreeSet::new();
    for _ in 0..wire.count()? {
        subscriptions.insert(wire.text()?.to_owned());
    }
    let mut account = Account {
        id,
        address,
        password_hash,
        services,
        created_ms,
        highest_modseq,
        next_mailbox,
        last_uid_validity,
        lost_uid_validity: (lost != (0, 0)).then_some(lost),
        mailboxes: BTreeMap::new(),
        names: BTreeMap::new(),
        subscriptions,
        messages: 0,
        bytes: 0,
        by_modseq: BTreeSet::new(),
        events,
        annotation_bytes: extras.as_ref().map_or(0, |extras| extras.annotations.bytes()),
        extras,
        grants: Grants::default(),
        parts: Parts::default(),
        held: None,
    };
    let mut before = (0, last_uid_validity);
    for _ in 0..mailboxes {
        let id = MailboxId(wire.word().and_then(|more| u32::checked_add(before.0, more))?);
        let uid_validity = u32::try_from(wire.number_from(u64::from(before.1))?).ok()?;
        before = (id.0, uid_validity);
        let (mailbox, subscribed) = read_mailbox(&mut wire, (id, uid_validity, file), &mut parts, &image)?;
        if subscribed {
            account.subscriptions.insert(mailbox.name.clone());
        }
        account.enter(mailbox)?;
    }
    account.parts = parts;
    // Who is named in its lists is known to the index already.
    account.grants.news();
    // One that is on its way may have none yet.
    let has_inbox =
        arriving || account.mailboxes.get(&INBOX_ID).is_some_and(|inbox| inbox.name == names::INBOX);
    (wire.is_empty() && has_inbox && account.messages == messages).then_some(account)
}

fn read_mailbox(
    wire: &mut Wire<'_>,
    (id, uid_validity, file): (MailboxId, u32, u32),
    parts: &mut Parts,
    image: &impl Fn(Piece) -> Option<Bytes>,
) -> Option<(Mailbox, bool)> {
    let flags = wire.byte()?;
    let mut mailbox = Mailbox::new(id, wire.text()?, uid_validity, ModSeq(0));
    mailbox.special_use = match flags >> USE_SHIFT {
        0 => None,
        place => Some(SpecialUse::from_place(place)?),
    };
    mailbox.no_select = flags & NO_SELECT != 0;
    mailbox.uid_next = Uid(wire.word()?);
    mailbox.recent_from = Uid(mailbox.uid_next.0.checked_sub(wire.word()?)?);
    mailbox.highest_modseq = ModSeq(wire.number()?);
    mailbox.unseen = usize::try_from(wire.number()?).ok()?;
    mailbox.deleted = usize::try_from(wire.number()?).ok()?;
    (mailbox.deleted_bytes, mailbox.bytes) = (wire.number()?, wire.number()?);
    mailbox.columns = Columns::read(wire, file, image)?;
    if flags & KEYWORDS != 0 {
        let names = (0..wire.count()?).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?;
        mailbox.keywords = Keywords::of(names)?;
    }
    if flags & EXPUNGED != 0 {
        mailbox.expunges = History::read(&mut Wire::new(&parts.get(wire, image)?))?;
    }
    if flags & EXTRAS != 0 {
        mailbox.extras = Some(Box::new(MailboxExtras::read(&mut Wire::new(&parts.get(wire, image)?))?));
    }
    let counts_fit = mailbox.unseen <= mailbox.columns.len() && mailbox.deleted <= mailbox.columns.len();
    counts_fit.then_some((mailbox, flags & SUBSCRIBED != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, FlagBits, FlagOp};
    use crate::checkpoint::Point;
    use crate::checkpoint::round::Retiring;
    use crate::ids::{BodyId, ShardId};
    use crate::index::digest::Digest;
    use crate::index::lab::{Lab, named, uids};
    use crate::log::batch::LogIdentity;
    use crate::log::build::Witness;
    use crate::log::segment::LogPoint;

    fn round() -> Round {
        let log = LogIdentity { shard: ShardId(3), log_key: 7 };
        let point = Point { tail: LogPoint::default(), witness: Witness::NONE, time_ms: 0 };
        Round::new(1, log, point, Retiring::default())
    }

    /// An account with some of everything, written: its head and the file that the rest of it is in.
    fn written() -> (AccountId, u64, Vec<u8>, Bytes) {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("Sent", Some(SpecialUse::Sent)), ("a/b", None)]);
        let body = lab.body(10);
        for _ in 0..40 {
            lab.deliver(id, INBOX_ID, body);
        }
        let flags = named(FlagBits::SEEN, &["$Work"]);
        let store = Change::FlagsStore {
            mailbox: INBOX_ID,
            uids: uids(&[3, 5]),
            op: FlagOp::Add,
            flags,
            unchanged_since: None,
        };
        lab.done_any(id, store);
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids: uids(&[1, 7, 40]), only_deleted: false });
        let value = Some(Bytes::from(vec![b'v'; 100]));
        let entries = vec![("/private/comment".to_owned(), value)];
        lab.done(id, Change::Metadata { mailbox: Some(INBOX_ID), entries });
        let account = lab.index.accounts.change(id).expect("it is there");
        let mut round = round();
        let head = write(account, false, &mut round).expect("nothing is damaged");
        let mut digest = Digest::new();
        account.digest(&mut digest, None);
        let (at, file) = round.take().expect("there is something to write");
        assert_eq!(at, 0);
        (id, digest.value(), head, file)
    }

    fn slice(file: &Bytes, piece: Piece) -> Option<Bytes> {
        let end = piece.offset.checked_add(u64::from(piece.len)).filter(|&end| end <= file.len() as u64)?;
        (piece.file == 1).then(|| file.slice(piece.offset as usize..end as usize))
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let (id, expected, head, file) = written();
        let account = read(id, &head, |piece| slice(&file, piece)).expect("it holds together");
        let mut digest = Digest::new();
        account.digest(&mut digest, None);
        assert_eq!(digest.value(), expected);
        let front = super::digest(&head).expect("it holds together");
        assert_eq!((front.address, front.mailboxes, front.messages), ("a@x", 4, 37));
        assert_eq!(account.mailboxes[&INBOX_ID].uid_next, Uid(41), "I11: what is expunged keeps its UID");
        assert!(account.mailboxes[&INBOX_ID].columns.message(0).body > BodyId(0));
    }

    #[test]
    fn no_octet_of_a_head_makes_a_reader_panic() {
        let (id, _, head, file) = written();
        let mut held_together = 0;
        for at in 0..head.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, head[at] ^ 1, head[at].wrapping_add(1)] {
                let mut forged = head.clone();
                forged[at] = value;
                for len in [forged.len(), at] {
                    let front = super::digest(&forged[..len]).is_some();
                    let account = read(id, &forged[..len], |piece| slice(&file, piece));
                    assert!(front || account.is_none(), "a front that does not hold together");
                    if let Some(account) = account {
                        held_together += 1;
                        account.digest(&mut Digest::new(), None);
                    }
                }
            }
        }
        assert!(held_together > 0, "some octets are those of a name");
    }
}
