//! Opening a folder at a moment.
//!
//! *Owns*: finding the account's shard, the position that a moment means, and octets of messages. *Promises*: opens for
//! reading only; damage that concerns the account is an error. *Assumes*: a server may write to the folder meanwhile.
//! *Never*: keeps the index of another shard than the account's.

use std::path::Path;

use ringpost_engine::change::{FlagBits, Flags};
use ringpost_engine::error::Error;
use ringpost_engine::ids::{AccountId, BodyKey, Lsn, ShardId};
use ringpost_engine::index::{AccountRef, MailboxRef};
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::owners::Owners;
use ringpost_engine::recovery::{self, Replayed};

use crate::admin::data::{Shard, shards};
use crate::admin::disk::ReadOnlyDisk;
use crate::log::moment;
use crate::runtime::stored_shards;

/// See the module.
pub struct Past {
    replayed: Replayed,
    disk: ReadOnlyDisk,
    account: AccountId,
    log_key: Option<u64>,
    /// Aliases that led to the account, and all they stood for.
    pub aliases: Vec<(String, Vec<String>)>,
    /// Why other shards cannot say which of theirs did.
    pub unread: Vec<String>,
}

impl Past {
    /// Opens a folder as it is, or as it was at a moment. `aliases` asks for those, too: they are of all shards.
    pub fn open(folder: &Path, address: &str, at_ms: Option<u64>, aliases: bool) -> Result<Past, String> {
        let mut all = shards(folder, None)?;
        // Mostly it is where its name says; slots may have been moved.
        let usual = stored_shards(folder)?.map(|count| Owners::new(count).of(address));
        all.sort_by_key(|shard| shard.id != usual);
        let (mut found, mut led, mut unread) = (None, Vec::new(), Vec::new());
        for shard in &all {
            let (replayed, disk, log_key) = match read(shard, at_ms) {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                // It matters if the account is in no other.
                Err(why) => {
                    unread.push(why);
                    continue;
                }
            };
            if aliases {
                let here = replayed.index.aliases_after("");
                let here = here.filter(|(_, targets)| targets.iter().any(|target| target == address));
                led.extend(here.map(|(alias, targets)| (alias.to_owned(), targets.to_vec())));
            }
            if let Some(account) = replayed.account_by_address(address).filter(|_| found.is_none()) {
                let (aliases, unread) = (Vec::new(), Vec::new());
                found = Some(Past { replayed, disk, account, log_key, aliases, unread });
            } else if replayed.index.is_quarantined(address) {
                return Err(format!("{}: the records of {address} are damaged there", folder.display()));
            }
            if found.is_some() && !aliases {
                break;
            }
        }
        let when = at_ms.map_or(String::new(), |at_ms| format!(" at {}", moment(at_ms)));
        let nobody = || format!("{} has no account {address}{when}", folder.display());
        match found {
            None => Err(unread.into_iter().next().unwrap_or_else(nobody)),
            Some(past) => {
                let unread = if aliases { unread } else { Vec::new() };
                Ok(Past { aliases: led, unread, ..past })
            }
        }
    }

    /// The account.
    ///
    /// # Errors
    /// Never, once it was opened.
    pub fn account(&self) -> Result<AccountRef<'_>, String> {
        self.replayed.account(self.account).ok_or_else(|| "the account is gone".to_owned())
    }

    /// Whether a shard of a data folder goes on with the log that this was read from: then numbers in EMAILIDs mean the
    /// same octets.
    pub fn is_log_of(&self, data: &Path, shard: u16) -> Result<bool, String> {
        let here = shards(data, Some(shard))?;
        let key = here.first().map(log_key).transpose()?.flatten();
        Ok(key.is_some() && key == self.log_key)
    }

    /// The octets of a message, if they are what was written.
    pub fn octets(&mut self, key: BodyKey) -> Result<Vec<u8>, String> {
        self.disk.message(&self.replayed, key)
    }
}

/// Flags of a message with their names.
pub fn flags_of(mailbox: &MailboxRef<'_>, bits: FlagBits) -> Flags {
    let names = mailbox.keywords().iter().enumerate();
    let keywords = names.filter(|(nth, _)| bits.contains(FlagBits::keyword(*nth)));
    Flags {
        system: FlagBits(bits.0 & FlagBits::SYSTEM.0),
        keywords: keywords.map(|(_, name)| name.clone()).collect(),
    }
}

fn log_key(shard: &Shard) -> Result<Option<u64>, String> {
    let chain = Chain::read(&mut ReadOnlyDisk::quiet(&shard.folder), shard.id);
    chain.map(|chain| chain.log.map(|log| log.log_key)).map_err(|error| error.to_string())
}

/// One shard; none when it began later.
fn read(shard: &Shard, at_ms: Option<u64>) -> Result<Option<(Replayed, ReadOnlyDisk, Option<u64>)>, String> {
    let named = |error: Error| format!("{}: {error}", shard.folder.display());
    let mut disk = ReadOnlyDisk::quiet(&shard.folder);
    let chain = Chain::read(&mut disk, shard.id).map_err(named)?;
    let log_key = chain.log.map(|log| log.log_key);
    let Some(at_ms) = at_ms else {
        let replayed = recovery::recover_read_only(&mut disk, shard.id, None).map_err(named)?;
        return Ok(Some((replayed, disk, log_key)));
    };
    let too_early = || {
        format!(
            "{}: what is left of the log does not go back to {}: without --from, restore takes what the store keeps; \
             or take an older backup",
            shard.folder.display(),
            moment(at_ms)
        )
    };
    let until = match position_at(&mut disk, shard.id, at_ms).map_err(named)? {
        Position::End => None,
        Position::Beginning if chain.missing.is_empty() => return Ok(None),
        Position::Beginning => return Err(too_early()),
        Position::Before(lsn) => Some(lsn),
    };
    let replayed = recovery::recover_read_only(&mut disk, shard.id, until).map_err(named)?;
    // Without its beginning a log tells nothing but from a checkpoint on.
    match replayed.report.checkpoint.is_none() && !chain.missing.is_empty() {
        true => Err(too_early()),
        false => Ok(Some((replayed, disk, log_key))),
    }
}

/// Where a log stood at a moment.
enum Position {
    /// Where it stands now.
    End,
    /// Before its first batch.
    Beginning,
    /// Before this record.
    Before(Lsn),
}

/// Looks at the whole log: batches say when they were written.
fn position_at(disk: &mut ReadOnlyDisk, shard: Option<ShardId>, at_ms: u64) -> Result<Position, Error> {
    let mut finder = Finder { at_ms, before: 0, after: None };
    scan::scan(disk, shard, &mut finder)?;
    Ok(match finder.after {
        None => Position::End,
        Some(_) if finder.before == 0 => Position::Beginning,
        Some(lsn) => Position::Before(lsn),
    })
}

struct Finder {
    at_ms: u64,
    /// Batches up to the moment.
    before: u64,
    /// The first batch after it.
    after: Option<Lsn>,
}

impl Visitor for Finder {
    fn segment(&mut self, _: &SegmentInfo) {}

    fn batch(&mut self, batch: &BatchInfo) {
        if batch.meta.time_ms <= self.at_ms {
            self.before += 1;
        } else if self.after.is_none() {
            self.after = Some(batch.meta.lsn);
        }
    }

    fn record(&mut self, _: &RecordInfo, _: &[u8]) {}

    /// The replay tells of it.
    fn damage(&mut self, _: &Damage) {}
}
