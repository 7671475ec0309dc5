//! `ringpost-log generate`: a store of synthetic mail, made fast and through the engine.
//!
//! *Owns*: who gets what. *Promises*: what a server finds is what deliveries would have left; only the syncs are put
//! off to the end. *Assumes*: a folder that is not there yet. *Never*: adds to a store that is there.

mod mail;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use indicatif::ProgressBar;
use ringpost::proto::mime::summarise;
use ringpost::runtime::Files;
use ringpost::shard::USUAL_MAILBOXES;
use ringpost::sys::cpu::Cores;
use ringpost_engine::change::{Change, FlagBits, Flags, NewBody, Outcome, Services};
use ringpost_engine::ids::{AccountId, MailboxId, ShardId};
use ringpost_engine::store::Applied;
use serde_json::json;

use crate::cli::{self, Cli};
use crate::host::bulk::Bulk;
use crate::host::{Folder, Host, refusal};
use crate::output::{Output, count_bar};
use crate::prove::jobs;
use crate::{Damages, Failure};
use mail::{Random, message};

const INBOX: MailboxId = MailboxId(1);
/// Changes between two looks at the disk.
const CHANGES_PER_STEP: usize = 1_024;
/// Over how many days the dates of messages are spread.
const DAYS: u64 = 365;
const DAY_MS: u64 = 86_400_000;

/// Makes a store.
pub fn run(cli: &Cli, what: &cli::Generate, output: &mut Output) -> Result<Damages, Failure> {
    let shards = what.shards.unwrap_or_else(|| jobs(None).min(usize::from(u16::MAX)) as u16);
    let folder = Folder::make(&cli.data, shards)?;
    let began = Instant::now();
    let plan = Plan::new(what)?;
    let bar = count_bar(what.messages, "generating");
    let results: Vec<Result<Made, Failure>> = thread::scope(|scope| {
        let (plan, folder, bar) = (&plan, &folder, &bar);
        let threads: Vec<_> = (0..folder.shards())
            .map(|shard| scope.spawn(move || fill(&cli.data, folder, ShardId(shard), plan, bar)))
            .collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    bar.finish_and_clear();
    let mut made = Made::default();
    for result in results {
        let Made { accounts, messages, bytes } = result?;
        made.accounts += accounts;
        made.messages += messages;
        made.bytes += bytes;
    }
    let took = began.elapsed();
    let object = json!({
        "type": "generated", "shards": shards, "accounts": made.accounts, "messages": made.messages,
        "message_bytes": plan.bytes, "log_bytes": made.bytes, "ms": took.as_millis() as u64,
    });
    output.line(&object, || {
        let Made { accounts, messages, bytes } = made;
        let rate = messages as f64 / took.as_secs_f64().max(0.001);
        let (seconds, mib) = (took.as_secs_f64(), bytes / (1 << 20));
        format!(
            "{accounts} accounts and {messages} messages of {} octets in {shards} shards: {mib} MiB of log, \
             {seconds:.1} s, {rate:.0} messages/s",
            plan.bytes
        )
    });
    Ok(0)
}

/// What is to be made.
struct Plan {
    accounts: u64,
    messages: u64,
    bytes: usize,
    domain: String,
    password_hash: String,
    /// The messages that there are; each is stored again for every delivery.
    bodies: Vec<NewBody>,
    seed: u64,
    now_ms: u64,
    /// Accounts that are there, over all shards.
    ready: AtomicU64,
}

impl Plan {
    fn new(what: &cli::Generate) -> Result<Plan, Failure> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let body = |number| {
            let octets = message(what.seed, number, what.bytes, now_ms);
            let summary = summarise(&octets).encode();
            NewBody { parts: vec![Bytes::from(octets)], summary }
        };
        Ok(Plan {
            accounts: what.accounts,
            messages: what.messages,
            bytes: what.bytes,
            domain: what.domain.to_lowercase(),
            password_hash: ringpost::password::hash_generated(&what.password)?,
            bodies: (0..what.distinct.min(what.messages).max(1)).map(body).collect(),
            seed: what.seed,
            now_ms,
            ready: AtomicU64::new(0),
        })
    }

    fn address(&self, number: u64) -> String {
        format!("user{number:07}@{}", self.domain)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Made {
    accounts: u64,
    messages: u64,
    bytes: u64,
}

/// Makes a shard's part.
fn fill(
    data: &Path,
    folder: &Folder,
    shard: ShardId,
    plan: &Plan,
    bar: &ProgressBar,
) -> Result<Made, Failure> {
    let cores = Cores::of_this_thread().map_err(|error| format!("cannot learn the cores: {error}"))?;
    let files = Files::new(data, shard, cores).map_err(|error| format!("shard {shard}: {error}"))?;
    let mut host = Host::open(Bulk::new(files, data.join(format!("shard-{:03}", shard.0))), shard)?;
    if shard == ShardId(0) {
        host.change(AccountId(0), &Change::DomainAdd { name: plan.domain.clone() })?;
    }
    let own = accounts(&mut host, folder, shard, plan, bar)?;
    let mut made = Made { accounts: own.iter().flatten().count() as u64, ..Made::default() };
    let mut random = Random::new(plan.seed ^ u64::from(shard.0));
    let mut queued = 0;
    for number in 0..plan.messages {
        // One after the other, so that an account's mail lies scattered over the log as it does in life.
        let Some(Some(account)) = own.get((number % plan.accounts) as usize) else { continue };
        let body = &plan.bodies[random.below(plan.bodies.len() as u64) as usize];
        let body = host.append_body(*account, body)?;
        let system = if random.below(4) > 0 { FlagBits::SEEN } else { FlagBits::NONE };
        let flags = Flags { system, keywords: Vec::new() };
        let age_ms = (DAYS * DAY_MS) as f64 * (1.0 - number as f64 / plan.messages as f64);
        let internal_ms = plan.now_ms.saturating_sub(age_ms as u64);
        host.append(*account, &Change::Deliver { mailbox: INBOX, body, flags, internal_ms })?;
        made.messages += 1;
        queued += 1;
        if queued == CHANGES_PER_STEP {
            carried_out(&host.settle()?)?;
            bar.inc(queued as u64);
            queued = 0;
        }
    }
    carried_out(&host.settle()?)?;
    bar.inc(queued as u64);
    made.bytes = host.store().stats().log_bytes;
    host.close()?.finish()?;
    Ok(made)
}

/// Makes the accounts that belong to a shard; the others are none.
fn accounts(
    host: &mut Host<Bulk>,
    folder: &Folder,
    shard: ShardId,
    plan: &Plan,
    bar: &ProgressBar,
) -> Result<Vec<Option<AccountId>>, Failure> {
    let mailboxes: Vec<_> =
        USUAL_MAILBOXES.iter().map(|(name, special)| ((*name).to_owned(), Some(*special))).collect();
    let mut own = vec![None; usize::try_from(plan.accounts).map_err(|error| error.to_string())?];
    let mut queued = Vec::new();
    for number in 0..plan.accounts {
        let address = plan.address(number);
        if folder.shard_of(&address) == shard {
            let change = Change::AccountCreate {
                address,
                password_hash: plan.password_hash.clone(),
                services: Services::ALL,
                mailboxes: mailboxes.clone(),
            };
            host.append(AccountId(0), &change)?;
            queued.push(number);
        }
        if queued.len() == CHANGES_PER_STEP || number + 1 == plan.accounts {
            let applied = host.settle()?;
            carried_out(&applied)?;
            for (number, applied) in queued.iter().zip(&applied) {
                if let Outcome::AccountCreated(id) = applied.outcome {
                    own[*number as usize] = Some(id);
                }
            }
            let ready = plan.ready.fetch_add(queued.len() as u64, Ordering::Relaxed) + queued.len() as u64;
            bar.set_message(format!("generating, {ready} accounts"));
            queued.clear();
        }
    }
    Ok(own)
}

/// Nothing here may be refused.
fn carried_out(applied: &[Applied]) -> Result<(), Failure> {
    let refused = applied.iter().find_map(|applied| Some((applied.lsn, refusal(&applied.outcome)?)));
    refused.map_or(Ok(()), |(lsn, why)| Err(format!("the change at {lsn} was refused: {why}")))
}
