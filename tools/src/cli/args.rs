//! Arguments of each subcommand.
//!
//! *Owns*: their names and help texts. *Promises*: what does not go together is refused here. *Assumes*: clap.
//! *Never*: does the work.

use std::path::PathBuf;

use clap::Args;

use ringpost::admin::restore::Selection;

use super::values::{Moment, Position, kind};
use crate::carry::Format;

/// Which records are wanted; all that is given must hold.
#[derive(Args, Debug, Default)]
pub struct Filter {
    /// Only records of this account, by address or by number; an address finds all accounts that ever had it
    #[arg(long, value_name = "ADDRESS|ID")]
    pub account: Option<String>,

    /// Only what concerns messages with this Message-ID: their octets, where they were put, and every change
    /// of a mailbox that names one of their UIDs
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,

    /// Only records of these kinds, as they are printed: Deliver, Append, FlagsStore, Copy, Expunge, Body, …
    #[arg(long, value_name = "KIND", value_parser = kind, value_delimiter = ',')]
    pub kind: Vec<&'static str>,

    /// Only what was committed at or after this time: 2026-01-31T03:00:00Z, 2026-01-31, or 30m, 2h, 7d ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only what was committed before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
}

/// Arguments of `segments`.
#[derive(Args, Debug)]
pub struct Segments {
    /// Also say how much of each segment is messages that some mailbox shows
    #[arg(long)]
    pub live: bool,

    /// Draw how much of each segment and pack is alive, from the oldest to the newest: an SVG file, which must not
    /// exist; says it in the table as well
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// Arguments of `dump`.
#[derive(Args, Debug)]
pub struct Dump {
    /// Which records.
    #[command(flatten)]
    pub filter: Filter,

    /// Only records at or after this position; with a shard in front, only of that shard
    #[arg(long, value_name = "[SHARD:]LSN")]
    pub from: Option<Position>,

    /// Only records before this position
    #[arg(long, value_name = "[SHARD:]LSN")]
    pub to: Option<Position>,

    /// Also print the batches' headers and the witnesses, which only recovery needs
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `tail`.
#[derive(Args, Debug)]
pub struct Tail {
    /// Which records.
    #[command(flatten)]
    pub filter: Filter,

    /// Go on with what a server appends, until you stop it
    #[arg(short, long)]
    pub follow: bool,

    /// How many records to begin with; of the newest segment at most
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    pub records: usize,

    /// Begin at once, without reading the whole log for the names of accounts and mailboxes: they are numbers
    /// then, but for those that are made meanwhile
    #[arg(long)]
    pub numbers: bool,

    /// Also print the batches' headers and the witnesses
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `message`.
#[derive(Args, Debug)]
pub struct Message {
    /// Position of the message's record or of a delivery of it, as in `log=1:17412`; with --mailbox the
    /// message's UID
    #[arg(value_name = "[SHARD:]LSN|UID")]
    pub number: Position,

    /// The account, by address or by number
    #[arg(long, value_name = "ADDRESS|ID", requires = "mailbox")]
    pub account: Option<String>,

    /// The mailbox, by its full name
    #[arg(long, value_name = "NAME", requires = "account")]
    pub mailbox: Option<String>,

    /// Write the message's octets to standard output, exactly as they are stored (with --json: as base64)
    #[arg(long)]
    pub eml: bool,
}

/// Arguments of `story`.
#[derive(Args, Debug)]
pub struct Story {
    /// The message: its Message-ID; ACCOUNT/MAILBOX/UID; a queue id, as in its Received field and in the reply to
    /// its sender; or a position, as in `log=1:17412`. ACCOUNT/MAILBOX/ tells of a mailbox (who made, renamed,
    /// emptied, shared or deleted it), ACCOUNT/ of an account
    #[arg(value_name = "MESSAGE-ID|ACCOUNT/MAILBOX/UID|QUEUE-ID|[SHARD:]LSN|ACCOUNT/[MAILBOX/]")]
    pub target: String,

    /// The server's own log lines (text or JSON): adds who was connected when something was changed of which the log
    /// does not name the session
    #[arg(long, value_name = "FILE")]
    pub server_log: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The folder: a server's data folder, or a backup, which must also hold what its manifest says (default: --data)
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// Threads to read with (default: as many as there are cores)
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub jobs: Option<usize>,
}

/// Arguments of `reshard`.
#[derive(Args, Debug)]
pub struct Reshard {
    /// The server's data folder (default: --data)
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// How many shards it is to have: one for each core that serves mail
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub shards: u16,

    /// Only look at everything, and say what would go where and how much room it takes
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `stats`.
#[derive(Args, Debug)]
pub struct Stats {
    /// Also draw the histograms: an SVG file, which must not exist
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Threads to read with (default: as many as there are cores)
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub jobs: Option<usize>,
}

/// Arguments of `import`.
#[derive(Args, Debug)]
pub struct Import {
    /// What the mail is in
    #[arg(value_enum)]
    pub format: Format,

    /// Where it is: a Maildir, an mbox file, or a folder of NAME.mbox files or .eml files
    #[arg(value_name = "PATH")]
    pub from: PathBuf,

    /// Whose it becomes, by address or by number
    #[arg(long, value_name = "ADDRESS|ID")]
    pub account: String,

    /// The mailbox for what has no folder of its own: a Maildir's inbox, an mbox file, .eml files that lie in PATH
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    pub mailbox: String,

    /// Put all folders below this mailbox
    #[arg(long, value_name = "NAME")]
    pub below: Option<String>,

    /// Make the account if it is missing, and print its password
    #[arg(long)]
    pub create: bool,

    /// Only print the difference; changes nothing, and needs no stopped server
    #[arg(long)]
    pub dry_run: bool,

    /// Also print every message that is added
    #[arg(short, long)]
    pub verbose: bool,
}

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct Export {
    /// What to make of it
    #[arg(value_enum)]
    pub format: Format,

    /// What to write: a folder, or a tar file; it must not be there
    #[arg(value_name = "PATH")]
    pub to: PathBuf,

    /// Whose mail, by address or by number
    #[arg(long, value_name = "ADDRESS|ID")]
    pub account: String,

    /// Only this mailbox
    #[arg(long, value_name = "NAME")]
    pub mailbox: Option<String>,
}

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub struct Generate {
    /// How many accounts: user0000000@DOMAIN and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub accounts: u64,

    /// How many messages, one account after the other
    #[arg(long, value_name = "M")]
    pub messages: u64,

    /// Octets of a message, header included; a header alone takes about 600
    #[arg(long, value_name = "B", default_value = "2048", value_parser = message_bytes)]
    pub bytes: usize,

    /// Shards (default: as many as there are cores)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub shards: Option<u16>,

    /// How many messages differ; the others are the same octets, stored again
    #[arg(long, value_name = "K", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub distinct: u64,

    /// The domain of the accounts
    #[arg(long, value_name = "DOMAIN", default_value = "example.test")]
    pub domain: String,

    /// The password of every account
    #[arg(long, value_name = "WORD", default_value = "secret")]
    pub password: String,

    /// The same seed gives the same messages
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}

/// What `restore` needs.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// What is to come back.
    #[command(flatten)]
    pub selection: Selection,
}

/// A size that a message can have.
fn message_bytes(text: &str) -> Result<usize, String> {
    let range = 600..=16 * 1024 * 1024;
    let bytes: Option<usize> = text.parse().ok().filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| format!("expected {} to {}", range.start(), range.end()))
}
