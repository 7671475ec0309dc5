//! `ringpost-log import`: mail from a form of the world into the store of a stopped server.
//!
//! *Owns*: what is new, and the changes that bring it in. *Promises*: run again, it adds only what is missing; a
//! message comes with its octets, flags, keywords and date. *Assumes*: nobody changes the source meanwhile.
//! *Never*: changes or removes what is there; a dry run changes nothing at all.
//!
//! ```text
//!  source ─► folder ─► what the mailbox has (known) ─► missing ─► Append, 100 messages at a time ─► settle
//! ```

use ringpost::admin::{address_of, check_domain};
use ringpost::proto::mime::summarise;
use ringpost::runtime::Files;
use ringpost::shard::USUAL_MAILBOXES;
use ringpost::sys::cpu::Cores;
use ringpost_engine::change::{Change, NewBody, NewMessage, Outcome, Services};
use ringpost_engine::ids::{AccountId, BodyKey, MailboxId, ShardId};
use ringpost_engine::index::names;
use ringpost_engine::limits::KEYWORD_BYTES_MAX;
use ringpost_engine::recovery::{self, Replayed};
use serde_json::{Value, json};

use super::known::{Identity, Known};
use super::{Found, Mail, Source, export};
use crate::cli::{self, Cli};
use crate::data;
use crate::disk::ReadOnlyDisk;
use crate::host::{Folder, Host, refusal};
use crate::output::{Output, moment, plain};
use crate::show::filter::Wanted;
use crate::{Damages, Failure, describe};

/// Messages of one change.
const MESSAGES_PER_CHANGE: usize = 100;
/// Octets of the messages of one change; one message may be larger.
const CHANGE_BYTES: usize = 8 * 1024 * 1024;

/// Brings mail in, or says what it would do.
pub fn run(cli: &Cli, what: &cli::Import, output: &mut Output) -> Result<Damages, Failure> {
    let mut source = what.format.source(&what.from, &what.mailbox)?;
    let wanted = Wanted::parse(&what.account);
    if what.dry_run {
        let mut plan = Plan::find(cli, &wanted)?;
        if plan.account.is_none() && !what.create {
            return Err(no_account(what));
        }
        return carry(&mut plan, source.as_mut(), what, output);
    }
    let folder = Folder::take(&cli.data)?;
    let mut store = Live::open(cli, what, &folder, &wanted, output)?;
    let carried = carry(&mut store, source.as_mut(), what, output);
    // Also after a failure: what was brought in stays, and the next run goes on from it.
    let closed = store.host.close().map(drop);
    carried.and_then(|damages| closed.map(|()| damages))
}

fn no_account(what: &cli::Import) -> Failure {
    format!("no account {}: make it with ringpost account add, or give --create", what.account)
}

/// Where mail is brought to.
trait Target {
    /// What a mailbox has.
    fn known(&mut self, mailbox: &str) -> Known;
    /// Whether there is such a mailbox.
    fn has(&self, mailbox: &str) -> bool;
    /// Makes one.
    fn make(&mut self, mailbox: &str) -> Result<(), Failure>;
    /// Brings a message in; it may wait for more of them.
    fn add(&mut self, mailbox: &str, mail: Mail) -> Result<(), Failure>;
    /// Nothing waits any more.
    fn flush(&mut self) -> Result<(), Failure>;
    /// Whether a name is subscribed.
    fn subscribed(&self, mailbox: &str) -> bool;
    /// Subscribes to it.
    fn subscribe(&mut self, mailbox: &str) -> Result<(), Failure>;
}

/// What was done with a folder.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    found: u64,
    there: u64,
    added: u64,
    unreadable: u64,
}

fn carry(
    target: &mut dyn Target,
    source: &mut dyn Source,
    what: &cli::Import,
    output: &mut Output,
) -> Result<Damages, Failure> {
    let mut damages = 0;
    for (place, why) in source.passed_over() {
        damages += 1;
        let object = json!({"type": "unreadable", "place": place, "what": why});
        output.line(&object, || format!("! {}: {}", plain(place), plain(why)));
    }
    for (at, folder) in source.folders().iter().enumerate() {
        let full = what.below.as_ref().map_or(folder.clone(), |above| format!("{above}/{folder}"));
        let Some(name) = names::checked(&full) else {
            damages += 1;
            let object =
                json!({"type": "unreadable", "place": full, "what": "no name that a mailbox may have"});
            output.line(&object, || format!("! {}: no name that a mailbox may have", plain(&full)));
            continue;
        };
        let missing = !target.has(&name);
        if missing {
            let object = json!({"type": "mailbox", "mailbox": name, "dry_run": what.dry_run});
            output.line(&object, || format!("+ mailbox {}", plain(&name)));
            target.make(&name)?;
        }
        let mut known = if missing { Known::default() } else { target.known(&name) };
        damages += known.unread.len() as Damages;
        for (uid, why) in &known.unread {
            let object = json!({"type": "unreadable", "mailbox": name, "uid": uid, "what": why});
            output.line(&object, || format!("UNREADABLE here: {} UID {uid}: {why}", plain(&name)));
        }
        let mut tally = Tally::default();
        source.each(at, &mut |found| {
            tally.found += 1;
            match found {
                Found::Unreadable { place, why } => {
                    tally.unreadable += 1;
                    let object = json!({"type": "unreadable", "place": place, "what": why});
                    output.line(&object, || format!("! {}: {}", plain(&place), plain(&why)));
                }
                Found::Mail(mail) if known.take(&Identity::of(&mail)) => {
                    tally.there += 1;
                    drop(mail);
                }
                Found::Mail(mail) => {
                    tally.added += 1;
                    if what.dry_run || what.verbose {
                        added(&name, &mail, what.dry_run, output);
                    }
                    target.add(&name, mail)?;
                }
            }
            Ok(())
        })?;
        target.flush()?;
        damages += tally.unreadable;
        told(&name, tally, what.dry_run, output);
    }
    for name in source.subscriptions()? {
        let name = what.below.as_ref().map_or(name.clone(), |above| format!("{above}/{name}"));
        if names::checked(&name).is_some() && !target.subscribed(&name) {
            let object = json!({"type": "subscription", "mailbox": name, "dry_run": what.dry_run});
            output.line(&object, || format!("+ subscription {}", plain(&name)));
            target.subscribe(&name)?;
        }
    }
    Ok(damages)
}

fn added(mailbox: &str, mail: &Mail, dry_run: bool, output: &mut Output) {
    let id = crate::body::message_id(&mail.octets);
    let flags = describe::flags(&mail.flags);
    let object = json!({
        "type": "message", "mailbox": mailbox, "message_id": id, "octets": mail.octets.len(), "flags": flags,
        "internal": moment(mail.internal_ms), "place": mail.place, "dry_run": dry_run,
    });
    output.line(&object, || {
        let (id, flags) = (plain(id.as_deref().unwrap_or("(no Message-ID)")), plain(&flags.join(" ")));
        let (octets, when) = (mail.octets.len(), moment(mail.internal_ms));
        format!("+ {} {when} {octets:>9} octets ({flags}) {id}", plain(mailbox))
    });
}

fn told(mailbox: &str, tally: Tally, dry_run: bool, output: &mut Output) {
    let Tally { found, there, added, unreadable } = tally;
    let object = json!({
        "type": "folder", "mailbox": mailbox, "found": found, "there": there, "added": added,
        "unreadable": unreadable, "dry_run": dry_run,
    });
    output.line(&object, || {
        let verb = if dry_run { "to add" } else { "added" };
        let mut text =
            format!("{:<30} {found:>9} found, {there} there already, {added} {verb}", plain(mailbox));
        if unreadable > 0 {
            text += &format!(", {unreadable} unreadable");
        }
        text
    });
}

/// A dry run: the store as it is on disk, perhaps of a server at work.
struct Plan {
    /// Whose, in which shard's replay.
    account: Option<AccountId>,
    replayed: Option<Replayed>,
    disk: Option<ReadOnlyDisk>,
}

impl Plan {
    fn find(cli: &Cli, wanted: &Wanted) -> Result<Plan, Failure> {
        for shard in data::shards(&cli.data, cli.only()?)? {
            let mut disk = ReadOnlyDisk::quiet(&shard.folder);
            let replayed = recovery::recover_read_only(&mut disk, shard.id, None);
            let replayed = replayed.map_err(|error| error.to_string())?;
            let mut accounts = replayed.index.every_account().map(|(account, _)| account);
            let found = accounts.find(|known| wanted.is(known.id(), Some(known.address())));
            let found = found.map(|account| account.id());
            drop(accounts);
            if let Some(account) = found {
                return Ok(Plan { account: Some(account), replayed: Some(replayed), disk: Some(disk) });
            }
        }
        Ok(Plan { account: None, replayed: None, disk: None })
    }
}

impl Target for Plan {
    fn known(&mut self, mailbox: &str) -> Known {
        let (Some(replayed), Some(disk), Some(id)) = (&self.replayed, &mut self.disk, self.account) else {
            return Known::default();
        };
        let found = replayed.account(id).and_then(|account| account.mailbox_by_name(mailbox));
        match found {
            Some(mailbox) => Known::of(&mailbox, &mut |key, len| export::read(replayed, disk, key, len)),
            None => Known::default(),
        }
    }

    fn has(&self, mailbox: &str) -> bool {
        let account = self.replayed.as_ref().zip(self.account).and_then(|(all, id)| all.account(id));
        match account {
            Some(account) => account.mailbox_by_name(mailbox).is_some_and(|mailbox| !mailbox.no_select()),
            None => mailbox == names::INBOX || USUAL_MAILBOXES.iter().any(|(usual, _)| *usual == mailbox),
        }
    }

    fn make(&mut self, _mailbox: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn add(&mut self, _mailbox: &str, _mail: Mail) -> Result<(), Failure> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn subscribed(&self, mailbox: &str) -> bool {
        let account = self.replayed.as_ref().zip(self.account).and_then(|(all, id)| all.account(id));
        account.is_some_and(|account| account.is_subscribed(mailbox))
    }

    fn subscribe(&mut self, _mailbox: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// The store of a stopped server.
struct Live {
    host: Host<Files>,
    account: AccountId,
    /// What waits to be appended together, and where.
    waiting: Vec<NewMessage>,
    waiting_bytes: usize,
    waiting_for: Option<MailboxId>,
}

impl Live {
    fn open(
        cli: &Cli,
        what: &cli::Import,
        folder: &Folder,
        wanted: &Wanted,
        output: &mut Output,
    ) -> Result<Live, Failure> {
        let shard = match wanted {
            Wanted::Address(address) => folder.shard_of(address),
            Wanted::Id(id) => shard_with(cli, folder, *id)?.ok_or_else(|| no_account(what))?,
        };
        let cores = Cores::of_this_thread().map_err(|error| format!("cannot learn the cores: {error}"))?;
        let files = Files::new(&cli.data, shard, cores).map_err(|error| format!("shard {shard}: {error}"))?;
        let mut host = Host::open(files, shard)?;
        let found = match wanted {
            Wanted::Address(address) => host.store().account_by_address(address),
            Wanted::Id(id) => host.store().account(*id).map(|account| account.id()),
        };
        let account = match found {
            Some(account) => account,
            None => {
                let made = match what.create && what.account.contains('@') {
                    true => create(cli, &mut host, &what.account, output),
                    false => Err(no_account(what)),
                };
                match made {
                    Ok(account) => account,
                    Err(why) => {
                        host.close()?;
                        return Err(why);
                    }
                }
            }
        };
        Ok(Live { host, account, waiting: Vec::new(), waiting_bytes: 0, waiting_for: None })
    }

    fn change(&mut self, change: &Change) -> Result<Outcome, Failure> {
        let outcome = self.host.change(self.account, change)?;
        refusal(&outcome).map_or(Ok(outcome), |why| Err(why.to_owned()))
    }

    fn id(&self, mailbox: &str) -> Option<MailboxId> {
        let account = self.host.store().account(self.account)?;
        account.mailbox_by_name(mailbox).filter(|mailbox| !mailbox.no_select()).map(|mailbox| mailbox.id())
    }

    fn octets(&self, key: BodyKey, len: u32) -> Result<Vec<u8>, Failure> {
        let body = self.host.store().body(key);
        let octets = body.and_then(|body| self.host.store().bytes(body.bytes.slice(0, len)));
        octets.map(|octets| octets.to_vec()).ok_or_else(|| format!("the octets at {} are not there", key.id))
    }
}

/// Whether IMAP has a way to write it: an atom (rfc3501#9 flag-keyword), of a length that a store takes.
fn is_keyword(word: &str) -> bool {
    let is_atom = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
    (1..=KEYWORD_BYTES_MAX).contains(&word.len()) && word.bytes().all(is_atom)
}

/// The shard that has an account now: its number tells only where it was made, and no shard must come to be for it.
fn shard_with(cli: &Cli, folder: &Folder, account: AccountId) -> Result<Option<ShardId>, Failure> {
    for shard in data::shards(&cli.data, None)? {
        let Some(id) = shard.id.filter(|id| id.0 < folder.shards()) else { continue };
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let replayed = recovery::recover_read_only(&mut disk, shard.id, None);
        if replayed.map_err(|error| error.to_string())?.account(account).is_some() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The domains that the server takes mail for; the first shard has them.
fn domains(cli: &Cli) -> Result<Vec<String>, Failure> {
    let mut domains = Vec::new();
    for shard in data::shards(&cli.data, Some(0))? {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let replayed = recovery::recover_read_only(&mut disk, shard.id, None);
        let replayed = replayed.map_err(|error| error.to_string())?;
        domains.extend(replayed.index.domains().map(str::to_owned));
    }
    Ok(domains)
}

fn create(
    cli: &Cli,
    host: &mut Host<Files>,
    address: &str,
    output: &mut Output,
) -> Result<AccountId, Failure> {
    let address = address_of(address)?;
    check_domain(&address, &domains(cli)?)?;
    let password = ringpost::password::generate()?;
    let usual = USUAL_MAILBOXES.iter().map(|(name, special)| ((*name).to_owned(), Some(*special)));
    let change = Change::AccountCreate {
        address: address.clone(),
        password_hash: ringpost::password::hash_generated(&password)?,
        services: Services::ALL,
        mailboxes: usual.collect(),
    };
    match host.change(AccountId(0), &change)? {
        Outcome::AccountCreated(id) => {
            let object: Value = json!({"type": "account", "address": address, "password": password});
            output.line(&object, || format!("+ account {}, password {password}", plain(&address)));
            Ok(id)
        }
        outcome => Err(refusal(&outcome).unwrap_or("no account was made").to_owned()),
    }
}

impl Target for Live {
    fn known(&mut self, mailbox: &str) -> Known {
        let account = self.host.store().account(self.account);
        match account.and_then(|account| account.mailbox_by_name(mailbox)) {
            Some(mailbox) => Known::of(&mailbox, &mut |key, len| self.octets(key, len)),
            None => Known::default(),
        }
    }

    fn has(&self, mailbox: &str) -> bool {
        self.id(mailbox).is_some()
    }

    fn make(&mut self, mailbox: &str) -> Result<(), Failure> {
        let change = Change::MailboxCreate { name: mailbox.to_owned(), special_use: None };
        self.change(&change).map(drop).map_err(|why| format!("{mailbox}: {why}"))
    }

    fn add(&mut self, mailbox: &str, mail: Mail) -> Result<(), Failure> {
        let id = self.id(mailbox).ok_or_else(|| format!("{mailbox} is gone"))?;
        if self.waiting_bytes + mail.octets.len() > CHANGE_BYTES {
            self.flush()?;
        }
        let Mail { place, octets, mut flags, internal_ms } = mail;
        flags.keywords.retain(|keyword| is_keyword(keyword));
        self.waiting_bytes += octets.len();
        let summary = summarise(&octets).encode();
        let body = NewBody { parts: vec![octets.into()], summary };
        let body = self.host.append_body(self.account, &body).map_err(|why| format!("{place}: {why}"))?;
        self.waiting.push(NewMessage { body, flags, internal_ms });
        self.waiting_for = Some(id);
        if self.waiting.len() == MESSAGES_PER_CHANGE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let messages = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(mailbox) = self.waiting_for.take().filter(|_| !messages.is_empty()) else { return Ok(()) };
        self.change(&Change::Append { mailbox, messages, replaces: None }).map(drop)
    }

    fn subscribed(&self, mailbox: &str) -> bool {
        self.host.store().account(self.account).is_some_and(|account| account.is_subscribed(mailbox))
    }

    fn subscribe(&mut self, mailbox: &str) -> Result<(), Failure> {
        self.change(&Change::Subscribe { name: mailbox.to_owned(), on: true }).map(drop)
    }
}
