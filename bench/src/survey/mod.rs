//! How commands grow with the mailbox: the same mail at several sizes, the same commands, round by round.
//!
//! *Owns*: the order of rounds, and the figures of one command at one size. *Promises*: every answer is checked
//! against what the mail holds; rounds are interleaved, so that a machine that gets slower does so for all; the
//! first time of each command is told apart from the others. *Assumes*: nobody else changes the mailboxes.
//! *Never*: measures what a server does not announce: its line says so instead.
//!
//! Reading order: [`corpus`] (the mail), [`works`] (the commands), [`fill`], then here.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::load::client::Target;
use crate::load::failure::{Failure, Kind};
use crate::load::imap::ImapSession;
use crate::load::process::usage;
use crate::load::run::{progress_bar, within};
use crate::options::{Command, Survey};

pub mod corpus;
mod fill;
mod works;

pub use works::Family;
use works::{Counter, Work};

/// Rounds that make sense.
const ROUNDS_MAX: u32 = 10_000;
/// Messages in one mailbox.
const MESSAGES_MAX: u64 = 10_000_000;
/// Bound of how long a command may take for each message of its mailbox, beside --timeout-seconds.
const SECONDS_PER_MESSAGE: f64 = 0.001;

/// The survey that a command asks for.
pub fn of(command: &Command) -> Option<(Family, &Survey)> {
    match command {
        Command::ImapSelect(options) => Some((Family::Select, options)),
        Command::ImapList(options) => Some((Family::List, options)),
        Command::ImapSearch(options) => Some((Family::Search, options)),
        Command::ImapSort(options) => Some((Family::Sort, options)),
        Command::ImapThread(options) => Some((Family::Thread, options)),
        _ => None,
    }
}

/// One command at one size.
struct Figure {
    size: u64,
    work: &'static Work,
    times: Vec<Duration>,
    octets: u64,
    /// The server's CPU time over all rounds, seconds.
    cpu: Option<f64>,
    skipped: bool,
}

/// Fills where that was asked for, measures, and writes a JSON line for each figure.
pub async fn perform(family: Family, options: &Survey) -> Result<(), String> {
    check(options)?;
    let target = Target::new(&options.common, options.common.port.unwrap_or(2143))?;
    for &size in &options.sizes {
        fill::fill(options, &target, size).await?;
    }
    let works = family.works();
    let mut figures: Vec<Figure> = Vec::new();
    for &size in &options.sizes {
        figures.extend(works.iter().map(|work| Figure {
            size,
            work,
            times: Vec::new(),
            octets: 0,
            cpu: options.common.server_pid.map(|_| 0.0),
            skipped: false,
        }));
    }
    let bar = progress_bar(u64::from(options.rounds) * options.sizes.len() as u64);
    for _ in 0..options.rounds {
        for group in figures.chunk_by_mut(|one, other| one.size == other.size) {
            round(options, &target, group, &bar).await?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for figure in &figures {
        println!("{}", figure.json(family, options, &target));
    }
    Ok(())
}

fn check(options: &Survey) -> Result<(), String> {
    let sizes_are_good = options.sizes.iter().all(|size| (1..=MESSAGES_MAX).contains(size));
    let rules = [
        (sizes_are_good && !options.sizes.is_empty(), "--sizes must be 1 to 10000000"),
        ((1..=ROUNDS_MAX).contains(&options.rounds), "--rounds must be 1 to 10000"),
        (
            options.sizes.len() == 1 || options.common.user_pattern.contains("{}"),
            "several --sizes need {} in --user-pattern",
        ),
    ];
    rules.iter().find(|(good, _)| !good).map_or(Ok(()), |(_, message)| Err((*message).to_owned()))
}

/// The account that holds a mailbox of this size.
fn user(options: &Survey, size: u64) -> String {
    options.common.user_pattern.replace("{}", &size.to_string())
}

/// Every command once, at one size.
async fn round(
    options: &Survey,
    target: &Target,
    group: &mut [Figure],
    bar: &ProgressBar,
) -> Result<(), String> {
    let Some(size) = group.first().map(|figure| figure.size) else { return Ok(()) };
    let limit = Duration::from_secs_f64(options.common.timeout_seconds + size as f64 * SECONDS_PER_MESSAGE);
    let work = async {
        let user = user(options, size);
        let mut session = ImapSession::open(target, 0, &user, &options.login.password).await?;
        if group.iter().any(|figure| figure.work.command != "SELECT INBOX") {
            session.select("INBOX").await?;
        }
        for figure in group {
            bar.set_message(format!("{} of {size}", figure.work.name));
            figure.measure(&mut session, options.common.server_pid).await?;
        }
        session.logout().await
    };
    within(limit, work).await.map_err(|failure: Failure| format!("{size} messages: {failure}"))
}

impl Figure {
    /// Gives the command once.
    async fn measure(&mut self, session: &mut ImapSession, server: Option<u32>) -> Result<(), Failure> {
        if self.work.needs.is_some_and(|capability| !session.has(capability)) {
            self.skipped = true;
            return Ok(());
        }
        let cpu = |pid: Option<u32>| pid.and_then(usage).map(|usage| usage.cpu_seconds);
        let before = cpu(server);
        let mut counter = Counter::new(self.work.counted);
        let begun = Instant::now();
        let octets = session.list(self.work.command, |line| counter.line(line)).await?;
        self.times.push(begun.elapsed());
        self.octets = octets;
        self.cpu = self.cpu.zip(cpu(server).zip(before)).map(|(sum, (after, before))| sum + after - before);
        let expected = self.work.hits.among(self.size);
        if counter.count == expected {
            return Ok(());
        }
        let (name, count) = (self.work.name, counter.count);
        Err(Failure::new(Kind::Mismatch, format!("{name}: {count} where {expected} are")))
    }

    fn json(&self, family: Family, options: &Survey, target: &Target) -> Value {
        let us = |time: Duration| (time.as_secs_f64() * 1e6 * 10.0).round() / 10.0;
        let mut times: Vec<f64> = self.times.iter().copied().map(us).collect();
        let first = times.first().copied();
        let mut again = times.split_off(usize::from(times.len() > 1));
        again.sort_by(f64::total_cmp);
        json!({
            "scenario": family.name(),
            "work": self.work.name,
            "server": options.common.label,
            "target": target.address().to_string(),
            "tls": options.common.tls,
            "messages": self.size,
            "message_bytes": options.common.message_bytes,
            "rounds": self.times.len(),
            "first_us": first,
            "median_us": again.get(again.len() / 2),
            "min_us": again.first(),
            "max_us": again.last(),
            "octets": self.octets,
            "server_cpu_us_each": self.cpu.map(|cpu| (cpu * 1e6 / self.times.len().max(1) as f64).round()),
            "skipped": self.skipped.then(|| format!("{} is not announced", self.work.needs.unwrap_or_default())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn survey(arguments: &[&str]) -> Survey {
        let all = ["ringpost-bench", "imap-sort", "--password", "x"].iter().chain(arguments);
        match crate::options::Cli::parse_from(all).command {
            Command::ImapSort(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(check(&survey(&[])), Ok(()));
        assert_eq!(user(&survey(&["--user-pattern", "s{}@x"]), 7), "s7@x");
        for bad in [&["--sizes", "0"][..], &["--rounds", "0"], &["--user-pattern", "me@x"]] {
            assert!(check(&survey(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_first_time_is_told_apart_from_the_others() {
        let times = [9_000, 10, 30, 20].map(Duration::from_micros).to_vec();
        let work = &Family::Select.works()[0];
        let figure = Figure { size: 5, work, times, octets: 100, cpu: Some(0.001), skipped: false };
        let options = survey(&["--sizes", "5"]);
        let target = Target::new(&options.common, 1).unwrap();
        let line = figure.json(Family::Select, &options, &target);
        assert_eq!(line["first_us"], 9_000.0);
        assert_eq!(line["median_us"], 20.0);
        assert_eq!(line["max_us"], 30.0);
        assert_eq!(line["server_cpu_us_each"], 250.0);
        let once = Figure { times: vec![Duration::from_micros(7)], ..figure };
        assert_eq!(once.json(Family::Select, &options, &target)["median_us"], 7.0);
    }
}
