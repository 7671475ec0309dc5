//! Messages that cannot keep their UIDs, because mail has arrived in the mailbox here.
//!
//! *Owns*: how they are found again by the next run: each comes with a unique-id made of what names it there, and the
//! mailbox's mark tells how far the last run came, and what was left out. *Promises*: none comes twice; what was
//! deleted here stays deleted. *Assumes*: UIDVALIDITY and UID name a message there for ever (rfc3501#2.3.1.1).
//! *Never*: gives two messages of a mailbox one unique-id (rfc1939#7).

use std::collections::BTreeMap;

use super::differ::{Difference, Here};
use super::mark::Mark;
use super::ranges::Ranges;
use super::source::{Contents, Facts, Source};

/// Messages here that were imported with a unique-id: UID and flags by it.
#[derive(Debug, Default)]
pub struct Late(BTreeMap<String, (u32, Vec<String>)>);

/// What names a message there. Where the mailbox here has the same UIDVALIDITY, another message has or will have the
/// name that Dovecot would give.
pub fn identity(facts: &Facts, uid: u32, contents: &Contents, here: &Here) -> String {
    let tail = if here.uid_validity == contents.uid_validity { "L" } else { "" };
    let usual = || format!("{uid:08x}{:08x}{tail}", contents.uid_validity);
    facts.unique_id.clone().unwrap_or_else(usual)
}

/// The UID that such a name tells, if it is one of this UIDVALIDITY.
fn uid_of(identity: &str, uid_validity: u32) -> Option<u32> {
    let (uid, rest) = identity.split_at_checked(8)?;
    let is_ours = rest.strip_suffix('L').unwrap_or(rest) == format!("{uid_validity:08x}");
    is_ours.then(|| u32::from_str_radix(uid, 16).ok()).flatten()
}

impl Late {
    /// A message here.
    pub fn see(&mut self, unique_id: String, uid: u32, flags: Vec<String>) {
        self.0.insert(unique_id, (uid, flags));
    }

    /// Finds those that came before among what could not keep its UIDs; the others are to get new ones.
    pub fn judge(
        mut self,
        source: &mut dyn Source,
        contents: &Contents,
        here: &Here,
        mark: &mut Mark,
        found: &mut Difference,
    ) -> Result<(), String> {
        let mut other_flags = Vec::new();
        let lists = [&mut found.taken, &mut found.left, &mut found.moved];
        let mut places: Vec<usize> = lists.into_iter().flat_map(std::mem::take).collect();
        places.sort_unstable();
        for place in places {
            let (uid, facts) = (contents.uids[place], source.facts(place)?);
            match self.0.remove(&identity(&facts, uid, contents, here)) {
                Some((uid_here, flags)) => {
                    if mark.is_left(uid) {
                        mark.came(uid, uid < here.imported_next);
                    }
                    other_flags.extend(facts.other_flags(&flags).map(|flags| (uid_here, flags)));
                }
                None if mark.is_left(uid) => found.late.push(place),
                None if uid < mark.came_to() || mark.is_moved(uid) => found.deleted_here += 1,
                None => found.late.push(place),
            }
        }
        other_flags.sort();
        for (uid, flags) in other_flags {
            found.flags.entry(flags).or_default().push(uid);
        }
        let ours = self.0.iter().filter(|(name, _)| uid_of(name, contents.uid_validity).is_some());
        let mut gone: Vec<u32> = ours.map(|(_, (uid, _))| *uid).collect();
        gone.sort_unstable();
        let Ranges(kept_ones) = &found.gone;
        let from = kept_ones.last().map_or(0, |(_, last)| *last);
        gone.into_iter().filter(|&uid| uid > from).for_each(|uid| found.gone.push(uid));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_message_and_differs_from_what_dovecot_would_say() {
        let contents = Contents { uid_validity: 0x4f00_0000, uid_next: 9, ..Contents::default() };
        let mut here = Here { uid_validity: 7, ..Here::default() };
        let mut facts = Facts { flags: None, unique_id: None };
        assert_eq!(identity(&facts, 26, &contents, &here), "0000001a4f000000");
        here.uid_validity = contents.uid_validity;
        let late = identity(&facts, 26, &contents, &here);
        assert_eq!((late.as_str(), uid_of(&late, contents.uid_validity)), ("0000001a4f000000L", Some(26)));
        assert_eq!((uid_of(&late, 7), uid_of("odd", 7), uid_of("ääääää", 7)), (None, None, None));
        facts.unique_id = Some("odd".to_owned());
        assert_eq!(identity(&facts, 26, &contents, &here), "odd");
    }
}
