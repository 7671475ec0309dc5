//! Scenario `imap-append`: store messages.
//!
//! *Owns*: one APPEND as an operation. *Promises*: it counts when its tagged OK is there.
//! *Assumes*: the mailbox exists. *Never*: sets flags or dates.

use super::client::Target;
use super::deliver::run_number;
use super::failure::Failure;
use super::imap::ImapSession;
use super::message::Messages;
use super::run::{Done, Scenario};
use crate::options;

/// The scenario.
pub struct ImapAppend {
    options: options::Append,
    target: Target,
    messages: Messages,
}

impl ImapAppend {
    /// From the command line.
    pub fn new(options: options::Append) -> Result<ImapAppend, String> {
        let target = Target::new(&options.common, options.common.port.unwrap_or(2143))?;
        let messages = Messages::new("bench@example.test", options.common.message_bytes, run_number());
        Ok(ImapAppend { options, target, messages })
    }
}

impl Scenario for ImapAppend {
    type Session = ImapSession;

    async fn open(&self, index: usize) -> Result<ImapSession, Failure> {
        let user = self.options.common.user(index as u64);
        ImapSession::open(&self.target, index, &user, &self.options.login.password).await
    }

    async fn once(&self, session: &mut ImapSession, number: u64) -> Result<Done, Failure> {
        session.append(&self.options.mailbox, &self.messages, number).await?;
        Ok(Done { bytes: self.messages.len() as u64, messages: 1 })
    }

    async fn close(&self, session: ImapSession) -> Result<(), Failure> {
        session.logout().await
    }

    fn target(&self) -> String {
        self.target.address().to_string()
    }

    fn message_bytes(&self) -> usize {
        self.messages.len()
    }
}
