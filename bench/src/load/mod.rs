//! Connections, pacing, counting, and one file per scenario.
//!
//! *Owns*: which scenario serves which subcommand. *Promises*: see each module. *Assumes*: a tokio runtime.
//! *Never*: names the server's own code; any mail server will do.

use crate::options::Command;

pub mod client;
pub mod deliver;
pub mod failure;
pub mod idle;
pub mod imap;
pub mod imap_append;
pub mod imap_fetch;
pub mod imap_touch;
pub mod message;
pub mod pace;
pub mod pop3_retr;
pub mod process;
pub mod report;
pub mod run;
pub mod smtp;

use report::Report;
use run::run;

/// Runs a scenario to its end; an error when it could not begin.
pub async fn perform(command: Command) -> Result<Report, String> {
    match command {
        Command::Smtp(options) => {
            let scenario = deliver::Deliver::new(options.clone(), smtp::Dialect::Smtp)?;
            run("smtp", scenario, &options.common).await
        }
        Command::Lmtp(options) => {
            let scenario = deliver::Deliver::new(options.clone(), smtp::Dialect::Lmtp)?;
            run("lmtp", scenario, &options.common).await
        }
        Command::ImapFetch(options) => {
            let scenario = imap_fetch::ImapFetch::new(options.clone()).await?;
            run("imap-fetch", scenario, &options.common).await
        }
        Command::Pop3Retr(options) => {
            let scenario = pop3_retr::Pop3Retr::new(options.clone()).await?;
            run("pop3-retr", scenario, &options.common).await
        }
        Command::ImapTouch(options) => {
            let scenario = imap_touch::ImapTouch::new(options.clone())?;
            run("imap-touch", scenario, &options.common).await
        }
        Command::ImapAppend(options) => {
            let scenario = imap_append::ImapAppend::new(options.clone())?;
            run("imap-append", scenario, &options.common).await
        }
        Command::Idle(options) => idle::perform(options).await,
        _ => Err("this command is no scenario".to_owned()),
    }
}
