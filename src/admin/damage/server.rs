//! The server's answers.
//!
//! *Owns*: the steps through a shard's list. *Promises*: one step in memory. *Assumes*: a step's cursor leads on.
//! *Never*: looks at a message.

use ringpost_engine::ids::ShardId;

use crate::admin::route::{Answer, Shards, Sink, unexpected};
use crate::admin::wire::{DamageLine, Line, ScrubLine};
use crate::shard::admin::{AdminReply, AdminRequest, Damaged, ScrubState};
use crate::shard::damage::Cursor;

/// Lists what is not shown: accounts, then messages, shard by shard.
pub fn damage(shards: &dyn Shards, sink: &mut Sink<'_>) -> Answer {
    for shard in (0..shards.count()).map(ShardId) {
        let mut cursor = Some(Cursor::default());
        while let Some(next) = cursor {
            let rows = match shards.request(shard, AdminRequest::Damage(next)) {
                Ok(AdminReply::Damage(rows, next)) => {
                    cursor = next;
                    rows
                }
                Ok(other) => return Ok(Err(unexpected(other))),
                Err(why) => return Ok(Err(why)),
            };
            for row in rows {
                sink(Line::Damage(line_of(shard, row)))?;
            }
        }
    }
    Ok(Ok(()))
}

fn line_of(shard: ShardId, row: Damaged) -> DamageLine {
    let of = match &row.mailbox {
        Some(mailbox) => format!("--mailbox {mailbox} "),
        None => String::new(),
    };
    let todo = format!("ringpost account restore {} {of}--from BACKUP", row.account);
    let (file, offset) = row.file.map(|(file, offset)| (file.name(), offset)).unzip();
    let Damaged { account, mailbox, uid, message_id, position, since_ms, .. } = row;
    let (uid, position) = (mailbox.as_ref().map(|_| uid), mailbox.as_ref().map(|_| position));
    DamageLine { shard: shard.0, account, mailbox, uid, message_id, file, offset, position, since_ms, todo }
}

/// Tells how far each shard's look for rot is, after it was asked to begin a round if that is wanted.
pub fn scrub(shards: &dyn Shards, now: bool, sink: &mut Sink<'_>) -> Answer {
    for shard in (0..shards.count()).map(ShardId) {
        let state = match shards.request(shard, AdminRequest::Scrub { now }) {
            Ok(AdminReply::Scrub(state)) => state,
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        };
        let ScrubState { done, bytes_per_second, hidden } = state;
        sink(Line::Scrub(ScrubLine {
            shard: shard.0,
            under_way: done.round.under_way,
            begun_ms: done.round.begun_ms,
            ended_ms: done.ended_ms,
            rounds: done.rounds,
            files: done.round.files,
            files_left: done.files_left,
            file_bytes: done.round.file_bytes,
            bytes: done.round.bytes,
            bytes_per_second,
            found: done.round.rot,
            mended: done.mended,
            hidden,
        }))?;
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Each shard has three steps.
    struct Fake(Mutex<Vec<Cursor>>);

    impl Shards for Fake {
        fn count(&self) -> u16 {
            2
        }

        fn request(&self, _: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
            let AdminRequest::Damage(cursor) = request else { return Err("no".to_owned()) };
            self.0.lock().map_err(|error| error.to_string())?.push(cursor.clone());
            let account = Damaged { account: "a@x".to_owned(), ..Damaged::default() };
            let message = Damaged { mailbox: Some("INBOX".to_owned()), uid: 7, ..account.clone() };
            Ok(match (cursor.messages, cursor.place) {
                (false, _) => AdminReply::Damage(vec![account], Some(Cursor { messages: true, ..cursor })),
                (true, 0) => AdminReply::Damage(vec![], Some(Cursor { place: 9, ..cursor })),
                (true, _) => AdminReply::Damage(vec![message], None),
            })
        }
    }

    #[test]
    fn every_step_of_every_shard_is_listed() {
        let (shards, mut lines) = (Fake(Mutex::default()), Vec::new());
        let sink = &mut |line| {
            lines.push(line);
            Ok(())
        };
        assert_eq!(damage(&shards, sink).expect("a sink that takes all"), Ok(()));
        assert_eq!(shards.0.lock().expect("whole").len(), 6);
        let [Line::Damage(account), Line::Damage(message), ..] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((lines.len(), account.uid, message.uid), (4, None, Some(7)));
        assert_eq!(message.todo, "ringpost account restore a@x --mailbox INBOX --from BACKUP");
    }
}
