//! Which mailbox's messages go where.
//!
//! *Owns*: the sources of a restore and their targets. *Promises*: messages return to the mailbox they left, under the
//! name it has now; a deleted mailbox returns under its name, or beside another that took the name; another run comes
//! to the same, by the mark that such a mailbox carries. *Assumes*: the state is of one moment. *Never*: asks.
//!
//! ```text
//!  --into F               ─► F
//!  left a mailbox here    ─► that one, whatever its name is now
//!  left a deleted mailbox ─► the one that is marked as its successor
//!                         ─► INBOX, if it was INBOX (of an account that had the address before)
//!                         ─► its name, if that is free, or of a mailbox that never had a message
//!                         ─► "Restored NAME", "Restored NAME 2", …
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::index::names::{INBOX, canonical};

use super::here::{GoneMailbox, Mailbox, State, mark};
use super::present::Left;
use super::wish::{Rule, Wish};
use crate::admin::import::usual_use;
use crate::limits::RESTORED_NAMES_MAX;

/// A mailbox that messages left: account and id.
pub type Key = (u64, u32);

/// Where messages go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Full name.
    pub name: String,
    /// It is to be made.
    pub make: bool,
    /// With this special use, or none.
    pub special_use: String,
    /// What it is to be marked with; none if it is the source itself, or marked already.
    pub mark: Option<String>,
}

/// A mailbox that messages left.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which.
    pub key: Key,
    /// Its name, as it is or was.
    pub name: String,
    /// When it was deleted; none if it is there.
    pub gone_ms: Option<u64>,
    /// Which of its messages.
    pub rule: Rule,
    /// They, in the order in which they left.
    pub left: Vec<Left>,
}

/// All mailboxes that are meant, by account and id, without their messages.
pub fn sources(state: &State, wish: &Wish) -> BTreeMap<Key, Source> {
    let source = |key, name: &str, gone_ms| {
        let (name, rule) = (name.to_owned(), wish.rule(gone_ms));
        (key, Source { key, name, gone_ms, rule, left: Vec::new() })
    };
    let account = state.account.unwrap_or_default();
    let here = state.mailboxes.iter().filter(|mailbox| wish.names(&mailbox.name));
    // Without a moment, of several of one name the one that went last is meant.
    let last: BTreeMap<&str, Key> =
        state.gone.iter().map(|gone| (gone.name.as_str(), (gone.of, gone.id))).collect();
    let only_last = wish.at_ms.is_none() && wish.is_whole() && !wish.has_window();
    let meant = |gone: &&GoneMailbox| !only_last || last.get(gone.name.as_str()) == Some(&(gone.of, gone.id));
    let gone = state.gone.iter().filter(|gone| wish.names(&gone.name)).filter(meant);
    here.map(|mailbox| source((account, mailbox.id), &mailbox.name, None))
        .chain(gone.map(|gone| source((gone.of, gone.id), &gone.name, Some(gone.gone_ms))))
        .collect()
}

/// Leaves each message in one of the mailboxes that it left: the last one, but rather not one for mail that is thrown
/// away.
pub fn one_each(state: &State, sources: &mut BTreeMap<Key, Source>) {
    let thrown_away = |source: &Source| {
        let here = state.named(&source.name).filter(|_| source.gone_ms.is_none());
        let special_use =
            here.map(|mailbox| mailbox.special_use.as_str()).or_else(|| usual_use(&source.name));
        special_use.is_some_and(|special_use| ["\\Trash", "\\Junk"].contains(&special_use))
    };
    let mut best: BTreeMap<u64, (bool, u64, Key)> = BTreeMap::new();
    for source in sources.values() {
        let kept = !thrown_away(source);
        for left in &source.left {
            let rank = (kept, left.gone_ms, source.key);
            let best = best.entry(left.body).or_insert(rank);
            *best = rank.max(*best);
        }
    }
    for source in sources.values_mut() {
        let key = source.key;
        source.left.retain(|left| best.get(&left.body).is_some_and(|(_, _, of)| *of == key));
    }
}

/// Finds targets, and remembers which names it has given away.
pub struct Targets<'a> {
    state: &'a State,
    into: Option<String>,
    /// Names that this run makes or marks.
    taken: BTreeSet<String>,
    uses: BTreeSet<String>,
}

impl<'a> Targets<'a> {
    /// For one run.
    pub fn new(state: &'a State, into: Option<&str>) -> Targets<'a> {
        let uses = state.mailboxes.iter().map(|mailbox| mailbox.special_use.clone()).collect();
        let into = into.map(|name| canonical(name).into_owned());
        Targets { state, into, taken: BTreeSet::new(), uses }
    }

    /// Where the messages of a mailbox go.
    ///
    /// # Errors
    /// No name is free.
    pub fn of(&mut self, source: &Source) -> Result<Target, String> {
        if self.into.is_some() {
            return self.named_target();
        }
        if source.gone_ms.is_none() {
            return Ok(Target { name: source.name.clone(), ..Target::default() });
        }
        self.successor(&source.name, mark(source.key.0, source.key.1))
    }

    /// The mailbox that everything goes into.
    ///
    /// # Errors
    /// None was named.
    pub fn named_target(&mut self) -> Result<Target, String> {
        let name = self.into.clone().ok_or("no mailbox was named")?;
        Ok(match self.state.named(&name) {
            Some(mailbox) if !mailbox.no_select => Target { name, ..Target::default() },
            _ if self.taken.contains(&name) => Target { name, ..Target::default() },
            _ => self.make(name, None),
        })
    }

    /// Where a mailbox goes that is not there any more.
    ///
    /// # Errors
    /// No name is free.
    pub fn successor(&mut self, name: &str, mark: String) -> Result<Target, String> {
        if let Some(made) = self.state.mailboxes.iter().find(|mailbox| mailbox.restored == mark) {
            return Ok(Target { name: made.name.clone(), ..Target::default() });
        }
        if name == INBOX {
            return Ok(Target { name: INBOX.to_owned(), ..Target::default() });
        }
        let numbered = (2..RESTORED_NAMES_MAX).map(|nth| format!("Restored {name} {nth}"));
        let mut names = [name.to_owned(), format!("Restored {name}")].into_iter().chain(numbered);
        let free =
            names.find(|name| !self.taken.contains(name) && self.state.named(name).is_none_or(is_free));
        let free = free.ok_or_else(|| format!("no name is free for {name}: say where to with --into"))?;
        match self.state.named(&free).filter(|mailbox| !mailbox.no_select) {
            Some(_) => {
                self.taken.insert(free.clone());
                Ok(Target { name: free, mark: Some(mark), ..Target::default() })
            }
            None => Ok(self.make(free, Some(mark))),
        }
    }

    fn make(&mut self, name: String, mark: Option<String>) -> Target {
        self.taken.insert(name.clone());
        let special_use = usual_use(&name).filter(|&special_use| self.uses.insert(special_use.to_owned()));
        let special_use = special_use.unwrap_or_default().to_owned();
        Target { name, make: true, special_use, mark }
    }
}

/// Whether a deleted mailbox may become this one: it is a mere name, or never had a message.
fn is_free(mailbox: &Mailbox) -> bool {
    mailbox.restored.is_empty() && (mailbox.no_select || mailbox.uid_next <= 1)
}

/// What is said when there is no account to restore into.
pub fn no_account(address: &str, gone: &[GoneMailbox]) -> String {
    match gone.iter().map(|gone| gone.gone_ms).max() {
        None => format!("there is no account {address}, and nothing of it can be had back from here"),
        Some(gone_ms) => format!(
            "there is no account {address}; it was deleted {}. Bring it back whole, with password, UIDs and settings: \
             --from DIR --at TIME, where DIR is a backup or the data folder itself. Or make a new one (ringpost \
             account add {address}) and repeat this: it gets the messages",
            crate::log::moment(gone_ms)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wish::tests::all;
    use super::*;

    fn mailbox(id: u32, name: &str, uid_next: u32) -> Mailbox {
        Mailbox { id, name: name.to_owned(), uid_next, ..Mailbox::default() }
    }

    fn gone(of: u64, id: u32, name: &str) -> GoneMailbox {
        GoneMailbox { of, id, name: name.to_owned(), keywords: Vec::new(), gone_ms: 9 }
    }

    fn targets(state: &State, wish: &Wish) -> Vec<Target> {
        let mut targets = Targets::new(state, wish.into.as_deref());
        sources(state, wish).values().map(|source| targets.of(source).unwrap()).collect()
    }

    #[test]
    fn messages_return_to_where_they_were() {
        let mut state = State { account: Some(5), ..State::default() };
        state.mailboxes = vec![mailbox(1, "INBOX", 9), mailbox(7, "Work", 9), mailbox(8, "Empty", 1)];
        state.gone = vec![
            gone(4, 1, "INBOX"),
            gone(5, 2, "Work"),
            gone(5, 3, "Trash"),
            gone(5, 4, "Empty"),
            gone(5, 5, "Work"),
        ];
        let mut wish = all();
        wish.at_ms = Some(3);
        let found = targets(&state, &wish);
        let names: Vec<&str> = found.iter().map(|target| target.name.as_str()).collect();
        let expected =
            ["INBOX", "INBOX", "Restored Work", "Trash", "Empty", "Restored Work 2", "Work", "Empty"];
        assert_eq!(names, expected);
        let made: Vec<bool> = found.iter().map(|target| target.make).collect();
        assert_eq!(made, [false, false, true, true, false, true, false, false]);
        assert_eq!((found[3].special_use.as_str(), found[3].mark.as_deref()), ("\\Trash", Some("5.3")));
        assert_eq!(found[4].mark.as_deref(), Some("5.4"), "a name that nobody used is taken over");

        // The next run finds what this one made, also under another name.
        state.mailboxes.push(Mailbox { restored: "5.2".to_owned(), ..mailbox(9, "renamed since", 4) });
        let again = targets(&state, &wish);
        assert_eq!(again[2], Target { name: "renamed since".to_owned(), ..Target::default() });
        // Without a moment the last Work is meant, not the first.
        let keys: Vec<Key> =
            sources(&state, &all()).into_keys().filter(|(of, id)| *of == 5 && *id < 6).collect();
        assert_eq!(keys, [(5, 1), (5, 3), (5, 4), (5, 5)]);
        wish.into = Some("All".to_owned());
        let into = targets(&state, &wish);
        assert!(into[0].make && !into[1].make && into.iter().all(|target| target.name == "All"));
    }

    #[test]
    fn one_message_comes_back_to_one_place() {
        let mut state = State { account: Some(5), ..State::default() };
        state.mailboxes = vec![mailbox(1, "INBOX", 9), mailbox(2, "Work", 9)];
        state.mailboxes.push(Mailbox { special_use: "\\Trash".to_owned(), ..mailbox(3, "Bin", 9) });
        let mut sources = sources(&state, &all());
        let left = |body, gone_ms| Left { uid: 1, body, size: 1, gone_ms };
        for (id, list) in
            [(1, vec![left(7, 10), left(8, 11)]), (2, vec![left(7, 12)]), (3, vec![left(7, 20), left(9, 9)])]
        {
            sources.get_mut(&(5, id)).unwrap().left = list;
        }
        one_each(&state, &mut sources);
        let kept: Vec<Vec<u64>> =
            sources.values().map(|source| source.left.iter().map(|left| left.body).collect()).collect();
        assert_eq!(kept, [vec![8], vec![7], vec![9]]);
    }

    #[test]
    fn without_an_account_the_way_is_told() {
        assert!(no_account("a@x", &[]).contains("nothing of it"));
        assert!(no_account("a@x", &[gone(1, 1, "INBOX")]).contains("1970-01-01"));
    }
}
