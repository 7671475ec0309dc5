//! Accounts that end and begin again, and aliases that change.
//!
//! *Owns*: which life of an account is meant; what an alias stands for, as far as the administrator knows.
//! *Promises*: what belonged to an ended life binds nobody in the next, and must not show there.
//! *Assumes*: the administrator waits for one answer about a name before asking again.
//! *Never*: guesses: between a request and its answer both outcomes are good.

use std::collections::BTreeSet;

use ringpost_engine::store::Store;

use super::{Oracle, Verdict};

/// How it stands with an account.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Since which epoch nothing may have changed whose account it is.
    number: u64,
    state: State,
    /// Whether it was ever anything but served after it was.
    doubtful: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Served,
    /// Asked to be deleted, or to be created again.
    Unknown,
    /// Its deletion was acknowledged.
    Deleted,
    /// Named in a recovery report.
    OutOfService,
}

/// An alias.
#[derive(Debug, Default)]
pub(super) struct Alias {
    /// Grows with every request and every answer.
    version: u64,
    /// What it stands for; none inside: it is deleted; none at all: not known at the moment.
    now: Option<Option<Vec<String>>>,
    /// Every target it ever was to have.
    ever: BTreeSet<String>,
}

/// Accounts behind an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Exactly these; none: there is no such alias.
    Exactly(Vec<String>),
    /// Some of these.
    Among(Vec<String>),
}

impl Oracle {
    /// The number of this account's life: who keeps it can tell that it may be another's account by now.
    pub fn life(&self, address: &str) -> u64 {
        self.lives.get(address).map_or(0, |life| life.number)
    }

    /// The present moment in lives: later changes have greater numbers.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn live(&mut self, address: &str, state: State) {
        let life = self.lives.entry(address.to_owned()).or_default();
        life.doubtful |= life.number > 0 && state != State::Served;
        self.epoch += 1;
        life.number = self.epoch;
        match state {
            State::Served => self.accounts.insert(address.to_owned()),
            State::Unknown | State::Deleted | State::OutOfService => self.accounts.remove(address),
        };
        life.state = state;
    }

    /// Whether the account is known to be there.
    pub fn is_steady(&self, address: &str) -> bool {
        self.lives.get(address).is_none_or(|life| life.state == State::Served)
    }

    /// Whether clients may be told that there is no such account.
    pub fn is_doubtful(&self, address: &str) -> bool {
        self.names_lost || self.lives.get(address).is_some_and(|life| life.doubtful)
    }

    /// Whether nobody may be let in.
    pub fn is_out_of_service(&self, address: &str) -> bool {
        self.lives.get(address).is_some_and(|life| life.state == State::OutOfService)
    }

    /// The account is known to be there, in this life.
    pub fn account(&mut self, address: &str) {
        self.live(address, State::Served);
    }

    /// The administrator asks for its deletion or creation.
    pub fn changing(&mut self, address: &str) {
        self.live(address, State::Unknown);
    }

    /// It is named in a recovery report.
    pub fn out_of_service(&mut self, address: &str) {
        self.live(address, State::OutOfService);
    }

    /// Rot took domains or aliases: everybody may be told that there is no such address.
    pub fn names_are_lost(&mut self) {
        self.names_lost = true;
    }

    /// The account is gone with all that was its own. What was sent and not acknowledged may yet come, to
    /// whoever has the address then.
    pub fn deleted(&mut self, address: &str) {
        self.live(address, State::Deleted);
        self.count("accounts deleted");
        for sent in self.sent.values_mut() {
            if let Some(tally) = sent.accounts.get_mut(address) {
                tally.attempted = tally.attempted.saturating_sub(tally.acknowledged);
                tally.acknowledged = 0;
                tally.removals.clear();
            }
        }
        self.places.retain(|place, _| place.0 != address);
        self.marked.retain(|place| place.0 != address);
        self.gone.retain(|place| place.0 != address);
        self.flags.retain(|place, _| place.0 != address);
        self.turns.retain(|place, _| place.0 != address);
        self.names.forget(address);
        self.modseqs.remove(address);
        let ended = self.mailboxes.extract_if(.., |key, _| key.0 == address);
        self.retired.extend(ended.map(|((account, name), seen)| (account, name, seen.uid_validity)));
    }

    pub(super) fn check_lives<'a>(&self, stores: impl Iterator<Item = &'a Store> + Clone) -> Verdict {
        for (address, life) in &self.lives {
            let there = || stores.clone().any(|store| store.account_by_address(address).is_some());
            if matches!(life.state, State::Deleted | State::OutOfService) && there() {
                return Err(format!("account {address} is {:?} and served", life.state));
            }
        }
        for (address, alias) in &self.aliases {
            let Some(known) = &alias.now else { continue };
            let found = stores.clone().find_map(|store| store.alias(address));
            if !self.names_lost && found != known.as_deref() {
                return Err(format!("alias {address} is {found:?}, acknowledged as {known:?}"));
            }
        }
        Ok(())
    }

    /// The administrator asks for other targets, or for its end.
    pub fn alias_changing(&mut self, address: &str, targets: Option<&[String]>) {
        let alias = self.aliases.entry(address.to_owned()).or_default();
        alias.version += 1;
        alias.now = None;
        alias.ever.extend(targets.into_iter().flatten().cloned());
    }

    /// What the alias is known to stand for from now on.
    pub fn alias_is(&mut self, address: &str, targets: Option<Vec<String>>) {
        let alias = self.aliases.entry(address.to_owned()).or_default();
        alias.version += 1;
        alias.ever.extend(targets.iter().flatten().cloned());
        alias.now = Some(targets);
        self.count("aliases changed");
    }

    /// For `Oracle::behind`, when the question is sent.
    pub fn alias_version(&self, address: &str) -> u64 {
        self.aliases.get(address).map_or(0, |alias| alias.version)
    }

    /// What stands behind an alias for who asked at `version` and is answered now; none when it is none.
    pub fn behind(&self, address: &str, version: u64) -> Option<Behind> {
        let alias = self.aliases.get(address)?;
        Some(match &alias.now {
            Some(targets) if alias.version == version && !self.names_lost => {
                Behind::Exactly(targets.clone().unwrap_or_default())
            }
            _ => Behind::Among(alias.ever.iter().cloned().collect()),
        })
    }
}
