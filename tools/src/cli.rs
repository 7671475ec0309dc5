//! The command line.
//!
//! *Owns*: arguments, help texts, the man page. *Promises*: `--help` reads like a short manual.
//! *Assumes*: clap. *Never*: does the work.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::Failure;
use crate::output::Output;

/// Reads the log of a Ringpost server: segments, records, messages, damage.
///
/// No server is needed, and a running one is not disturbed: files are only read, and nothing is locked. While
/// a server writes, you see the log as it was at some moment of the reading.
///
/// Every change of a mail store is a record of a shard's log, at a position (LSN, in bytes since the log
/// began). A record belongs to an account; a message is one record with its octets, and one record for each
/// mailbox that it was delivered or copied to.
#[derive(Debug, Parser)]
#[command(version, name = "ringpost-log", after_long_help = EXAMPLES)]
pub struct Cli {
    /// The server's data folder, or one shard's folder in it
    #[arg(long, global = true, value_name = "DIR", default_value = "./data", env = "RINGPOST_DATA")]
    pub data: PathBuf,

    /// Only this shard (default: all)
    #[arg(long, global = true, value_name = "N")]
    pub shard: Option<u16>,

    /// Print one JSON object a line instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
What happened to a message? The server's delivery line has its queue id (also in the message's Received
field and in the reply to the sender), its Message-ID and log=SHARD:LSN. With these:
      ringpost-log message 1:17412               who has it, where, with which flags
      ringpost-log message 1:17412 --eml         its octets
      ringpost-log dump --from 1:17412 --account alice@example.test
                                                 all that was done to the mailbox since: copies, flags, expunges

Examples:
  What files are there, and how full are they?
      ringpost-log --data /var/lib/ringpost segments

  What happened to Alice's mail since position 1000000?
      ringpost-log dump --account alice@example.test --from 1000000

  Is everything readable that was ever written?
      ringpost-log verify && echo sound

  Take a message out, by where it is or by its UID, even after it was expunged:
      ringpost-log message 4176 --eml > message.eml
      ringpost-log message 7 --account alice@example.test --mailbox INBOX --eml > message.eml

  Count the deliveries of each account:
      ringpost-log dump --json | jq -r 'select(.kind == \"Deliver\").address' | sort | uniq -c

Exit status:
  0  everything was read
  1  something is damaged or missing; what can be read was printed
  2  the command line is wrong";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the segment files: positions, fill, batches, records
    ///
    /// A segment is a file of the log. Positions go on from one to the next; the newest is written ahead to
    /// its full size, sealed ones are as long as what they hold.
    Segments,
    /// Print the records of the log in order
    ///
    /// One line a record: position, time of its commit, account, kind, and what it holds. A Body holds the
    /// octets of a message; a Deliver or Append shows it in a mailbox (body=… is the Body's position); FlagsStore,
    /// Copy, Expunge and the others name mailbox and UIDs. Give a position or an octets' place to `message`.
    Dump(Dump),
    /// Read everything, check every checksum, and build the mail store from it
    ///
    /// Says for each shard whether it is sound. A torn tail is what a crash left of a batch that nobody was
    /// told about: it is no damage. Exit code 1 if anything is damaged.
    Verify,
    /// Show one message, or write it out
    ///
    /// By the position in a delivery's log line (log=1:17412), or of any Body, Deliver or Append record; or by
    /// UID with --account and --mailbox. Finds what was expunged, too, as long as the log has it.
    Message(Message),
    /// Print the manual page (roff), of this program or of a subcommand: ringpost-log man dump | man -l -
    Man {
        /// Which subcommand
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
}

/// Arguments of `dump`.
#[derive(Args, Debug)]
pub struct Dump {
    /// Only records of this account, by address or by number; an address finds all accounts that ever had it
    #[arg(long, value_name = "ADDRESS|ID")]
    pub account: Option<String>,

    /// Only records at or after this position; with a shard in front, only of that shard
    #[arg(long, value_name = "[SHARD:]LSN", default_value = "0")]
    pub from: Position,

    /// Also print the batches' headers and the witnesses, which only recovery needs
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

/// A position in the log of a shard, or of every shard that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard, if it was named.
    pub shard: Option<u16>,
    /// The number.
    pub lsn: u64,
}

impl std::str::FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Position, String> {
        let number = |text: &str| text.parse().map_err(|_| "expected 17412 or 1:17412".to_string());
        match text.split_once(':') {
            None => Ok(Position { shard: None, lsn: number(text)? }),
            Some((shard, lsn)) => match shard.parse() {
                Ok(shard) => Ok(Position { shard: Some(shard), lsn: number(lsn)? }),
                Err(_) => Err(format!("{shard} is no number of a shard")),
            },
        }
    }
}

impl Cli {
    /// The only shard asked for, by --shard or by a position; both must agree.
    pub fn only(&self) -> Result<Option<u16>, Failure> {
        let named = match &self.command {
            Command::Dump(dump) => dump.from.shard,
            Command::Message(message) => message.number.shard,
            _ => None,
        };
        match (self.shard, named) {
            (Some(shard), Some(named)) if shard != named => {
                Err(format!("--shard {shard} and a position in shard {named} do not go together"))
            }
            (shard, named) => Ok(named.or(shard)),
        }
    }
}

/// Prints the manual page of the program, or of a subcommand.
pub fn man(of: Option<&str>, output: &mut Output) -> Result<u64, Failure> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let command = match of {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| format!("there is no subcommand {name}"))?
        }
    };
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(command).render(&mut page);
    made.map_err(|error| format!("the manual page cannot be made: {error}"))?;
    output.raw(&page);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_position_is_what_a_log_line_shows() {
        assert_eq!("1:17412".parse(), Ok(Position { shard: Some(1), lsn: 17412 }));
        assert_eq!("17412".parse(), Ok(Position { shard: None, lsn: 17412 }));
        for bad in ["", "x", "1:", ":1", "1:2:3", "70000:1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
        let cli = |words: &[&str]| Cli::parse_from([&["ringpost-log"], words].concat());
        assert_eq!(cli(&["message", "1:5"]).only(), Ok(Some(1)));
        assert_eq!(cli(&["--shard", "2", "dump"]).only(), Ok(Some(2)));
        assert!(cli(&["--shard", "2", "dump", "--from", "1:5"]).only().is_err());
    }
}
