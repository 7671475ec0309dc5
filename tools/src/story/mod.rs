//! `ringpost-log story`: what happened to a message.
//!
//! *Owns*: the passes over a log: find the bodies, follow them, compare with the index. *Promises*: in order of
//! the log, with time and position; where the index disagrees with what the changes add up to, that is told.
//! *Assumes*: nothing of the message: it may be expunged. *Never*: names a session that the log lines do not.

mod annals;
mod find;
mod print;
mod sessions;
mod tale;
mod trace;

use std::collections::BTreeSet;

use ringpost_engine::ids::BodyId;
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::scan::{self, Damage};
use ringpost_engine::recovery::{self, Replayed};

use crate::cli::{self, Cli};
use crate::data::{self, Shard};
use crate::disk::ReadOnlyDisk;
use crate::history::{self, History, PackDamage};
use crate::output::{Output, name, progress};
use crate::track::{Instance, Tracker};
use crate::{Damages, Failure};
use annals::{Annals, Members, Subject};
use find::{Finder, Target};
use sessions::Sessions;
use tale::{Tale, Teller};

/// Messages told of at once.
const TALES_MAX: usize = 100;

/// Tells what happened to the messages that were asked for.
pub fn run(cli: &Cli, what: &cli::Story, output: &mut Output) -> Result<Damages, Failure> {
    let target = Target::parse(&what.target);
    let (mut damages, mut told) = (0, 0);
    for shard in data::shards(&cli.data, cli.only()?)? {
        let told_here = match &target {
            Target::Annals(subject) => chronicle(&shard, subject, output),
            _ => tell(&shard, &target, what, output),
        };
        match told_here {
            Ok((tales, damaged)) => {
                told += tales;
                damages += damaged;
            }
            Err(failure) => {
                damages += 1;
                output.unreadable(&shard, &failure);
            }
        }
    }
    if told == 0 && damages == 0 {
        return Err(missing(&target, &what.target));
    }
    Ok(damages)
}

fn missing(target: &Target, word: &str) -> Failure {
    match target {
        Target::MessageId(id) => format!("no message has the Message-ID <{id}>"),
        Target::QueueId(id) => format!("no message came in under the queue id {id}"),
        Target::At(lsn) => format!("no message begins or is delivered at position {lsn}"),
        Target::Place { .. } => {
            format!(
                "{word} never was a message: give ACCOUNT/MAILBOX/UID, the Message-ID in <>, \
                 or ACCOUNT/MAILBOX/ for a mailbox"
            )
        }
        Target::Annals(Subject { account, mailbox: Some(mailbox) }) => {
            format!("{account} never had a mailbox {mailbox}, as far as the log still tells")
        }
        Target::Annals(Subject { account, mailbox: None }) => {
            format!("there never was an account {account}, as far as the log still tells")
        }
    }
}

/// Tells the stories of one shard. Returns how many, and how much damage there is.
fn tell(
    shard: &Shard,
    target: &Target,
    what: &cli::Story,
    output: &mut Output,
) -> Result<(usize, Damages), Failure> {
    let bytes = ReadOnlyDisk::quiet(&shard.folder).bytes();
    let bar = progress(bytes * 3, "searching", false);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let chain = Chain::read(&mut disk, shard.id).map_err(|error| error.to_string())?;
    let mut late = None;
    if !chain.missing.is_empty() {
        let recovered = recovery::recover_read_only(&mut disk, shard.id, None);
        late = Some(recovered.map_err(|error| error.to_string())?);
    }
    let index = late.as_ref().map(|late| &late.index);
    let mut finder = Finder::new(target, index);
    let History { end, damages: packs } = history::read(&mut disk, shard, &mut finder)?;
    let damages = std::mem::take(&mut finder.damages);
    let bodies = finder.found();
    if bodies.is_empty() {
        bar.finish_and_clear();
        told_damages(shard, &damages, &packs, output);
        return Ok((0, (damages.len() + packs.len()) as Damages));
    }
    if bodies.len() > TALES_MAX {
        let count = bodies.len();
        return Err(format!("{count} messages are meant: name one by ACCOUNT/MAILBOX/UID or its position"));
    }
    let mut teller = Teller::new(shard, &bodies, index);
    if let Some(late) = &late {
        let untold = teller.tales.iter_mut();
        untold.for_each(|tale| indexed(tale.body, late).for_each(|at| tale.followed.found(at, tale.body)));
    }
    history::read(&mut disk, shard, &mut teller)?;
    let replayed = recovery::recover_read_only(&mut disk, shard.id, Some(end.tail.end));
    let replayed = replayed.map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    let sessions = match &what.server_log {
        Some(path) => Some(Sessions::read(path, &users(&teller.tales))?),
        None => None,
    };
    for tale in &teller.tales {
        print::tale(shard, tale, sessions.as_ref(), output);
        let all = standing(tale, &replayed, late.is_some());
        all.iter().for_each(|now| print::standing(shard, now, output));
        if all.is_empty() {
            output.heading("  now       nobody shows it any more");
        }
    }
    history::tell_gone(shard, &end.chain, output);
    print::limits(shard, &teller.tales, sessions.is_some(), output);
    told_damages(shard, &teller.damages, &packs, output);
    Ok((teller.tales.len(), (teller.damages.len() + packs.len()) as Damages))
}

/// The mailboxes that an index shows a body in.
fn indexed(body: BodyId, replayed: &Replayed) -> impl Iterator<Item = Instance> + use<'_> {
    replayed.index.every_account().flat_map(move |(account, _)| {
        let mut shown = Vec::new();
        for mailbox in account.mailboxes() {
            let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
            let own = messages.filter(|message| message.body == body);
            let at = |uid| Instance { account: account.id(), mailbox: mailbox.id(), uid };
            shown.extend(own.map(|message| at(message.uid)));
        }
        shown
    })
}

/// Tells what happened to a mailbox or an account of one shard. Returns whether there is one, and how much damage.
fn chronicle(shard: &Shard, subject: &Subject, output: &mut Output) -> Result<(usize, Damages), Failure> {
    let bytes = ReadOnlyDisk::quiet(&shard.folder).bytes();
    let bar = progress(bytes * 2, "reading", false);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let chain = Chain::read(&mut disk, shard.id).map_err(|error| error.to_string())?;
    let mut late = None;
    if !chain.missing.is_empty() {
        let recovered = recovery::recover_read_only(&mut disk, shard.id, None);
        late = Some(recovered.map_err(|error| error.to_string())?);
    }
    let known = || late.as_ref().map(|late| Tracker::after_gap(&late.index)).unwrap_or_default();
    let mut members = Members::new(subject, known());
    scan::scan(&mut disk, shard.id, &mut members).map_err(|error| error.to_string())?;
    if members.is_empty() {
        bar.finish_and_clear();
        let damages = std::mem::take(&mut members.damages);
        told_damages(shard, &damages, &[], output);
        return Ok((0, damages.len() as Damages));
    }
    output.heading(&subject.text());
    let mut annals = Annals::new(members, known(), shard, output);
    let scanned = scan::scan(&mut disk, shard.id, &mut annals);
    bar.finish_and_clear();
    scanned.map_err(|error| error.to_string())?;
    let (damages, nameless) = (std::mem::take(&mut annals.damages), annals.nameless);
    history::tell_gone(shard, &chain, output);
    print::notes(shard, nameless, None, output);
    told_damages(shard, &damages, &[], output);
    Ok((1, damages.len() as Damages))
}

fn told_damages(shard: &Shard, damages: &[Damage], packs: &[PackDamage], output: &mut Output) {
    if !damages.is_empty() || !packs.is_empty() {
        let (shard, count) = (name(shard), damages.len() + packs.len());
        output.heading(&format!("{shard}: {count} places are damaged; something may be missing here"));
    }
    damages.iter().for_each(|damage| output.damage(shard, damage));
    packs.iter().for_each(|damage| damage.tell(shard, output));
}

/// The addresses of the accounts that a story is about.
fn users(tales: &[Tale]) -> Vec<String> {
    let events = tales.iter().flat_map(|tale| &tale.events);
    let users: BTreeSet<&str> = events.map(|event| event.what.place().address.as_str()).collect();
    users.into_iter().map(str::to_owned).collect()
}

/// Where a message stands at the end.
pub struct Standing {
    at: Instance,
    address: String,
    mailbox: String,
    flags: Vec<String>,
    /// Whether the index shows it.
    in_index: bool,
    /// Whether the changes of the log say so.
    in_story: bool,
}

/// Where the index shows a body, and where the story says it is.
fn standing(tale: &Tale, replayed: &Replayed, late: bool) -> Vec<Standing> {
    let Some(card) = &tale.card else { return Vec::new() };
    let mut all = Vec::new();
    let told: BTreeSet<Instance> = tale.followed.shown().map(|(at, ..)| at).collect();
    let accounts: BTreeSet<_> = tale.events.iter().map(|event| event.account).collect();
    let concerned = replayed.index.every_account();
    let concerned = concerned.filter(|(account, _)| late || accounts.contains(&account.id()));
    for (account, _) in concerned {
        for mailbox in account.mailboxes() {
            let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
            for message in messages.filter(|message| message.body == card.body) {
                let at = Instance { account: account.id(), mailbox: mailbox.id(), uid: message.uid };
                all.push(Standing {
                    at,
                    address: account.address().to_owned(),
                    mailbox: mailbox.name().to_owned(),
                    flags: crate::show::message::flag_names(&mailbox, message.flags),
                    in_index: true,
                    in_story: told.contains(&at),
                });
            }
        }
    }
    for at in told.into_iter().filter(|at| !all.iter().any(|standing| standing.at == *at)).collect::<Vec<_>>()
    {
        let event = tale.events.iter().rev().map(|event| event.what.end()).find(|named| named.at == at);
        let (address, mailbox) =
            event.map(|named| (named.address.clone(), named.mailbox.clone())).unwrap_or_default();
        all.push(Standing { at, address, mailbox, flags: Vec::new(), in_index: false, in_story: true });
    }
    all
}
