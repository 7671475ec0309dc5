//! From a request to the shards that answer it.
//!
//! *Owns*: validation, normalisation, who is asked, the merge of listings. *Promises*: a listing holds at
//! most one page per shard in memory. *Assumes*: `Shards::request` blocks until the answer is there.
//! *Never*: formats for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use ringpost_engine::change::Services;
use ringpost_engine::ids::{ShardId, Slot, normalise_address};
use ringpost_engine::limits::{ADDRESS_BYTES_MAX, ALIAS_TARGETS_MAX};
use ringpost_engine::owners::Seat;

use super::backup::server::answer as backup;
use super::damage::server::{damage, scrub};
use super::import::server::answer as import;
use super::restore::server::answer as restore;
use super::slots::moves;
use super::slots::server::answer as slots;
use super::wire::{BULK_ACCOUNTS_MAX, Line, Request};
use crate::limits::IMAP_URL_BYTES_MAX;
use crate::password;
use crate::shard::admin::{AccountInfo, AdminReply, AdminRequest, MailboxInfo, QuotaChange, ShareInfo};

/// Rows a shard is asked for at a time.
pub const PAGE_ROWS: usize = 500;

/// The running shards, as the control thread reaches them.
pub trait Shards: Send + Sync {
    /// How many there are.
    fn count(&self) -> u16;
    /// Asks one and waits for its answer.
    fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String>;
    /// Who has a slot.
    fn owner(&self, slot: Slot) -> ShardId {
        slot.shard(self.count())
    }
    /// Takes in who has which slot.
    fn learn(&self, _seats: &[(Slot, Seat)]) {}
    /// Held by whoever moves a slot in the moment in which it changes hands, and by whoever needs all of them to stay.
    fn order(&self) -> &Mutex<()> {
        static ORDER: Mutex<()> = Mutex::new(());
        &ORDER
    }
}

/// Where lines of an answer go; an error means that the client is gone.
pub type Sink<'a> = dyn FnMut(Line) -> std::io::Result<()> + 'a;

/// Carries a request out. The last line is `Done` or `Refused`.
pub fn carry_out(shards: &dyn Shards, request: Request, sink: &mut Sink<'_>) -> std::io::Result<()> {
    let last = match answer(shards, request, sink)? {
        Ok(()) => Line::Done,
        Err(why) => Line::Refused(why),
    };
    sink(last)
}

/// The inner result is the answer's last line; the outer one the client's socket.
pub type Answer = std::io::Result<Result<(), String>>;

fn answer(shards: &dyn Shards, request: Request, sink: &mut Sink<'_>) -> Answer {
    match request {
        Request::AccountAdd { address, password_hash, services } => {
            Ok(add_one(shards, &address, password_hash, &services))
        }
        Request::AccountAddMany { accounts } => add_many(shards, accounts, sink),
        Request::AccountPassword { address, password_hash } => Ok(address_of(&address).and_then(|address| {
            password::check(&password_hash)?;
            done(ask_owner(
                shards,
                &address.clone(),
                AdminRequest::AccountPassword { address, password_hash },
            ))
        })),
        Request::AccountHide { address, capabilities } => Ok(address_of(&address).and_then(|address| {
            let request = AdminRequest::AccountHide { address: address.clone(), capabilities };
            done(ask_owner(shards, &address, request))
        })),
        Request::AccountReferral { address, url } => Ok(address_of(&address).and_then(|address| {
            let url = url.map(|url| referral(&url)).transpose()?;
            let request = AdminRequest::AccountReferral { address: address.clone(), url };
            done(ask_owner(shards, &address, request))
        })),
        Request::AccountDelete { address } => Ok(address_of(&address).and_then(|address| {
            done(ask_owner(shards, &address.clone(), AdminRequest::AccountDelete { address }))
        })),
        Request::AccountList => {
            merge(shards, sink, |after, limit| AdminRequest::AccountList { after, limit })
        }
        Request::AccountShow { address } => show(shards, &address, sink),
        Request::AccountQuota { address, storage, messages, mailboxes } => {
            let texts = (storage.as_deref(), messages.as_deref(), mailboxes.as_deref());
            match address_of(&address)
                .and_then(|address| Ok((address, super::quota::change(texts.0, texts.1, texts.2)?)))
            {
                Ok((address, change)) => quota(shards, address, change, sink),
                Err(why) => Ok(Err(why)),
            }
        }
        Request::AccountShares { address } => shares(shards, &address, sink),
        Request::DomainAdd { name } => Ok(domain_of(&name)
            .and_then(|name| done(shards.request(ShardId(0), AdminRequest::DomainAdd { name })))),
        Request::DomainList => match domains(shards) {
            Ok(names) => {
                for name in names {
                    sink(Line::Domain { name })?;
                }
                Ok(Ok(()))
            }
            Err(why) => Ok(Err(why)),
        },
        Request::AliasAdd { address, targets } => Ok(add_alias(shards, &address, &targets)),
        Request::AliasDelete { address } => Ok(address_of(&address).and_then(|address| {
            done(ask_owner(shards, &address.clone(), AdminRequest::AliasDelete { address }))
        })),
        Request::Import { address, step } => import(shards, &address, step, sink),
        Request::Restore { address, step } => restore(shards, &address, step, sink),
        Request::AliasList => merge(shards, sink, |after, limit| AdminRequest::AliasList { after, limit }),
        Request::Backup => backup(shards, sink),
        Request::Slots { each, slot } => slots(shards, each, slot, sink),
        Request::SlotsMove { first, last, to } => moves::range(shards, (first, last), to, sink),
        Request::SlotsBalance { dry_run } => moves::balance(shards, dry_run, sink),
        Request::Damage => damage(shards, sink),
        Request::Scrub { now } => scrub(shards, now, sink),
        Request::Status => status(shards, sink),
    }
}

fn ask_owner(shards: &dyn Shards, address: &str, request: AdminRequest) -> Result<AdminReply, String> {
    shards.request(shards.owner(Slot::of(address)), request)
}

fn done(reply: Result<AdminReply, String>) -> Result<(), String> {
    match reply? {
        AdminReply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// What a reply that was not asked for says.
pub fn unexpected(reply: AdminReply) -> String {
    match reply {
        AdminReply::Refused(why) => why,
        other => format!("the shard gave an answer to another question: {other:?}"),
    }
}

/// What can stand in a `[REFERRAL …]` code (rfc2221#5).
fn referral(url: &str) -> Result<String, String> {
    let clean = url.bytes().all(|octet| octet.is_ascii_graphic() && octet != b']');
    if clean && url.starts_with("imap://") && url.len() <= IMAP_URL_BYTES_MAX {
        Ok(url.to_owned())
    } else {
        Err(format!("{url:?} is no IMAP URL: give one like imap://ann@imap.example.org/"))
    }
}

/// A normalised address.
pub fn address_of(text: &str) -> Result<String, String> {
    let address = normalise_address(text.trim());
    let whole =
        address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let clean = !address.chars().any(|c| c.is_control() || c == ' ' || c == '<' || c == '>');
    if whole && clean && address.len() <= ADDRESS_BYTES_MAX {
        Ok(address)
    } else {
        Err(format!("{text:?} is no address: give name@domain, at most {ADDRESS_BYTES_MAX} octets"))
    }
}

fn domain_of(text: &str) -> Result<String, String> {
    let name = text.trim().to_lowercase();
    let label = |l: &str| {
        let inner = l.chars().all(|c| c.is_alphanumeric() || c == '-');
        !l.is_empty() && l.len() <= 63 && inner && !l.starts_with('-') && !l.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(format!("{text:?} is no domain name: give labels of letters, digits and hyphens, split by dots"))
    }
}

/// A normalised address whose domain is ours.
fn local_address(shards: &dyn Shards, text: &str) -> Result<String, String> {
    let address = address_of(text)?;
    check_domain(&address, &domains(shards)?)?;
    Ok(address)
}

/// Whether a normalised address is of a domain of ours.
///
/// # Errors
/// It is not, and what to do.
pub fn check_domain(address: &str, domains: &[String]) -> Result<(), String> {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    if domains.iter().any(|ours| ours == domain) {
        return Ok(());
    }
    Err(format!("{domain} is not a domain of this server: first `ringpost domain add {domain}`"))
}

fn domains(shards: &dyn Shards) -> Result<Vec<String>, String> {
    match shards.request(ShardId(0), AdminRequest::DomainList)? {
        AdminReply::Domains(names) => Ok(names),
        other => Err(unexpected(other)),
    }
}

fn add_alias(shards: &dyn Shards, address: &str, targets: &[String]) -> Result<(), String> {
    if targets.is_empty() || targets.len() > ALIAS_TARGETS_MAX {
        return Err(format!("an alias needs 1 to {ALIAS_TARGETS_MAX} targets"));
    }
    let domains = domains(shards)?;
    let address = address_of(address)?;
    check_domain(&address, &domains)?;
    let targets = targets.iter().map(|target| address_of(target)).collect::<Result<Vec<_>, _>>()?;
    // Relaying outward does not exist yet: a target elsewhere would be refused at every RCPT.
    targets.iter().try_for_each(|target| check_domain(target, &domains))?;
    done(ask_owner(shards, &address.clone(), AdminRequest::AliasSet { address, targets }))
}

const SERVICE_NAMES: [(&str, Services); 3] =
    [("pop3", Services::POP3), ("imap", Services::IMAP), ("submission", Services::SUBMISSION)];

/// Services by their names.
pub fn services_of(names: &[String]) -> Result<Services, String> {
    names.iter().try_fold(Services(0), |sum, name| {
        let known = SERVICE_NAMES.iter().find(|(known, _)| known == name);
        known
            .map(|(_, bit)| Services(sum.0 | bit.0))
            .ok_or(format!("{name:?} is none of pop3, imap, submission"))
    })
}

/// Their names.
pub fn service_names(services: Services) -> Vec<String> {
    let allowed = SERVICE_NAMES.iter().filter(|(_, bit)| services.allows(*bit));
    allowed.map(|(name, _)| (*name).to_string()).collect()
}

fn add_one(
    shards: &dyn Shards,
    text: &str,
    password_hash: String,
    services: &[String],
) -> Result<(), String> {
    let services = services_of(services)?;
    let address = local_address(shards, text)?;
    password::check(&password_hash)?;
    done(ask_owner(shards, &address.clone(), AdminRequest::AccountAdd { address, password_hash, services }))
}

/// One request to each shard that owns some of the accounts; one commit or a few for all of them.
fn add_many(shards: &dyn Shards, accounts: Vec<(String, String)>, sink: &mut Sink<'_>) -> Answer {
    if accounts.len() > BULK_ACCOUNTS_MAX {
        return Ok(Err(format!("at most {BULK_ACCOUNTS_MAX} accounts in one request")));
    }
    let domains = match domains(shards) {
        Ok(domains) => domains,
        Err(why) => return Ok(Err(why)),
    };
    let mut by_shard: BTreeMap<ShardId, Vec<(String, String)>> = BTreeMap::new();
    for (text, hash) in accounts {
        let checked =
            address_of(&text).and_then(|address| check_domain(&address, &domains).map(|()| address));
        let checked = checked.and_then(|address| password::check(&hash).map(|()| address));
        match checked {
            Ok(address) => {
                by_shard.entry(shards.owner(Slot::of(&address))).or_default().push((address, hash));
            }
            Err(why) => sink(Line::Result { address: text, refused: Some(why) })?,
        }
    }
    for (shard, accounts) in by_shard {
        let addresses: Vec<String> = accounts.iter().map(|(address, _)| address.clone()).collect();
        match shards.request(shard, AdminRequest::AccountAddMany(accounts)) {
            Ok(AdminReply::Many(results)) => {
                for (address, refused) in addresses.into_iter().zip(results) {
                    sink(Line::Result { address, refused })?;
                }
            }
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(()))
}

/// Merges the shards' sorted pages into one sorted listing.
fn merge(shards: &dyn Shards, sink: &mut Sink<'_>, page: impl Fn(String, usize) -> AdminRequest) -> Answer {
    let mut lists: Vec<Listing> = (0..shards.count()).map(|shard| Listing::new(ShardId(shard))).collect();
    loop {
        for list in &mut lists {
            if let Err(why) = list.fill(shards, &page) {
                return Ok(Err(why));
            }
        }
        let next =
            lists.iter_mut().filter(|list| !list.rows.is_empty()).min_by_key(|list| list.rows[0].0.clone());
        match next.and_then(|list| list.rows.pop_front()) {
            Some((_, line)) => sink(line)?,
            None => return Ok(Ok(())),
        }
    }
}

/// What is still to be listed of one shard.
struct Listing {
    shard: ShardId,
    rows: VecDeque<(String, Line)>,
    after: String,
    ended: bool,
}

impl Listing {
    fn new(shard: ShardId) -> Listing {
        Listing { shard, rows: VecDeque::new(), after: String::new(), ended: false }
    }

    fn fill(
        &mut self,
        shards: &dyn Shards,
        page: &impl Fn(String, usize) -> AdminRequest,
    ) -> Result<(), String> {
        if !self.rows.is_empty() || self.ended {
            return Ok(());
        }
        self.rows = match shards.request(self.shard, page(self.after.clone(), PAGE_ROWS))? {
            AdminReply::Accounts(rows) => {
                rows.into_iter().map(|row| (row.address.clone(), account_line(row))).collect()
            }
            AdminReply::Aliases(rows) => rows
                .into_iter()
                .map(|(address, targets)| (address.clone(), Line::Alias { address, targets }))
                .collect(),
            other => return Err(unexpected(other)),
        };
        self.ended = self.rows.len() < PAGE_ROWS;
        if let Some((last, _)) = self.rows.back() {
            self.after.clone_from(last);
        }
        Ok(())
    }
}

/// An account as a listing shows it.
pub fn account_line(info: AccountInfo) -> Line {
    let AccountInfo { address, id, services, messages, bytes, created_ms } = info;
    Line::Account { address, id, services: service_names(services), messages, bytes, created_ms }
}

/// A mailbox as a listing shows it.
pub fn mailbox_line(info: MailboxInfo) -> Line {
    Line::Mailbox {
        name: info.name,
        id: info.id,
        special_use: info.special_use,
        no_select: info.no_select,
        uid_validity: info.uid_validity,
        uid_next: info.uid_next,
        imported_next: info.imported_next,
        mark: info.mark,
        restored: info.restored,
        keywords: info.keywords,
        highest_modseq: info.highest_modseq,
        messages: info.messages,
        unseen: info.unseen,
        bytes: info.bytes,
    }
}

fn show(shards: &dyn Shards, address: &str, sink: &mut Sink<'_>) -> Answer {
    let reply = address_of(address)
        .and_then(|address| ask_owner(shards, &address.clone(), AdminRequest::AccountShow { address }));
    match reply {
        Ok(AdminReply::Account(account, mailboxes)) => {
            sink(account_line(account))?;
            for mailbox in mailboxes {
                sink(mailbox_line(mailbox))?;
            }
            Ok(Ok(()))
        }
        Ok(other) => Ok(Err(unexpected(other))),
        Err(why) => Ok(Err(why)),
    }
}

fn quota(shards: &dyn Shards, address: String, change: Option<QuotaChange>, sink: &mut Sink<'_>) -> Answer {
    let quota = match ask_owner(shards, &address.clone(), AdminRequest::AccountQuota { address, change }) {
        Ok(AdminReply::Quota(quota)) => quota,
        reply => return Ok(done(reply)),
    };
    let resources = [
        ("storage", quota.usage.storage_kib(), quota.limits.storage_kib),
        ("messages", quota.usage.messages, quota.limits.messages),
        ("mailboxes", quota.usage.mailboxes, quota.limits.mailboxes),
    ];
    for (resource, used, limit) in resources {
        sink(Line::Quota { resource: resource.to_string(), used, limit })?;
    }
    Ok(Ok(()))
}

fn shares(shards: &dyn Shards, address: &str, sink: &mut Sink<'_>) -> Answer {
    let reply = address_of(address)
        .and_then(|address| ask_owner(shards, &address.clone(), AdminRequest::AccountShares { address }));
    match reply {
        Ok(AdminReply::Shares(entries)) => {
            for ShareInfo { mailbox, identifier, rights } in entries {
                sink(Line::Share { mailbox, identifier, rights })?;
            }
            Ok(Ok(()))
        }
        reply => Ok(done(reply)),
    }
}

fn status(shards: &dyn Shards, sink: &mut Sink<'_>) -> Answer {
    for shard in 0..shards.count() {
        match shards.request(ShardId(shard), AdminRequest::Status) {
            Ok(AdminReply::Status(figures)) => {
                let figures = figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
                sink(Line::Shard { shard, figures })?;
            }
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = crate::proto::UNKNOWN_ACCOUNT_HASH;

    /// Shards as sorted maps, enough to answer listings and additions.
    struct Fake {
        accounts: Vec<Mutex<BTreeMap<String, String>>>,
    }

    impl Shards for Fake {
        fn count(&self) -> u16 {
            self.accounts.len() as u16
        }

        fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
            let mut accounts = self.accounts[usize::from(to.0)].lock().map_err(|e| e.to_string())?;
            Ok(match request {
                AdminRequest::DomainList => AdminReply::Domains(vec!["example.test".to_string()]),
                AdminRequest::AccountAdd { address, password_hash, .. } => {
                    match accounts.insert(address, password_hash) {
                        None => AdminReply::Done,
                        Some(_) => AdminReply::Refused("taken".to_string()),
                    }
                }
                AdminRequest::AccountAddMany(many) => {
                    accounts.extend(many.iter().cloned());
                    AdminReply::Many(vec![None; many.len()])
                }
                AdminRequest::AccountList { after, limit } => {
                    let rows = accounts.keys().filter(|address| **address > after).take(limit);
                    AdminReply::Accounts(
                        rows.map(|address| AccountInfo {
                            address: address.clone(),
                            id: 1,
                            services: Services::ALL,
                            messages: 0,
                            bytes: 0,
                            created_ms: 0,
                        })
                        .collect(),
                    )
                }
                other => AdminReply::Refused(format!("{other:?}")),
            })
        }
    }

    fn fake(shards: usize) -> Fake {
        Fake { accounts: (0..shards).map(|_| Mutex::default()).collect() }
    }

    fn lines(shards: &Fake, request: Request) -> Vec<Line> {
        let mut lines = Vec::new();
        let sink = &mut |line| {
            lines.push(line);
            Ok(())
        };
        carry_out(shards, request, sink).unwrap();
        lines
    }

    #[test]
    fn listings_of_several_shards_come_out_sorted_across_pages() {
        let shards = fake(3);
        let accounts: Vec<_> =
            (0..BULK_ACCOUNTS_MAX).map(|n| (format!("U{n}@example.test"), HASH.to_string())).collect();
        let added = lines(&shards, Request::AccountAddMany { accounts: accounts.clone() });
        assert_eq!(added.len(), BULK_ACCOUNTS_MAX + 1);
        let more: Vec<_> =
            (0..BULK_ACCOUNTS_MAX).map(|n| (format!("v{n}@example.test"), HASH.to_string())).collect();
        lines(&shards, Request::AccountAddMany { accounts: more });
        let listed = lines(&shards, Request::AccountList);
        let names: Vec<_> = listed
            .iter()
            .filter_map(|line| match line {
                Line::Account { address, .. } => Some(address.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(names.len(), 2 * BULK_ACCOUNTS_MAX);
        assert!(names.is_sorted());
        assert_eq!(listed.last(), Some(&Line::Done));
    }

    #[test]
    fn foreign_domains_and_broken_addresses_are_refused_with_a_remedy() {
        let shards = fake(2);
        let add = |address: &str| {
            let request = Request::AccountAdd {
                address: address.to_string(),
                password_hash: HASH.to_string(),
                services: vec!["imap".to_string()],
            };
            lines(&shards, request).pop().unwrap()
        };
        assert_eq!(add("Alice@Example.Test"), Line::Done);
        assert!(matches!(add("alice@example.test"), Line::Refused(why) if why == "taken"));
        assert!(matches!(add("alice@elsewhere.test"), Line::Refused(why) if why.contains("domain add")));
        assert!(matches!(add("alice"), Line::Refused(why) if why.contains("no address")));
    }
}
