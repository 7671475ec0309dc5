//! Accounts and mail of which a test does not care what they are.
//!
//! *Owns*: the changes that every test begins with. *Promises*: they are carried out by a store with room. *Assumes*:
//! nothing. *Never*: what a test is about.

use bytes::Bytes;

use crate::change::{Change, Flags, NewBody, Services};
use crate::error::Refused;
use crate::ids::{AccountId, BodyId, MailboxId, Now};
use crate::store::Store;

/// Makes an account that has INBOX alone.
pub fn account(address: &str) -> Change {
    Change::AccountCreate {
        address: address.to_owned(),
        password_hash: "hash".to_owned(),
        services: Services::ALL,
        mailboxes: Vec::new(),
    }
}

/// Appends a message and its delivery.
///
/// # Errors
/// The store's, when it takes no mail.
pub fn deliver(
    store: &mut Store,
    account: AccountId,
    mailbox: MailboxId,
    octets: Bytes,
    now: Now,
) -> Result<BodyId, Refused> {
    let body = NewBody { parts: vec![octets], summary: Bytes::from_static(b"summary") };
    let body = store.append_body(account, body, now)?;
    store.append(account, Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms: 5 }, now)?;
    Ok(body)
}
