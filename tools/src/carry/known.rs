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

/// See the module's head.
#[derive(Debug, Default)]
pub struct Known(HashMap<Identity, u64>);

impl Known {
    /// What a mailbox shows; `octets` brings the first so many of a body.
    pub fn of(
        mailbox: &MailboxRef<'_>,
        octets: &mut dyn FnMut(BodyKey, u32) -> Result<Vec<u8>, Failure>,
    ) -> Result<Known, Failure> {
        let mut known = Known::default();
        for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
            let key = message.key();
            let start = octets(key, START_BYTES.min(key.len))?;
            // A field that goes up to where the start ends may be cut.
            let field = header::find(&start, b"Message-ID").filter(|field| field.range().end < start.len());
            let id = match field.and_then(|_| body::message_id(&start)) {
                Some(id) => id,
                None => {
                    let all = octets(key, key.len)?;
                    body::message_id(&all).unwrap_or_else(|| sum(&all))
                }
            };
            let identity = Identity { id, size: u64::from(key.len), seconds: message.internal_ms / 1000 };
            *known.0.entry(identity).or_default() += 1;
        }
        Ok(known)
    }

    /// Whether the message is there, once more than was asked before.
    pub fn take(&mut self, identity: &Identity) -> bool {
        let count = self.0.get_mut(identity).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    }
}
