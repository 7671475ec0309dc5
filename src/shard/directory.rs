//! Who is behind an address, and is this their password.
//!
//! *Owns*: questions under way and password checks under way. *Promises*: every question is answered, at the
//! latest after `limits::PEER_ANSWER_MS`; an alias costs at most `limits::ALIAS_LOOKUPS_MAX` look-ups
//! whatever it leads to.
//! *Assumes*: the owner of an address answers one step ([`Found`]); the asker follows.
//! *Never*: tells an unknown account from a wrong password, by answer or by time.
//!
//! ```text
//!  Recipient ─► next name ─► owner: Account ─► accounts        names left: again
//!                  ▲               Alias ───► targets ─┐       none left: Accepted | Unknown | Loop | Full…
//!                  └── user@ ◄──── Unknown (user+x@)   │
//!                  └───────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringpost_engine::change::{QuotaUsage, Services};
use ringpost_engine::ids::ShardId;

use crate::limits::{ALIAS_ACCOUNTS_MAX, ALIAS_DEPTH_MAX, ALIAS_LOOKUPS_MAX, PEER_ANSWER_MS};
use crate::proto::{Answer, Ask, RecipientAnswer, Reply, Secret, UNKNOWN_ACCOUNT_HASH};
use crate::shard::Shard;
use crate::shard::event::{ConnId, Effect, Found, Message, Ticket};
use crate::shard::flow::Wake;

/// Questions and checks by ticket. Tickets grow and all questions have the same time, so the oldest expires
/// first.
#[derive(Debug, Default)]
pub(super) struct Directory {
    questions: BTreeMap<Ticket, Question>,
    checks: BTreeMap<Ticket, Check>,
}

impl Directory {
    /// Whether a password is being checked for a session since before this ticket.
    pub fn checks_since_before(&self, ticket: Ticket) -> bool {
        self.checks.first_key_value().is_some_and(|(first, _)| *first < ticket)
    }

    /// Questions and checks under way.
    pub fn under_way(&self) -> usize {
        self.questions.len() + self.checks.len()
    }
}

/// Something another shard was asked.
#[derive(Debug)]
struct Question {
    conn: ConnId,
    until_ms: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Recipient(Box<Resolution>),
    Login,
}

/// For whom a password is checked.
#[derive(Debug)]
enum Check {
    /// `Output::Verify`.
    Session(ConnId),
    /// `Ask::Authenticate`, and whether the service is allowed.
    Ask(ConnId, bool),
    /// The same from another shard.
    Peer(ShardId, Ticket, bool),
}

/// Following one recipient to its accounts, one name at a time.
#[derive(Debug)]
pub(super) struct Resolution {
    /// Names to look up, and how many aliases led there. The first is the one asked about at the moment.
    names: VecDeque<(String, usize)>,
    /// Every name that ever was in `names`: a circle ends here.
    seen: BTreeSet<String>,
    accounts: Vec<String>,
    through_alias: bool,
    end: Option<Answer>,
}

impl Resolution {
    fn new(address: String) -> Resolution {
        Resolution {
            seen: BTreeSet::from([address.clone()]),
            names: VecDeque::from([(address, 0)]),
            accounts: Vec::new(),
            through_alias: false,
            end: None,
        }
    }

    /// The name to ask about; none when the answer is known.
    fn next(&self) -> Option<&str> {
        if self.end.is_some() {
            return None;
        }
        self.names.front().map(|(name, _)| name.as_str())
    }

    /// Takes in what the current name is.
    fn learn(&mut self, found: Found, separator: char) {
        let Some((name, depth)) = self.names.pop_front() else { return };
        match found {
            Found::Account if self.accounts.len() == ALIAS_ACCOUNTS_MAX => {
                self.end = Some(Answer::Unavailable)
            }
            Found::Account => self.accounts.push(name),
            Found::Alias(_) if depth == ALIAS_DEPTH_MAX => {
                self.end = Some(Answer::Recipient(RecipientAnswer::Loop));
            }
            Found::Alias(targets) => {
                self.through_alias = true;
                for target in targets {
                    self.add(target, depth + 1);
                }
            }
            Found::Unknown => {
                if let Some(plain) = without_detail(&name, separator) {
                    self.add(plain, depth);
                }
            }
            // Those who share an alias with somebody over quota get their mail; the delivery tells of the rest.
            Found::OverQuota if self.through_alias && self.accounts.len() < ALIAS_ACCOUNTS_MAX => {
                self.accounts.push(name);
            }
            Found::OverQuota => self.end = Some(Answer::Recipient(RecipientAnswer::OverQuota)),
            Found::Full => self.end = Some(Answer::Recipient(RecipientAnswer::Full)),
            Found::Unavailable => self.end = Some(Answer::Unavailable),
        }
    }

    fn add(&mut self, name: String, depth: usize) {
        if self.seen.len() == ALIAS_LOOKUPS_MAX {
            self.end = Some(Answer::Unavailable);
        } else if self.seen.insert(name.clone()) {
            self.names.push_back((name, depth));
        }
    }

    fn answer(self) -> Answer {
        let reached = match (self.accounts.is_empty(), self.through_alias) {
            (false, _) => RecipientAnswer::Accepted(self.accounts),
            (true, true) => RecipientAnswer::Loop,
            (true, false) => RecipientAnswer::Unknown,
        };
        self.end.unwrap_or(Answer::Recipient(reached))
    }
}

/// `user+detail@domain` without its detail (rfc5233#1); none when there is none.
fn without_detail(address: &str, separator: char) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let (user, _) = local.split_once(separator)?;
    if user.is_empty() { None } else { Some(format!("{user}@{domain}")) }
}

impl Shard {
    /// A new ticket.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn ask(&mut self, conn: ConnId, ask: Ask) {
        match ask {
            Ask::Recipient { address } => {
                let ticket = self.ticket();
                self.follow(ticket, conn, Box::new(Resolution::new(address)));
            }
            Ask::Authenticate { address, password, service } => match self.owner(&address) {
                here if here == self.id => {
                    let Some((hash, allowed)) = self.credentials(&address, service) else {
                        return self.answer(conn, Answer::Unavailable);
                    };
                    self.check(Check::Ask(conn, allowed), hash, password);
                }
                there => {
                    let ticket = self.ticket();
                    self.question(ticket, conn, What::Login);
                    self.tell(there, Message::Authenticate { ticket, address, password, service });
                }
            },
        }
    }

    fn question(&mut self, ticket: Ticket, conn: ConnId, what: What) {
        let until_ms = self.now.mono_ms + PEER_ANSWER_MS;
        self.directory.questions.insert(ticket, Question { conn, until_ms, what });
    }

    /// Goes on with a resolution until it is answered or another shard must be asked.
    fn follow(&mut self, ticket: Ticket, conn: ConnId, mut resolution: Box<Resolution>) {
        while let Some(name) = resolution.next() {
            let owner = self.owner(name);
            if owner != self.id {
                let address = name.to_owned();
                self.question(ticket, conn, What::Recipient(resolution));
                return self.tell(owner, Message::Lookup { ticket, address });
            }
            let found = self.look_up(name);
            resolution.learn(found, self.server.subaddress_separator);
        }
        self.answer(conn, resolution.answer());
    }

    pub(super) fn on_found(&mut self, ticket: Ticket, found: Found) {
        let Some(Question { conn, what: What::Recipient(mut resolution), .. }) =
            self.directory.questions.remove(&ticket)
        else {
            return;
        };
        resolution.learn(found, self.server.subaddress_separator);
        // A new ticket, so that the oldest ticket stays the first to expire.
        let ticket = self.ticket();
        self.follow(ticket, conn, resolution);
    }

    /// What an address is, as its owner knows.
    pub(super) fn look_up(&self, address: &str) -> Found {
        // Whoever asked knows an older table: it is none of ours to say that there is nobody.
        if self.owner(address) != self.id || self.store.is_quarantined(address) {
            return Found::Unavailable;
        }
        if let Some(account) = self.store.account_by_address(address) {
            let least = QuotaUsage { bytes: 1, messages: 1, mailboxes: 0 };
            let has_room = self.store.account(account).is_none_or(|account| account.room(least));
            return match (self.store.stats().disk_full, has_room) {
                (true, _) => Found::Full,
                (false, false) => Found::OverQuota,
                (false, true) => Found::Account,
            };
        }
        self.store.alias(address).map_or(Found::Unknown, |targets| Found::Alias(targets.to_vec()))
    }

    fn answer(&mut self, conn: ConnId, answer: Answer) {
        self.wakes.push_back((conn, Wake::Reply(Reply::Answer(answer))));
    }

    /// The hash to check and whether the service is allowed; none when the account cannot be served now.
    fn credentials(&self, address: &str, service: Services) -> Option<(String, bool)> {
        if self.owner(address) != self.id || self.store.is_quarantined(address) {
            return None;
        }
        let account = self.store.account_by_address(address).and_then(|id| self.store.account(id));
        Some(account.map_or((UNKNOWN_ACCOUNT_HASH.to_owned(), false), |account| {
            (account.password_hash().to_owned(), account.services().allows(service))
        }))
    }

    pub(super) fn verify_for_session(&mut self, conn: ConnId, hash: String, password: Secret) {
        self.check(Check::Session(conn), hash, password);
    }

    pub(super) fn authenticate_for_peer(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        address: &str,
        password: Secret,
        service: Services,
    ) {
        match self.credentials(address, service) {
            Some((hash, allowed)) => self.check(Check::Peer(from, ticket, allowed), hash, password),
            None => self.tell(from, Message::Authenticated { ticket, good: None }),
        }
    }

    fn check(&mut self, check: Check, hash: String, password: Secret) {
        let ticket = self.ticket();
        self.counters.verifies += 1;
        self.directory.checks.insert(ticket, check);
        self.effects.push_back(Effect::Verify { ticket, hash, password });
    }

    pub(super) fn on_verified(&mut self, ticket: Ticket, good: Option<bool>) {
        match self.directory.checks.remove(&ticket) {
            Some(Check::Session(conn)) => {
                self.wakes.push_back((conn, Wake::Reply(Reply::Verified(good))));
            }
            Some(Check::Ask(conn, allowed)) => self.answer_login(conn, good.map(|good| good && allowed)),
            Some(Check::Peer(to, ticket, allowed)) => {
                let good = good.map(|good| good && allowed);
                self.tell(to, Message::Authenticated { ticket, good });
            }
            None => {}
        }
    }

    pub(super) fn on_authenticated(&mut self, ticket: Ticket, good: Option<bool>) {
        if let Some(Question { conn, what: What::Login, .. }) = self.directory.questions.remove(&ticket) {
            self.answer_login(conn, good);
        }
    }

    fn answer_login(&mut self, conn: ConnId, good: Option<bool>) {
        self.answer(conn, good.map_or(Answer::Unavailable, Answer::Authenticated));
    }

    pub(super) fn expire_questions(&mut self) {
        while let Some(entry) = self.directory.questions.first_entry() {
            if entry.get().until_ms > self.now.mono_ms {
                break;
            }
            let question = entry.remove();
            self.counters.questions_expired += 1;
            self.answer(question.conn, Answer::Unavailable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves over a table, as if one shard owned everything.
    fn resolve(table: &[(&str, &[&str])], accounts: &[&str], address: &str) -> (Answer, usize) {
        let mut resolution = Resolution::new(address.to_owned());
        let mut asked = 0;
        while let Some(name) = resolution.next() {
            asked += 1;
            let found = if name == "full@x" {
                Found::OverQuota
            } else if accounts.contains(&name) {
                Found::Account
            } else {
                table.iter().find(|(alias, _)| *alias == name).map_or(Found::Unknown, |(_, targets)| {
                    Found::Alias(targets.iter().map(|target| (*target).to_owned()).collect())
                })
            };
            resolution.learn(found, '+');
        }
        (resolution.answer(), asked)
    }

    fn accepted(accounts: &[&str]) -> Answer {
        Answer::Recipient(RecipientAnswer::Accepted(accounts.iter().map(|a| (*a).to_owned()).collect()))
    }

    #[test]
    fn a_full_account_is_refused_by_its_name_and_not_for_those_it_shares_an_alias_with() {
        let table: &[(&str, &[&str])] = &[("all@x", &["full@x", "a@x"])];
        let over_quota = Answer::Recipient(RecipientAnswer::OverQuota);
        assert_eq!(resolve(table, &["a@x"], "full@x").0, over_quota);
        assert_eq!(resolve(table, &["a@x"], "full+detail@x").0, over_quota);
        assert_eq!(resolve(table, &["a@x"], "all@x").0, accepted(&["full@x", "a@x"]));
    }

    #[test]
    fn exact_then_alias_then_without_detail() {
        let table: &[(&str, &[&str])] = &[("all@x", &["a@x", "b@x", "all@x"]), ("b@x", &["c@x"])];
        let accounts = &["a@x", "c@x", "a+lists@x"];
        assert_eq!(resolve(table, accounts, "a+lists@x").0, accepted(&["a+lists@x"]));
        assert_eq!(resolve(table, accounts, "a+other+more@x").0, accepted(&["a@x"]));
        assert_eq!(resolve(table, accounts, "b+x@x").0, accepted(&["c@x"]));
        assert_eq!(resolve(table, accounts, "all@x").0, accepted(&["a@x", "c@x"]));
        assert_eq!(resolve(table, accounts, "z@x").0, Answer::Recipient(RecipientAnswer::Unknown));
        assert_eq!(resolve(table, accounts, "+x@x").0, Answer::Recipient(RecipientAnswer::Unknown));
    }

    #[test]
    fn circles_and_dead_ends_are_loops() {
        let table: &[(&str, &[&str])] = &[("a@x", &["b@x"]), ("b@x", &["a@x"]), ("dead@x", &["nobody@x"])];
        assert_eq!(resolve(table, &[], "a@x").0, Answer::Recipient(RecipientAnswer::Loop));
        assert_eq!(resolve(table, &[], "dead@x").0, Answer::Recipient(RecipientAnswer::Loop));
    }

    #[test]
    fn depth_is_bounded() {
        let names: Vec<String> = (0..=ALIAS_DEPTH_MAX + 1).map(|i| format!("n{i}@x")).collect();
        let targets: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let chain: Vec<(&str, &[&str])> =
            (0..=ALIAS_DEPTH_MAX).map(|i| (names[i].as_str(), &targets[i + 1][..])).collect();
        let end = names[ALIAS_DEPTH_MAX + 1].as_str();
        assert_eq!(resolve(&chain, &[end], "n0@x").0, Answer::Recipient(RecipientAnswer::Loop));
        assert_eq!(resolve(&chain, &[end], "n1@x").0, accepted(&[end]));
    }

    #[test]
    fn a_tree_of_aliases_costs_a_bounded_number_of_lookups() {
        let names: Vec<String> = (0..3 * ALIAS_LOOKUPS_MAX).map(|i| format!("n{i}@x")).collect();
        let targets: Vec<Vec<&str>> = (0..ALIAS_LOOKUPS_MAX)
            .map(|i| (1..=50).filter_map(|k| names.get(i * 50 + k).map(String::as_str)).collect())
            .collect();
        let table: Vec<(&str, &[&str])> =
            (0..200).map(|i| (names[i].as_str(), targets[i].as_slice())).collect();
        let (answer, asked) = resolve(&table, &[], "n0@x");
        assert_eq!(answer, Answer::Unavailable);
        assert!(asked <= ALIAS_LOOKUPS_MAX);
    }
}
