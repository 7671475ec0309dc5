//! Scenario `imap-touch`: look at accounts, one after the other, as when many people open their mail once.
//!
//! *Owns*: one session as an operation, from the connection to LOGOUT. *Promises*: it counts when every message of
//! INBOX was listed, or removed. *Assumes*: the accounts exist. *Never*: keeps a connection.

use super::client::Target;
use super::failure::{Failure, Kind};
use super::imap::ImapSession;
use super::run::{Done, Scenario};
use crate::options;

/// The scenario.
pub struct ImapTouch {
    options: options::Touch,
    target: Target,
}

impl ImapTouch {
    /// From the command line.
    pub fn new(options: options::Touch) -> Result<ImapTouch, String> {
        let target = Target::new(&options.common, options.common.port.unwrap_or(2143))?;
        Ok(ImapTouch { options, target })
    }

    async fn list(&self, session: &mut ImapSession, exists: u64) -> Result<(), Failure> {
        let mut listed = 0;
        let count = |line: &[u8]| listed += u64::from(super::imap::numbered(line, b"FETCH").is_some());
        session.list("UID FETCH 1:* (FLAGS)", count).await?;
        let text = || format!("{listed} of {exists} messages were listed");
        if listed == exists { Ok(()) } else { Err(Failure::new(Kind::Malformed, text())) }
    }
}

impl Scenario for ImapTouch {
    type Session = ();

    async fn open(&self, _index: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn once(&self, (): &mut (), number: u64) -> Result<Done, Failure> {
        let user = self.options.common.user(number);
        let password = &self.options.login.password;
        let mut session = ImapSession::open(&self.target, number as usize, &user, password).await?;
        let exists = session.select("INBOX").await?;
        if self.options.empty {
            for command in ["UID STORE 1:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE"] {
                session.command(command, |_| {}).await?;
            }
        } else if exists > 0 {
            self.list(&mut session, exists).await?;
        }
        session.logout().await?;
        Ok(Done { bytes: 0, messages: exists })
    }

    async fn close(&self, (): ()) -> Result<(), Failure> {
        Ok(())
    }

    fn target(&self) -> String {
        self.target.address().to_string()
    }

    fn message_bytes(&self) -> usize {
        0
    }
}
