//! How a session is named in the log.
//!
//! *Owns*: what a session tells of itself to the store that it changes something in, and how that store knows it since.
//! *Promises*: nothing is written for a session that changes nothing. *Assumes*: a session asks for its origin with
//! every change. *Never*: keeps a change from being made.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{AccountId, MailboxId};
use ringpost_engine::origin::{Origin, Reading, SessionInfo};

use super::{Cx, Peer};

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// How the store knew it that it last changed something in; another one does not.
    origin: Origin,
    client: Box<str>,
}

impl Identity {
    /// What the client says it is, from now on.
    pub fn set_client(&mut self, client: &str) {
        if *self.client != *client {
            (self.client, self.origin) = (client.into(), Origin::NONE);
        }
    }

    /// The same connection before anybody is logged in.
    pub fn without_user(self) -> Identity {
        Identity { origin: Origin::NONE, ..self }
    }

    /// What changes are to name; writes down who the session is before the first.
    pub fn origin(&mut self, peer: &Peer, user: &str, cx: &mut Cx<'_>) -> Origin {
        if !cx.store.knows(self.origin) {
            // Refused: then the log has no room, which the change itself will meet with.
            self.origin = cx.store.introduce(self.about(peer, user), cx.now).unwrap_or_default();
        }
        self.origin
    }

    /// Notes messages that were sent to the client and leave no other trace of it.
    pub fn note_reading(
        &self,
        (peer, user): (&Peer, &str),
        (of, mailbox): (AccountId, MailboxId),
        uids: UidSet,
        cx: &mut Cx<'_>,
    ) {
        let reading = Reading { by: self.origin, about: self.about(peer, user), of, mailbox, uids };
        cx.store.note_reading(reading, cx.now);
    }

    fn about(&self, peer: &Peer, user: &str) -> SessionInfo {
        SessionInfo {
            service: peer.service.name().to_owned(),
            connection: peer.conn,
            tls: peer.tls,
            peer: peer.address.clone(),
            user: user.to_owned(),
            client: self.client.to_string(),
            opened_ms: peer.opened_ms,
        }
    }
}
