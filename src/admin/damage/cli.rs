//! `ringpost damage` and `ringpost scrub` as they are typed.
//!
//! *Owns*: arguments and help. *Promises*: `--help` reads like a short manual. *Assumes*: clap. *Never*: counts.

use clap::Args;

use crate::admin::cli::Common;
use crate::admin::cli::output::Rows;
use crate::admin::client::Client;
use crate::admin::wire::{Line, Request};

/// The manual's second half.
pub const DAMAGE_NOTES: &str = "\
Hidden is what is not what was written, or what the disk does not give: clients do not see it, and everything else is
served. It is shown again by itself when a round of scrub finds the right bytes, for example after the file was put
back from a backup, where it has the same name: ringpost scrub --now.

An account without a mailbox is not served at all: its records in the log, or its part of a checkpoint, are damaged.

Examples:
  ringpost damage                              what is hidden, of whom, where it lies, and what to do
  ringpost damage --json | jq -r .damage.todo | sort -u
  ringpost account restore ann@example.org --mailbox INBOX --from /backup/mail      brings a copy back

SINCE is the moment at which it was found; `-` if that was before the server started. All messages of the shards
concerned are looked at, a step at a time.";

/// The manual's second half.
pub const SCRUB_NOTES: &str = "\
Each shard reads all its segments, packs and checkpoints once a week, store.scrub_bytes_per_second a second, and asks
for every sum. This shows how far the round is, and with --now begins one.

Examples:
  ringpost scrub                               shard by shard: files and bytes read, what was found
  ringpost scrub --now                         begin a round where none is under way, and show where it stands
  ringpost damage                              what is hidden for what was found";

/// What `scrub` needs.
#[derive(Debug, Args)]
pub struct ScrubArgs {
    /// Begin a round now, unless one is under way. With store.scrub_bytes_per_second = 0 there is none.
    #[arg(long)]
    pub now: bool,
    /// Where the server is, and how to print.
    #[command(flatten)]
    pub common: Common,
}

/// Shows how far the look for rot is.
///
/// # Errors
/// One line.
pub fn scrub(args: &ScrubArgs) -> Result<(), String> {
    list(&args.common, &Request::Scrub { now: args.now }).map(drop)
}

/// Lists what is not shown.
///
/// # Errors
/// One line.
pub fn damage(common: &Common) -> Result<(), String> {
    let found = list(common, &Request::Damage)?;
    if found == 0 && !common.json {
        eprintln!("nothing is hidden");
    }
    Ok(())
}

/// Prints all lines of an answer. How many there were.
fn list(common: &Common, request: &Request) -> Result<u64, String> {
    let (mut rows, mut found) = (Rows::new(common.json), 0);
    Client::new(&common.data).call(request, &mut |line: Line| {
        found += 1;
        rows.row(&line)
    })?;
    rows.end().map(|()| found)
}
