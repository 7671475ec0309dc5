//! The command line.
//!
//! *Owns*: arguments, help texts, the man page. *Promises*: `--help` reads like a short manual.
//! *Assumes*: clap. *Never*: does the work.

mod args;
pub mod values;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::output::Output;
use crate::{Damages, Failure};

use values::Position;

pub use args::{
    Dump, Export, Filter, Generate, Import, Message, Reshard, Restore, Segments, Stats, Story, Tail, Verify,
};

/// Reads the log of a Ringpost server: what is in it, what happened, whether it is sound; carries mail in and out.
///
/// No server is needed, and a running one is not disturbed: files are only read, and nothing is locked. While
/// a server writes, you see the log as it was at some moment of the reading. Three commands write: `import` and
/// `restore` into the store of a stopped server, whose lock they take, and `generate` into a folder of its own.
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
field and in the reply to the sender), its Message-ID and log=SHARD:LSN. Any of these will do:
      ringpost-log story 1A204789DB6-1-1         from its arrival to now
      ringpost-log message 1:17412               who has it, where, with which flags
      ringpost-log message 1:17412 --eml         its octets

Examples:
  What files are there, and how full are they?
      ringpost-log --data /var/lib/ringpost segments

  What happened to Alice's mail in the last two hours? Who was sent it, and when did it go?
      ringpost-log dump --account alice@example.test --since 2h
      ringpost-log dump --message-id '<1@vm>' --kind Deliver,Copy,Expunge

  What is the server doing right now to Alice's mail?
      ringpost-log tail -f --account alice@example.test

  Is everything readable that was ever written?
      ringpost-log verify && echo sound

  Take a message out, by where it is or by its UID, even after it was expunged:
      ringpost-log message 4176 --eml > message.eml
      ringpost-log message 7 --account alice@example.test --mailbox INBOX --eml > message.eml

  What is in it, and how well does group commit do its work?
      ringpost-log stats --plot stats.svg

  Bring a Maildir in: first what it would do, then with the server stopped; and out again:
      ringpost-log import maildir ~ann/Maildir --account ann@example.org --dry-run
      ringpost-log import maildir ~ann/Maildir --account ann@example.org
      ringpost-log export tar ann.tar --account ann@example.org

  The server is stopped, and Ann's inbox is to be as it was at 08:00 UTC:
      ringpost-log restore ann@example.org --mailbox INBOX --at 08:00 --dry-run
      ringpost-log restore ann@example.org --mailbox INBOX --at 08:00

  Count the deliveries of each account:
      ringpost-log dump --json | jq -r 'select(.kind == \"Deliver\").address' | sort | uniq -c

Exit status:
  0  everything was read, and is sound
  1  something is damaged or cannot be read: it is told with its place, and the rest was printed
  2  the command line is wrong
  3  the work could not be done: no such folder, account or message, no room, a server has the store";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the segment files: positions, fill, batches, records
    ///
    /// A segment is a file of the log. Positions go on from one to the next; the newest is written ahead to
    /// its full size, sealed ones are as long as what they hold.
    Segments(Segments),
    /// Print the records of the log in order
    ///
    /// One line a record: position, time of its commit, account, kind, and what it holds. A Body holds the
    /// octets of a message; a Deliver or Append shows it in a mailbox (body=… is the Body's position); FlagsStore,
    /// Copy, Expunge and the others name mailbox and UIDs. Give a position or an octets' place to `message`.
    Dump(Dump),
    /// Print the newest records; with -f, go on as a server writes them
    ///
    /// The lines are those of `dump`, with the same filters. A record is printed when its batch can be read whole;
    /// the server has acknowledged it by then or is about to. The names of accounts and mailboxes are from a
    /// replay of the log up to there; --numbers does without it and begins at once.
    Tail(Tail),
    /// Tell what happened to a message, from its arrival to now
    ///
    /// Who brought it (client, name, queue id: from the Received field that the server wrote), where it is
    /// stored, to whom it was delivered and under which UIDs, when which flags changed, where it was copied and
    /// moved, when it was expunged, and who has it now; each with time and position.
    ///
    /// The log does not say which session made a change, nor that somebody read a message (by POP3 or IMAP).
    /// The server's log lines know who was connected: with --server-log each change also names the sessions
    /// of that account which were open at the time; when there is only one, it was that one.
    Story(Story),
    /// Read everything, check every checksum, and build the mail store from it
    ///
    /// First all segments at once, on all cores: the sums of every header, batch and record, and that each batch
    /// follows the one before. Then the records are replayed, as a server does at its start, and every message that
    /// a mailbox shows is looked up: its body must be where it should be, with the right lengths. The newest
    /// checkpoint and the log behind it must lead to the same store as the log alone.
    ///
    /// Damage is told with its place and passed over. A torn tail is what a crash left of a batch that nobody was
    /// told about: it is no damage. A running server is not disturbed; what it appends meanwhile is left out.
    ///
    /// Exit status: 0 sound, 1 something is damaged or cannot be read, 3 there is no such folder or shard.
    Verify(Verify),
    /// Count what the log is made of: sizes and ages of messages, batches, padding, kinds of records
    ///
    /// Over all that is in the log, expunged messages included, of all shards together (--shard N for one). The
    /// age of a message is the time since it was stored. A batch is what one write to the disk made durable; it
    /// is padded to 4,096 bytes, and the share of padding is what that costs.
    Stats(Stats),
    /// Show one message, or write it out
    ///
    /// By the position in a delivery's log line (log=1:17412), or of any Body, Deliver or Append record; or by
    /// UID with --account and --mailbox. Finds what was expunged, too, as long as the log has it.
    Message(Message),
    /// Write an account's mail as a Maildir, mbox files, .eml files or a tar file
    ///
    /// A server may be running: what is written is the store at one moment. Octets are written as they are stored,
    /// with flags, keywords, dates (the files' times, or the form's own) and subscriptions; what a form cannot keep
    /// is told for each message. A Maildir gets the lists that Dovecot keeps: dovecot-uidlist with UIDs and
    /// UIDVALIDITY, dovecot-keywords. An mbox written here is read back octet for octet by `import`.
    Export(Export),
    /// Bring mail from a Maildir, mbox files or .eml files into the store of a stopped server
    ///
    /// Folders that are missing are made. A message comes with its octets (lines that end by LF alone get CRLF),
    /// flags, keywords (those that IMAP can write) and date; it gets a new UID, in the order of the source.
    ///
    /// Run again, it adds only what is missing: a message is taken to be there when the mailbox has one of the same
    /// Message-ID, size and date (without a Message-ID: of the same octets and date). Flags of what is there are
    /// left alone. If it is cut off, run it again.
    Import(Import),
    /// Bring back what was removed: messages, folders, or an account as it was at a moment; with the server stopped
    ///
    /// What `ringpost account restore` does in a running server, with the same selection: its manual says what comes
    /// back and how (ringpost account restore --help). Nothing that was removed is let go for good meanwhile.
    Restore(Restore),
    /// Serve the same accounts from another number of shards; the server must be stopped
    ///
    /// A new set of shards is made beside the old one, account by account, and compared with it; then it takes its
    /// place, by one rename: cut off at any moment, the folder holds the old set or the new one, whole (what is left to
    /// do then is done by the next `reshard` or by the server's start). Everything that clients remember stays: UIDs,
    /// UIDVALIDITY, mod-sequences, EMAILIDs, flags, dates, what was expunged; what was removed can still be had back.
    /// An octet is stored once for each new shard that shows it.
    ///
    /// Both sets lie side by side until the end, so about as much room must be free as the mail takes; --dry-run says
    /// how much. Positions begin anew above all old ones, and the story of a message begins with its arrival in the
    /// new log: export with `dump` before what you must keep of it. A backup that was made before stays good for the
    /// number of shards it has.
    Reshard(Reshard),
    /// Make a store of synthetic mail, to measure with
    ///
    /// In a new data folder (--data), through the engine as deliveries would, but with the syncs put off to the
    /// end: throw the folder away if this is cut off. Messages lie scattered over the log, their dates over the
    /// last year, three of four are read. A server then serves it as any other.
    Generate(Generate),
    /// Print the manual page (roff), of this program or of a subcommand: ringpost-log man dump | man -l -
    Man {
        /// Which subcommand
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
}

impl Cli {
    /// The only shard asked for, by --shard or by a position; both must agree.
    pub fn only(&self) -> Result<Option<u16>, Failure> {
        let named = match &self.command {
            Command::Dump(dump) => match (dump.from.and_then(|at| at.shard), dump.to.and_then(|at| at.shard))
            {
                (Some(from), Some(to)) if from != to => {
                    return Err(format!(
                        "--from in shard {from} and --to in shard {to} have nothing between"
                    ));
                }
                (from, to) => from.or(to),
            },
            Command::Message(message) => message.number.shard,
            Command::Story(story) => story.target.parse::<Position>().ok().and_then(|at| at.shard),
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
pub fn man(of: Option<&str>, output: &mut Output) -> Result<Damages, Failure> {
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
    fn shards_that_are_named_must_agree() {
        let cli = |words: &[&str]| Cli::parse_from([&["ringpost-log"], words].concat());
        assert_eq!(cli(&["message", "1:5"]).only(), Ok(Some(1)));
        assert_eq!(cli(&["--shard", "2", "dump"]).only(), Ok(Some(2)));
        assert_eq!(cli(&["dump", "--from", "1:5", "--to", "9"]).only(), Ok(Some(1)));
        assert!(cli(&["--shard", "2", "dump", "--from", "1:5"]).only().is_err());
        assert!(cli(&["dump", "--from", "1:5", "--to", "2:9"]).only().is_err());
    }
}
