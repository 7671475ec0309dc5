//! `ringpost-log export`: an account's mail in a form of the world.
//!
//! *Owns*: which messages go out. *Promises*: octets as they were written, with flags, keywords and dates; what is
//! not what was written, and what the form cannot keep, is told. *Assumes*: a server may be running: what is read is
//! the store at one moment. *Never*: overwrites anything.

use ringpost_engine::ids::BodyKey;
use ringpost_engine::index::{AccountRef, MailboxRef, names};
use ringpost_engine::recovery::{self, Replayed};
use serde_json::json;

use super::{Folder, Mail, Sink};
use crate::cli::{self, Cli};
use crate::data;
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, plain, progress};
use crate::show::filter::Wanted;
use crate::show::message::flags_of;
use crate::{Damages, Failure};

/// Writes an account, or one mailbox of it.
pub fn run(cli: &Cli, what: &cli::Export, output: &mut Output) -> Result<Damages, Failure> {
    let wanted = Wanted::parse(&what.account);
    if what.to.exists() {
        return Err(format!("{} exists already: name a new one", what.to.display()));
    }
    let mut unread = Vec::new();
    for shard in data::shards(&cli.data, cli.only()?)? {
        let bar = progress(ReadOnlyDisk::quiet(&shard.folder).bytes(), "reading", false);
        let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
        let replayed = recovery::recover_read_only(&mut disk, shard.id, None);
        bar.finish_and_clear();
        let replayed = match replayed {
            Ok(replayed) => replayed,
            Err(error) => {
                unread.push((shard, error.to_string()));
                continue;
            }
        };
        let mut accounts = replayed.index.every_account().map(|(account, _)| account);
        if let Some(account) = accounts.find(|known| wanted.is(known.id(), Some(known.address()))) {
            let mailboxes = chosen(&account, what)?;
            let sink = what.format.sink(&what.to)?;
            let disk = ReadOnlyDisk::quiet(&shard.folder);
            let mut export = Export { replayed: &replayed, disk, sink, output, damages: 0 };
            mailboxes.iter().try_for_each(|mailbox| export.mailbox(mailbox))?;
            return export.finish(&account, what);
        }
    }
    unread.iter().for_each(|(shard, why)| output.unreadable(shard, why));
    match unread.len() {
        0 => Err(format!("no account {}: give its address or its number", what.account)),
        unread => Ok(unread as Damages),
    }
}

/// The mailboxes to write.
fn chosen<'a>(account: &AccountRef<'a>, what: &cli::Export) -> Result<Vec<MailboxRef<'a>>, Failure> {
    let mut mailboxes = account.mailboxes().filter(|mailbox| !mailbox.no_select());
    match &what.mailbox {
        None => Ok(mailboxes.collect()),
        Some(name) => {
            let wanted = names::canonical(name);
            let found = mailboxes.find(|mailbox| mailbox.name() == wanted);
            Ok(vec![found.ok_or_else(|| format!("{} has no mailbox {name}", account.address()))?])
        }
    }
}

struct Export<'a> {
    replayed: &'a Replayed,
    disk: ReadOnlyDisk,
    sink: Box<dyn Sink>,
    output: &'a mut Output,
    damages: Damages,
}

impl Export<'_> {
    /// Subscriptions last: all of them, or that of the one mailbox.
    fn finish(mut self, account: &AccountRef<'_>, what: &cli::Export) -> Result<Damages, Failure> {
        let wanted = what.mailbox.as_deref().map(names::canonical);
        let subscriptions = account.subscriptions();
        let kept = subscriptions.filter(|name| wanted.as_ref().is_none_or(|wanted| wanted == name));
        self.sink.finish(&kept.map(str::to_owned).collect::<Vec<_>>())?;
        Ok(self.damages)
    }

    fn mailbox(&mut self, mailbox: &MailboxRef<'_>) -> Result<(), Failure> {
        let (name, uid_next) = (mailbox.name().to_owned(), mailbox.uid_next().0);
        let folder = Folder { name: name.clone(), uid_validity: mailbox.uid_validity(), uid_next };
        match self.sink.folder(&folder) {
            Ok(true) => {}
            Ok(false) => {
                let what = "its name: it is cut, files' names may not be as long";
                let object = json!({"type": "lost", "mailbox": name, "what": what});
                self.output.line(&object, || format!("{}: this form does not keep {what}", plain(&name)));
            }
            // The mailboxes behind it are still to come.
            Err(why) => {
                self.damages += 1;
                let object = json!({"type": "unwritten", "mailbox": name, "what": why});
                self.output.line(&object, || format!("NOT WRITTEN {}: {why}", plain(&name)));
                return Ok(());
            }
        }
        let (mut messages, mut bytes, mut lost) = (0u64, 0u64, 0u64);
        for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
            let key = message.key();
            let octets = match self.disk.message(self.replayed, key) {
                Ok(octets) => octets,
                Err(why) => {
                    self.damages += 1;
                    let object = json!({
                        "type": "unreadable", "mailbox": name, "uid": message.uid.0, "what": why,
                    });
                    self.output
                        .line(&object, || format!("UNREADABLE {} UID {}: {why}", plain(&name), message.uid));
                    continue;
                }
            };
            bytes += octets.len() as u64;
            messages += 1;
            let flags = flags_of(mailbox, message.flags);
            let mail = Mail { place: String::new(), octets, flags, internal_ms: message.internal_ms };
            if let Some(what) = self.sink.mail(message.uid.0, &mail)? {
                lost += 1;
                let object = json!({"type": "lost", "mailbox": name, "uid": message.uid.0, "what": what});
                self.output.line(&object, || {
                    format!("{} UID {}: this form does not keep {what}", plain(&name), message.uid)
                });
            }
        }
        let object = json!({
            "type": "exported", "mailbox": name, "messages": messages, "bytes": bytes, "not_whole": lost,
        });
        self.output
            .line(&object, || format!("{:<30} {messages:>9} messages {bytes:>13} octets", plain(&name)));
        Ok(())
    }
}

/// The first `len` octets of a body, proved by nothing.
pub fn read(
    replayed: &Replayed,
    disk: &mut ReadOnlyDisk,
    key: BodyKey,
    len: u32,
) -> Result<Vec<u8>, Failure> {
    let body = replayed.body(key).ok_or_else(|| "its octets are not in the log any more".to_owned())?;
    disk.octets(replayed, body.bytes.slice(0, len))
}
