//! What was asked and what was acknowledged.

use std::collections::BTreeMap;

/// How sure we are that something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sure {
    /// Never asked.
    No,
    /// Asked, no answer seen: both outcomes are right.
    Maybe,
    /// Acknowledged: must be so for ever.
    Yes,
}

/// A message and its fate in one account.
#[derive(Clone, Debug)]
pub struct Fate {
    /// What the client sent.
    pub sent: String,
    /// Whether trace fields stand before it (SMTP, LMTP) or not (APPEND).
    pub traced: bool,
    /// Whether it is stored.
    pub stored: Sure,
    /// Whether it is expunged.
    pub gone: Sure,
    /// Whether it carries `\Flagged`.
    pub flagged: Sure,
    /// Its UID, once known.
    pub uid: Option<u32>,
}

/// One account.
#[derive(Default)]
pub struct Account {
    /// Local part.
    pub name: String,
    /// Messages by Message-ID.
    pub messages: BTreeMap<String, Fate>,
    /// UIDVALIDITY, once known.
    pub uid_validity: Option<u32>,
    /// The highest UIDNEXT seen.
    pub uid_next: u32,
}

/// All accounts.
pub struct Ledger {
    /// In the order of their names' list.
    pub accounts: Vec<Account>,
}

impl Ledger {
    /// Nothing happened yet.
    pub fn new(names: &[&str]) -> Ledger {
        let account = |name: &&str| Account { name: (*name).to_string(), ..Account::default() };
        Ledger { accounts: names.iter().map(account).collect() }
    }

    /// Notes that a message is being sent to an account.
    pub fn sending(&mut self, account: usize, id: &str, sent: &str, traced: bool) {
        let (stored, gone, flagged) = (Sure::Maybe, Sure::No, Sure::No);
        let fate = Fate { sent: sent.to_string(), traced, stored, gone, flagged, uid: None };
        self.accounts[account].messages.insert(id.to_string(), fate);
    }

    /// The fate of a message.
    pub fn fate(&mut self, account: usize, id: &str) -> &mut Fate {
        self.accounts[account].messages.get_mut(id).unwrap_or_else(|| panic!("{id} was never sent"))
    }

    /// How many were acknowledged as stored, and how many as expunged.
    pub fn counts(&self) -> (u64, u64) {
        let all = || self.accounts.iter().flat_map(|account| account.messages.values());
        let stored = all().filter(|fate| fate.stored == Sure::Yes).count();
        let gone = all().filter(|fate| fate.gone == Sure::Yes).count();
        (stored as u64, gone as u64)
    }
}
