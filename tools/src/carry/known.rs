//! Which messages a mailbox has already.
//!
//! *Owns*: what makes two messages the same: Message-ID, size and INTERNALDATE; without a Message-ID, the sum of the
//! octets in its place. *Promises*: a message that is there twice answers for two. *Assumes*: nothing changes
//! meanwhile. *Never*: compares flags: they are the reader's own by now.

use std::collections::HashMap;

use ringpost::proto::mime::header;
use ringpost_engine::ids::BodyKey;
use ringpost_engine::index::MailboxRef;

use super::Mail;
use crate::{Failure, body};

/// Octets of a message that hold its Message-ID, mostly.
const START_BYTES: u32 = 16 * 1024;

/// What a message is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    id: String,
    size: u64,
    seconds: u64,
}

impl Identity {
    /// Of a message on its way in.
    pub fn of(mail: &Mail) -> Identity {
        let octets = mail.octets.as_slice();
        let id = body::message_id(octets).unwrap_or_else(|| sum(octets));
        Identity { id, size: octets.len() as u64, seconds: mail.internal_ms / 1000 }
    }
}

fn sum(octets: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(octets))
}

fn id_of(
    key: BodyKey,
    octets: &mut dyn FnMut(BodyKey, u32) -> Result<Vec<u8>, Failure>,
) -> Result<String, Failure> {
    let start = octets(key, START_BYTES.min(key.len))?;
    // A field that goes up to where the start ends may be cut.
    let field = header::find(&start, b"Message-ID").filter(|field| field.range().end < start.len());
    match field.and_then(|_| body::message_id(&start)) {
        Some(id) => Ok(id),
        None => {
            let all = octets(key, key.len)?;
            Ok(body::message_id(&all).unwrap_or_else(|| sum(&all)))
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Known {
    messages: HashMap<Identity, u64>,
    /// UIDs of messages that cannot be read, and why: nothing can be the same as one of these.
    pub unread: Vec<(u32, String)>,
}

impl Known {
    /// What a mailbox shows; `octets` brings the first so many of a body.
    pub fn of(
        mailbox: &MailboxRef<'_>,
        octets: &mut dyn FnMut(BodyKey, u32) -> Result<Vec<u8>, Failure>,
    ) -> Known {
        let mut known = Known::default();
        for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
            let key = message.key();
            match id_of(key, octets) {
                Ok(id) => {
                    let (size, seconds) = (u64::from(key.len), message.internal_ms / 1000);
                    *known.messages.entry(Identity { id, size, seconds }).or_default() += 1;
                }
                Err(why) => known.unread.push((message.uid.0, why)),
            }
        }
        known
    }

    /// Whether the message is there, once more than was asked before.
    pub fn take(&mut self, identity: &Identity) -> bool {
        let count = self.messages.get_mut(identity).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, bulk::Bulk};
    use ringpost::proto::mime::summarise;
    use ringpost::runtime::Files;
    use ringpost::sys::cpu::Cores;
    use ringpost_engine::change::{Change, Flags, NewBody, NewMessage, Outcome, Services};
    use ringpost_engine::ids::{AccountId, MailboxId, ShardId};

    #[test]
    fn a_message_that_cannot_be_read_is_told_and_the_others_are_known() {
        let data = tempfile::tempdir().expect("a folder");
        let files = Files::new(data.path(), ShardId(0), Cores::of_this_thread().expect("affinity"));
        let disk = Bulk::new(files.expect("a folder"), data.path().join("shard-000"));
        let mut host = Host::open(disk, ShardId(0)).expect("it opens");
        let change = Change::AccountCreate {
            address: "a@x".to_owned(),
            password_hash: "$argon2id$secret".to_owned(),
            services: Services::ALL,
            mailboxes: Vec::new(),
        };
        let Ok(Outcome::AccountCreated(id)) = host.change(AccountId(0), &change) else {
            panic!("no account")
        };
        let mail = |nth: u8| Mail {
            place: String::new(),
            octets: format!("Message-ID: <{nth}@x>\r\n\r\n").into_bytes(),
            flags: Flags::default(),
            internal_ms: 5_000,
        };
        for Mail { octets, flags, internal_ms, .. } in [mail(1), mail(2)] {
            let summary = summarise(&octets).encode();
            let body = NewBody { parts: vec![octets.into()], summary };
            let body = host.append_body(id, &body).expect("it is taken");
            let messages = vec![NewMessage { body, flags, internal_ms }];
            let change = Change::Append { mailbox: MailboxId(1), messages, replaces: None };
            assert!(matches!(host.change(id, &change), Ok(Outcome::Appended { .. })));
        }
        let account = host.store().account(id).expect("it is there");
        let inbox = account.mailbox_by_name("INBOX").expect("it is there");
        let mut asked = 0;
        let mut known = Known::of(&inbox, &mut |_, _| {
            asked += 1;
            if asked == 1 { Err("rotten".to_owned()) } else { Ok(mail(2).octets) }
        });
        assert_eq!(known.unread, [(1, "rotten".to_owned())]);
        assert!(!known.take(&Identity::of(&mail(1))) && known.take(&Identity::of(&mail(2))));
    }
}
