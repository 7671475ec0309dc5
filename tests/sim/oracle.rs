//! What must be true whatever happened.
//!
//! *Owns*: what clients sent and were told, and what was seen in the stores. *Promises*: a lie of the
//! server, in a reply or in what it kept, fails the seed with a sentence. *Assumes*: every message carries
//! its token and only this simulation writes. *Never*: looks at how the server works.
//!
//! By count: for a message and an account, copies present ≥ acknowledged additions − attempted removals, and
//! ≤ attempted additions. By identity: a UID shows the same message for ever, new UIDs are above the old
//! UIDNEXT, what was acknowledged as removed is not there, mod-sequences do not fall.

mod lives;
mod names;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

pub use lives::Behind;
use lives::{Alias, Life};
use names::Names;
use ringpost_engine::change::FlagBits;
use ringpost_engine::index::{AccountRef, MailboxRef, Message};
use ringpost_engine::store::Store;
pub use turns::TURN;
use turns::Turns;

/// Names a message of this simulation.
pub type Token = u64;
/// Where a message is: account, mailbox, UID.
pub type Place = (String, String, u32);
/// What is wrong.
pub type Verdict = Result<(), String>;

#[derive(Debug)]
struct Sent {
    octets: Vec<u8>,
    /// By APPEND: stored as it is. By SMTP and LMTP trace fields stand before it.
    appended: bool,
    accounts: BTreeMap<String, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    attempted: usize,
    acknowledged: usize,
    /// Places whose removal was asked for, by whoever.
    removals: BTreeSet<(String, u32)>,
}

#[derive(Debug, Default)]
struct SeenMailbox {
    uid_validity: u32,
    uid_next: u32,
    modseqs: BTreeMap<u32, u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Oracle {
    sent: BTreeMap<Token, Sent>,
    /// What stands at a place, once anybody saw it.
    places: BTreeMap<Place, Token>,
    /// Where somebody asked for `\Deleted`: any session's EXPUNGE may remove these, and their copies.
    marked: BTreeSet<Place>,
    /// Acknowledged as removed.
    gone: BTreeSet<Place>,
    /// Flags and keywords whose setting was acknowledged.
    flags: BTreeMap<Place, BTreeSet<String>>,
    mailboxes: BTreeMap<(String, String), SeenMailbox>,
    modseqs: BTreeMap<String, u64>,
    accounts: BTreeSet<String>,
    /// Accounts that were deleted at some time, or are out of service.
    lives: BTreeMap<String, Life>,
    /// Grows with every change of a life.
    epoch: u64,
    /// UIDVALIDITY of mailboxes that went with their account.
    retired: BTreeSet<(String, String, u32)>,
    /// Aliases that administrators change.
    aliases: BTreeMap<String, Alias>,
    names: Names,
    turns: Turns,
    /// Whether rot took domains or aliases.
    names_lost: bool,
    /// Acknowledgements by kind.
    pub counts: BTreeMap<&'static str, u64>,
}

/// The header field that names a message.
pub fn token_line(token: Token) -> String {
    format!("X-Token: {token:010}\r\n")
}

fn token_of(octets: &[u8]) -> Option<Token> {
    let at = memchr::memmem::find(octets, b"X-Token: ")? + 9;
    std::str::from_utf8(octets.get(at..at + 10)?).ok()?.parse().ok()
}

impl Oracle {
    /// A client is about to hand a message over for these accounts.
    pub fn sending<'a>(
        &mut self,
        token: Token,
        octets: &[u8],
        appended: bool,
        accounts: impl IntoIterator<Item = &'a String>,
    ) {
        let fresh = || Sent { octets: octets.to_vec(), appended, accounts: BTreeMap::new() };
        let sent = self.sent.entry(token).or_insert_with(fresh);
        for account in accounts {
            sent.accounts.entry(account.clone()).or_default().attempted += 1;
        }
    }

    /// The server said that it has the message, for accounts that it was asked about at `since`.
    pub fn took<'a>(&mut self, token: Token, since: u64, accounts: impl IntoIterator<Item = &'a String>) {
        for account in accounts {
            // What was acknowledged around a deletion may be gone with it, or never have been meant.
            if self.is_steady(account) && self.life(account) <= since {
                self.tally(token, account).acknowledged += 1;
                self.count("taken");
            }
        }
    }

    fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    fn tally(&mut self, token: Token, account: &str) -> &mut Tally {
        let sent = self.sent.get_mut(&token).expect("a message of this simulation");
        sent.accounts.entry(account.to_owned()).or_default()
    }

    /// A client was shown these octets at a place.
    pub fn shown(&mut self, place: &Place, octets: &[u8]) -> Verdict {
        if self.gone.contains(place) {
            return Err(format!("{place:?} was removed and is shown again"));
        }
        self.check_octets(&place.0, octets).and_then(|token| self.stands(place, token))
    }

    /// The same by a session that may go on showing what others removed.
    pub fn shown_in_snapshot(&mut self, place: &Place, octets: &[u8]) -> Verdict {
        self.check_octets(&place.0, octets).and_then(|token| self.stands(place, token))
    }

    fn stands(&mut self, place: &Place, token: Token) -> Verdict {
        match self.places.insert(place.clone(), token) {
            Some(other) if other != token => {
                Err(format!("{place:?} was message {other} and is message {token}: the UID was used again"))
            }
            _ => Ok(()),
        }
    }

    /// Whether these octets are a message that was sent to this account, whole.
    fn check_octets(&self, account: &str, octets: &[u8]) -> Result<Token, String> {
        let token = token_of(octets).ok_or_else(|| {
            let start = String::from_utf8_lossy(&octets[..octets.len().min(200)]).into_owned();
            format!("{account} has a message that nobody sent: {start:?}")
        })?;
        let sent = self.sent.get(&token).ok_or_else(|| format!("message {token} was never sent"))?;
        if !sent.accounts.contains_key(account) {
            return Err(format!("message {token} is in {account}, to whom it was not sent"));
        }
        let whole = match sent.appended {
            true => octets == sent.octets,
            false => octets.starts_with(b"Return-Path: <") && octets.ends_with(&sent.octets),
        };
        if whole { Ok(token) } else { Err(format!("message {token} in {account} is not as it was sent")) }
    }

    /// What is known to stand at a place.
    pub fn token_at(&self, place: &Place) -> Option<Token> {
        self.places.get(place).copied()
    }

    /// Somebody asks for the removal of what is at a place.
    pub fn removing(&mut self, place: &Place) {
        if let Some(token) = self.token_at(place) {
            let (account, mailbox, uid) = place.clone();
            self.tally(token, &account).removals.insert((mailbox, uid));
        }
    }

    /// Somebody asks for `\Deleted` on what is at a place.
    pub fn marking(&mut self, place: &Place) {
        self.marked.insert(place.clone());
        self.removing(place);
    }

    /// The server said that it is removed.
    pub fn removed(&mut self, place: &Place) {
        self.count("removed");
        self.gone.insert(place.clone());
    }

    /// Somebody asks for a copy of what is at a place.
    pub fn copying(&mut self, from: &Place) {
        if let Some(token) = self.token_at(from) {
            self.tally(token, &from.0).attempted += 1;
        }
    }

    /// The server said that the copy is there.
    pub fn copied(&mut self, from: &Place, to: &Place) -> Verdict {
        let Some(token) = self.token_at(from) else { return Ok(()) };
        self.count("copied");
        self.tally(token, &from.0).acknowledged += 1;
        self.stands(to, token)?;
        // rfc3501#6.4.7: a copy keeps the flags.
        if self.marked.contains(from) {
            self.marking(to);
        }
        Ok(())
    }

    /// The server said that this flag or keyword is set.
    pub fn flagged(&mut self, place: &Place, flag: &str) {
        self.count("flagged");
        self.flags.entry(place.clone()).or_default().insert(flag.to_owned());
    }

    /// Compares a store with everything known. Any visible state will do: what is visible is durable.
    pub fn check(&mut self, store: &Store) -> Verdict {
        let mut present: BTreeMap<(Token, String), usize> = BTreeMap::new();
        // Lost messages are told before the counters that fell with them.
        let mut counters = Ok(());
        for account in store.accounts_after("") {
            counters = counters.and(self.check_account(store, account, &mut present)?);
        }
        for (token, sent) in &self.sent {
            for (account, tally) in &sent.accounts {
                if store.account_by_address(account).is_none() {
                    continue;
                }
                let copies = present.get(&(*token, account.clone())).copied().unwrap_or(0);
                let least = tally.acknowledged.saturating_sub(tally.removals.len());
                if copies < least && self.is_steady(account) {
                    return Err(format!(
                        "an acknowledged message is lost: {token} in {account}, {copies} copies of {tally:?}"
                    ));
                }
                if copies > tally.attempted {
                    return Err(format!("message {token} in {account}: {copies} copies, sent {tally:?}"));
                }
            }
        }
        counters
    }

    /// Whether every acknowledged account is in one of the stores.
    pub fn check_accounts<'a>(&self, stores: impl Iterator<Item = &'a Store> + Clone) -> Verdict {
        for address in &self.accounts {
            if !stores.clone().any(|store| store.account_by_address(address).is_some()) {
                return Err(format!("account {address} is lost"));
            }
        }
        self.check_lives(stores)
    }

    /// Counts the messages of an account; an error outside is about one of them, inside about a counter.
    fn check_account(
        &mut self,
        store: &Store,
        account: AccountRef<'_>,
        present: &mut BTreeMap<(Token, String), usize>,
    ) -> Result<Verdict, String> {
        let address = account.address().to_owned();
        let highest = account.highest_modseq().0;
        let mut counters = self.check_names(account);
        if let Some(before) = self.modseqs.insert(address.clone(), highest)
            && highest < before
        {
            counters = counters.and(Err(format!("{address}: HIGHESTMODSEQ fell from {before} to {highest}")));
        }
        for mailbox in account.mailboxes() {
            counters = counters.and(self.check_mailbox(&address, mailbox));
            for place in 0..mailbox.len() {
                let message = mailbox.message(place);
                let token = self.check_message(store, &address, mailbox, message)?;
                *present.entry((token, address.clone())).or_default() += 1;
            }
        }
        Ok(counters)
    }

    fn check_mailbox(&mut self, address: &str, mailbox: MailboxRef<'_>) -> Verdict {
        let key = (address.to_owned(), mailbox.name().to_owned());
        let (uid_validity, uid_next) = (mailbox.uid_validity(), mailbox.uid_next().0);
        if self.retired.contains(&(key.0.clone(), key.1.clone(), uid_validity)) {
            return Err(format!("{key:?}: UIDVALIDITY {uid_validity} was that of a deleted account"));
        }
        let seen = self.mailboxes.entry(key.clone()).or_default();
        if seen.uid_validity != 0 && seen.uid_validity != uid_validity {
            return Err(format!("{key:?}: UIDVALIDITY went from {} to {uid_validity}", seen.uid_validity));
        }
        if uid_next < seen.uid_next {
            return Err(format!("{key:?}: UIDNEXT fell from {} to {uid_next}", seen.uid_next));
        }
        let mut modseqs = BTreeMap::new();
        let mut last = 0;
        for place in 0..mailbox.len() {
            let message = mailbox.message(place);
            let (uid, modseq) = (message.uid.0, message.modseq.0);
            if uid <= last || uid >= uid_next {
                return Err(format!("{key:?}: UID {uid} after {last}, UIDNEXT {uid_next}"));
            }
            last = uid;
            match seen.modseqs.get(&uid) {
                Some(before) if modseq < *before => {
                    return Err(format!("{key:?}: UID {uid} went from MODSEQ {before} to {modseq}"));
                }
                None if uid < seen.uid_next => {
                    return Err(format!("{key:?}: UID {uid} is new though UIDNEXT was {}", seen.uid_next));
                }
                _ => {}
            }
            modseqs.insert(uid, modseq);
        }
        *seen = SeenMailbox { uid_validity, uid_next, modseqs };
        Ok(())
    }

    fn check_message(
        &mut self,
        store: &Store,
        address: &str,
        mailbox: MailboxRef<'_>,
        message: Message,
    ) -> Result<Token, String> {
        let place: Place = (address.to_owned(), mailbox.name().to_owned(), message.uid.0);
        let body = store.body(message.key()).ok_or_else(|| format!("{place:?} has no body"))?;
        let octets = store.bytes(body.bytes).ok_or_else(|| format!("{place:?} has no octets"))?;
        if octets.len() as u32 != message.size {
            return Err(format!("{place:?} has {} octets, the index says {}", octets.len(), message.size));
        }
        self.shown(&place, &octets)?;
        for flag in self.flags.get(&place).into_iter().flatten() {
            if !has_flag(mailbox, message.flags, flag) {
                return Err(format!("{place:?} has lost {flag}"));
            }
        }
        self.check_turns(&place, mailbox, message)?;
        self.token_at(&place).ok_or_else(|| format!("{place:?} is not known"))
    }
}

/// Whether a message carries a flag by its name on the wire.
pub fn has_flag(mailbox: MailboxRef<'_>, flags: FlagBits, name: &str) -> bool {
    match name {
        "\\Seen" => flags.contains(FlagBits::SEEN),
        "\\Answered" => flags.contains(FlagBits::ANSWERED),
        "\\Flagged" => flags.contains(FlagBits::FLAGGED),
        "\\Deleted" => flags.contains(FlagBits::DELETED),
        "\\Draft" => flags.contains(FlagBits::DRAFT),
        keyword => mailbox
            .keywords()
            .iter()
            .position(|known| known.eq_ignore_ascii_case(keyword))
            .is_some_and(|index| flags.contains(FlagBits::keyword(index))),
    }
}
