//! What can be typed.
//!
//! *Owns*: names, options and help texts; man pages come from the same. *Promises*: `--help` reads like a
//! short manual.
//! *Assumes*: clap. *Never*: acts.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

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
  ringpost account list --json | jq .               every listing has --json
  ringpost status                                   figures of every shard
  ringpost config show > ringpost.toml              every setting with default, bound and comment";

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
    Serve(ServeArgs),
    /// Create, change, list and delete accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Domains that mail is taken for.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Addresses that stand for others.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Figures of the running server, shard by shard.
    Status(Common),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the manual page (troff) of this program to standard output.
    Man,
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
    /// is generated: then `address,password` is printed. Hashing a given password costs about 20 ms on a
    /// core, generated ones cost little.
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
        /// What the account may use.
        #[arg(long, value_delimiter = ',', default_value = "pop3,imap,submission")]
        services: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Give an account another password.
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
    /// Delete an account with all its mail and end its sessions.
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
    /// Take mail for a domain.
    Add {
        /// Its name.
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
    /// Check a file; say every mistake with file, line and what was expected.
    Check {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        config: PathBuf,
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
