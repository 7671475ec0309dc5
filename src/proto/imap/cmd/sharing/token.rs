//! What vouches for an authorised URL (rfc4467#2.4.1, the mechanism INTERNAL).
//!
//! *Owns*: keys and tokens. *Promises*: a token is good for one URL, one mailbox and one generation of its key;
//! comparing takes the same time whatever differs. *Assumes*: the server's secret is random and kept.
//! *Never*: stores a key: each is derived from the secret when it is needed.

use hmac::{Hmac, KeyInit, Mac};
use ringpost_engine::ids::{AccountId, MailboxId, ModSeq};
use sha2::Sha256;

use crate::proto::Secret;

/// The access key of a mailbox.
pub type Key = [u8; 32];

/// The key of a mailbox in its present generation.
pub fn key(secret: &Secret, account: AccountId, mailbox: MailboxId, generation: ModSeq) -> Key {
    let mut name = Vec::with_capacity(32);
    name.extend_from_slice(b"urlauth\0");
    name.extend_from_slice(&account.0.to_be_bytes());
    name.extend_from_slice(&mailbox.0.to_be_bytes());
    name.extend_from_slice(&generation.0.to_be_bytes());
    make_with(&secret.0, &name)
}

/// The token of a URL: `rump` is the URL up to the access identifier's end.
pub fn make(key: &Key, rump: &[u8]) -> [u8; 32] {
    make_with(key, rump)
}

/// Whether a token is that of the URL.
pub fn is_good(key: &Key, rump: &[u8], token: &[u8]) -> bool {
    keyed(key).chain_update(rump).verify_slice(token).is_ok()
}

fn make_with(key: &[u8], text: &[u8]) -> [u8; 32] {
    keyed(key).chain_update(text).finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_one_url_one_mailbox_and_one_generation() {
        let secret = Secret(b"secret".to_vec());
        let first = key(&secret, AccountId(1), MailboxId(1), ModSeq(0));
        let token = make(&first, b"imap://a@h/INBOX/;uid=1;urlauth=authuser");
        assert!(is_good(&first, b"imap://a@h/INBOX/;uid=1;urlauth=authuser", &token));
        assert!(!is_good(&first, b"imap://a@h/INBOX/;uid=2;urlauth=authuser", &token));
        assert!(!is_good(&first, b"imap://a@h/INBOX/;uid=1;urlauth=authuser", &token[..16]));
        let others = [
            key(&secret, AccountId(2), MailboxId(1), ModSeq(0)),
            key(&secret, AccountId(1), MailboxId(2), ModSeq(0)),
            key(&secret, AccountId(1), MailboxId(1), ModSeq(7)),
            key(&Secret(b"other".to_vec()), AccountId(1), MailboxId(1), ModSeq(0)),
        ];
        assert!(others.iter().all(|key| !is_good(key, b"imap://a@h/INBOX/;uid=1;urlauth=authuser", &token)));
    }
}
