//! The command line.
//!
//! *Owns*: every option, its default and its bound. *Promises*: `--help` and `man` say all there is to know.
//! *Assumes*: nothing. *Never*: connects.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Load for any mail server: every reply is checked, errors are counted, latencies are honest.
///
/// The closed loop (default) has each connection do one operation after the other. The open loop (--rate)
/// begins operations at fixed times, however slow the answers are, and measures from the time each should
/// have begun, so that a stalled server cannot hide its stall (no coordinated omission).
///
/// At the end one JSON line is written to standard output. Exit code 0 means that there was not one error.
#[derive(Parser, Debug)]
#[command(name = "ringpost-bench", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples, against `RINGPOST_DEMO_PASSWORD=secret make run`:
  ringpost-bench lmtp --user-pattern alice@example.test --connections 64 --seconds 10
  ringpost-bench smtp --user-pattern alice@example.test --rate 500     open loop: 500 a second
  export RINGPOST_BENCH_PASSWORD=secret
  ringpost-bench imap-fetch --user-pattern alice@example.test --prepare
  ringpost-bench pop3-retr --help                                      all options of a scenario

Exit status:
  0  done, and not one error
  1  there were errors, or nothing could be begun
  2  the command line is wrong";

/// The scenarios.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Deliver messages by SMTP; one operation is MAIL, RCPT, DATA and the message.
    Smtp(Deliver),
    /// Deliver messages by LMTP; one operation is MAIL, RCPT, DATA and the message.
    Lmtp(Deliver),
    /// Fetch whole mailboxes by IMAP; one operation is UID FETCH 1:* (BODY.PEEK[]).
    ImapFetch(Fetch),
    /// Retrieve messages by POP3, one after the other; one operation is RETR.
    Pop3Retr(Fetch),
    /// Look at accounts by IMAP, one after the other; one operation is a session: LOGIN, SELECT, FETCH of all FLAGS.
    ImapTouch(Touch),
    /// Store messages by IMAP; one operation is APPEND.
    ImapAppend(Append),
    /// Open mailboxes of growing size: SELECT.
    ImapSelect(Survey),
    /// List them: FETCH 1:* of FLAGS, of ENVELOPE and the like, and of what Thunderbird asks for.
    ImapList(Survey),
    /// Search them: by subject, in the text (with hits and without), by flag.
    ImapSearch(Survey),
    /// Sort them by subject, date and arrival (rfc5256).
    ImapSort(Survey),
    /// Thread them by references and subjects (rfc5256).
    ImapThread(Survey),
    /// Do huge things in one session and measure what another one waits meanwhile.
    ImapNeighbour(Neighbour),
    /// Hold sessions in IDLE, deliver messages to them and measure the time from the 250 to each EXISTS.
    Idle(Idle),
    /// Turn the JSON lines of results on standard input into a Markdown table.
    Table,
    /// Put the JSON lines of the same surveys of several servers side by side, as a Markdown table.
    Compare,
    /// Turn the JSON lines of surveys and of imap-neighbour on standard input into Markdown tables.
    Growth,
    /// Turn the JSON lines of `make bench-store` on standard input into a Markdown table, a column each size.
    Store,
    /// Draw the JSON lines of surveys or of `make bench-store` on standard input as log-log plots.
    Plot {
        /// Files to write; each ends with .svg or .png.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print a manual page in roff (`ringpost-bench man | man -l -`).
    Man {
        /// The page of this subcommand.
        subcommand: Option<String>,
    },
}

/// What all scenarios have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Host name or address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port; by default Ringpost's port of the protocol for `make run` (SMTP 2525, LMTP 2424, POP3 2110, IMAP
    /// 2143).
    #[arg(long)]
    pub port: Option<u16>,
    /// Users (addresses) of the accounts; `{}` stands for a number from 1 to --mailboxes, `{7}` for one of seven
    /// digits.
    #[arg(long, default_value = "user{}@example.test")]
    pub user_pattern: String,
    /// Mailboxes that the load is spread over.
    #[arg(long, default_value_t = 1)]
    pub mailboxes: u64,
    /// Connections, all opened before the clock starts. On a loopback target they come from several
    /// 127.0.0.x.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Octets of each message; the header alone takes about 250.
    #[arg(long, default_value_t = 4096)]
    pub message_bytes: usize,
    /// Seconds to run; 10 if neither this nor --count is given.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Operations to do.
    #[arg(long)]
    pub count: Option<u64>,
    /// Open loop: operations begun per second over all connections. Without it the loop is closed.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Implicit TLS. Certificates are not verified: this measures, it does not trust.
    #[arg(long)]
    pub tls: bool,
    /// Threads of this client; 1 leaves the other cores to the server.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Seconds that one operation may take.
    #[arg(long, default_value_t = 30.0)]
    pub timeout_seconds: f64,
    /// Process id of the server, if it runs on this machine: its CPU time and memory are reported as well.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// What the results call this server.
    #[arg(long, default_value = "ringpost")]
    pub label: String,
    /// Write the latencies' percentile distribution to this file.
    #[arg(long)]
    pub histogram: Option<PathBuf>,
}

/// Options of `smtp` and `lmtp`.
#[derive(Args, Clone, Debug)]
pub struct Deliver {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Envelope sender and From.
    #[arg(long, default_value = "bench@example.test")]
    pub sender: String,
}

/// A password of the accounts.
#[derive(Args, Clone, Debug)]
pub struct Login {
    /// Password of every account; the environment keeps it out of the process list.
    #[arg(long, env = "RINGPOST_BENCH_PASSWORD", hide_env_values = true)]
    pub password: String,
}

/// Options of `imap-fetch` and `pop3-retr`.
#[derive(Args, Clone, Debug)]
pub struct Fetch {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// Before the clock starts, fill each INBOX up to --messages messages of --message-bytes by APPEND.
    #[arg(long)]
    pub prepare: bool,
    /// Messages that each mailbox must hold.
    #[arg(long, default_value_t = 100)]
    pub messages: u64,
    /// IMAP port for --prepare with pop3-retr.
    #[arg(long, default_value_t = 2143)]
    pub imap_port: u16,
}

/// Options of `imap-select`, `imap-list`, `imap-search`, `imap-sort` and `imap-thread`.
///
/// Each size has an account of its own: in --user-pattern, {} stands for the size. --connections fill it in
/// parallel; one connection measures, the sizes in turn, round by round. A JSON line is written for each
/// command and size. --mailboxes, --seconds, --count and --rate do not matter.
#[derive(Args, Clone, Debug)]
pub struct Survey {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// Messages of the mailboxes.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    pub sizes: Vec<u64>,
    /// Times that each command is given; the first one is told apart.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Fill an empty INBOX first, by APPEND: the same mail for every server.
    #[arg(long)]
    pub prepare: bool,
}

/// Options of `imap-neighbour`: the first user of --user-pattern does huge things in its INBOX (fill it by
/// `imap-select --prepare`), the neighbour says NOOP. --connections, --message-bytes, --seconds, --count and
/// --rate do not matter; --timeout-seconds is for each of the things.
#[derive(Args, Clone, Debug)]
pub struct Neighbour {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// The user who says NOOP.
    #[arg(long, default_value = "neighbour@example.test")]
    pub neighbour: String,
    /// Folders that are made, listed and deleted.
    #[arg(long, default_value_t = 10_000)]
    pub folders: u64,
    /// Octets of the huge message.
    #[arg(long, default_value_t = 100_000_000)]
    pub huge_bytes: usize,
}

/// Options of `imap-touch`. --connections is how many accounts are looked at at a time.
#[derive(Args, Clone, Debug)]
pub struct Touch {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// Instead of looking at them, remove all messages of INBOX.
    #[arg(long)]
    pub empty: bool,
}

/// Options of `imap-append`.
#[derive(Args, Clone, Debug)]
pub struct Append {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// Mailbox to append to.
    #[arg(long, default_value = "INBOX")]
    pub mailbox: String,
}

/// Options of `idle`. --connections is the number of idle sessions, --count that of deliveries.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Common options.
    #[command(flatten)]
    pub common: Common,
    /// Password.
    #[command(flatten)]
    pub login: Login,
    /// Deliver by LMTP to this port.
    #[arg(long, default_value_t = 2424)]
    pub lmtp_port: u16,
    /// Deliver by SMTP to this port instead.
    #[arg(long)]
    pub smtp_port: Option<u16>,
    /// Envelope sender and From.
    #[arg(long, default_value = "bench@example.test")]
    pub sender: String,
    /// Seconds between the last session's IDLE and the measurement of the server's memory.
    #[arg(long, default_value_t = 2.0)]
    pub settle_seconds: f64,
}

/// Most that a run may last or hold; beyond it an option is refused.
const SECONDS_MAX: f64 = 86_400.0;
const CONNECTIONS_MAX: usize = 1_000_000;
const MESSAGE_BYTES_MAX: usize = 1024 * 1024 * 1024;
const THREADS_MAX: usize = 1_024;
const RATE_MAX: f64 = 10_000_000.0;
/// Digits of a number in a user's name.
const DIGITS_MAX: usize = 20;

impl Common {
    /// Refuses what makes no sense, before anything is begun.
    pub fn check(&self) -> Result<(), String> {
        let seconds = |value: f64| value > 0.0 && value <= SECONDS_MAX;
        let rules = [
            ((1..=CONNECTIONS_MAX).contains(&self.connections), "--connections must be 1 to 1000000"),
            (self.mailboxes >= 1, "--mailboxes must be at least 1"),
            (self.message_bytes <= MESSAGE_BYTES_MAX, "--message-bytes must be at most 1073741824"),
            ((1..=THREADS_MAX).contains(&self.threads), "--threads must be 1 to 1024"),
            (self.seconds.is_none_or(seconds), "--seconds must be above 0 and at most 86400"),
            (seconds(self.timeout_seconds), "--timeout-seconds must be above 0 and at most 86400"),
            (
                self.rate.is_none_or(|rate| rate > 0.0 && rate <= RATE_MAX),
                "--rate must be above 0, at most 10000000",
            ),
            (self.count != Some(0), "--count must be at least 1"),
            (self.mailboxes == 1 || self.placeholder().is_some(), "--mailboxes needs {} in --user-pattern"),
        ];
        rules.iter().find(|(good, _)| !good).map_or(Ok(()), |(_, message)| Err((*message).to_owned()))
    }

    /// The user of the `index`-th connection or message, counted from 0.
    pub fn user(&self, index: u64) -> String {
        let number = index % self.mailboxes + 1;
        match self.placeholder() {
            Some((range, digits)) => {
                let (before, after) = (&self.user_pattern[..range.start], &self.user_pattern[range.end..]);
                format!("{before}{number:0digits$}{after}")
            }
            None => self.user_pattern.clone(),
        }
    }

    /// Where in the pattern the number goes, and how many digits it has at least.
    fn placeholder(&self) -> Option<(Range<usize>, usize)> {
        let start = self.user_pattern.find('{')?;
        let end = start + self.user_pattern[start..].find('}')?;
        let digits = &self.user_pattern[start + 1..end];
        let digits =
            if digits.is_empty() { Some(1) } else { digits.parse().ok().filter(|&n| n <= DIGITS_MAX) };
        Some((start..end + 1, digits?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(arguments: &[&str]) -> Common {
        let all = ["ringpost-bench", "smtp"].iter().chain(arguments);
        match Cli::parse_from(all).command {
            Command::Smtp(options) => options.common,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn users_go_round() {
        let common = common(&["--mailboxes", "3", "--user-pattern", "u{}@x"]);
        let users: Vec<String> = (0..4).map(|index| common.user(index)).collect();
        assert_eq!(users, ["u1@x", "u2@x", "u3@x", "u1@x"]);
        let padded = self::common(&["--mailboxes", "3", "--user-pattern", "u{4}@x"]);
        assert_eq!((padded.user(2), padded.check()), ("u0003@x".to_owned(), Ok(())));
        assert!(self::common(&["--mailboxes", "3", "--user-pattern", "u{x}@x"]).check().is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(common(&[]).check(), Ok(()));
        for bad in [
            &["--connections", "0"][..],
            &["--rate", "0"],
            &["--seconds", "-1"],
            &["--seconds", "NaN"],
            &["--count", "0"],
            &["--mailboxes", "2", "--user-pattern", "me@x"],
        ] {
            let arguments: Vec<String> = bad.chunks(2).map(|pair| pair.join("=")).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert!(common(&arguments).check().is_err(), "{bad:?}");
        }
    }
}
