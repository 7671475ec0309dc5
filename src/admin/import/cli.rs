//! `ringpost import …` as it is typed.
//!
//! *Owns*: arguments, help texts, and which source they mean. *Promises*: `--help` reads like a short manual.
//! *Assumes*: clap. *Never*: compares or sends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::dovecot::{Dovecot, Layout};
use super::imap::{Access, Imap, Url};
use super::report::Report;
use super::run::{Wish, run};
use super::source::Source;
use crate::admin::cli::Common;
use crate::admin::client::Client;

/// Octets of a password file's first line.
const PASSWORD_BYTES_MAX: u64 = 4096;

const NOTES: &str = "\
What clients remember is kept: UIDVALIDITY and UIDs (so that an IMAP client fetches nothing
again), POP3 unique-ids (so that a POP3 client does not either), flags and keywords, dates,
subscriptions.

Run it as often as you like, into the running server: every further run carries over the
difference: new messages, changed flags, with --delete also what is gone. Where both sides differ
the other store's flags win. What was deleted here stays deleted. The usual way: import; import
again until little is left; stop mail and clients at the old server; import once more; let mail
and clients come here.

UIDs can be kept only while a mailbox gets no mail here: messages that the old server takes in
after mail has arrived here stay there, which is said, and the exit code is 1. So does whatever
else cannot be carried over; all the rest is done. A message that could not be read is remembered,
and said by every run, until one with --merge finds it mended. With --merge such messages come too,
under new UIDs: clients fetch them again, and further runs still know them (by their unique-ids, and by the
annotation /private/vendor/ringpost/imported). It is also the way into a mailbox that has mail of
its own.

The table says for each folder: new messages, messages with other flags, messages that are gone
there. A dry run prints the same and changes nothing.";

/// What all imports need.
#[derive(Debug, Clone, Args)]
pub struct Into {
    /// The account that mail is imported into; it exists already.
    #[arg(long, value_name = "ADDRESS")]
    pub account: String,
    /// Print the difference and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also remove messages here that were imported and are gone there.
    #[arg(long)]
    pub delete: bool,
    /// Give new UIDs to messages that cannot keep theirs, because mail has arrived in the mailbox here.
    #[arg(long)]
    pub merge: bool,
    /// Where the server is, and how to print.
    #[command(flatten)]
    pub common: Common,
}

/// Where from.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// From a Maildir that Dovecot keeps.
    ///
    /// PATH is the Maildir itself, the folder with `cur` and `new` (INBOX). Folders lie below it as `.Work.2024`
    /// (Maildir++) or as `Work/2024` (LAYOUT=fs). Dovecot may run, or may be gone for good. Read are dovecot-uidlist
    /// (version 3, with old POP3 unique-ids), dovecot-keywords, subscriptions and the messages; flags are those in the
    /// file names, dates those of the files. Files that Dovecot has not given a UID to yet are told.
    ///
    /// Not understood: other places for index and control files, compressed messages, mbox and dbox (import those by
    /// `ringpost import imap`).
    #[command(after_help = NOTES)]
    Dovecot {
        /// The Maildir.
        path: PathBuf,
        /// How its folders lie.
        #[arg(long, value_enum, default_value = "auto")]
        layout: Layout,
        #[command(flatten)]
        into: Into,
    },
    /// From any IMAP server, as a client of it.
    ///
    /// Folders, special uses, subscriptions, dates, flags, UIDs and UIDVALIDITY come over; nothing changes there, and
    /// nothing is marked as seen. Folders of other users are left out. Over imap:// STARTTLS is used; without it
    /// nothing is sent, unless --plaintext is given.
    ///
    /// POP3 unique-ids cannot be asked for over IMAP. Where the other server is a Dovecot with its default form,
    /// --dovecot-unique-ids keeps them.
    #[command(after_help = NOTES)]
    Imap {
        /// imap[s]://user@host[:port]; in the user name `@` may stand as it is.
        #[arg(long, value_name = "URL")]
        // Read later: what clap says of a bad one repeats it, and it may hold a password.
        from: String,
        /// The file whose first line is the password; - for standard input.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// Certificates that are trusted, in PEM form, in place of the system's.
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// Send the password without TLS if the server has none.
        #[arg(long)]
        plaintext: bool,
        /// Name messages to POP3 clients as Dovecot does.
        #[arg(long)]
        dovecot_unique_ids: bool,
        #[command(flatten)]
        into: Into,
    },
}

/// Carries an import out.
pub fn import(command: ImportCommand) -> Result<(), String> {
    match command {
        ImportCommand::Dovecot { path, layout, into } => {
            let mut source = Dovecot::new(&path, layout)?;
            from(&mut source, into)
        }
        ImportCommand::Imap { from: url, password_file, ca_file, plaintext, dovecot_unique_ids, into } => {
            let url: Url = url.parse().map_err(|why| format!("--from: {why}"))?;
            let access = Access { url, password: password(&password_file)?, ca_file, plaintext };
            let mut source = Imap::open(&access, dovecot_unique_ids)?;
            from(&mut source, into)
        }
    }
}

fn from(source: &mut dyn Source, into: Into) -> Result<(), String> {
    let Into { account: address, dry_run, delete, merge, common } = into;
    let wish = Wish { address, dry_run, delete, merge };
    let mut report = Report::new(common.json);
    run(&Client::new(&common.data), source, &wish, &mut report)
}

/// The first line of a file, or of standard input.
fn password(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut line = String::new();
    match path == Path::new("-") {
        true => std::io::stdin().lock().take(PASSWORD_BYTES_MAX).read_line(&mut line).map_err(failed)?,
        false => {
            let file = std::fs::File::open(path).map_err(failed)?;
            BufReader::new(file.take(PASSWORD_BYTES_MAX)).read_line(&mut line).map_err(failed)?
        }
    };
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        Err(format!("{}: no password in its first line", path.display()))
    } else {
        Ok(password.to_owned())
    }
}
