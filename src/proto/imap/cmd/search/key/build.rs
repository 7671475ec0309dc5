//! From keys as the client wrote them to keys as they are asked.
//!
//! *Owns*: charsets of search strings, resolution of sets and keyword names. *Promises*: a key that no
//! message of this mailbox could match is said so once, not per message. *Assumes*: the parser bounded
//! nesting and count. *Never*: looks at a message.

use bytes::Bytes;
use ringpost_engine::change::FlagBits;
use ringpost_engine::ids::{Now, ShardId};
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::{Content, Key, Query};
use crate::limits::{IMAP_FILTER_DEPTH_MAX, IMAP_SEARCH_CONTENT_KEYS_MAX, IMAP_SEARCH_KEYS_MAX};
use crate::proto::Cx;
use crate::proto::imap::command::{Program, SearchKey};
use crate::proto::imap::objectid::{self, ThreadId};
use crate::proto::imap::parse;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::Core;
use crate::proto::imap::view::View;
use crate::proto::mime::search::TextNeedle;
use crate::proto::mime::{self, charset};

/// Charsets named where another one is refused; all of the WHATWG list are taken.
const BAD_CHARSET: &str = "[BADCHARSET (US-ASCII UTF-8)] That charset is not known";

/// Where a search happens and when.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// What numbers mean.
    pub view: &'a View,
    /// The mailbox of the view.
    pub mailbox: MailboxRef<'a>,
    /// For keys that count from now.
    pub now: Now,
    /// Where the mailbox lies.
    pub shard: ShardId,
    /// Whose filters are meant (rfc5466); none where a mailbox of another shard is searched.
    pub account: Option<AccountRef<'a>>,
}

impl<'a> Ground<'a> {
    /// The ground of the selected mailbox.
    pub fn new(view: &'a View, mailbox: MailboxRef<'a>, core: &Core, cx: &'a Cx<'_>) -> Ground<'a> {
        let (now, shard) = (cx.now, cx.store.shard());
        Ground { view, mailbox, now, shard, account: core.account(cx).ok() }
    }
}

impl Query {
    /// Makes a program ready.
    pub fn new(program: &Program, ground: Ground<'_>) -> Result<Query, Reply> {
        // rfc3501#6.4.4: US-ASCII by default; octets beyond it are taken as what they most likely are.
        let named = program.charset.as_deref().unwrap_or(b"UTF-8");
        let charset: &[u8] = if named.eq_ignore_ascii_case(b"US-ASCII") { b"UTF-8" } else { named };
        if charset::by_name(charset).is_none() {
            return Err(Reply::no(BAD_CHARSET));
        }
        let mut builder = Builder {
            charset,
            ground,
            contents: Vec::new(),
            lasting: true,
            modseq: false,
            filters: 0,
            keys: 0,
        };
        let key = builder.key(&program.key, false)?;
        let Builder { contents, lasting, modseq, .. } = builder;
        Ok(Query { key, contents, lasting, modseq, scored: false })
    }
}

struct Builder<'a> {
    charset: &'a [u8],
    ground: Ground<'a>,
    contents: Vec<Content>,
    /// See [`Query::lasting`].
    lasting: bool,
    modseq: bool,
    /// How many filters are around the key at hand.
    filters: usize,
    /// Keys so far, those of filters included.
    keys: usize,
}

impl Builder<'_> {
    fn key(&mut self, key: &SearchKey, fuzzy: bool) -> Result<Key, Reply> {
        self.keys += 1;
        if self.keys > 2 * IMAP_SEARCH_KEYS_MAX {
            return Err(Reply::no("[LIMIT] Too many search keys in filters"));
        }
        let Ground { view, mailbox, now, shard, .. } = self.ground;
        self.lasting &= is_lasting(key);
        let now_s = now.unix_ms / 1000;
        let plain_or_not = |key: Key, plain: bool| if plain { key } else { Key::Not(Box::new(key)) };
        Ok(match key {
            SearchKey::And(keys) => {
                Key::And(keys.iter().map(|key| self.key(key, fuzzy)).collect::<Result<_, _>>()?)
            }
            SearchKey::Or(a, b) => Key::Or(Box::new(self.key(a, fuzzy)?), Box::new(self.key(b, fuzzy)?)),
            SearchKey::Not(key) => Key::Not(Box::new(self.key(key, fuzzy)?)),
            SearchKey::Filter(name) => self.filter(name, fuzzy)?,
            SearchKey::Fuzzy(key) => self.key(key, true)?,
            SearchKey::All => Key::Always(true),
            SearchKey::Flag { bit, set } => plain_or_not(Key::Flag(*bit), *set),
            SearchKey::Keyword { name, set } => plain_or_not(keyword(mailbox, name), *set),
            SearchKey::Recent(recent) => plain_or_not(Key::Recent, *recent),
            SearchKey::Internal(is, day) => Key::Internal(*is, *day),
            SearchKey::Saved(is, day) => Key::Saved(*is, *day),
            // rfc5032#2: the target time is so many seconds ago, itself included.
            SearchKey::Older(s) => Key::Arrived { before: true, unix_s: now_s.saturating_sub(u64::from(*s)) },
            SearchKey::Younger(s) => {
                Key::Arrived { before: false, unix_s: now_s.saturating_sub(u64::from(*s)) }
            }
            SearchKey::Larger(size) => Key::Larger(*size),
            SearchKey::Smaller(size) => Key::Smaller(*size),
            SearchKey::Sequence(set) => Key::Uids(view.resolve_leniently(mailbox, set, false)),
            SearchKey::Uid(set) => Key::Uids(view.resolve_leniently(mailbox, set, true)),
            SearchKey::ModSeq(modseq) => {
                self.modseq = true;
                Key::ModSeq(*modseq)
            }
            // rfc8474#5: what is no id of this server's making is on no message.
            SearchKey::EmailId(id) => {
                objectid::email(id).map_or(Key::Always(false), |email| Key::Email(email, shard))
            }
            SearchKey::ThreadId(id) => match objectid::thread(id) {
                Some(ThreadId::Root(root)) => Key::Content(self.content(Content::Thread(root))?),
                Some(ThreadId::Own(email)) => {
                    let own = Key::Content(self.content(Content::Thread(0))?);
                    Key::And(vec![Key::Email(email, shard), own])
                }
                None => Key::Always(false),
            },
            SearchKey::Sent(is, day) => Key::Content(self.content(Content::Sent(*is, *day))?),
            SearchKey::Header { name, value } => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.text(value, fuzzy, |needle| Content::Header(name.clone(), needle))?
            }
            SearchKey::Body(value) => self.text_of_body(value, fuzzy, Content::Body)?,
            SearchKey::Text(value) => self.text_of_body(value, fuzzy, Content::Text)?,
        })
    }

    /// rfc5466#3.1: a filter that is missing, broken or too deep in others does not exist.
    fn filter(&mut self, name: &str, fuzzy: bool) -> Result<Key, Reply> {
        let named_utf8 =
            [&b"UTF-8"[..], b"US-ASCII"].iter().any(|utf8| self.charset.eq_ignore_ascii_case(utf8));
        if !named_utf8 {
            return Err(Reply::bad("[BADCHARSET (US-ASCII UTF-8)] Filters are in UTF-8"));
        }
        let undefined = || Reply::no(format!("[UNDEFINED-FILTER {name}] No such filter"));
        let Some(account) = self.ground.account else {
            return Err(Reply::no("[CANNOT] Filters are out of reach with that mailbox selected"));
        };
        let stored = ["private", "shared"].iter().find_map(|access| {
            account.metadata(&format!("/{access}/filters/values/{}", name.to_ascii_lowercase()))
        });
        let text = stored.filter(|_| self.filters < IMAP_FILTER_DEPTH_MAX).ok_or_else(undefined)?;
        let key = parse::search_keys(Bytes::copy_from_slice(text)).map_err(|_| undefined())?;
        self.filters += 1;
        let key = self.key(&key, fuzzy)?;
        self.filters -= 1;
        Ok(key)
    }

    /// rfc3501#6.4.4: the empty string is in every text.
    fn text_of_body(
        &mut self,
        value: &Bytes,
        fuzzy: bool,
        content: impl Fn(TextNeedle) -> Content,
    ) -> Result<Key, Reply> {
        if value.is_empty() { Ok(Key::Always(true)) } else { self.text(value, fuzzy, content) }
    }

    /// A text as written, or for FUZZY (rfc6203#3) its words, in any order.
    fn text(
        &mut self,
        value: &Bytes,
        fuzzy: bool,
        content: impl Fn(TextNeedle) -> Content,
    ) -> Result<Key, Reply> {
        let needle = mime::fold(&charset::decode(value, self.charset));
        let mut words = Vec::new();
        if fuzzy {
            let split = needle.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            for word in split {
                let word = self.content(content(TextNeedle::new(word)))?;
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        let phrase = self.content(content(TextNeedle::new(&needle)))?;
        Ok(if words.is_empty() { Key::Content(phrase) } else { Key::Fuzzy { words, phrase } })
    }

    /// The index of a content, which two keys may share.
    fn content(&mut self, content: Content) -> Result<usize, Reply> {
        if let Some(known) = self.contents.iter().position(|known| known.is_same(&content)) {
            return Ok(known);
        }
        if self.contents.len() == IMAP_SEARCH_CONTENT_KEYS_MAX {
            return Err(Reply::no("[LIMIT] Too many keys that look into messages"));
        }
        self.contents.push(content);
        Ok(self.contents.len() - 1)
    }
}

fn keyword(mailbox: MailboxRef<'_>, name: &str) -> Key {
    let index = mailbox.keywords().iter().position(|known| known.eq_ignore_ascii_case(name));
    index.map_or_else(|| Key::Named(name.to_owned()), |index| Key::Flag(FlagBits::keyword(index)))
}

/// Whether what a key says of a message is the same until that message changes. Time goes on, `*` is another
/// message when one more comes, and `\Recent` ends where IMAP4rev2 begins.
fn is_lasting(key: &SearchKey) -> bool {
    match key {
        SearchKey::Older(_) | SearchKey::Younger(_) | SearchKey::Recent(_) => false,
        SearchKey::Uid(set) => !set.names_last(),
        _ => true,
    }
}
