//! What can be typed.
//!
//! *Owns*: names, options and help texts; man pages come from the same. *Promises*: `--help` reads like a
//! short manual.
//! *Assumes*: clap. *Never*: acts.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::admin::backup::{BackupArgs, NOTES as BACKUP_NOTES};
use crate::admin::damage::{DAMAGE_NOTES, SCRUB_NOTES, ScrubArgs};
use crate::admin::import::ImportCommand;
use crate::admin::restore::{NOTES as RESTORE_NOTES, Selection};
use crate::admin::slots::{NOTES as SLOTS_NOTES, SlotsArgs};

/// A mail store server for Linux: SMTP and LMTP in, POP3 and IMAP out.
///
/// Start it with `ringpost serve`; every other command speaks to the server that runs on the same data
/// folder, through the socket `admin.sock` in it.
#[derive(Debug, Parser)]
#[command(name = "ringpost", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ringpost serve --data ./data                      start on the embedded default
  ringpost domain add example.org                   take mail for a domain
  ringpost account add ann@example.org              create an account, print its password
  ringpost account add --csv < accounts.csv         create many: address,password a line
  ringpost alias add info@example.org ann@example.org bob@example.org
  ringpost import dovecot --account ann@example.org --dry-run /home/ann/Maildir   move in from Dovecot
  ringpost backup /backup/mail                      a copy while it serves; run it again for the difference
  ringpost account restore ann@example.org --mailbox INBOX --at 08:00    somebody deleted something
  ringpost account list --json | jq .               every listing has --json
  ringpost status                                   figures of every shard
  ringpost config show > ringpost.toml              every setting with default, bound and comment
  ringpost man account add | man -l -               the manual page of a command

Exit status:
  0  done, and what was changed is durable
  1  refused or failed; why is one line on standard error, with --json too
  2  the command line is wrong

Environment:
  RINGPOST_DATA           the data folder where --data is not given
  RINGPOST_DEMO_PASSWORD  password of the demonstration accounts at the start that makes them

See also: ringpost-log, which reads the log of a data folder with or without a server.";

const SERVE_NOTES: &str = "\
Standard output gets a table of client settings and, when they are made, the passwords of the demonstration
accounts. Standard error gets the log, one line each for a recovery, a delivery, a connection's end:

  2026-01-31T03:00:00.000Z info delivery queue_id=… message_id=… recipients=ann@example.org=stored log=1:17412

where `log` is shard:position, which `ringpost-log message` takes. A second SIGINT or SIGTERM is not needed:
sessions are told to end, what is under way is committed, and the exit code is 0.";

const SERVICES: &str = "pop3,imap,submission";

const STATUS_NOTES: &str = "\
Figures of each shard, as they are now:
  connections                              open connections
  sessions_logged_in, sessions_watching    of these: logged in; with a mailbox selected
  buffered_bytes, under_way                octets of mail coming in; questions and commits awaited
  accounts, mailboxes, messages            what the shard holds
  messages_removed                         what left its mailbox and can be had back
  body_bytes                               octets of all of these; a copied one counts once
  log_bytes, segments, batches, entries    what the log holds; an entry is one change
  log_next, log_durable                    positions: of the next record; up to which all is durable
  disk_full                                1 while mail is refused for want of space
  places_hidden                            places on the disk with messages that are rotten, and not shown
  scrub_rounds, scrub_bytes                rounds in which all was read to find them; bytes read for it
  scrub_files_left                         files that this round has not come to
  disk_sync_us_p50, _p99, _max             microseconds of the syncs of the last minute: half take no longer,
                                           99 of 100, the longest; disk_syncs_minute: how many there were
  disk_read_us_p50, _p99, _max             the same of reads, with disk_reads_minute
  disk_slow                                1 while half of them take 300 ms or more, for half a minute now
Counters since the start:
  connections_total, connections_refused   taken; refused by a bound
  sessions_arrived, sessions_moved         at login, from and to another shard
  sessions_timed_out                       ended for silence
  bytes_in                                 octets from clients, after TLS
  bytes_out_made, bytes_out_mapped         octets to clients: made; straight from the log
  sends, warms, yields                     gathered sends; log read ahead; long work put off
  deliveries, recipients_deferred          messages taken; recipients told to come back
  messages_stored                          put into mailboxes by deliveries
  changes, pushes, verifies                applied; sessions woken; passwords checked
  questions_expired                        questions that another shard did not answer in time
  rot, rot_mended                          rot that was told of in the log; summaries put back
  unreadable                               runs of the log that a client wanted and the disk did not give
  compressed_messages                      compressed by compaction (store.compress_after_days)
  compressed_octets, compressed_bytes      what they have; what they take now";

/// Where the server's data is, and how to print.
#[derive(Debug, Clone, ClapArgs)]
pub struct Common {
    /// The data folder of the running server.
    #[arg(long, value_name = "DIR", default_value = "./data", env = "RINGPOST_DATA")]
    pub data: PathBuf,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve mail until SIGINT or SIGTERM, then drain and exit with 0.
    #[command(after_help = SERVE_NOTES)]
    Serve(ServeArgs),
    /// Create, change, list and delete accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Domains that mail is taken for: add and list.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Addresses that stand for others: add, list and delete.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Move an account in from another mail store, into the running server.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Make a consistent copy of the data folder while it is served, or bring one up to date.
    ///
    /// Nobody waits for it: each shard ends the file it writes and goes on in the next, and this command links or
    /// copies the files that are finished.
    #[command(after_help = BACKUP_NOTES)]
    Backup(BackupArgs),
    /// Which shard has which slots of the name space, and how much lies in them.
    #[command(after_help = SLOTS_NOTES)]
    Slots(SlotsArgs),
    /// What is hidden because the disk has something else than was written, or does not give it.
    #[command(after_help = DAMAGE_NOTES)]
    Damage(Common),
    /// How far the look for rot is; begin one.
    #[command(after_help = SCRUB_NOTES)]
    Scrub(ScrubArgs),
    /// Figures of the running server, shard by shard.
    #[command(after_help = STATUS_NOTES)]
    Status(Common),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the manual page (roff) of this program or of a command: ringpost man account add | man -l -
    Man {
        /// Which command.
        #[arg(value_name = "COMMAND")]
        of: Vec<String>,
    },
}

/// How to serve.
#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// Where everything is kept; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "./data", env = "RINGPOST_DATA")]
    pub data: PathBuf,
    /// The configuration; without it DIR/ringpost.toml if there is one, else the embedded default with two
    /// demonstration accounts.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Create an account, or many from CSV.
    ///
    /// Without --password-stdin a password is generated and printed.
    ///
    /// With --csv, lines of `address,password` are read from standard input (everything behind the first
    /// comma is the password). A password that begins with `$argon2` is taken as a ready hash. An empty one
    /// is generated: then `address,password` is printed. A line that is refused is told on standard error
    /// and does not stop the others, but the exit code is 1. Hashing a given password costs about 20 ms on a
    /// core, generated ones cost little.
    ///
    /// The domain must be known first: ringpost domain add.
    Add {
        /// The address, name@domain.
        #[arg(required_unless_present = "csv", conflicts_with = "csv")]
        address: Option<String>,
        /// Read the password from the first line of standard input.
        #[arg(long, conflicts_with = "csv")]
        password_stdin: bool,
        /// Read many accounts from standard input.
        #[arg(long)]
        csv: bool,
        /// What the account may use, split by commas.
        #[arg(
            long,
            value_delimiter = ',',
            value_parser = ["pop3", "imap", "submission"],
            conflicts_with = "csv",
            default_value = SERVICES
        )]
        services: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Give an account another password.
    ///
    /// Sessions that are logged in go on; the next login needs the new one.
    Passwd {
        /// The address.
        address: String,
        /// Read it from the first line of standard input; else one is generated and printed.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List all accounts in order of address.
    List(Common),
    /// Show an account and its mailboxes.
    Show {
        /// The address.
        address: String,
        #[command(flatten)]
        common: Common,
    },
    /// Hide IMAP capabilities from an account's clients.
    ///
    /// For a client that breaks on an extension. The names replace those given before; without any, all is
    /// shown again. What is hidden is not shown in CAPABILITY and cannot be enabled; sessions that are logged
    /// in see the difference at their next CAPABILITY.
    Hide {
        /// The address.
        address: String,
        /// Names as CAPABILITY shows them, for example QRESYNC COMPRESS=DEFLATE.
        capabilities: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Send an account's IMAP clients to another server at login.
    ///
    /// Takes effect only where the setting imap.login_referrals is on: after the right password the client is
    /// refused and told the URL (rfc2221). Without a URL the account is served here again.
    Refer {
        /// The address.
        address: String,
        /// An IMAP URL, for example imap://ann@imap.example.org/.
        url: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Show what an account uses and may use, or change its limits.
    ///
    /// Without options it shows. A limit that is not named stays as it is; `none` removes one. What is there
    /// already stays, if it is more: new mail is refused until there is room. Who is over quota can always
    /// delete.
    Quota {
        /// The address.
        address: String,
        /// Octets of all messages: 512M, 5G, or none.
        #[arg(long, value_name = "SIZE")]
        storage: Option<String>,
        /// Messages in all mailboxes, or none.
        #[arg(long, value_name = "N")]
        messages: Option<String>,
        /// Mailboxes, INBOX included, or none.
        #[arg(long, value_name = "N")]
        mailboxes: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// List who may do what with an account's mailboxes.
    ///
    /// These are the entries that IMAP's SETACL made. An owner has all rights without an entry.
    Shares {
        /// The address.
        address: String,
        #[command(flatten)]
        common: Common,
    },
    /// Bring back what was removed: messages, folders, or the account as it was at a moment.
    #[command(after_help = RESTORE_NOTES)]
    Restore {
        #[command(flatten)]
        what: Selection,
        #[command(flatten)]
        common: Common,
    },
    /// Delete an account with all its mail and end its sessions.
    ///
    /// Asks first on a terminal; elsewhere --yes is needed. A new account of the same address begins empty. Until
    /// store.undelete_days are over, `ringpost account restore` brings its mail back.
    Delete {
        /// The address.
        address: String,
        /// Do it without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with domains.
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Take mail for a domain. Its accounts and aliases are added afterwards.
    Add {
        /// Its name, such as example.org.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// List the domains.
    List(Common),
}

/// What to do with aliases.
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Let an address stand for one or more others; replaces what it stood for.
    ///
    /// All addresses must be of domains of this server: nothing is sent elsewhere.
    Add {
        /// The alias.
        address: String,
        /// What it stands for.
        #[arg(required = true)]
        targets: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// List all aliases in order of address.
    List(Common),
    /// Drop an alias.
    Delete {
        /// The alias.
        address: String,
        #[command(flatten)]
        common: Common,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with comment, bound, default and its value in FILE.
    Show {
        /// The configuration file; without it the embedded default.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Check a file; say every mistake with file, line and what was expected. Exit code 1 if there is one.
    Check {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        config: PathBuf,
        /// Print JSON if it is good.
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Args;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
