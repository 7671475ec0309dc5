//! What sorting and threading compare, made ready when a message comes.
//!
//! *Owns*: the stored form of sort keys (rfc5256#2, rfc5957) and of thread keys (rfc5256#3).
//! *Promises*: reading is slices of what is stored. *Assumes*: `proto::mime` folded texts by i;unicode-casemap
//! (rfc5051), so that comparing octets is comparing texts. *Never*: parses a header.
//!
//! ```text
//! sort   = SortFixed (26 octets) │ base subject │ from │ to │ cc │ display from │ display to
//! thread = ThreadFixed (12 octets) │ references (8 each) │ in-reply-to (8 each)
//! ```

use zerocopy::byteorder::little_endian::{I32, I64, U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Ref, Unaligned};

use crate::limits::{SORT_TEXT_BYTES_MAX, THREAD_IDS_STORED_MAX};

/// What SORT compares. Texts are folded UTF-8, cut at `SORT_TEXT_BYTES_MAX`; `T` is `Vec<u8>` for the maker and
/// `&[u8]` for the reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortKeys<T> {
    /// The Date field in UTC, milliseconds since 1970 (rfc5256#2.2); none when it is missing or cannot be read:
    /// INTERNALDATE counts then.
    pub sent_ms: Option<i64>,
    /// The day in the Date field as written, whatever its zone, in days since 1970 (rfc3501#6.4.4 SENTON).
    pub sent_day: Option<i32>,
    /// Whether making the base subject took away a sign of a reply or forward (rfc5256#3 REFERENCES).
    pub reply_or_forward: bool,
    /// Base subject (rfc5256#2.1).
    pub subject: T,
    /// addr-mailbox of the first From address (rfc5256#3 FROM).
    pub from: T,
    /// The same of To.
    pub to: T,
    /// The same of Cc.
    pub cc: T,
    /// DISPLAYFROM (rfc5957#3).
    pub display_from: T,
    /// DISPLAYTO (rfc5957#3).
    pub display_to: T,
}

/// Stands for a date that is not there.
const NO_TIME: i64 = i64::MIN;
const NO_DAY: i32 = i32::MIN;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct SortFixed {
    sent_ms: I64,
    sent_day: I32,
    reply_or_forward: u8,
    reserved: u8,
    lens: [U16; 6],
}

impl<T: AsRef<[u8]>> SortKeys<T> {
    fn texts(&self) -> [&[u8]; 6] {
        [&self.subject, &self.from, &self.to, &self.cc, &self.display_from, &self.display_to]
            .map(|text| text.as_ref())
            .map(|text| &text[..text.len().min(SORT_TEXT_BYTES_MAX)])
    }

    pub(super) fn encoded_len(&self) -> usize {
        size_of::<SortFixed>() + self.texts().iter().map(|text| text.len()).sum::<usize>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let texts = self.texts();
        let fixed = SortFixed {
            sent_ms: I64::new(self.sent_ms.unwrap_or(NO_TIME)),
            sent_day: I32::new(self.sent_day.unwrap_or(NO_DAY)),
            reply_or_forward: u8::from(self.reply_or_forward),
            reserved: 0,
            lens: texts.map(|text| U16::new(text.len() as u16)),
        };
        out.extend_from_slice(fixed.as_bytes());
        for text in texts {
            out.extend_from_slice(text);
        }
    }
}

impl<'a> SortKeys<&'a [u8]> {
    /// Reads the section; none when its lengths do not fill it exactly.
    pub(super) fn read(section: &'a [u8]) -> Option<SortKeys<&'a [u8]>> {
        let (fixed, mut rest) = Ref::<_, SortFixed>::from_prefix(section).ok()?;
        let mut texts = [&rest[..0]; 6];
        for (text, len) in texts.iter_mut().zip(fixed.lens) {
            (*text, rest) = rest.split_at_checked(usize::from(len.get()))?;
        }
        let [subject, from, to, cc, display_from, display_to] = texts;
        rest.is_empty().then_some(SortKeys {
            sent_ms: Some(fixed.sent_ms.get()).filter(|&ms| ms != NO_TIME),
            sent_day: Some(fixed.sent_day.get()).filter(|&day| day != NO_DAY),
            reply_or_forward: fixed.reply_or_forward == 1,
            subject,
            from,
            to,
            cc,
            display_from,
            display_to,
        })
    }

    /// A copy that owns its texts.
    pub fn to_owned(&self) -> SortKeys<Vec<u8>> {
        SortKeys {
            sent_ms: self.sent_ms,
            sent_day: self.sent_day,
            reply_or_forward: self.reply_or_forward,
            subject: self.subject.to_vec(),
            from: self.from.to_vec(),
            to: self.to.to_vec(),
            cc: self.cc.to_vec(),
            display_from: self.display_from.to_vec(),
            display_to: self.display_to.to_vec(),
        }
    }
}

/// A Message-ID as threading compares it: [`message_id_hash`] of its normal form. 0 stands for none.
pub type MessageIdHash = u64;

/// What threading compares (rfc5256#3 REFERENCES).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadKeys {
    /// The Message-ID field; 0 when there is none that is valid.
    pub message_id: MessageIdHash,
    /// The valid ids of References, oldest first; the first and the last ones of a list longer than
    /// `THREAD_IDS_STORED_MAX`.
    pub references: Vec<MessageIdHash>,
    /// The valid ids of In-Reply-To, bounded likewise.
    pub in_reply_to: Vec<MessageIdHash>,
}

/// [`ThreadKeys`] as stored.
#[derive(Clone, Copy, Debug)]
pub struct ThreadKeysView<'a> {
    message_id: MessageIdHash,
    references: &'a [U64],
    in_reply_to: &'a [U64],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct ThreadFixed {
    message_id: U64,
    references: U16,
    in_reply_to: U16,
}

impl ThreadKeys {
    pub(super) fn encoded_len(&self) -> usize {
        size_of::<ThreadFixed>()
            + 8 * (bounded(&self.references).count() + bounded(&self.in_reply_to).count())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let fixed = ThreadFixed {
            message_id: U64::new(self.message_id),
            references: U16::new(bounded(&self.references).count() as u16),
            in_reply_to: U16::new(bounded(&self.in_reply_to).count() as u16),
        };
        out.extend_from_slice(fixed.as_bytes());
        for id in bounded(&self.references).chain(bounded(&self.in_reply_to)) {
            out.extend_from_slice(&id.to_le_bytes());
        }
    }
}

/// The first id, which is the thread's root, and the last ones, which are nearest.
fn bounded(ids: &[MessageIdHash]) -> impl Iterator<Item = MessageIdHash> {
    let (first, rest) = ids.split_at(ids.len().min(1));
    let last = &rest[rest.len().saturating_sub(THREAD_IDS_STORED_MAX - 1)..];
    first.iter().chain(last).copied()
}

impl<'a> ThreadKeysView<'a> {
    /// Reads the section; none when its counts do not fill it exactly.
    pub(super) fn read(section: &'a [u8]) -> Option<ThreadKeysView<'a>> {
        let (fixed, rest) = Ref::<_, ThreadFixed>::from_prefix(section).ok()?;
        let (references, rest) =
            Ref::<_, [U64]>::from_prefix_with_elems(rest, usize::from(fixed.references.get())).ok()?;
        let (in_reply_to, rest) =
            Ref::<_, [U64]>::from_prefix_with_elems(rest, usize::from(fixed.in_reply_to.get())).ok()?;
        rest.is_empty().then_some(ThreadKeysView {
            message_id: fixed.message_id.get(),
            references: Ref::into_ref(references),
            in_reply_to: Ref::into_ref(in_reply_to),
        })
    }

    /// See [`ThreadKeys::message_id`].
    pub fn message_id(&self) -> Option<MessageIdHash> {
        Some(self.message_id).filter(|&id| id != 0)
    }

    /// See [`ThreadKeys::references`].
    pub fn references(&self) -> impl ExactSizeIterator<Item = MessageIdHash> + 'a {
        self.references.iter().map(|id| id.get())
    }

    /// See [`ThreadKeys::in_reply_to`].
    pub fn in_reply_to(&self) -> impl ExactSizeIterator<Item = MessageIdHash> + 'a {
        self.in_reply_to.iter().map(|id| id.get())
    }

    /// The message's ancestors as rfc5256#3 wants them: References, else the first id of In-Reply-To.
    pub fn ancestors(&self) -> impl Iterator<Item = MessageIdHash> + 'a {
        let parent = if self.references.is_empty() { self.in_reply_to.get(..1) } else { None };
        self.references.iter().chain(parent.unwrap_or_default()).map(|id| id.get())
    }

    /// The id of the thread's root as far as this message knows it: its oldest ancestor, else itself; 0 when it
    /// knows none.
    pub fn root(&self) -> MessageIdHash {
        self.ancestors().next().unwrap_or(self.message_id)
    }

    /// A copy that owns its lists.
    pub fn to_owned(&self) -> ThreadKeys {
        ThreadKeys {
            message_id: self.message_id,
            references: self.references().collect(),
            in_reply_to: self.in_reply_to().collect(),
        }
    }
}

/// The hash by which Message-IDs are known: FNV-1a of 64 bits with its bits mixed once more, never 0. Part of the
/// stored form. Two ids with one hash would only be shown in one thread, and nobody but their author could make
/// them.
pub fn message_id_hash(normal_form: &[u8]) -> MessageIdHash {
    let fnv = normal_form.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01B3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    (mixed ^ mixed >> 33).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sort_keys_are_read_back_and_bounded() {
        let keys = SortKeys {
            sent_ms: Some(-5),
            sent_day: Some(-1),
            reply_or_forward: true,
            subject: b"HELLO".to_vec(),
            from: vec![b'x'; SORT_TEXT_BYTES_MAX + 5],
            ..SortKeys::default()
        };
        let mut stored = Vec::new();
        keys.encode(&mut stored);
        assert_eq!(stored.len(), keys.encoded_len());
        let read = SortKeys::read(&stored).unwrap();
        assert_eq!((read.sent_ms, read.sent_day, read.reply_or_forward), (Some(-5), Some(-1), true));
        assert_eq!((read.subject, read.from.len(), read.cc), (&b"HELLO"[..], SORT_TEXT_BYTES_MAX, &b""[..]));
        let mut none = Vec::new();
        SortKeys::<Vec<u8>>::default().encode(&mut none);
        assert_eq!(SortKeys::read(&none).unwrap().to_owned(), SortKeys::default());
        assert_eq!(SortKeys::read(&stored[..stored.len() - 1]), None);
    }

    #[test]
    fn ancestors_and_root_follow_rfc5256() {
        let read = |keys: &ThreadKeys| {
            let mut stored = Vec::new();
            keys.encode(&mut stored);
            assert_eq!(stored.len(), keys.encoded_len());
            assert!(ThreadKeysView::read(&stored[1..]).is_none());
            let view = ThreadKeysView::read(&stored).unwrap();
            (view.ancestors().collect::<Vec<_>>(), view.root(), view.to_owned().references.len())
        };
        let mut keys = ThreadKeys { message_id: 9, references: vec![], in_reply_to: vec![] };
        assert_eq!(read(&keys), (vec![], 9, 0));
        keys.in_reply_to = vec![4, 5];
        assert_eq!(read(&keys), (vec![4], 4, 0));
        keys.references = vec![1, 2, 3];
        assert_eq!(read(&keys), (vec![1, 2, 3], 1, 3));
        keys.references = (1..=1_000).collect();
        let (ancestors, root, count) = read(&keys);
        assert_eq!((root, count, ancestors.last()), (1, THREAD_IDS_STORED_MAX, Some(&1_000)));
        assert_eq!(read(&ThreadKeys::default()).1, 0);
    }

    #[test]
    fn hashes_differ_and_stand() {
        assert_ne!(message_id_hash(b"a@b"), message_id_hash(b"a@c"));
        assert_eq!(message_id_hash(b"a@b"), message_id_hash(b"a@b"));
        assert_eq!(message_id_hash(b""), 17_058_014_651_485_797_458, "part of the stored form");
    }
}
