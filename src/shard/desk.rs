//! The administrator's desk: carries out what [`super::admin`] asks.
//!
//! *Owns*: administrators' changes under way; the broadcast of the list of domains. *Promises*: a reply to a
//! change comes after its commit; sessions of a deleted account end in the same turn. *Assumes*: addresses
//! are normalised and sent to their owner. *Never*: formats for people beyond one line of refusal.

use std::collections::BTreeMap;

use ringpost_engine::change::{Change, Outcome, QuotaLimits, Refusal, Services, SpecialUse, UidSet};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{AccountId, Lsn, ShardId};
use ringpost_engine::index::{AccountRef, MailboxRef};
use ringpost_engine::limits::{ADDRESS_BYTES_MAX, ALIAS_TARGETS_MAX};
use ringpost_engine::origin::{Origin, SessionInfo};

use crate::limits::ADMIN_ENTRIES_MAX;
use crate::proto::imap;
use crate::shard::Shard;
use crate::shard::admin::import::{MARK, Step};
use crate::shard::admin::restore::{PutBack, RESTORED};
use crate::shard::admin::{
    AccountInfo, AdminReply, AdminRequest, BackupStep, Figures, MailboxInfo, QuotaChange, ShareInfo,
};
use crate::shard::commit::Waiter;
use crate::shard::event::{CloseReason, ConnId, Effect, Message, Ticket};

/// Names a request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// Requests that wait for commits.
#[derive(Debug, Default)]
pub(super) struct Desk {
    jobs: BTreeMap<JobId, Job>,
    last: u64,
    /// What the administrator is doing, and how the log names each thing done.
    verb: &'static str,
    origins: BTreeMap<&'static str, Origin>,
}

impl Desk {
    /// Requests under way.
    pub fn under_way(&self) -> usize {
        self.jobs.len()
    }

    /// Whether messages are on their way back into this account.
    pub fn restores(&self, account: AccountId) -> bool {
        self.jobs.values().any(|job| job.kind == Kind::PutBack(account))
    }
}

#[derive(Debug)]
struct Job {
    to: ShardId,
    ticket: Ticket,
    kind: Kind,
    /// Why each change was not made; none where it was.
    results: Vec<Option<String>>,
    /// UIDs that were put back, before and now.
    moved: Option<(UidSet, UidSet)>,
    open: usize,
}

/// What follows when all of a job's changes are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    All,
    Many,
    Delete(AccountId),
    Domains,
    PutBack(AccountId),
}

/// The mailboxes every account begins with beside INBOX (rfc6154#2).
pub const USUAL_MAILBOXES: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Junk", SpecialUse::Junk),
    ("Trash", SpecialUse::Trash),
    ("Archive", SpecialUse::Archive),
];

impl Shard {
    pub(super) fn on_admin(&mut self, from: ShardId, ticket: Ticket, request: AdminRequest) {
        self.desk.verb = request.verb();
        let reply = match request {
            AdminRequest::AccountAdd { address, password_hash, services } => {
                let appended = self.add_account(address, password_hash, services, usual_mailboxes());
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AccountAddMany(accounts) => match self.add_accounts(accounts) {
                Ok(appended) => return self.start(from, ticket, Kind::Many, appended),
                Err(refused) => AdminReply::Refused(refused),
            },
            AdminRequest::AccountPassword { address, password_hash } => {
                let appended = self.change_account(&address, Change::AccountPassword { password_hash });
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AccountHide { address, capabilities } => {
                let appended = self.hide(&address, capabilities);
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AccountReferral { address, url } => {
                let appended = self.change_account(&address, Change::AccountReferral { url });
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AccountDelete { address } => {
                let found = self.account_named(&address);
                let kind = found.as_ref().map_or(Kind::One, |id| Kind::Delete(*id));
                let appended = found.and_then(|id| self.admin_append(id, Change::AccountDelete));
                return self.start(from, ticket, kind, vec![appended]);
            }
            AdminRequest::AccountQuota { address, change: Some(change) } => {
                let appended = self.set_quota(&address, change);
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AccountQuota { address, change: None } => {
                self.about(&address, |account| AdminReply::Quota(account.quota()))
            }
            AdminRequest::AccountShares { address } => self.about(&address, shares),
            AdminRequest::Backup(step) => self.backup(step),
            AdminRequest::Slot(step) => return self.on_slot_step(from, ticket, step),
            AdminRequest::Import { address, step } => return self.on_import(from, ticket, &address, step),
            AdminRequest::Restore { address, step } => return self.on_restore(from, ticket, address, step),
            AdminRequest::AliasSet { address, targets } => {
                let appended = self.set_alias(address, targets);
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::AliasDelete { address } => {
                let appended = self.delete_alias(address);
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            AdminRequest::DomainAdd { name } => {
                let appended = self.add_domain(name);
                return self.start(from, ticket, Kind::Domains, vec![appended]);
            }
            AdminRequest::AccountList { after, limit } => self.accounts(&after, limit),
            AdminRequest::AccountShow { address } => self.show(&address),
            AdminRequest::DomainList => {
                AdminReply::Domains(self.store.domains().map(str::to_owned).collect())
            }
            AdminRequest::AliasList { after, limit } => self.aliases(&after, limit),
            AdminRequest::Damage(cursor) => self.damage(cursor),
            AdminRequest::Scrub { now } => self.scrub_state(now),
            AdminRequest::Status => AdminReply::Status(self.figures()),
        };
        self.tell(from, Message::AdminReply { ticket, reply });
    }

    fn on_import(&mut self, from: ShardId, ticket: Ticket, address: &str, step: Step) {
        match self.import(address, step) {
            Ok(lsn) => self.start(from, ticket, Kind::One, vec![Ok(lsn)]),
            Err(reply) => self.tell(from, Message::AdminReply { ticket, reply }),
        }
    }

    fn backup(&mut self, step: BackupStep) -> AdminReply {
        let refused = |refused| AdminReply::Refused(refused_words(refused));
        match step {
            BackupStep::Seal => self.store.seal().map_or_else(refused, AdminReply::Sealing),
            BackupStep::Sealed { last } => self.store.sealed(last).map_or_else(refused, AdminReply::Sealed),
            BackupStep::Segments { after, last } => {
                AdminReply::Segments(self.store.segments_within(after, last, ADMIN_ENTRIES_MAX))
            }
            BackupStep::Checkpoint { end } => AdminReply::Checkpoint(self.store.checkpoint_within(end)),
        }
    }

    fn accounts(&self, after: &str, limit: usize) -> AdminReply {
        let ours = |account: &AccountRef<'_>| self.owner(account.address()) == self.id;
        let accounts = self.store.accounts_after(after).filter(ours).take(limit.min(ADMIN_ENTRIES_MAX));
        AdminReply::Accounts(accounts.map(account_info).collect())
    }

    fn aliases(&self, after: &str, limit: usize) -> AdminReply {
        let ours = |(address, _): &(&str, &[String])| self.owner(address) == self.id;
        let aliases = self.store.aliases_after(after).filter(ours).take(limit.min(ADMIN_ENTRIES_MAX));
        AdminReply::Aliases(aliases.map(|(name, to)| (name.to_owned(), to.to_vec())).collect())
    }

    fn change_account(&mut self, address: &str, change: Change) -> Result<Lsn, String> {
        self.account_named(address).and_then(|id| self.admin_append(id, change))
    }

    fn hide(&mut self, address: &str, capabilities: Vec<String>) -> Result<Lsn, String> {
        match capabilities.iter().find(|name| !imap::may_be_hidden(name)) {
            Some(name) => Err(format!("{name} is no IMAP capability that can be hidden")),
            None => self.change_account(address, Change::AccountHide { capabilities }),
        }
    }

    fn delete_alias(&mut self, address: String) -> Result<Lsn, String> {
        self.check_open(&address)?;
        match self.store.alias(&address) {
            Some(_) => self.admin_append(AccountId::default(), Change::AliasDelete { address }),
            None => Err(format!("there is no alias {address}")),
        }
    }

    pub(super) fn start(
        &mut self,
        to: ShardId,
        ticket: Ticket,
        kind: Kind,
        appended: Vec<Result<Lsn, String>>,
    ) {
        self.desk.last += 1;
        let id = JobId(self.desk.last);
        let mut results = Vec::with_capacity(appended.len());
        let mut open = 0;
        for (index, result) in appended.into_iter().enumerate() {
            if let Ok(lsn) = result {
                self.commits.insert(lsn, Waiter::Job(id, index));
                open += 1;
            }
            results.push(result.err());
        }
        self.desk.jobs.insert(id, Job { to, ticket, kind, results, moved: None, open });
        self.finish_job(id);
    }

    pub(super) fn job_committed(&mut self, id: JobId, index: usize, outcome: Outcome) {
        let Some(job) = self.desk.jobs.get_mut(&id) else { return };
        match outcome {
            Outcome::Refused(refusal) => job.results[index] = Some(refusal_words(refusal).to_owned()),
            Outcome::Copied { source, target, .. } => job.moved = Some((source, target)),
            _ => {}
        }
        job.open -= 1;
        self.finish_job(id);
    }

    fn finish_job(&mut self, id: JobId) {
        if self.desk.jobs.get(&id).is_none_or(|job| job.open > 0) {
            return;
        }
        let Some(mut job) = self.desk.jobs.remove(&id) else { return };
        let first = job.results.first_mut().and_then(Option::take);
        if first.is_none() {
            match job.kind {
                Kind::Delete(account) => self.end_sessions_everywhere(account),
                Kind::Domains => self.announce_domains(),
                Kind::One | Kind::All | Kind::Many | Kind::PutBack(_) => {}
            }
        }
        let reply = match (job.kind, first) {
            (Kind::Many, first) => {
                if let Some(slot) = job.results.first_mut() {
                    *slot = first;
                }
                AdminReply::Many(job.results)
            }
            (_, Some(why)) => AdminReply::Refused(why),
            (Kind::All, None) => match job.results.into_iter().flatten().next() {
                Some(why) => AdminReply::Refused(why),
                None => AdminReply::Done,
            },
            (Kind::PutBack(_), None) => {
                let (source, target) = job.moved.unwrap_or_default();
                AdminReply::PutBack(PutBack { changed: false, source, target })
            }
            (_, None) => AdminReply::Done,
        };
        self.tell(job.to, Message::AdminReply { ticket: job.ticket, reply });
    }

    fn end_sessions_everywhere(&mut self, account: AccountId) {
        let here = self.id;
        for shard in (0..self.owners.shards()).map(ShardId).filter(|&shard| shard != here) {
            self.tell(shard, Message::AccountGone(account));
        }
        self.end_sessions_of(account);
    }

    /// Ends the sessions of a deleted account that are on this shard.
    pub(super) fn end_sessions_of(&mut self, account: AccountId) {
        let sessions: Vec<ConnId> = self.users.of(account).collect();
        for id in sessions {
            self.hang_up(id, CloseReason::AccountGone);
        }
    }

    pub(super) fn account_named(&self, address: &str) -> Result<AccountId, String> {
        self.check_owned(address)?;
        if self.store.is_quarantined(address) {
            return Err(format!("{address} is quarantined: its records in the log are damaged"));
        }
        self.store.account_by_address(address).ok_or_else(|| format!("there is no account {address}"))
    }

    pub(super) fn admin_append(&mut self, account: AccountId, change: Change) -> Result<Lsn, String> {
        let by = self.admin_origin();
        self.store.append_by(by, account, change, self.now).map_err(refused_words)
    }

    /// How the log names what the administrator is doing: one record a verb and process.
    fn admin_origin(&mut self) -> Origin {
        let by = self.desk.origins.get(self.desk.verb).copied().unwrap_or_default();
        if self.store.knows(by) {
            return by;
        }
        let (service, client) = ("admin".to_owned(), self.desk.verb.to_owned());
        let about = SessionInfo { service, client, opened_ms: self.now.unix_ms, ..SessionInfo::default() };
        // Refused: then the log has no room, which the change itself will meet with.
        let by = self.store.introduce(about, self.now).unwrap_or_default();
        self.desk.origins.insert(self.desk.verb, by);
        by
    }

    pub(super) fn add_account(
        &mut self,
        address: String,
        password_hash: String,
        services: Services,
        mailboxes: Vec<(String, Option<SpecialUse>)>,
    ) -> Result<Lsn, String> {
        check_address(&address)?;
        self.check_open(&address)?;
        if self.store.account_by_address(&address).is_some() || self.store.is_quarantined(&address) {
            return Err(format!("{address} exists already"));
        }
        if self.store.alias(&address).is_some() {
            return Err(format!("{address} is an alias: delete it first"));
        }
        let change = Change::AccountCreate { address, password_hash, services, mailboxes };
        self.admin_append(AccountId::default(), change)
    }

    fn add_accounts(&mut self, accounts: Vec<(String, String)>) -> Result<Vec<Result<Lsn, String>>, String> {
        if accounts.len() > ADMIN_ENTRIES_MAX {
            return Err(format!("more than {ADMIN_ENTRIES_MAX} accounts at once: send them in parts"));
        }
        let add = |(address, hash)| self.add_account(address, hash, Services::ALL, usual_mailboxes());
        Ok(accounts.into_iter().map(add).collect())
    }

    /// An answer about one account.
    fn about(&self, address: &str, tell: impl FnOnce(AccountRef<'_>) -> AdminReply) -> AdminReply {
        let found = self.account_named(address).map(|id| self.store.account(id));
        match found {
            Ok(Some(account)) => tell(account),
            Ok(None) => AdminReply::Refused(format!("there is no account {address}")),
            Err(why) => AdminReply::Refused(why),
        }
    }

    fn set_quota(&mut self, address: &str, change: QuotaChange) -> Result<Lsn, String> {
        let id = self.account_named(address)?;
        let account = self.store.account(id).ok_or_else(|| format!("there is no account {address}"))?;
        let now = account.quota().limits;
        let limits = QuotaLimits {
            storage_kib: change.storage_kib.unwrap_or(now.storage_kib),
            messages: change.messages.unwrap_or(now.messages),
            mailboxes: change.mailboxes.unwrap_or(now.mailboxes),
        };
        self.admin_append(id, Change::Quota { limits })
    }

    fn set_alias(&mut self, address: String, targets: Vec<String>) -> Result<Lsn, String> {
        check_address(&address)?;
        self.check_open(&address)?;
        if targets.is_empty() || targets.len() > ALIAS_TARGETS_MAX {
            return Err(format!("an alias has 1 to {ALIAS_TARGETS_MAX} targets"));
        }
        targets.iter().try_for_each(|target| check_address(target))?;
        if self.store.account_by_address(&address).is_some() {
            return Err(format!("{address} is an account: mail for it would never reach the alias"));
        }
        self.admin_append(AccountId::default(), Change::AliasSet { address, targets })
    }

    fn add_domain(&mut self, name: String) -> Result<Lsn, String> {
        if self.id != ShardId(0) {
            return Err("domains are kept by shard 0".to_owned());
        }
        let label = |label: &str| !label.is_empty() && label.len() <= 63; // rfc1035#2.3.4
        if name.len() > 253
            || !name.split('.').all(label)
            || name.contains(|c: char| c.is_control() || c == '@')
        {
            return Err(format!("{name:?} is no domain name"));
        }
        if self.store.domains().any(|known| known == name) {
            return Err(format!("{name} is ours already"));
        }
        self.admin_append(AccountId::default(), Change::DomainAdd { name })
    }

    fn show(&self, address: &str) -> AdminReply {
        let id = match self.account_named(address) {
            Ok(id) => id,
            Err(why) => return AdminReply::Refused(why),
        };
        match self.store.account(id) {
            Some(account) => {
                AdminReply::Account(account_info(account), account.mailboxes().map(mailbox_info).collect())
            }
            None => AdminReply::Refused(format!("there is no account {address}")),
        }
    }

    /// Shard 0 tells every shard the list of domains, and goes by it itself.
    pub(super) fn announce_domains(&mut self) {
        let domains: Vec<String> = self.store.domains().map(str::to_owned).collect();
        for shard in 1..self.owners.shards() {
            self.tell(ShardId(shard), Message::Domains(domains.clone()));
        }
        self.learn_domains(domains);
    }

    pub(super) fn learn_domains(&mut self, mut domains: Vec<String>) {
        domains.sort_unstable();
        self.server.domains = domains;
        self.slots.domains_known = true;
        self.become_ready();
    }

    /// Says once that this shard knows all it needs to serve.
    pub(super) fn become_ready(&mut self) {
        let knows_all = self.slots.domains_known && self.slots.knows_all(self.owners.shards());
        if knows_all && !std::mem::replace(&mut self.ready, true) {
            self.effects.push_back(Effect::Ready);
        }
    }

    fn figures(&self) -> Figures {
        let stats = self.store.stats();
        let mut figures = vec![
            ("connections", self.connections.len() as u64),
            ("sessions_logged_in", self.users.len() as u64),
            ("sessions_watching", self.watchers.len() as u64),
            ("buffered_bytes", self.buffered as u64),
            ("under_way", (self.under_way() + self.commits.len() + self.put_off.len()) as u64),
            ("accounts", stats.accounts),
            ("mailboxes", stats.mailboxes),
            ("messages", stats.messages),
            ("messages_removed", stats.buried),
            ("messages_removed_let_go", stats.let_go),
            ("body_bytes", stats.body_bytes),
            ("log_bytes", stats.log_bytes),
            ("segments", stats.segments),
            ("batches", stats.batches),
            ("entries", stats.entries),
            ("log_next", stats.next.0),
            ("log_durable", stats.durable.0),
            ("disk_full", u64::from(stats.disk_full)),
            ("checkpoints", stats.checkpoints),
            ("checkpoint_bytes", stats.checkpoint_bytes),
            ("checkpoint_file_bytes", stats.checkpoint_file_bytes),
            ("checkpoint_live_bytes", stats.checkpoint_live_bytes),
            ("packs", stats.packs),
            ("pack_bytes", stats.pack_bytes),
            ("live_bytes", stats.live_bytes),
            ("compacted_packs", stats.compacted.packs),
            ("compacted_bytes_written", stats.compacted.written),
            ("compacted_files_removed", stats.compacted.removed),
            ("compacted_bytes_reclaimed", stats.compacted.reclaimed),
            ("compacted_files_damaged", stats.compacted.damaged),
            ("compacted_packs_given_up", stats.compacted.given_up),
            ("compressed_messages", stats.compacted.pressed.bodies),
            ("compressed_octets", stats.compacted.pressed.octets),
            ("compressed_bytes", stats.compacted.pressed.bytes),
            ("accounts_awake", stats.accounts_awake),
            ("accounts_damaged", stats.accounts_damaged),
            ("scrub_rounds", stats.scrub.rounds),
            ("scrub_bytes", stats.scrub.bytes),
            ("scrub_files_left", stats.scrub.files_left),
            ("places_hidden", stats.distrusted),
            ("index_memory_bytes", stats.index_memory_bytes),
        ];
        figures.extend(self.counters.figures());
        figures
    }
}

fn usual_mailboxes() -> Vec<(String, Option<SpecialUse>)> {
    USUAL_MAILBOXES.iter().map(|(name, special)| ((*name).to_owned(), Some(*special))).collect()
}

/// Whether an address can be a name here: local part and domain, visible, within the store's bound.
fn check_address(address: &str) -> Result<(), String> {
    let good = address.len() <= ADDRESS_BYTES_MAX
        && !address.contains(|c: char| c.is_control() || c.is_whitespace())
        && address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if good { Ok(()) } else { Err(format!("{address:?} is no address: local-part@domain is expected")) }
}

/// Why the store took no change.
pub(super) fn refused_words(refused: Refused) -> String {
    match refused {
        Refused::DiskFull => "the disk is full: make room and try again",
        Refused::Busy => "too much waits for the disk: try again",
        Refused::TooLarge => "a value is larger than the store takes",
        Refused::Failed => "the disk failed",
    }
    .to_owned()
}

fn refusal_words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoAccount => "there is no such account any more",
        Refusal::NoMailbox => "there is no such mailbox any more",
        Refusal::Exists => "it exists already",
        Refusal::Limit => "a bound of the store is reached",
        Refusal::OverQuota => "the account's quota has no room for it",
        Refusal::NoBody => "the message is gone",
        Refusal::NotFresh => "mail has arrived there meanwhile: its UIDs cannot be kept",
        Refusal::DiskFull => "the disk is full: make room and try again",
    }
}

fn shares(account: AccountRef<'_>) -> AdminReply {
    let lists = account.mailboxes().flat_map(|mailbox| mailbox.acl().map(move |entry| (mailbox, entry)));
    let entries = lists.map(|(mailbox, (identifier, rights))| ShareInfo {
        mailbox: mailbox.name().to_owned(),
        identifier: identifier.to_owned(),
        rights: rights.letters().collect(),
    });
    let entries: Vec<ShareInfo> = entries.take(ADMIN_ENTRIES_MAX + 1).collect();
    match entries.len() > ADMIN_ENTRIES_MAX {
        true => AdminReply::Refused(format!("more than {ADMIN_ENTRIES_MAX} entries: read them by GETACL")),
        false => AdminReply::Shares(entries),
    }
}

fn account_info(account: AccountRef<'_>) -> AccountInfo {
    AccountInfo {
        address: account.address().to_owned(),
        id: account.id().0,
        services: account.services(),
        messages: account.messages(),
        bytes: account.bytes(),
        created_ms: account.created_ms(),
    }
}

fn mailbox_info(mailbox: MailboxRef<'_>) -> MailboxInfo {
    let special_use = match mailbox.special_use() {
        None => "",
        Some(SpecialUse::Archive) => "\\Archive",
        Some(SpecialUse::Drafts) => "\\Drafts",
        Some(SpecialUse::Junk) => "\\Junk",
        Some(SpecialUse::Sent) => "\\Sent",
        Some(SpecialUse::Trash) => "\\Trash",
        Some(SpecialUse::Flagged) => "\\Flagged",
        Some(SpecialUse::All) => "\\All",
    };
    MailboxInfo {
        name: mailbox.name().to_owned(),
        id: mailbox.id().0,
        special_use: special_use.to_owned(),
        no_select: mailbox.no_select(),
        uid_validity: mailbox.uid_validity(),
        uid_next: mailbox.uid_next().0,
        imported_next: mailbox.imported_next().0,
        mark: String::from_utf8_lossy(mailbox.metadata(MARK).unwrap_or_default()).into_owned(),
        restored: String::from_utf8_lossy(mailbox.metadata(RESTORED).unwrap_or_default()).into_owned(),
        keywords: mailbox.keywords().to_vec(),
        highest_modseq: mailbox.highest_modseq().0,
        messages: mailbox.len() as u64,
        unseen: mailbox.unseen() as u64,
        bytes: mailbox.bytes(),
    }
}
