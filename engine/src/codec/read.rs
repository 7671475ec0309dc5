//! Bytes to changes.
//!
//! *Owns*: the reading half of the codec. *Promises*: none for whatever the writer would not have written; no
//! more memory than the bytes that are there. *Assumes*: nothing. *Never*: panics.

use bytes::Bytes;

use crate::change::{
    Arrival, Change, FlagBits, FlagOp, Flags, ImportedMessage, Inheritance, NewMessage, QuotaLimits, Rights,
    Services, SpecialUse, Stamp, UidSet, UniqueIdForm,
};
use crate::ids::{AccountId, BodyId, MailboxId, ModSeq, SLOTS, ShardId, Slot, Uid};
use crate::limits;
use crate::origin::SessionInfo;
use crate::owners::{Arrived, Claim};

/// See the module's head.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What the store decided.
    pub(super) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            time_ms: self.u64()?,
            modseq: ModSeq(self.u64()?),
            uid_first: Uid(self.u32()?),
            mailbox_first: self.mailbox()?,
        })
    }

    /// The fields of a change of this kind.
    pub(super) fn change(&mut self, kind: u8) -> Option<Change> {
        Some(match kind {
            1 => Change::AccountCreate {
                address: self.string()?,
                password_hash: self.string()?,
                services: Services(self.u8()?),
                mailboxes: self.mailboxes()?,
            },
            2 => Change::AccountPassword { password_hash: self.string()? },
            3 => Change::AccountServices { services: Services(self.u8()?) },
            4 => Change::AccountDelete,
            5 => Change::DomainAdd { name: self.string()? },
            6 => Change::DomainDelete { name: self.string()? },
            7 => {
                let address = self.string()?;
                Change::AliasSet { address, targets: self.strings(limits::ALIAS_TARGETS_MAX)? }
            }
            8 => Change::AliasDelete { address: self.string()? },
            9 => Change::MailboxCreate { name: self.string()?, special_use: self.special_use()? },
            10 => Change::MailboxRename { mailbox: self.mailbox()?, to: self.string()? },
            11 => Change::MailboxDelete { mailbox: self.mailbox()? },
            12 => Change::Subscribe { name: self.string()?, on: self.bool()? },
            13 => {
                let (mailbox, message) = (self.mailbox()?, self.message()?);
                let NewMessage { body, flags, internal_ms } = message;
                Change::Deliver { mailbox, body, flags, internal_ms }
            }
            14 => self.flags_store()?,
            15 => Change::Copy {
                from: self.mailbox()?,
                to: self.mailbox()?,
                uids: self.uids()?,
                expunge: self.bool()?,
            },
            16 => {
                Change::Expunge { mailbox: self.mailbox()?, uids: self.uids()?, only_deleted: self.bool()? }
            }
            17 => Change::RecentSeen { mailbox: self.mailbox()?, below: Uid(self.u32()?) },
            18 => self.append()?,
            19 => Change::Metadata { mailbox: self.maybe_mailbox()?, entries: self.entries()? },
            20 => {
                let (mailbox, identifier) = (self.mailbox()?, self.string()?);
                Change::Acl { mailbox, identifier, rights: self.maybe_rights()? }
            }
            21 => Change::Quota { limits: self.quota()? },
            22 => Change::UrlKey { mailbox: self.maybe_mailbox()? },
            23 => Change::AccountHide { capabilities: self.strings(limits::HIDDEN_CAPABILITIES_MAX)? },
            24 => Change::AccountReferral { url: self.maybe_string()? },
            25 => Change::Restore {
                of: AccountId(self.u64()?),
                from: self.mailbox()?,
                uids: self.uids()?,
                to: self.mailbox()?,
            },
            26 => Change::Reap { until_ms: self.u64()? },
            32 => self.adopt()?,
            33 => self.import()?,
            38 => Change::SlotClaim { claim: self.claim()? },
            39 => Change::SlotLeave { slot: self.slot()?, epoch: self.u32()?, to: self.shard()? },
            40 => Change::AccountLeave,
            41 => Change::SlotClear { slot: self.slot()?, epoch: self.u32()? },
            42 => Change::Distrust { from: BodyId(self.u64()?), until: BodyId(self.u64()?) },
            43 => Change::Trust { from: BodyId(self.u64()?), until: BodyId(self.u64()?) },
            36 => Change::Arrive(Arrival::decode(std::mem::take(&mut self.rest))?),
            37 => self.inherit()?,
            44 => Change::Session { about: self.session()? },
            45 => Change::Read { of: AccountId(self.u64()?), mailbox: self.mailbox()?, uids: self.uids()? },
            _ => return None,
        })
    }

    fn slot(&mut self) -> Option<Slot> {
        u16::try_from(self.u32()?).ok().filter(|slot| *slot < SLOTS).map(Slot)
    }

    fn shard(&mut self) -> Option<ShardId> {
        u16::try_from(self.u32()?).ok().map(ShardId)
    }

    fn claim(&mut self) -> Option<Claim> {
        let (slot, epoch) = (self.slot()?, self.u32()?);
        let count = self.count(limits::SLOT_ACCOUNTS_MAX, 28)?;
        let mut accounts = Vec::with_capacity(count);
        for _ in 0..count {
            accounts.push(Arrived {
                account: AccountId(self.u64()?),
                mailboxes: self.u32()?,
                messages: self.u64()?,
                bytes: self.u64()?,
            });
        }
        let count = self.count(limits::SLOT_ALIAS_BYTES_MAX, 6)?;
        let mut aliases = Vec::with_capacity(count);
        for _ in 0..count {
            aliases.push((self.string()?, self.strings(limits::ALIAS_TARGETS_MAX)?));
        }
        Some(Claim { slot, epoch, accounts, aliases }).filter(Claim::fits)
    }

    fn mailboxes(&mut self) -> Option<Vec<(String, Option<SpecialUse>)>> {
        let count = self.count(limits::MAILBOXES_PER_ACCOUNT_MAX, 3)?;
        let mut mailboxes = Vec::with_capacity(count);
        for _ in 0..count {
            mailboxes.push((self.string()?, self.special_use()?));
        }
        Some(mailboxes)
    }

    fn message(&mut self) -> Option<NewMessage> {
        Some(NewMessage { body: BodyId(self.u64()?), flags: self.flags()?, internal_ms: self.u64()? })
    }

    fn flags_store(&mut self) -> Option<Change> {
        Some(Change::FlagsStore {
            mailbox: self.mailbox()?,
            uids: self.uids()?,
            op: self.flag_op()?,
            flags: self.flags()?,
            unchanged_since: self.maybe_u64()?.map(ModSeq),
        })
    }

    fn append(&mut self) -> Option<Change> {
        let mailbox = self.mailbox()?;
        let replaces = match (self.bool()?, self.mailbox()?, self.u32()?) {
            (true, of, uid) => Some((of, Uid(uid))),
            (false, MailboxId(0), 0) => None,
            (false, ..) => return None,
        };
        let count = self.count(limits::APPEND_MESSAGES_MAX, 28)?;
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            messages.push(self.message()?);
        }
        Some(Change::Append { mailbox, messages, replaces })
    }

    fn import(&mut self) -> Option<Change> {
        let (mailbox, uid_next) = (self.mailbox()?, Uid(self.u32()?));
        let count = self.count(limits::APPEND_MESSAGES_MAX, 35)?;
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            let (uid, message, unique_id) = (Uid(self.u32()?), self.message()?, self.maybe_string()?);
            messages.push(ImportedMessage { uid, message, unique_id });
        }
        Some(Change::Import { mailbox, messages, uid_next })
    }

    fn inherit(&mut self) -> Option<Change> {
        let (next_account, uid_validity_floor) = (self.u64()?, self.u32()?);
        Some(Change::Inherit(Inheritance { next_account, uid_validity_floor }))
    }

    fn adopt(&mut self) -> Option<Change> {
        let (mailbox, uid_validity) = (self.mailbox()?, self.u32()?);
        Some(Change::MailboxAdopt { mailbox, uid_validity, unique_ids: self.unique_ids()? })
    }

    fn session(&mut self) -> Option<SessionInfo> {
        let about = SessionInfo {
            service: self.string()?,
            connection: self.u64()?,
            tls: self.bool()?,
            peer: self.string()?,
            user: self.string()?,
            client: self.string()?,
            opened_ms: self.u64()?,
        };
        about.fits().then_some(about)
    }

    fn unique_ids(&mut self) -> Option<UniqueIdForm> {
        UniqueIdForm::of(self.u8()?)
    }

    fn entries(&mut self) -> Option<Vec<(String, Option<Bytes>)>> {
        let count = self.count(limits::METADATA_ENTRIES_MAX, 7)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let (name, there, len) = (self.string()?, self.bool()?, self.u32()?);
            let octets = self.take(len as usize)?;
            if !there && !octets.is_empty() {
                return None;
            }
            entries.push((name, there.then(|| Bytes::copy_from_slice(octets))));
        }
        Some(entries)
    }

    fn quota(&mut self) -> Option<QuotaLimits> {
        Some(QuotaLimits {
            storage_kib: self.maybe_u64()?,
            messages: self.maybe_u64()?,
            mailboxes: self.maybe_u64()?,
        })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A count of items of at least `item_bytes` each: within its bound and within what is left.
    fn count(&mut self, max: usize, item_bytes: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count <= max && count <= self.rest.len() / item_bytes).then_some(count)
    }

    fn string(&mut self) -> Option<String> {
        let len = self.u16()?;
        std::str::from_utf8(self.take(usize::from(len))?).ok().map(str::to_owned)
    }

    fn strings(&mut self, max: usize) -> Option<Vec<String>> {
        let count = self.count(max, 2)?;
        let mut strings = Vec::with_capacity(count);
        for _ in 0..count {
            strings.push(self.string()?);
        }
        Some(strings)
    }

    fn mailbox(&mut self) -> Option<MailboxId> {
        self.u32().map(MailboxId)
    }

    fn maybe_u64(&mut self) -> Option<Option<u64>> {
        maybe(self.bool()?, self.u64()?)
    }

    fn maybe_mailbox(&mut self) -> Option<Option<MailboxId>> {
        maybe(self.bool()?, self.mailbox()?)
    }

    fn maybe_string(&mut self) -> Option<Option<String>> {
        maybe(self.bool()?, self.string()?)
    }

    fn maybe_rights(&mut self) -> Option<Option<Rights>> {
        maybe(self.bool()?, Rights::from_bits(self.u16()?)?)
    }

    fn special_use(&mut self) -> Option<Option<SpecialUse>> {
        match self.u8()? {
            0 => Some(None),
            place => SpecialUse::from_place(place).map(Some),
        }
    }

    fn flag_op(&mut self) -> Option<FlagOp> {
        match self.u8()? {
            0 => Some(FlagOp::Replace),
            1 => Some(FlagOp::Add),
            2 => Some(FlagOp::Remove),
            _ => None,
        }
    }

    fn flags(&mut self) -> Option<Flags> {
        Some(Flags {
            system: FlagBits(self.u64()?),
            keywords: self.strings(limits::KEYWORDS_PER_MAILBOX_MAX)?,
        })
    }

    fn uids(&mut self) -> Option<UidSet> {
        let count = self.count(limits::RECORD_UID_RANGES_MAX, 8)?;
        let mut ranges = Vec::with_capacity(count);
        for _ in 0..count {
            ranges.push((self.u32()?, self.u32()?));
        }
        UidSet::from_ranges(ranges)
    }
}

/// A value that may be absent; where it is, its place holds nothing.
fn maybe<T: Default + PartialEq>(there: bool, value: T) -> Option<Option<T>> {
    match there {
        true => Some(Some(value)),
        false => (value == T::default()).then_some(None),
    }
}
