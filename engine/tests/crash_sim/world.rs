//! One seed: a store, its disk, its clients, and what must hold.
//!
//! *Owns*: time, the order of completions, crashes, the oracle. *Promises*: the same seed gives the same run.
//! *Assumes*: the fault model at the head of `fake_disk`. *Never*: lets a difference pass.
//!
//! After a crash the store must equal one of two states: A, what was acknowledged; or B, A and the one batch
//! that was in flight. After rot every account equals the model or is in quarantine, and only those are whose
//! bytes it hit; the others live on; and once the rot is undone all is there.

use std::collections::BTreeMap;

use ringpost_engine::change::{Change, NewBody, Outcome, Refusal};
use ringpost_engine::error::{Error, Refused};
use ringpost_engine::ids::{AccountId, BodyId, Lsn, MailboxId, Now, Uid};
use ringpost_engine::io::{FileId, IoError, IoId, IoRequest, IoResult};
use ringpost_engine::limits;
use ringpost_engine::log::BLOCK;
use ringpost_engine::origin::{Origin, Reading, SessionInfo};
use ringpost_engine::press::Work;
use ringpost_engine::store::{Applied, RecoveryReport, Store};
use ringpost_engine::testing::Plant;
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::model::Model;
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

use crate::arrivals::Arrivals;
use crate::swarm::{SEGMENT_BYTES, Swarm};
use crate::tally::{Kind, Tally};
use crate::weather::Weather;
use crate::workload;

pub struct World {
    pub seed: Seed,
    pub swarm: Swarm,
    plant: Option<Plant>,
    pub disk: FakeDisk,
    pub store: Store,
    pub now: Now,
    pub model: Model,
    pub bodies: Vec<BodyId>,
    /// Of the session that asks at the moment; none is left after a crash.
    origin: Origin,
    /// Changes that were asked for, and when by the wall clock.
    waiting: BTreeMap<Lsn, (AccountId, Change, u64)>,
    running: Vec<(IoId, IoRequest)>,
    /// How far each segment is written.
    written: BTreeMap<FileId, u64>,
    /// Whether the log's beginning may be gone.
    pub compacted: bool,
    /// Accounts that come from another store.
    pub arrivals: Option<Arrivals>,
    pub weather: Weather,
    pub tally: Tally,
    trace: u64,
}

/// Runs a seed; its fingerprint and what happened, or what went wrong.
pub fn run(number: u64, plant: Option<Plant>) -> Result<(u64, Tally), String> {
    let mut seed = Seed::new(number);
    let swarm = Swarm::new(number, &mut seed);
    let weather = Weather::new(number, &swarm);
    let mut world = World::begin(seed, swarm, plant, Now { unix_ms: 1_000_000, mono_ms: 0 })?;
    world.weather = weather;
    world.opened();
    if let Some(shard) = world.swarm.arrivals {
        world.expect_arrivals(number, shard)?;
    }
    for _ in 0..world.swarm.steps {
        world.step()?;
    }
    world.disk.faults = Faults::NONE;
    world.drain()?;
    world.check_verify()?;
    world.end_arrivals()?;
    world.weather.clears();
    if world.swarm.scrub && world.swarm.reads_fail_one_in > 0 {
        world.see_all()?;
    }
    world.no_false_alarm()?;
    if world.swarm.scrub {
        for _ in 0..=world.seed.below(2) {
            world.rot_while_running()?;
        }
    }
    world.crash()?;
    if world.swarm.compact && world.swarm.undelete_ms < 1_000 {
        world.age()?;
    }
    if world.swarm.rot {
        for _ in 0..=world.seed.below(3) {
            world.rot()?;
        }
    }
    Ok((world.trace, world.tally))
}

impl World {
    /// A new store on a disk of its own.
    pub fn begin(mut seed: Seed, swarm: Swarm, plant: Option<Plant>, now: Now) -> Result<World, String> {
        let mut disk = FakeDisk::new(seed.fork());
        let opened = Store::open(&mut disk, swarm.options(plant), now);
        let (store, _) = opened.map_err(|error| error.to_string())?;
        Ok(World {
            weather: Weather::new(0, &swarm),
            seed,
            swarm,
            plant,
            disk,
            store,
            now,
            model: Model::default(),
            bodies: Vec::new(),
            origin: Origin::NONE,
            waiting: BTreeMap::new(),
            running: Vec::new(),
            written: BTreeMap::new(),
            compacted: false,
            arrivals: None,
            tally: Tally::default(),
            trace: 0,
        })
    }

    /// Whether rot is looked for.
    pub fn scrubs(&self) -> bool {
        self.swarm.scrub
    }

    fn step(&mut self) -> Result<(), String> {
        self.now.mono_ms += self.seed.below(if self.swarm.idle { 400 } else { 20 });
        self.now.unix_ms = (self.now.unix_ms + self.seed.below(50)).saturating_sub(self.seed.below(20));
        match self.seed.below(10) {
            0..4 => self.append(),
            4..6 => self.poll()?,
            6..9 => self.finish()?,
            _ => self.tick(),
        }
        if self.arrivals.is_some() && self.seed.one_in(3) {
            self.send();
        }
        if self.seed.one_in(60) {
            self.store.scrub_now();
            self.check_verify()?;
        }
        if self.swarm.small_disk && self.seed.one_in(30) {
            self.disk.faults.capacity = self.disk.used() + self.seed.below(2 * SEGMENT_BYTES);
        }
        self.disk.faults.eio_one_in = if self.swarm.eio { 30 } else { 0 };
        if self.seed.one_in(self.swarm.crashes_one_in) { self.crash() } else { Ok(()) }
    }

    fn tick(&mut self) {
        let before = self.store.stats();
        self.store.tick(self.now);
        if self.store.stats().accounts_awake < before.accounts_awake {
            self.tally.count(Kind::Evicted);
        }
        // As for a backup, and without drawing from the seed. A full disk refuses.
        if self.now.mono_ms.is_multiple_of(13)
            && !self.store.is_behind()
            && let Ok(last) = self.store.seal()
        {
            let durable = self.store.durable();
            let end = self.store.sealed(last);
            assert!(
                !matches!(end, Ok(Some(end)) if end > durable),
                "{end:?} is sealed, {durable} is durable"
            );
        }
    }

    /// Mail comes and goes with time between, so that packs become sparse too.
    fn age(&mut self) -> Result<(), String> {
        for _ in 0..self.seed.below(8) {
            for _ in 0..self.seed.below(12) {
                self.append();
                self.drain()?;
            }
            for _ in 0..self.seed.below(4) {
                if let Some((account, change)) = workload::purge(&mut self.seed, &self.store) {
                    self.ask(account, change);
                }
            }
            self.drain()?;
            self.now.unix_ms += self.swarm.undelete_ms + 1;
            self.drain()?;
            if self.seed.one_in(2) {
                self.crash()?;
            }
        }
        self.check_verify()
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    pub fn append(&mut self) {
        for _ in 0..=self.seed.below(6) {
            if self.seed.one_in(2) {
                let octets = workload::octets(&mut self.seed, 60_000);
                let cut = self.seed.below(octets.len() as u64 + 1) as usize;
                let parts = vec![octets.slice(..cut), octets.slice(cut..)];
                let body = NewBody { parts, summary: octets.slice(..octets.len().min(9)) };
                match self.store.append_body(AccountId(1), body, self.now) {
                    Ok(id) => {
                        self.model.body(id, octets);
                        self.bodies.push(id);
                    }
                    Err(refused) => assert_ne!(refused, Refused::Busy, "far from the bound"),
                }
            }
            let last = self.bodies.len().saturating_sub(4);
            let mut recent = self.bodies[last..].to_vec();
            let all = recent.len();
            recent.retain(|body| self.can_be_named(*body));
            self.tally.add_many(Kind::DeadNotNamed, all - recent.len());
            let (account, change) =
                workload::change(&mut self.seed, &self.store, &recent, self.swarm.structural);
            self.ask(account, change);
            if self.swarm.purges
                && self.seed.one_in(40)
                && let Some((account, change)) = workload::purge(&mut self.seed, &self.store)
            {
                self.ask(account, change);
            }
        }
    }

    /// In a run that rots, nobody names a body again that is dead: that it was refused is not in the log, and behind a
    /// loss replay cannot know it, for whoever let go of the body may be the one that is lost. The server never does:
    /// it names a body for all its recipients at once.
    fn can_be_named(&self, body: BodyId) -> bool {
        !self.swarm.rot || body.0 >= self.store.durable().0 || self.store.fresh_body(body).is_some()
    }

    /// Its position; none: there is no room for it.
    pub fn ask(&mut self, account: AccountId, change: Change) -> Option<Lsn> {
        let by = self.session(account);
        match self.store.append_by(by, account, change.clone(), self.now) {
            Ok(lsn) => {
                let taken = self.waiting.insert(lsn, (account, change, self.now.unix_ms));
                assert!(taken.is_none(), "position {lsn} was given out twice");
                self.note(lsn.0);
                Some(lsn)
            }
            Err(refused) => {
                assert_eq!(refused, Refused::DiskFull, "nothing else is in the way of what is small");
                self.tally.count(Kind::RefusedFull);
                None
            }
        }
    }

    /// Who asks: nobody, or a session, which at times has only read.
    fn session(&mut self, account: AccountId) -> Origin {
        if self.seed.one_in(2) {
            return Origin::NONE;
        }
        let user = format!("u{}", self.seed.below(3));
        if !self.store.knows(self.origin) || self.seed.one_in(8) {
            let about = SessionInfo { user: user.clone(), ..SessionInfo::default() };
            self.origin = self.store.introduce(about, self.now).unwrap_or_default();
        }
        if self.seed.one_in(8) {
            let about = SessionInfo { user, ..SessionInfo::default() };
            let uids = (1..=self.seed.below(9) as u32).map(Uid).collect();
            let reading = Reading { by: self.origin, about, of: account, mailbox: MailboxId(1), uids };
            self.store.note_reading(reading, self.now);
        }
        self.origin
    }

    pub fn poll(&mut self) -> Result<(), String> {
        let Some((id, request)) = self.store.poll_io() else { return Ok(()) };
        if let IoRequest::Write { file: file @ FileId::Segment(_), offset, parts, .. } = &request {
            let in_flight = self.running.iter().any(|(_, other)| is_batch(other));
            let len: usize = parts.iter().map(|part| part.len()).sum();
            if *offset == 0 {
                self.tally.count(Kind::Rollover);
            }
            let before = self.written.insert(*file, offset + len as u64).unwrap_or(0);
            let aligned = offset.is_multiple_of(BLOCK) && (len as u64).is_multiple_of(BLOCK);
            if in_flight || !aligned || *offset < before || parts.len() > limits::BATCH_PARTS_MAX + 8 {
                return Err(format!("a write of {len} at {offset} behind {before}, in flight: {in_flight}"));
            }
        }
        match &request {
            IoRequest::Rename { to: FileId::Checkpoint(_), .. } => self.tally.count(Kind::Checkpoint),
            IoRequest::Rename { to: FileId::Pack(_), .. } => self.tally.count(Kind::Packed),
            IoRequest::Unlink { file: FileId::Segment(_) } => {
                self.compacted = true;
                self.tally.count(Kind::SegmentRemoved);
            }
            IoRequest::Unlink { file: FileId::Pack(_) } => self.tally.count(Kind::PackRemoved),
            IoRequest::Work(Work::Train { .. }) => self.tally.count(Kind::Trained),
            IoRequest::Work(Work::Press { .. }) => self.tally.count(Kind::Pressed),
            IoRequest::Work(Work::Unfold { .. }) => self.tally.count(Kind::Unfolded),
            _ => {}
        }
        self.disk.start(&request);
        self.weather.begin(id, &request);
        self.running.push((id, request));
        Ok(())
    }

    pub fn finish(&mut self) -> Result<(), String> {
        self.weather.event();
        let done = |nth: &usize| self.weather.is_done(self.running[*nth].0);
        let done: Vec<usize> = (0..self.running.len()).filter(done).collect();
        if done.is_empty() {
            return Ok(());
        }
        let at = done[self.seed.below(done.len() as u64) as usize];
        let (id, request) = self.running.swap_remove(at);
        if let IoRequest::Read { file, .. } = &request
            && self.disk.sizes().iter().all(|(known, _)| known != file)
        {
            return Err(format!("it reads {file:?}, which it has removed"));
        }
        if let Some(failed) = self.weather.end(id, &request, &mut self.tally) {
            return self.complete(id, failed);
        }
        let result = self.disk.finish(&request);
        if let IoResult::Failed(IoError::Failed(why)) = &result {
            if self.disk.faults.eio_one_in == 0 {
                return Err(format!("{request:?} fails on a sound disk: {why}"));
            }
            self.tally.count(Kind::DiskError);
            // The server stops at once; what a write left behind may still turn up, as after any other crash.
            self.running.push((id, request));
            return self.crash();
        }
        self.complete(id, result)
    }

    fn complete(&mut self, id: IoId, result: IoResult) -> Result<(), String> {
        let progress = self.store.complete(id, result);
        self.note(progress.durable.0);
        self.acknowledge(progress.applied)?;
        self.look_at_arrivals()?;
        progress.fatal.map_or(Ok(()), |error| Err(format!("fatal without a fault: {error}")))
    }

    fn acknowledge(&mut self, applied: Vec<Applied>) -> Result<(), String> {
        for applied in applied {
            let (_, change, asked_ms) =
                self.waiting.remove(&applied.lsn).ok_or("a change nobody asked for")?;
            match applied.outcome {
                Outcome::Refused(Refusal::DiskFull) => self.tally.count(Kind::DroppedFull),
                Outcome::MailboxCreated(_) => self.tally.count(Kind::Structural),
                Outcome::Refused(Refusal::OverQuota) => self.tally.count(Kind::OverQuota),
                Outcome::Appended { replaced: true, .. } => self.tally.count(Kind::Replaced),
                Outcome::Copied { ref source, .. } if !source.is_empty() => {
                    if let Change::Restore { of, .. } = &change {
                        let own = *of == applied.account;
                        self.tally.count(if own { Kind::Restored } else { Kind::RestoredOfDeleted });
                    }
                }
                _ => {}
            }
            self.model.apply(applied.account, &change, &applied.outcome, asked_ms)?;
            if let Change::Arrive(piece) = &change {
                self.on_piece(&applied, piece)?;
            }
        }
        Ok(())
    }

    pub fn drain(&mut self) -> Result<(), String> {
        let mut idle = 0;
        for _ in 0..10_000 {
            self.poll()?;
            // Upkeep begins with a tick, and asks afterwards.
            idle = if self.running.is_empty() { idle + 1 } else { 0 };
            self.finish()?;
            // Past every retry and idle time, so that the last batch is vouched for.
            self.now.mono_ms += 100;
            self.store.tick(self.now);
            if self.store.is_quiet() && self.running.is_empty() && idle > 2 && self.now.mono_ms > 5_000 {
                self.now.mono_ms += 2 * limits::IDLE_BATCH_MS;
                self.store.tick(self.now);
                if self.store.is_quiet() {
                    return Ok(());
                }
            }
        }
        Err("the work never ends".to_owned())
    }

    pub fn check_verify(&mut self) -> Result<(), String> {
        self.carry_out()?;
        self.store.check_images();
        let done = self.store.stats().compacted;
        let reads_fail = self.swarm.eio || self.swarm.reads_fail_one_in > 0;
        if done.given_up > 0 || done.damaged > 0 && !reads_fail {
            return Err(format!("compaction takes sound files for damaged: {done:?}"));
        }
        let eio = std::mem::replace(&mut self.disk.faults, Faults::NONE);
        let verified = verify(&self.store, &mut self.disk).map_err(|error| error.to_string())?;
        self.disk.faults = eio;
        match verified.is_sound() {
            true => Ok(()),
            false => Err(format!("the index is not the replay of the log: {verified:?}")),
        }
    }

    /// What is durable is carried out to its end: after a crash it is there.
    fn carry_out(&mut self) -> Result<(), String> {
        while self.store.is_behind() {
            self.running.extend(self.store.poll_io());
            let is_pause = |(_, request): &(IoId, IoRequest)| matches!(request, IoRequest::Pause);
            let at = self.running.iter().position(is_pause).ok_or("it is behind and asks for nothing")?;
            let (id, _) = self.running.swap_remove(at);
            self.complete(id, IoResult::Done)?;
            self.tally.count(Kind::Step);
        }
        Ok(())
    }

    /// The process is gone, and perhaps the power. What comes back must be A or B.
    fn crash(&mut self) -> Result<(), String> {
        self.carry_out()?;
        let killed = self.swarm.kills && self.seed.one_in(2);
        let acknowledged = self.store.digest();
        let mut in_flight = Vec::new();
        self.weather.crash();
        for (id, request) in std::mem::take(&mut self.running) {
            match request {
                // What the batch in flight would have done: the store itself can tell.
                request if is_batch(&request) => in_flight = self.store.complete(id, IoResult::Done).applied,
                request => self.disk.cut_off(&request),
            }
        }
        while self.store.is_behind() {
            let (id, _) = self.store.poll_io().ok_or("it is behind and asks for nothing")?;
            in_flight.extend(self.store.complete(id, IoResult::Done).applied);
        }
        let with_flight = self.store.digest();
        self.tally.count(if killed { Kind::Kill } else { Kind::PowerCut });
        if !killed {
            self.disk.power_cut();
        }
        if self.seed.one_in(4) {
            self.now.unix_ms = self.now.unix_ms.saturating_sub(self.seed.below(500_000));
            self.tally.count(Kind::ClockBack);
        }
        if self.store.reaped_ms() > 0 {
            self.tally.count(Kind::Reaped);
        }
        let report = self.reopen()?;
        self.note(report.next.0);
        if !report.damage.is_empty() {
            return Err(format!("damage where nothing rots: {:?}", report.damage));
        }
        if report.torn_bytes > 0 {
            self.tally.count(Kind::TornTail);
        }
        self.store.check_images();
        let found = self.store.digest();
        self.note(found);
        if with_flight != acknowledged {
            let survived = found == with_flight;
            self.tally.count(if survived { Kind::FlightSurvived } else { Kind::FlightLost });
        }
        if found == with_flight {
            self.acknowledge(in_flight)?;
        } else if found != acknowledged {
            self.model.compare(&self.store, None)?;
            return Err(
                "what came back is neither what was acknowledged nor that and the batch in flight".to_owned()
            );
        }
        self.waiting.clear();
        self.look_at_arrivals()?;
        self.arrivals_cut()?;
        self.model.compare(&self.store, None)?;
        self.model.compare_directory(&self.store)
    }

    /// Recovers, with crashes on the way.
    pub fn reopen(&mut self) -> Result<RecoveryReport, String> {
        let capacity = self.disk.faults.capacity;
        for attempt in 0..6 {
            let calm = attempt >= 4 || !self.swarm.recovery_crashes;
            self.disk.power_fails_in = if calm { None } else { Some(self.seed.below(8)) };
            self.disk.faults =
                Faults { eio_one_in: 0, capacity: if attempt < 2 { capacity } else { u64::MAX } };
            match Store::open(&mut self.disk, self.swarm.options(self.plant), self.now) {
                Ok((store, report)) => {
                    self.disk.power_fails_in = None;
                    report.checkpoint.iter().for_each(|_| self.tally.count(Kind::FromCheckpoint));
                    self.store = store;
                    self.origin = Origin::NONE;
                    self.opened();
                    return Ok(report);
                }
                Err(error) if attempt < 5 => {
                    let full = matches!(error, Error::Io { error: IoError::NoSpace, .. });
                    self.tally.count(if full { Kind::RecoveryFull } else { Kind::RecoveryCut });
                    if self.disk.power_fails_in.take().is_some() && self.seed.one_in(2) {
                        self.disk.power_cut();
                    }
                }
                Err(error) => return Err(format!("does not open: {error}")),
            }
        }
        Err("does not open".to_owned())
    }

    fn opened(&mut self) {
        if let Some(plant) = self.plant {
            self.store.plant(plant);
        }
        self.written.clear();
        // Ids of bodies that a crash took back may be given out again; nobody remembers them.
        self.bodies.retain(|body| self.store.fresh_body(*body).is_some());
        let segments = self.store.segments();
        let (checkpoints, files): (Vec<_>, Vec<_>) = self
            .disk
            .sizes()
            .into_iter()
            .filter(|(file, _)| !matches!(file, FileId::Pack(_)))
            .partition(|(file, _)| matches!(file, FileId::Checkpoint(_)));
        assert_eq!(files.len(), segments.len(), "nothing is left over: {files:?} {segments:?}");
        assert!(checkpoints.len() <= 2 * limits::CHECKPOINT_FILES_MAX, "old checkpoints go");
    }
}

fn is_batch(request: &IoRequest) -> bool {
    matches!(request, IoRequest::Write { file: FileId::Segment(_), .. })
}
