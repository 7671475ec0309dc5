//! Reading a log while another process writes it: nothing that is sound is told as damage.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody};
use ringpost_engine::ids::{AccountId, MailboxId, Now, ShardId};
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult, View};
use ringpost_engine::recovery::replay_read_only;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const ROUNDS: u64 = 1_000;

/// A disk whose every read is followed by more work of the store that owns it.
struct Busy {
    disk: FakeDisk,
    store: Store,
    seed: Seed,
    /// Begun and not ended: a reader may see a part of it, and no reader a part of what is durable.
    running: Vec<(ringpost_engine::io::IoId, IoRequest)>,
    work_left: u64,
}

impl Busy {
    fn new(number: u64) -> Busy {
        let mut seed = Seed::new(number);
        let mut disk = FakeDisk::new(seed.fork());
        let segment_bytes = (64 * 1024) << seed.below(7);
        let options = Options { segment_bytes, ..Options::new(ShardId(0), 5) };
        let (store, _) = Store::open(&mut disk, options, Now::default()).expect("opens");
        let mut busy = Busy { disk, store, seed, running: Vec::new(), work_left: 10_000 };
        busy.append(AccountId(0), mail::account("u@example.test"));
        for _ in 0..busy.seed.below(40) {
            busy.work();
        }
        busy
    }

    fn append(&mut self, account: AccountId, change: Change) {
        self.store.append(account, change, Now::default()).expect("room");
    }

    /// One step of the server: an append, or the beginning or the end of a piece of disk work.
    fn work(&mut self) {
        match self.seed.below(3) {
            0 => {
                let account = AccountId::new(ShardId(0), 1);
                let octets = Bytes::from(vec![7; self.seed.below(20_000) as usize]);
                let body = NewBody { parts: vec![octets], summary: Bytes::new() };
                let body = self.store.append_body(account, body, Now::default()).expect("room");
                let (mailbox, flags) = (MailboxId(1), Flags::default());
                self.append(account, Change::Deliver { mailbox, body, flags, internal_ms: 1 });
            }
            1 => {
                if let Some((id, request)) = self.store.poll_io() {
                    self.disk.start(&request);
                    self.running.push((id, request));
                }
            }
            _ => {
                if let Some((id, request)) = self.running.pop() {
                    let result = self.disk.finish(&request);
                    assert_eq!(self.store.complete(id, result).fatal, None);
                }
            }
        }
    }
}

impl Disk for Busy {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        self.disk.list()
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        // A long read sees its beginning earlier than its end.
        let middle = buffer.len() / 2 / 512 * 512;
        let mut read = self.disk.read(file, offset, &mut buffer[..middle])?;
        for part in [&mut buffer[middle..]] {
            for _ in 0..self.seed.below(30).min(self.work_left) {
                self.work_left -= 1;
                self.work();
            }
            if read == middle {
                read += self.disk.read(file, offset + middle as u64, part)?;
            }
        }
        for _ in 0..self.seed.below(30).min(self.work_left) {
            self.work_left -= 1;
            self.work();
        }
        Ok(read)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        self.disk.map(file)
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        panic!("a reader asks for {request:?}")
    }
}

#[test]
fn a_log_under_load_reads_as_sound() {
    let mut grew = 0;
    for round in 0..ROUNDS {
        let mut busy = Busy::new(round);
        let before = busy.store.durable();
        let replayed = replay_read_only(&mut busy, Some(ShardId(0)), None).expect("it can be read");
        let report = replayed.report;
        assert!(report.damage.is_empty(), "round {round}: {:?}", report.damage);
        assert!(report.next >= before, "round {round}: what was durable before is read");
        grew += u64::from(busy.store.durable() > before);
    }
    assert!(grew > ROUNDS / 2, "the log grew under the reader in {grew} rounds");
}
