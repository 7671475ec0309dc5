//! Scenario `imap-fetch`: fetch whole mailboxes.
//!
//! *Owns*: one `UID FETCH 1:* (BODY.PEEK[])` as an operation. *Promises*: each answer has as many messages
//! and octets as the mailbox's own RFC822.SIZE say. *Assumes*: nothing else changes the mailboxes while it
//! runs.
//! *Never*: keeps a body.

use std::time::Duration;

use super::client::Target;
use super::deliver::run_number;
use super::failure::{Failure, Kind};
use super::imap::{ImapSession, Untagged, parse_number, prepare_inbox};
use super::message::Messages;
use super::run::{Done, Scenario, within};
use crate::options;

/// Seconds that filling one mailbox may take for each message in it.
const PREPARE_SECONDS_PER_MESSAGE: f64 = 1.0;

/// The scenario.
pub struct ImapFetch {
    options: options::Fetch,
    target: Target,
    messages: Messages,
}

/// A connection with its mailbox selected, and what that holds.
pub struct Selected {
    session: ImapSession,
    count: u64,
    bytes: u64,
}

impl ImapFetch {
    /// From the command line; fills the mailboxes first where that was asked for.
    pub async fn new(options: options::Fetch) -> Result<ImapFetch, String> {
        let target = Target::new(&options.common, options.common.port.unwrap_or(2143))?;
        let messages = Messages::new("bench@example.test", options.common.message_bytes, run_number());
        prepare(&options, &target, &messages).await?;
        Ok(ImapFetch { options, target, messages })
    }
}

/// Sees to it that every mailbox that will be read has its messages.
pub async fn prepare(options: &options::Fetch, target: &Target, messages: &Messages) -> Result<(), String> {
    let users = options.common.mailboxes.min(options.common.connections as u64);
    let limit = options.common.timeout_seconds + options.messages as f64 * PREPARE_SECONDS_PER_MESSAGE;
    for index in 0..users {
        let user = options.common.user(index);
        let work = async {
            let mut session =
                ImapSession::open(target, index as usize, &user, &options.login.password).await?;
            let filling = options.prepare.then_some(messages);
            let exists = prepare_inbox(&mut session, filling, options.messages).await?;
            session.logout().await?;
            Ok(exists)
        };
        let exists = within(Duration::from_secs_f64(limit), work)
            .await
            .map_err(|failure| format!("cannot prepare the mailbox of {user}: {failure}"))?;
        if exists < options.messages {
            let wanted = options.messages;
            return Err(format!(
                "the INBOX of {user} has {exists} messages, not {wanted}; --prepare fills it"
            ));
        }
    }
    Ok(())
}

impl Scenario for ImapFetch {
    type Session = Selected;

    async fn open(&self, index: usize) -> Result<Selected, Failure> {
        let user = self.options.common.user(index as u64);
        let mut session = ImapSession::open(&self.target, index, &user, &self.options.login.password).await?;
        session.select("INBOX").await?;
        let (mut count, mut bytes) = (0, 0);
        session
            .command("UID FETCH 1:* (RFC822.SIZE)", |response| {
                if let Some(size) = fetched_size(&response) {
                    count += 1;
                    bytes += size;
                }
            })
            .await?;
        Ok(Selected { session, count, bytes })
    }

    async fn once(&self, selected: &mut Selected, _: u64) -> Result<Done, Failure> {
        let (mut count, mut bytes) = (0, 0);
        selected
            .session
            .command("UID FETCH 1:* (BODY.PEEK[])", |response| {
                if response.numbered(b"FETCH").is_some() {
                    count += 1;
                    bytes += response.literal_bytes;
                }
            })
            .await?;
        if (count, bytes) != (selected.count, selected.bytes) {
            let expected = format!("{} messages of {} octets", selected.count, selected.bytes);
            return Err(Failure::new(
                Kind::Mismatch,
                format!("{count} messages of {bytes} octets for {expected}"),
            ));
        }
        Ok(Done { bytes, messages: count })
    }

    async fn close(&self, selected: Selected) -> Result<(), Failure> {
        selected.session.logout().await
    }

    fn target(&self) -> String {
        self.target.address().to_string()
    }

    fn message_bytes(&self) -> usize {
        self.messages.len()
    }
}

/// The number behind RFC822.SIZE in a FETCH response.
fn fetched_size(response: &Untagged<'_>) -> Option<u64> {
    response.numbered(b"FETCH")?;
    let mut words = response.line.split(|byte| matches!(byte, b' ' | b'(' | b')'));
    words.find(|word| word.eq_ignore_ascii_case(b"RFC822.SIZE"))?;
    parse_number(words.next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_in_any_order() {
        let size = |line: &[u8]| fetched_size(&Untagged { line, literal_bytes: 0 });
        assert_eq!(size(b"* 1 FETCH (UID 7 RFC822.SIZE 4096)"), Some(4096));
        assert_eq!(size(b"* 1 FETCH (RFC822.SIZE 12 UID 7)"), Some(12));
        assert_eq!(size(b"* 1 FETCH (UID 7)"), None);
        assert_eq!(size(b"* 1 EXISTS"), None);
    }
}
