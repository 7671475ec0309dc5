//! The server's end of a backup: which files, up to which position.
//!
//! *Owns*: the questions to each shard and their order. *Promises*: the list of a shard is one that opens; all shards
//! are asked to seal before the first is waited for. *Assumes*: a shard answers each question at once. *Never*:
//! opens a file.

use std::time::{Duration, Instant};

use ringpost_engine::ids::{Lsn, SegmentId, ShardId};
use ringpost_engine::io::FileId;

use crate::admin::route::{Answer, Shards, Sink, unexpected};
use crate::admin::wire::Line;
use crate::limits::{
    ADMIN_ENTRIES_MAX, BACKUP_ATTEMPTS_MAX, BACKUP_FILES_MAX, BACKUP_POLL_MS, BACKUP_SEAL_MS,
};
use crate::shard::admin::{AdminReply, AdminRequest, BackupStep};

/// Seals and lists every shard.
pub fn answer(shards: &dyn Shards, sink: &mut Sink<'_>) -> Answer {
    // A slot that changed hands between the ends of two shards' logs would be in neither of them.
    let _order = match shards.order().lock() {
        Ok(order) => order,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let all = (0..shards.count()).map(ShardId);
    let sealing: Result<Vec<_>, String> = all.map(|shard| Ok((shard, seal(shards, shard)?))).collect();
    let sealing = match sealing {
        Ok(sealing) => sealing,
        Err(why) => return Ok(Err(why)),
    };
    for (shard, last) in sealing {
        let Listed { end, segments, checkpoint } = match list(shards, shard, last) {
            Ok(listed) => listed,
            Err(why) => return Ok(Err(format!("shard {shard}: {why}"))),
        };
        sink(Line::Sealed { shard: shard.0, position: end.0 })?;
        for (segment, bytes) in segments {
            sink(Line::File { name: FileId::Segment(segment).name(), bytes: Some(bytes) })?;
        }
        for file in checkpoint {
            sink(Line::File { name: file.name(), bytes: None })?;
        }
    }
    Ok(Ok(()))
}

/// What a copy of a shard consists of.
struct Listed {
    end: Lsn,
    segments: Vec<(SegmentId, u64)>,
    checkpoint: Vec<FileId>,
}

fn ask(shards: &dyn Shards, shard: ShardId, step: BackupStep) -> Result<AdminReply, String> {
    shards.request(shard, AdminRequest::Backup(step))
}

fn seal(shards: &dyn Shards, shard: ShardId) -> Result<SegmentId, String> {
    match ask(shards, shard, BackupStep::Seal)? {
        AdminReply::Sealing(last) => Ok(last),
        other => Err(format!("shard {shard}: {}", unexpected(other))),
    }
}

fn list(shards: &dyn Shards, shard: ShardId, mut last: SegmentId) -> Result<Listed, String> {
    for _ in 0..BACKUP_ATTEMPTS_MAX {
        let end = sealed(shards, shard, last)?;
        let segments = segments(shards, shard, last)?;
        match ask(shards, shard, BackupStep::Checkpoint { end })? {
            AdminReply::Checkpoint(Some(checkpoint)) => return Ok(Listed { end, segments, checkpoint }),
            // Two checkpoints were made since it was sealed, or a pack was.
            AdminReply::Checkpoint(None) => last = seal(shards, shard)?,
            other => return Err(unexpected(other)),
        }
    }
    Err("its checkpoints are made faster than they can be listed: try again".to_string())
}

fn sealed(shards: &dyn Shards, shard: ShardId, last: SegmentId) -> Result<Lsn, String> {
    let began = Instant::now();
    loop {
        match ask(shards, shard, BackupStep::Sealed { last })? {
            AdminReply::Sealed(Some(end)) => return Ok(end),
            AdminReply::Sealed(None) if began.elapsed() < Duration::from_millis(BACKUP_SEAL_MS) => {
                std::thread::sleep(Duration::from_millis(BACKUP_POLL_MS));
            }
            AdminReply::Sealed(None) => {
                return Err(format!(
                    "no new segment was ready within {BACKUP_SEAL_MS} ms: is the disk stuck?"
                ));
            }
            other => return Err(unexpected(other)),
        }
    }
}

fn segments(shards: &dyn Shards, shard: ShardId, last: SegmentId) -> Result<Vec<(SegmentId, u64)>, String> {
    let mut all: Vec<(SegmentId, u64)> = Vec::new();
    loop {
        let after = all.last().map_or(SegmentId(0), |(segment, _)| *segment);
        let page = match ask(shards, shard, BackupStep::Segments { after, last })? {
            AdminReply::Segments(page) => page,
            other => return Err(unexpected(other)),
        };
        let is_last = page.len() < ADMIN_ENTRIES_MAX;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
        if all.len() > BACKUP_FILES_MAX {
            return Err(format!("it has more than {BACKUP_FILES_MAX} segments"));
        }
    }
}
