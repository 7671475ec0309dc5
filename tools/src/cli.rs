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
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
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
    Segments,
    /// Print the records of the log in order
    Dump(Dump),
    /// Read everything, check every checksum, and build the mail store from it
    Verify,
    /// Show one message, or write it out
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

    /// Only records at or after this position
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    pub from: u64,

    /// Also print the batches' headers and the witnesses, which only recovery needs
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `message`.
#[derive(Args, Debug)]
pub struct Message {
    /// Position of the message's record (or of a delivery of it); with --mailbox the message's UID
    #[arg(value_name = "LSN|UID")]
    pub number: u64,

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
}
