//! `ringpost backup …` as it is typed.
//!
//! *Owns*: arguments and help. *Promises*: `--help` reads like a short manual. *Assumes*: clap. *Never*: touches a
//! file.

use std::path::PathBuf;

use clap::Args;

use super::folder::Folder;
use super::report::Report;
use super::run::run;
use crate::admin::cli::Common;

/// The manual's second half.
pub const NOTES: &str = "\
Examples:
  ringpost backup /backup/mail                 the first run: everything
  ringpost backup /backup/mail                 every other run: what is new since then
  ringpost backup --copy /mnt/disk2/mail       a copy that shares nothing with the data folder
  ringpost-log verify /backup/mail             is all of it there and sound?

What is in it: every message and change that was acknowledged before the backup began, and some that came while it
was made; settings, keys and certificate where they lie in the data folder (a ringpost.toml or certificate kept
elsewhere is not).

Files are hard links where the folder is on the data folder's file system: that takes no time and no space, and
protects from everything but the disk itself. Elsewhere they are copied, which is said. A file that is there already is
kept; one that the server does not need any more is removed once the new backup is complete. To keep several
states, copy the folder (cp -al will do): files in it never change.

backup.json says when it was begun, up to which position of each log it goes, and which files it has. While
backup.partial is there, the last run has not come to its end: run it again. What was there before still counts.

Run it on the server's machine, as the server's user.

After `ringpost-log reshard` begin a new folder: files of the two have nothing in common. `ringpost account restore
--from` reads the old one as long as it is kept.

To restore: stop the server, copy the folder to where the data is to be (cp -a), start the server on it. A folder
that a server was started on is no backup any more.";

/// What `backup` needs.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where it goes: an empty folder, one that is not there yet, or the one of an earlier backup.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Copy every file, also where it could be linked. Links of an earlier run become copies.
    #[arg(long)]
    pub copy: bool,
    /// Where the server is, and how to print.
    #[command(flatten)]
    pub common: Common,
}

/// Makes a backup, or brings one up to date.
///
/// # Errors
/// One line.
pub fn backup(args: &BackupArgs) -> Result<(), String> {
    let folder = Folder::take(&args.folder, &args.common.data)?;
    run(&args.common.data, folder, args.copy, &mut Report::new(args.common.json))
}
