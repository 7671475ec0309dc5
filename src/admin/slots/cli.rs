//! `ringpost slots …` as it is typed.
//!
//! *Owns*: arguments and help. *Promises*: `--help` reads like a short manual. *Assumes*: clap. *Never*: counts.

use clap::{Args, Subcommand};
use ringpost_engine::ids::{SLOTS, Slot};

use super::picture::Picture;
use crate::admin::cli::Common;
use crate::admin::cli::output::Rows;
use crate::admin::client::Client;
use crate::admin::route::address_of;
use crate::admin::wire::{Line, Request};

/// The manual's second half.
pub const NOTES: &str = "\
An account's slot is a hash of its address: there are 4,096 of them, for ever. A small table maps slots to shards, so
that the number of shards can change without any account changing its slot.

Examples:
  ringpost slots                               each shard's slots, accounts, messages and octets
  ringpost slots --map                         and a picture: a letter for each slot, the shard that has it
  ringpost slots --each                        slot by slot, those that hold an account
  ringpost slots --slot 1234                   one slot
  ringpost slots --of ann@example.org          the slot of an address, and what lies in it
  ringpost slots --each --json | jq -s 'sort_by(-.slot.bytes)[:10]'    the ten fullest

WHICH lists runs of slots: 0-4094/2 is every second one from 0 to 4094. OCTETS of a shard are those of all its
messages, each stored body once, with what was removed and can be had back; OCTETS of a slot are those that its
mailboxes show.

With --each, --slot and --of every account of the shards concerned is looked at, a page at a time.

To serve the folder with another number of shards: stop the server, ringpost-log reshard. That spreads the slots evenly
again.";

/// What a move does to those who are served.
const MOVE_NOTES: &str = "\
Messages are copied while they are served, at most 32 MiB a second. Then the slot's writes wait for the difference,
normally less than a second (HELD tells): commands wait, deliveries wait or are told to be tried later. When the other
shard has durably taken the slot over, sessions of its accounts are ended (IMAP: BYE, POP3: closed after the command);
clients connect again and find everything with the numbers that it had. Cut at any moment, the slot is on one of the two
shards, whole.

The old copy is removed from its shard at once; its room comes back with compaction. Backups wait while a slot changes
hands. A slot with a damaged message or account stays where it is.";

/// What is done with slots.
#[derive(Debug, Subcommand)]
pub enum SlotsCommand {
    /// Serve slots from another shard, one at a time, while they are served.
    #[command(after_help = MOVE_NOTES)]
    Move {
        /// A slot, or the first and the last: 17 or 100-199.
        #[arg(value_name = "SLOT[-SLOT]", value_parser = slot_range)]
        slots: (u16, u16),
        /// The shard that is to have them.
        #[arg(value_name = "SHARD")]
        shard: u16,
        /// Where the server is, and how to print.
        #[command(flatten)]
        common: Common,
    },
    /// Move slots until all shards have about the same.
    #[command(after_help = MOVE_NOTES)]
    Balance {
        /// Only print which slots would move.
        #[arg(long)]
        dry_run: bool,
        /// Where the server is, and how to print.
        #[command(flatten)]
        common: Common,
    },
}

fn slot_range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok().filter(|slot| *slot < SLOTS);
    let range = number(first).zip(number(last)).filter(|(first, last)| first <= last);
    range.ok_or_else(|| format!("give a slot from 0 to {}, or two like 100-199", SLOTS - 1))
}

/// What `slots` needs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SlotsArgs {
    /// Moves something.
    #[command(subcommand)]
    pub command: Option<SlotsCommand>,
    /// Count slot by slot, and list those that hold an account.
    #[arg(long, conflicts_with_all = ["slot", "of"])]
    pub each: bool,
    /// Count one slot.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "of",
        value_parser = clap::value_parser!(u16).range(..i64::from(SLOTS))
    )]
    pub slot: Option<u16>,
    /// Count the slot of this address, whether there is an account or not.
    #[arg(long, value_name = "ADDRESS")]
    pub of: Option<String>,
    /// Draw the table: 64 lines of 64 slots.
    #[arg(long, conflicts_with = "json")]
    pub map: bool,
    /// Where the server is, and how to print.
    #[command(flatten)]
    pub common: Common,
}

/// Shows who has which slots, and what lies in them.
///
/// # Errors
/// One line.
pub fn slots(args: &SlotsArgs) -> Result<(), String> {
    match &args.command {
        Some(SlotsCommand::Move { slots: (first, last), shard, common }) => {
            return print(common, &Request::SlotsMove { first: *first, last: *last, to: *shard });
        }
        Some(SlotsCommand::Balance { dry_run, common }) => {
            return print(common, &Request::SlotsBalance { dry_run: *dry_run });
        }
        None => {}
    }
    let of = args.of.as_deref().map(|address| address_of(address).map(|address| Slot::of(&address)));
    let slot = of.transpose()?.map(|slot| slot.0).or(args.slot);
    let request = Request::Slots { each: args.each, slot };
    let mut rows = Rows::new(args.common.json);
    let mut picture = Picture::default();
    Client::new(&args.common.data).call(&request, &mut |line: Line| {
        picture.learn(&line);
        rows.row(&line)
    })?;
    rows.end()?;
    if args.map { picture.print() } else { Ok(()) }
}

fn print(common: &Common, request: &Request) -> Result<(), String> {
    let mut rows = Rows::new(common.json);
    Client::new(&common.data).call(request, &mut |line: Line| rows.row(&line))?;
    rows.end()
}
