//! Fills a mailbox with the mail of the survey.
//!
//! *Owns*: how messages get in: MULTIAPPEND where it is announced, pipelined APPEND with LITERAL+ else.
//! *Promises*: the mailbox holds exactly the messages asked for when it returns. *Assumes*: a server with
//! LITERAL+ (rfc7888). *Never*: adds to a mailbox that is half full: nobody knows which half.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::corpus::message;
use super::user;
use crate::load::client::Target;
use crate::load::failure::{Failure, Kind};
use crate::load::imap::ImapSession;
use crate::load::run::{progress_bar, within};
use crate::options::Survey;

/// Messages sent before an answer is waited for.
const BATCH_MESSAGES: u64 = 64;
/// Seconds that a batch may take.
const BATCH_SECONDS: f64 = 60.0;

/// Sees to it that the account of `size` has its messages.
pub async fn fill(options: &Survey, target: &Target, size: u64) -> Result<(), String> {
    let user = user(options, size);
    let wrong = |failure: Failure| format!("the INBOX of {user}: {failure}");
    let limit = Duration::from_secs_f64(options.common.timeout_seconds);
    let look = async {
        let mut session = ImapSession::open(target, 0, &user, &options.login.password).await?;
        let exists = session.select("INBOX").await?;
        session.logout().await?;
        Ok(exists)
    };
    let exists = within(limit, look).await.map_err(wrong)?;
    match exists {
        exists if exists == size => return Ok(()),
        0 if options.prepare => {}
        0 => return Err(format!("the INBOX of {user} is empty; --prepare fills it")),
        _ => return Err(format!("the INBOX of {user} has {exists} messages; it must be empty to be filled")),
    }
    let filler = Arc::new(Filler {
        target: target.clone(),
        user: user.clone(),
        password: options.login.password.clone(),
        bytes: options.common.message_bytes,
        size,
        next: AtomicU64::new(0),
    });
    let bar = progress_bar(size);
    bar.set_message(format!("filling {user}"));
    let mut workers = JoinSet::new();
    for index in 0..options.common.connections {
        let (filler, bar) = (filler.clone(), bar.clone());
        workers.spawn(async move { filler.work(index, |count| bar.inc(count)).await });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| format!("a connection's task failed: {error}"))?.map_err(wrong)?;
    }
    bar.finish_and_clear();
    Ok(())
}

struct Filler {
    target: Target,
    user: String,
    password: String,
    bytes: usize,
    size: u64,
    /// The first number that nobody has taken.
    next: AtomicU64,
}

impl Filler {
    /// One connection's share.
    async fn work(&self, index: usize, on_done: impl Fn(u64)) -> Result<(), Failure> {
        let limit = Duration::from_secs_f64(BATCH_SECONDS);
        let open = ImapSession::open(&self.target, index, &self.user, &self.password);
        let mut session = within(limit, open).await?;
        if !session.has("LITERAL+") {
            return Err(Failure::new(Kind::Refused, "the server has no LITERAL+ to fill by"));
        }
        loop {
            let first = self.next.fetch_add(BATCH_MESSAGES, Ordering::Relaxed);
            if first >= self.size {
                return within(limit, session.logout()).await;
            }
            let numbers = first..self.size.min(first + BATCH_MESSAGES);
            let count = numbers.end - numbers.start;
            let commands = commands(numbers, self.bytes, session.has("MULTIAPPEND"));
            within(limit, session.pipeline(&commands)).await?;
            on_done(count);
        }
    }
}

/// The commands that append these messages.
fn commands(numbers: std::ops::Range<u64>, bytes: usize, multi: bool) -> Vec<Vec<u8>> {
    let mut commands = Vec::new();
    for number in numbers {
        let message = message(number, bytes);
        let head = format!(" {} {} {{{}+}}\r\n", message.flags, message.date_time, message.octets.len());
        if commands.is_empty() || !multi {
            commands.push(b"APPEND INBOX".to_vec());
        }
        if let Some(command) = commands.last_mut() {
            command.extend_from_slice(head.as_bytes());
            command.extend_from_slice(&message.octets);
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_command_where_the_server_takes_that() {
        let (one, many) = (commands(5..8, 600, true), commands(5..8, 600, false));
        assert_eq!((one.len(), many.len()), (1, 3));
        let joined = many.iter().flat_map(|command| &command[b"APPEND INBOX".len()..]);
        assert!(one[0].starts_with(b"APPEND INBOX () \""));
        assert!(one[0][b"APPEND INBOX".len()..].iter().eq(joined));
    }
}
