//! Which messages a mailbox has already.
//!
//! *Owns*: what makes two messages the same: Message-ID, size and INTERNALDATE; without a Message-ID, the sum of the
//! octets in its place. *Promises*: a message that is there twice answers for two. *Assumes*: nothing changes
//! meanwhile. *Never*: compares flags: they are the reader's own by now.

use std::collections::HashMap;

use ringpost_engine::ids::BodyKey;
use ringpost_engine::index::MailboxRef;

use super::Mail;
use crate::{Failure, body};

/// What a message is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    id: String,
    size: u64,
    seconds: u64,
}

impl Identity {
    /// Of these octets.
    fn new(octets: &[u8], internal_ms: u64) -> Identity {
        let id = body::message_id(octets).unwrap_or_else(|| format!("{:08x}", crc32fast::hash(octets)));
        Identity { id, size: octets.len() as u64, seconds: internal_ms / 1000 }
    }

    /// Of a message on its way in.
    pub fn of(mail: &Mail) -> Identity {
        Identity::new(&mail.octets, mail.internal_ms)
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Known(HashMap<Identity, u64>);

impl Known {
    /// What a mailbox shows; `octets` brings those of a body.
    pub fn of(
        mailbox: &MailboxRef<'_>,
        octets: &mut dyn FnMut(BodyKey) -> Result<Vec<u8>, Failure>,
    ) -> Result<Known, Failure> {
        let mut known = Known::default();
        for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
            let octets = octets(message.key())?;
            *known.0.entry(Identity::new(&octets, message.internal_ms)).or_default() += 1;
        }
        Ok(known)
    }

    /// Whether the message is there, once more than was asked before.
    pub fn take(&mut self, identity: &Identity) -> bool {
        let count = self.0.get_mut(identity).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    }
}
