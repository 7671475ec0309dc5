//! Clients that keep lists of results by ADDTO and REMOVEFROM alone, against fresh searches.
//!
//! Goal: whatever several sessions do, a list kept by the rules of rfc5267#4.3 is what the same command answers
//! at any quiet moment, in the same order. Method: random commands on a disk that is held at random; every item
//! is done as the RFC says it, and one that names what is not there is a failure by itself.
//!
//! `RINGPOST_SIM_SYNC_SEEDS=n` runs seeds `0..n`; `RINGPOST_SIM_SYNC_SEED=n` runs one and prints what is heard.

use ringpost_engine::testing::seed::Seed;

use super::lab::Lab;
use crate::limits::IMAP_CONTEXT_PLACES_MAX;
use crate::proto::Session;

/// A list that is kept.
struct List {
    tag: String,
    /// The command behind `RETURN (…)`.
    program: String,
    sorted: bool,
    uid: bool,
    names: Vec<u32>,
    /// Its first answer is there.
    begun: bool,
}

/// One user's program.
struct Client {
    who: usize,
    /// It speaks IMAP4rev2 and knows no numbers.
    uid_only: bool,
    exists: usize,
    lists: Vec<List>,
    tags: u32,
    waits: bool,
    idle: bool,
    /// What a fresh search answered.
    fresh: Vec<u32>,
    /// A line that is not complete.
    begun: String,
}

fn names(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().expect("a name")..=last.parse().expect("a name")
    };
    set.split(',').flat_map(range).collect()
}

impl List {
    /// rfc5267#4.3.3, #4.3.4: pairs of a position and names.
    fn change(&mut self, adds: bool, pairs: &str) -> Result<(), String> {
        let words: Vec<&str> = pairs.split(' ').collect();
        for pair in words.chunks(2) {
            let (position, set): (usize, _) =
                (pair[0].parse().map_err(|_| pairs.to_owned())?, names(pair[1]));
            if (position == 0) == self.sorted {
                return Err(format!("position {position}"));
            }
            match (adds, position.checked_sub(1)) {
                (true, Some(at)) if at <= self.names.len() => drop(self.names.splice(at..at, set)),
                (false, Some(at)) if self.names.get(at..at + set.len()) == Some(&set) => {
                    self.names.drain(at..at + set.len());
                }
                (true, None) if set.iter().all(|name| !self.names.contains(name)) => {
                    self.names.extend(set);
                    self.names.sort_unstable();
                }
                (false, None) if set.iter().all(|name| self.names.contains(name)) => {
                    self.names.retain(|name| !set.contains(name));
                }
                _ => return Err(format!("{pairs} in {:?}", self.names)),
            }
        }
        Ok(())
    }
}

impl Client {
    fn hear(&mut self, text: &str) -> Result<(), String> {
        if std::env::var("RINGPOST_SIM_SYNC_SEED").is_ok() && !text.is_empty() {
            println!("{}: {text}", self.who);
        }
        self.begun.push_str(text);
        let complete = self.begun.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.begun.split_off(complete);
        let lines = std::mem::replace(&mut self.begun, rest);
        lines.lines().try_for_each(|line| self.hear_line(line).map_err(|why| format!("{line}: {why}")))
    }

    fn hear_line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", count, "EXISTS"] => self.exists = count.parse().map_err(|_| line)?,
            ["*", number, "EXPUNGE"] => {
                let gone = number.parse().map_err(|_| line)?;
                self.exists -= 1;
                self.lists.iter_mut().try_for_each(|list| list.forget(gone, !list.uid))?;
            }
            ["*", "VANISHED", set] => {
                let gone = names(set);
                self.exists -= gone.len();
                for list in &mut self.lists {
                    gone.iter().try_for_each(|&uid| list.forget(uid, false))?;
                }
            }
            ["*", "ESEARCH", "(TAG", tag, ..] => {
                let tag = tag.trim_matches(['"', ')']);
                let rest = line.split_once(')').map_or("", |(_, rest)| rest);
                return self.hear_results(tag, rest);
            }
            ["*", "NO", "[NOUPDATE", tag, ..] => {
                let tag = tag.trim_matches(['"', ']']);
                self.lists.retain(|list| list.tag != tag);
            }
            ["*", ..] | ["+", ..] => {}
            [_, "OK", ..] => self.waits = false,
            // rfc2180#4.1.2
            [_, "NO", "[EXPUNGEISSUED]", ..] => self.waits = false,
            _ => return Err("not expected".to_owned()),
        }
        Ok(())
    }

    fn hear_results(&mut self, tag: &str, rest: &str) -> Result<(), String> {
        let all = rest.split_once("ALL ").map_or(Vec::new(), |(_, set)| names(set));
        if tag == "f" {
            self.fresh = all;
            return Ok(());
        }
        let list = self.lists.iter_mut().find(|list| list.tag == tag).ok_or("nobody asked")?;
        if !list.begun {
            (list.names, list.begun) = (all, true);
            return Ok(());
        }
        for item in rest.trim_start_matches(" UID").split(')').filter(|item| !item.is_empty()) {
            let (name, pairs) = item.split_once('(').ok_or("no pairs")?;
            list.change(name.trim() == "ADDTO", pairs)?;
        }
        Ok(())
    }

    /// Something that a program would do.
    fn act(&mut self, lab: &mut Lab, seed: &mut Seed) {
        if std::mem::take(&mut self.idle) {
            return lab.say_later(self.who, "DONE");
        }
        let (one, other) = (1 + seed.below(40), 1 + seed.below(40));
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"][seed.below(4) as usize];
        let sign = ["+", "-", ""][seed.below(3) as usize];
        let line = match seed.below(16) {
            0 => "t NOOP".to_owned(),
            1 => "t EXPUNGE".to_owned(),
            2 => "t IDLE".to_owned(),
            3 | 4 => append(seed),
            5 => format!("t UID COPY {one} INBOX"),
            6 => format!("t UID MOVE {one} Sent"),
            7 if !self.uid_only && self.exists > 0 => "t FETCH 1:* (FLAGS)".to_owned(),
            8..11 => self.begin(seed),
            11 if !self.lists.is_empty() => {
                let list = self.lists.remove(seed.below(self.lists.len() as u64) as usize);
                format!("t CANCELUPDATE \"{}\"", list.tag)
            }
            _ => format!("t UID STORE {one}:{other} {sign}FLAGS ({flag})"),
        };
        self.idle = line == "t IDLE";
        self.waits = true;
        lab.say_later(self.who, &line);
    }

    /// A search whose results are kept from now on.
    fn begin(&mut self, seed: &mut Seed) -> String {
        let keys =
            ["UNSEEN", "ALL", "FLAGGED", "OR SEEN DELETED", "NOT DELETED NOT KEYWORD $Work", "LARGER 60"];
        let orders = [
            "SUBJECT",
            "REVERSE FROM",
            "ARRIVAL",
            "REVERSE SIZE",
            "DATE SUBJECT",
            "REVERSE TO REVERSE ARRIVAL",
        ];
        let key = keys[seed.below(keys.len() as u64) as usize];
        let order = orders[seed.below(orders.len() as u64) as usize];
        let (uid, sorted) = (self.uid_only || seed.one_in(2), !seed.one_in(3));
        let (verb, program) = match sorted {
            true => ("SORT", format!("({order}) UTF-8 {key}")),
            false => ("SEARCH", key.to_owned()),
        };
        self.tags += 1;
        let (tag, prefix) = (format!("c{}", self.tags), if uid { "UID " } else { "" });
        let line = format!("{tag} {prefix}{verb} RETURN (UPDATE ALL) {program}");
        self.lists.push(List { tag, program, sorted, uid, names: Vec::new(), begun: false });
        line
    }

    /// What it keeps is what it would be answered.
    fn compare(&mut self, lab: &mut Lab) -> Result<(), String> {
        let told = lab.say(self.who, "t NOOP");
        self.hear(&told)?;
        for at in 0..self.lists.len() {
            let List { program, sorted, uid, tag, .. } = &self.lists[at];
            let (prefix, verb) = (if *uid { "UID " } else { "" }, if *sorted { "SORT" } else { "SEARCH" });
            let (line, tag) = (format!("f {prefix}{verb} RETURN (ALL) {program}"), tag.clone());
            let told = lab.say(self.who, &line);
            self.hear(&told)?;
            if self.lists[at].names != self.fresh {
                let (kept, fresh) = (&self.lists[at].names, &self.fresh);
                return Err(format!("{}: {tag} keeps {kept:?} instead of {fresh:?}: {line}", self.who));
            }
        }
        Ok(())
    }
}

impl List {
    /// A message is gone; those behind it have other numbers.
    fn forget(&mut self, gone: u32, numbers: bool) -> Result<(), String> {
        if numbers && self.names.contains(&gone) {
            // rfc5267#4.3.4
            return Err(format!("{} still lists it", self.tag));
        }
        let behind = self.names.iter_mut().filter(|name| numbers && **name > gone);
        behind.for_each(|name| *name -= 1);
        Ok(())
    }
}

fn append(seed: &mut Seed) -> String {
    let word = |seed: &mut Seed| ["alpha", "Re: alpha", "beta", "gamma", ""][seed.below(5) as usize];
    let (subject, from, to) = (word(seed), seed.below(4), seed.below(3));
    let day = 1 + seed.below(4);
    let (flags, long) =
        (["", "\\Seen", "$Work"][seed.below(3) as usize], "x".repeat(seed.below(3) as usize * 20));
    let text = format!("Subject: {subject}\r\nFrom: u{from}@x\r\nTo: v{to}@x\r\n\r\n{long}");
    let len = text.len();
    format!("t APPEND INBOX ({flags}) \" {day}-Jan-2020 10:00:00 +0000\" {{{len}+}}\r\n{text}")
}

/// A client of [`run`], with INBOX selected.
fn client(lab: &mut Lab, uid_only: bool) -> Result<Client, String> {
    let who = lab.login();
    if uid_only {
        lab.say(who, "t ENABLE UIDONLY IMAP4rev2");
    }
    let (lists, fresh, begun) = (Vec::new(), Vec::new(), String::new());
    let mut client =
        Client { who, uid_only, exists: 0, lists, tags: 0, waits: false, idle: false, fresh, begun };
    client.hear(&lab.say(who, "t SELECT INBOX"))?;
    Ok(client)
}

/// Whoever was stopped goes on.
fn go_on(lab: &mut Lab) {
    lab.unserved = None;
    if let Some(stalled) = lab.stalled.take() {
        let room = lab.room;
        lab.call(stalled, |session, _, cx| session.resume(room, cx));
    }
}

fn run(number: u64) -> Result<(), String> {
    let mut seed = Seed::new(number);
    let mut lab = Lab::with_messages(3);
    lab.room = [60, 400, crate::limits::OUTPUT_BYTES_MAX][seed.below(3) as usize];
    lab.say(0, "u UNSELECT");
    let mut clients = Vec::new();
    for uid_only in [false, false, true] {
        clients.push(client(&mut lab, uid_only)?);
    }
    for turn in 1..=90 {
        let quiet = turn % 30 == 0;
        lab.disk_held = seed.one_in(2);
        // What one of them is told stops half-way, and goes on when more has happened.
        if lab.stalled.is_none() && seed.one_in(3) {
            lab.stalled = Some(1 + seed.below(3) as usize);
        } else if quiet || seed.one_in(3) {
            go_on(&mut lab);
        }
        lab.unserved = lab.stalled;
        let client = &mut clients[seed.below(3) as usize];
        if client.idle || !client.waits {
            client.act(&mut lab, &mut seed);
        } else {
            lab.settle();
        }
        if quiet {
            lab.disk_held = false;
            go_on(&mut lab);
            lab.settle();
        }
        for client in &mut clients {
            if quiet && std::mem::take(&mut client.idle) {
                lab.say_later(client.who, "DONE");
            }
            let told = lab.take(client.who);
            client.hear(&told)?;
        }
        if quiet {
            clients.iter_mut().try_for_each(|client| client.compare(&mut lab))?;
        }
    }
    Ok(())
}

#[test]
fn lists_are_what_a_fresh_search_answers() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match number("RINGPOST_SIM_SYNC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RINGPOST_SIM_SYNC_SEEDS").unwrap_or(60),
    };
    let failed: Vec<_> = seeds.filter_map(|seed| run(seed).err().map(|why| (seed, why))).collect();
    assert!(failed.is_empty(), "{} fail, first {:#?}", failed.len(), failed.first());
}

#[test]
fn long_lists_change_in_bounded_helpings() {
    let mut lab = Lab::with_messages(8);
    let count = 8 << 7;
    for _ in 0..7 {
        lab.say(0, "c COPY 1:* INBOX");
    }
    let mut client = client(&mut lab, false).expect("selected");
    for (tag, uid, program) in
        [("c1", true, "(SUBJECT) UTF-8 UNSEEN"), ("c2", false, "(ARRIVAL) UTF-8 UNSEEN")]
    {
        let program = program.to_owned();
        let list = List { tag: tag.to_owned(), program, sorted: true, uid, names: Vec::new(), begun: false };
        let line =
            format!("{tag} {}SORT RETURN (UPDATE ALL) {}", if uid { "UID " } else { "" }, list.program);
        client.lists.push(list);
        client.hear(&lab.say(client.who, &line)).expect("sorted");
    }
    let asked = |lab: &Lab, what| lab.clients[1].asked.iter().filter(|asked| **asked == what).count();
    for line in [
        "t STORE 1:* +FLAGS.SILENT (\\Seen)",
        "t STORE 1:* -FLAGS.SILENT (\\Seen)",
        "t STORE 1:* +FLAGS.SILENT (\\Deleted)",
        "t EXPUNGE",
    ] {
        let before = (asked(&lab, "warm"), asked(&lab, "yield"));
        let told = lab.say(client.who, line);
        let replies = told.lines().filter(|line| line.starts_with("* ESEARCH")).count();
        let expected = if line.contains("Deleted") { 0 } else { 2 * count / IMAP_CONTEXT_PLACES_MAX };
        assert_eq!(replies, expected, "{line}");
        client.hear(&told).expect(line);
        client.compare(&mut lab).expect(line);
        let after = (asked(&lab, "warm") - before.0, asked(&lab, "yield") - before.1);
        assert!(after.0 + after.1 + 2 >= expected, "{line}: {after:?}");
        let keys_read = after.0 >= count / IMAP_CONTEXT_PLACES_MAX;
        assert!(keys_read || !line.contains('-'), "{line}: {after:?}");
    }
    assert!(client.lists.iter().all(|list| list.names.is_empty()));
}
