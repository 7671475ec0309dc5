//! `ringpost account restore ADDRESS --list`: what can be had back.
//!
//! *Owns*: which messages are listed, and how. *Promises*: one line a message, oldest departure first, no more than
//! asked for. *Assumes*: nothing. *Never*: changes anything.

use std::collections::BTreeMap;

use ringpost_engine::change::FlagBits;
use serde_json::json;

use super::here::Here;
use super::plan::{Key, Source, sources};
use super::wish::Wish;
use crate::admin::cli::output::say;
use crate::admin::wire::GoneLine;
use crate::log::moment;

/// What of it is printed.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Messages left out at the beginning.
    pub skip: usize,
    /// Messages at most.
    pub limit: usize,
    /// JSON, one object a line.
    pub json: bool,
}

const SYSTEM: [(&str, FlagBits); 5] = [
    ("\\Seen", FlagBits::SEEN),
    ("\\Answered", FlagBits::ANSWERED),
    ("\\Flagged", FlagBits::FLAGGED),
    ("\\Deleted", FlagBits::DELETED),
    ("\\Draft", FlagBits::DRAFT),
];

/// Prints it.
///
/// # Errors
/// One line.
pub fn list(here: &Here<'_>, wish: &Wish, page: Page) -> Result<(), String> {
    let state = here.state()?;
    let sources = sources(&state, wish);
    let account = state.account.unwrap_or_default();
    let living = state.mailboxes.iter().map(|mailbox| ((account, mailbox.id), &mailbox.keywords[..]));
    let gone = state.gone.iter().map(|gone| ((gone.of, gone.id), &gone.keywords[..]));
    let keywords: BTreeMap<Key, &[String]> = living.chain(gone).collect();
    for source in sources.values() {
        if let Some(gone_ms) = source.gone_ms {
            say(&deleted(source, gone_ms, page.json))?;
        }
    }
    let (mut seen, mut headed) = (0, page.json);
    let window = (wish.left_from_ms(), wish.until_ms);
    let listed = here.gone(state.accounts(), window, true, &mut |gone| {
        let key = (gone.of, gone.mailbox);
        let Some(source) = sources.get(&key).filter(|_| takes(wish, &gone)) else { return Ok(()) };
        seen += 1;
        if seen <= page.skip {
            return Ok(());
        }
        if seen > page.skip + page.limit {
            return Err(String::new());
        }
        if !std::mem::replace(&mut headed, true) {
            say("LEFT                      MAILBOX                 UID      OCTETS  EMAILID         WHAT")?;
        }
        let flags = flags(gone.flags, keywords.get(&key).copied().unwrap_or_default());
        say(&line(source, &gone, &flags, page.json))
    });
    match listed {
        // Somebody else's words are never empty.
        Err(why) if why.is_empty() => more(page),
        Err(why) => Err(why),
        Ok(()) if seen == 0 && !page.json => {
            say(&format!("no message can be had back; what left before {} is gone", moment(state.reaped_ms)))
        }
        Ok(()) => Ok(()),
    }
}

/// At a moment: what was there then.
fn takes(wish: &Wish, gone: &GoneLine) -> bool {
    wish.takes(gone) && wish.at_ms.is_none_or(|at_ms| gone.saved_ms <= at_ms)
}

fn more(page: Page) -> Result<(), String> {
    let next = page.skip + page.limit;
    match page.json {
        true => say(&json!({ "more": true, "skip": next }).to_string()),
        false => say(&format!("and more: --skip {next} goes on, --since and --mailbox narrow it")),
    }
}

fn deleted(source: &Source, gone_ms: u64, json: bool) -> String {
    let (of, id) = source.key;
    match json {
        true => json!({
            "deleted_mailbox": source.name, "account": of, "id": id, "deleted": moment(gone_ms),
        })
        .to_string(),
        false => format!("{}  folder {} was deleted", moment(gone_ms), source.name),
    }
}

fn line(source: &Source, gone: &GoneLine, flags: &[String], json: bool) -> String {
    let (left, emailid) = (moment(gone.gone_ms), format!("M{}", gone.body));
    if json {
        return json!({
            "left": left, "mailbox": source.name, "mailbox_deleted": source.gone_ms.map(moment), "uid": gone.uid,
            "emailid": emailid, "octets": gone.size, "flags": flags, "internal": moment(gone.internal_ms),
            "saved": moment(gone.saved_ms), "subject": gone.subject, "from": gone.from, "date": gone.date,
        })
        .to_string();
    }
    let subject = gone.subject.as_deref().unwrap_or("(no subject)");
    let from = gone.from.as_deref().unwrap_or("(no sender)");
    let GoneLine { uid, size, .. } = gone;
    format!("{left}  {:<20} {uid:>6} {size:>11}  {emailid:<15} {from}: {subject}", source.name)
}

fn flags(bits: u64, keywords: &[String]) -> Vec<String> {
    let bits = FlagBits(bits);
    let system = SYSTEM.iter().filter(|(_, bit)| bits.contains(*bit)).map(|(name, _)| (*name).to_owned());
    let own = keywords.iter().enumerate().filter(|(nth, _)| bits.contains(FlagBits::keyword(*nth)));
    system.chain(own.map(|(_, name)| name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_by_their_mailbox() {
        let bits = FlagBits::SEEN.union(FlagBits::keyword(1)).0;
        assert_eq!(flags(bits, &["a".to_owned(), "b".to_owned()]), ["\\Seen", "b"]);
        assert_eq!(flags(bits, &[]), ["\\Seen"]);
    }
}
