//! `ringpost-log reshard`: the same accounts on another number of shards.
//!
//! *Owns*: the order of things: prove, copy, compare, switch. *Promises*: until the switch, which is one rename, the
//! store is as it was; after it every account is what it was, to the last number that a client remembers; a body is
//! copied once for each shard that needs it. *Assumes*: the server is stopped: its lock is taken. *Never*: changes a
//! file of the old shards.
//!
//! ```text
//!  sums of the old logs ─► survey ─► room? ─► reshard.new: copy account by account ─► sync
//!                                     └─ dry run ends        ─► compare fingerprints ─► rename ─► old shards removed
//! ```

mod compare;
mod copy;
mod survey;

use std::path::Path;
use std::time::Instant;

use ringpost::runtime::{self, Lock, switch};
use ringpost::sys::process::free_bytes;
use ringpost_engine::limits::SEGMENT_BYTES;
use serde_json::json;

use crate::cli::{self, Cli};
use crate::output::{Output, count_bar};
use crate::prove;
use crate::{Damages, Failure};
use ringpost::admin::data;
use survey::Survey;

/// Room that a new log needs beside its bodies, for each message and each account.
const MESSAGE_BYTES: u64 = 512;
const ACCOUNT_BYTES: u64 = 8 * 1024;

/// Serves the folder's accounts from another number of shards.
pub fn run(cli: &Cli, what: &cli::Reshard, output: &mut Output) -> Result<Damages, Failure> {
    let folder = what.folder.as_ref().unwrap_or(&cli.data);
    // Finishes a switch that was cut short, before anything is counted.
    runtime::settle_switch(folder)?;
    let stored = runtime::stored_shards(folder)?
        .ok_or_else(|| format!("{} is no data folder of a server; give one", folder.display()))?;
    let lock = runtime::lock(folder)?;
    switch::discard(folder)?;
    let began = Instant::now();
    let old = data::shards(folder, None)?;
    if old.len() != usize::from(stored) {
        return Err(format!("{} has {} shards instead of {stored}", folder.display(), old.len()));
    }
    if stored == what.shards {
        return done(output, &json!({"type": "reshard", "shards": stored, "changed": false}), || {
            format!("the folder has {stored} shards already: nothing to do")
        });
    }
    let damages = prove::sums_of(&old, output)?;
    if damages > 0 {
        return Err(format!(
            "{damages} places of the log are damaged: ringpost-log verify tells what to do first"
        ));
    }
    let survey = Survey::of(&old, &data::owners(folder, stored)?, what.shards)?;
    let needed = survey.bytes()
        + survey.messages() * MESSAGE_BYTES
        + survey.accounts() * ACCOUNT_BYTES
        + SEGMENT_BYTES * u64::from(what.shards);
    let free = free_bytes(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    tell(&survey, (stored, what.shards), (needed, free), output);
    if what.dry_run {
        return Ok(0);
    }
    if free < needed {
        return Err(format!(
            "{} has {free} bytes free, and both sets of shards side by side need {needed} more: make room first",
            folder.display()
        ));
    }
    replace(folder, &lock, &old, &survey, what.shards)?;
    let seconds = began.elapsed().as_secs_f64();
    let object = json!({
        "type": "reshard", "shards": what.shards, "changed": true, "accounts": survey.accounts(),
        "messages": survey.messages(), "ms": (seconds * 1000.0) as u64,
    });
    done(output, &object, || {
        let (accounts, messages, shards) = (survey.accounts(), survey.messages(), what.shards);
        format!(
            "{accounts} accounts with {messages} messages are on {shards} shards now; each was compared; \
             {seconds:.1} s"
        )
    })
}

fn replace(
    folder: &Path,
    _lock: &Lock,
    old: &[data::Shard],
    survey: &Survey,
    shards: u16,
) -> Result<(), Failure> {
    let making = switch::begin(folder, shards)?;
    let bar = count_bar(survey.messages(), "copying");
    let copied = copy::all(&making, old, survey, &bar).and_then(|expected| {
        bar.set_message("comparing");
        compare::all(&making, shards, &expected)
    });
    bar.finish_and_clear();
    if let Err(failure) = copied {
        switch::discard(folder)?;
        return Err(format!("{failure}; the folder is as it was"));
    }
    switch::commit(folder)?;
    switch::finish(folder)
}

fn done(
    output: &mut Output,
    object: &serde_json::Value,
    text: impl FnOnce() -> String,
) -> Result<Damages, Failure> {
    output.line(object, text);
    Ok(0)
}

/// Who goes where, and what it takes.
fn tell(survey: &Survey, (from, to): (u16, u16), (needed, free): (u64, u64), output: &mut Output) {
    for (shard, load) in survey.loads() {
        let survey::Load { accounts, messages, bytes } = load;
        let object = json!({
            "type": "plan", "shard": shard.0, "accounts": accounts, "messages": messages, "bytes": bytes,
        });
        output.line(&object, || {
            format!("shard {shard}: {accounts} accounts, {messages} messages, {bytes} octets in mailboxes")
        });
    }
    let object = json!({"type": "room", "from": from, "to": to, "needed_bytes": needed, "free_bytes": free});
    output.line(&object, || {
        format!("from {from} to {to} shards: {needed} bytes at most beside the old ones, {free} are free")
    });
}
