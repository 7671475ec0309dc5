//! Scenario `smtp` and `lmtp`: deliver messages, recipients in turn.
//!
//! *Owns*: one delivery as an operation. *Promises*: an operation counts when its 250 is there.
//! *Assumes*: the recipients exist. *Never*: reuses a Message-ID.

use super::client::Target;
use super::failure::Failure;
use super::message::Messages;
use super::run::{Done, Scenario};
use super::smtp::{Dialect, SmtpSession};
use crate::options;

/// The scenario.
pub struct Deliver {
    options: options::Deliver,
    dialect: Dialect,
    target: Target,
    messages: Messages,
}

impl Deliver {
    /// From the command line.
    pub fn new(options: options::Deliver, dialect: Dialect) -> Result<Deliver, String> {
        let default_port = match dialect {
            Dialect::Smtp => 2525,
            Dialect::Lmtp => 2424,
        };
        let target = Target::new(&options.common, options.common.port.unwrap_or(default_port))?;
        let messages = Messages::new(&options.sender, options.common.message_bytes, run_number());
        Ok(Deliver { options, dialect, target, messages })
    }
}

/// A number that no other run on this machine has: the time in nanoseconds.
pub fn run_number() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(0, |time| time.as_nanos() as u64)
}

impl Scenario for Deliver {
    type Session = SmtpSession;

    async fn open(&self, index: usize) -> Result<SmtpSession, Failure> {
        SmtpSession::open(&self.target, index, self.dialect).await
    }

    async fn once(&self, session: &mut SmtpSession, number: u64) -> Result<Done, Failure> {
        let recipient = self.options.common.user(number);
        session.deliver(&self.options.sender, &recipient, &self.messages, number).await?;
        Ok(Done { bytes: self.messages.len() as u64, messages: 1 })
    }

    async fn close(&self, session: SmtpSession) -> Result<(), Failure> {
        session.quit().await
    }

    fn target(&self) -> String {
        self.target.address().to_string()
    }

    fn message_bytes(&self) -> usize {
        self.messages.len()
    }
}
