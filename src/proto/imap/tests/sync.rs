//! Clients that keep a copy across connections, against a store that knows better.
//!
//! Goal: whatever several sessions do and wherever a connection breaks, what a client keeps by the rules of
//! QRESYNC (rfc7162#6), UIDONLY, NOTIFY or IMAP4rev2 is the store's state once all is told, also in a mailbox
//! that another user shares. Method: random commands on a disk that is held at random; connections are dropped
//! without a word; every reply is believed. A bug planted between session and client has to be noticed, or the
//! comparison proves nothing.
//!
//! `RINGPOST_SIM_SYNC_SEEDS=n` runs seeds `0..n`; `RINGPOST_SIM_SYNC_SEED=n` runs one and prints what is said
//! and heard.

use std::collections::BTreeMap;

use ringpost_engine::testing::seed::Seed;

use super::lab::Lab;

/// What goes wrong between session and client, once a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// A VANISHED is lost.
    LostVanished,
    /// An EXPUNGE is lost, so all numbers behind it are wrong.
    LostExpunge,
    /// An expunge is told while numbers must stand still.
    ExpungeInFetch,
    /// The figures of a mailbox are not told.
    LostStatus,
    /// A cursor passed flags that were not told.
    StaleCursor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// ENABLE QRESYNC, and comes back with what it kept.
    Qresync,
    /// The same without numbers.
    UidOnly,
    /// Watches every mailbox.
    Notify,
    /// ENABLE IMAP4rev2 and nothing else: counts down numbers, and begins anew with every connection.
    Rev2,
    /// IMAP4rev2 without numbers, and without what QRESYNC remembers.
    Rev2UidOnly,
    /// Another user, to whom the mailbox is shared; as [`Kind::Qresync`].
    Shared,
}

impl Kind {
    /// It comes back with what it kept.
    fn keeps(self) -> bool {
        !matches!(self, Kind::Rev2 | Kind::Rev2UidOnly)
    }

    /// It is told of messages by UID only.
    fn by_uid(self) -> bool {
        matches!(self, Kind::UidOnly | Kind::Rev2UidOnly)
    }

    /// What it says once it is logged in, up to SELECT.
    fn greeting(self) -> &'static [&'static str] {
        match self {
            Kind::Qresync | Kind::Shared => &["t ENABLE QRESYNC"],
            Kind::UidOnly => &["t ENABLE QRESYNC", "t ENABLE UIDONLY"],
            Kind::Notify => &["t ENABLE QRESYNC", NOTIFY],
            Kind::Rev2 => &["t ENABLE IMAP4rev2"],
            Kind::Rev2UidOnly => &["t ENABLE IMAP4rev2 UIDONLY"],
        }
    }

    /// What it calls the mailbox that all have selected.
    fn inbox(self) -> &'static str {
        if self == Kind::Shared { "Other Users/a@x/INBOX" } else { "INBOX" }
    }
}

/// What STATUS told: MESSAGES, UIDNEXT, UNSEEN.
type Figures = (u64, u64, u64);

/// One user's program.
struct Client {
    kind: Kind,
    /// Its connection.
    who: usize,
    /// Flags by UID.
    copy: BTreeMap<u32, String>,
    exists: usize,
    /// UIDs by number, as far as they are known; of use where EXPUNGE counts numbers down.
    numbers: Vec<Option<u32>>,
    modseq: u64,
    validity: u64,
    /// New messages are fetched from here on.
    next: u32,
    /// A command with numbers is under way.
    numbered: bool,
    waits: bool,
    idle: bool,
    /// The command under way.
    line: String,
    /// Since the last completion: HIGHESTMODSEQ told, and the greatest MODSEQ.
    told: Option<u64>,
    heard: u64,
    figures: BTreeMap<String, Figures>,
    bug: Option<Bug>,
}

fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key).map(|(_, rest)| rest)
}

fn number_after(line: &str, key: &str) -> Option<u64> {
    let rest = after(line, key)?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

fn uids(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().expect("a UID")..=last.parse().expect("a UID")
    };
    set.split(',').flat_map(range).collect()
}

fn sorted(list: &str) -> String {
    let mut flags: Vec<&str> =
        list.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").collect();
    flags.sort_unstable();
    flags.join(" ")
}

impl Client {
    fn new(kind: Kind, bug: Option<Bug>) -> Client {
        Client {
            kind,
            who: 0,
            copy: BTreeMap::new(),
            exists: 0,
            numbers: Vec::new(),
            modseq: 0,
            validity: 0,
            next: 1,
            numbered: false,
            waits: false,
            idle: false,
            line: String::new(),
            told: None,
            heard: 0,
            figures: BTreeMap::new(),
            bug,
        }
    }

    /// A new connection that brings the copy up to date, as far as it gets.
    fn connect(&mut self, lab: &mut Lab) -> Result<(), String> {
        lab.disk_held = false;
        self.who = match self.kind {
            Kind::Shared => lab.login_as("b@x"),
            _ => lab.login(),
        };
        (self.exists, self.waits, self.idle, self.numbered) = (0, false, false, false);
        (self.told, self.heard) = (None, 0);
        self.figures.clear();
        self.numbers.clear();
        if !self.kind.keeps() {
            self.copy.clear();
            self.next = 1;
        }
        let mut lines: Vec<String> = self.kind.greeting().iter().map(|&line| line.to_owned()).collect();
        let known = match (self.modseq, self.validity) {
            (modseq, validity) if modseq > 0 && self.kind.keeps() => {
                format!(" (QRESYNC ({validity} {modseq}))")
            }
            _ => String::new(),
        };
        lines.push(format!("t SELECT \"{}\"{known}", self.kind.inbox()));
        lines.push(format!("t UID FETCH {}:* (FLAGS)", self.next));
        for line in lines {
            let told = lab.say(self.who, &line);
            self.hear(&told)?;
        }
        self.next = self.copy.keys().last().map_or(1, |last| last + 1).max(self.next);
        Ok(())
    }

    /// Whether the planted bug strikes this line.
    fn strikes(&mut self, line: &str) -> bool {
        let struck = match self.bug {
            Some(Bug::LostVanished) => line.starts_with("* VANISHED"),
            Some(Bug::LostExpunge) => line.ends_with(" EXPUNGE"),
            Some(Bug::LostStatus) => line.starts_with("* STATUS") && self.waits,
            Some(Bug::StaleCursor) => line.contains("FETCH (FLAGS") && !self.numbered,
            Some(Bug::ExpungeInFetch) => self.numbered && line.contains("FETCH"),
            None => false,
        };
        if struck {
            self.bug = None;
        }
        struck
    }

    fn hear(&mut self, text: &str) -> Result<(), String> {
        if std::env::var("RINGPOST_SIM_SYNC_SEED").is_ok() && !text.is_empty() {
            println!("{:?} hears {text}", self.kind);
        }
        for line in text.lines() {
            let expunges = self.bug == Some(Bug::ExpungeInFetch);
            if self.strikes(line) {
                if expunges {
                    self.hear_line("* VANISHED 1")?;
                }
                continue;
            }
            self.hear_line(line)?;
        }
        Ok(())
    }

    fn hear_line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", count, "EXISTS"] => {
                let count = count.parse().map_err(|_| line.to_owned())?;
                if count < self.exists {
                    return Err(format!("EXISTS shrinks from {}: {line}", self.exists));
                }
                self.exists = count;
                self.numbers.resize(count, None);
            }
            ["*", number, "EXPUNGE"] => self.hear_expunge(number, line)?,
            ["*", _, "RECENT"] if matches!(self.kind, Kind::Rev2 | Kind::Rev2UidOnly) => {
                // rfc9051#E, item 12
                return Err(format!("RECENT after ENABLE IMAP4rev2: {line}"));
            }
            ["*", "VANISHED", "(EARLIER)", set] => {
                uids(set).iter().for_each(|uid| drop(self.copy.remove(uid)))
            }
            ["*", "VANISHED", set] => {
                let gone = uids(set);
                if self.numbered || gone.len() > self.exists {
                    return Err(format!("{line} during a command with numbers, or of too many"));
                }
                self.exists -= gone.len();
                gone.iter().for_each(|uid| drop(self.copy.remove(uid)));
            }
            ["*", number, "FETCH" | "UIDFETCH", ..] => self.hear_fetch(number, words[2], line)?,
            ["*", "STATUS", name, ..] => {
                let figure = |key| number_after(line, key).unwrap_or(u64::MAX);
                let figures = (figure("MESSAGES "), figure("UIDNEXT "), figure("UNSEEN "));
                self.figures.insert((*name).to_owned(), figures);
            }
            ["*", "LIST", ..] => self.hear_list(line),
            ["t", ..] => self.complete(line)?,
            _ if line.contains("BYE") => return Err(format!("sent away: {line}")),
            _ => {}
        }
        if let Some(validity) = number_after(line, "[UIDVALIDITY ") {
            self.validity = validity;
        }
        if let Some(modseq) = number_after(line, "[HIGHESTMODSEQ ").filter(|_| line.starts_with('*')) {
            self.told = Some(modseq);
        }
        Ok(())
    }

    fn hear_expunge(&mut self, number: &str, line: &str) -> Result<(), String> {
        let number: usize = number.parse().map_err(|_| line.to_owned())?;
        if self.kind != Kind::Rev2 || self.numbered || number > self.exists {
            return Err(format!("{:?} of {} is told {line}", self.kind, self.exists));
        }
        self.exists -= 1;
        if let Some(uid) = self.numbers.remove(number - 1) {
            self.copy.remove(&uid);
        }
        Ok(())
    }

    fn hear_fetch(&mut self, number: &str, word: &str, line: &str) -> Result<(), String> {
        if (word == "UIDFETCH") != self.kind.by_uid() {
            return Err(format!("the wrong name of a message: {line}"));
        }
        let uid = match word {
            "UIDFETCH" => number.parse().ok(),
            _ => self.hear_name(number, line)?,
        };
        let uid: u32 = match uid {
            Some(uid) => uid,
            // The answer to its own STORE about a message that it has not fetched so far.
            None if self.numbered && self.kind == Kind::Rev2 => return Ok(()),
            None => return Err(format!("no UID: {line}")),
        };
        if let Some(flags) = after(line, "FLAGS (").and_then(|rest| rest.split(')').next()) {
            self.copy.insert(uid, sorted(flags));
        }
        self.heard = self.heard.max(number_after(line, "MODSEQ (").unwrap_or(0));
        Ok(())
    }

    /// The UID of a message that is told by number.
    fn hear_name(&mut self, number: &str, line: &str) -> Result<Option<u32>, String> {
        let uid = number_after(line, "UID ").map(|uid| uid as u32);
        let number: usize = number.parse().map_err(|_| line.to_owned())?;
        let known = self.numbers.get_mut(number - 1).ok_or_else(|| format!("no such number: {line}"))?;
        if self.kind != Kind::Rev2 {
            return Ok(uid);
        }
        if known.is_some() && uid.is_some() && *known != uid {
            return Err(format!("{number} was {known:?}: {line}"));
        }
        if uid.is_none() && !self.numbered {
            // rfc9051#E, item 21
            return Err(format!("not asked for, and no UID: {line}"));
        }
        *known = uid.or(*known);
        Ok(*known)
    }

    fn hear_list(&mut self, line: &str) {
        let Some(rest) = after(line, "\"/\" ") else { return };
        let name = rest.split(' ').next().unwrap_or(rest).to_owned();
        if line.contains("\\NonExistent") || line.contains("\\Noselect") {
            self.figures.remove(&name);
        } else if let Some(old) = after(line, "\"OLDNAME\" (").and_then(|old| old.strip_suffix("))"))
            && let Some(figures) = self.figures.remove(old)
        {
            self.figures.insert(name, figures);
        }
    }

    /// rfc7162#6: what the client takes for the state of its copy.
    fn complete(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with("t BAD") {
            return Err(line.to_owned());
        }
        let told = number_after(line, "[HIGHESTMODSEQ ").or(self.told.take());
        self.modseq = told.unwrap_or(self.modseq.max(self.heard));
        (self.heard, self.waits, self.numbered) = (0, false, false);
        // rfc5465#5: what it did itself it is not told.
        let words: Vec<&str> = self.line.split(' ').collect();
        match words.as_slice() {
            [_, "DELETE", name] if line.starts_with("t OK") => drop(self.figures.remove(*name)),
            [_, "RENAME", from, to] if line.starts_with("t OK") => {
                if let Some(figures) = self.figures.remove(*from) {
                    self.figures.insert((*to).to_owned(), figures);
                }
            }
            _ => {}
        }
        self.line.clear();
        Ok(())
    }

    /// Something that a program would do.
    fn act(&mut self, lab: &mut Lab, seed: &mut Seed) {
        if self.idle {
            self.idle = false;
            return lab.say_later(self.who, "DONE");
        }
        let uid =
            self.copy.keys().nth(seed.below(self.copy.len().max(1) as u64) as usize).copied().unwrap_or(1);
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"][seed.below(4) as usize];
        let sign = ["+", "-", ""][seed.below(3) as usize];
        let target = [self.kind.inbox(), "Sent", "A", "B"][seed.below(4) as usize];
        let by_number = matches!(self.kind, Kind::Qresync | Kind::Rev2 | Kind::Shared) && self.exists > 0;
        let line = match seed.below(14) {
            0 => "t NOOP".to_owned(),
            1 => "t EXPUNGE".to_owned(),
            2 => "t IDLE".to_owned(),
            3 => format!("t APPEND \"{target}\" {{4+}}\r\nA: b"),
            4 | 5 => format!("t UID COPY {uid}:* \"{target}\""),
            6 => format!("t UID MOVE {uid} \"{target}\""),
            7 => format!("t CREATE \"{target}/{}\"", seed.below(3)),
            8 => format!("t RENAME A/{} B/{}", seed.below(3), seed.below(3)),
            9 => format!("t DELETE B/{}", seed.below(3)),
            10 | 11 if by_number => format!("t FETCH {}:* (UID FLAGS)", 1 + seed.below(self.exists as u64)),
            12 if by_number => {
                format!("t STORE {}:* {sign}FLAGS ({flag})", 1 + seed.below(self.exists as u64))
            }
            _ => format!("t UID STORE {uid}:* {sign}FLAGS ({flag})"),
        };
        if std::env::var("RINGPOST_SIM_SYNC_SEED").is_ok() {
            println!("{:?} says {line}", self.kind);
        }
        self.numbered = line.starts_with("t FETCH") || line.starts_with("t STORE");
        self.idle = line == "t IDLE";
        self.waits = true;
        self.line.clone_from(&line);
        lab.say_later(self.who, &line);
    }
}

const NOTIFY: &str = "t NOTIFY SET STATUS (selected (MessageNew (FLAGS) MessageExpunge FlagChange)) \
                      (personal (MessageNew MessageExpunge FlagChange MailboxName))";

fn run(number: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut seed = Seed::new(number);
    let mut lab = Lab::with_messages(4);
    lab.room = [60, 400, crate::limits::OUTPUT_BYTES_MAX][seed.below(3) as usize];
    for name in ["A", "B"] {
        lab.say(0, &format!("c CREATE {name}"));
    }
    lab.add_user("b@x");
    assert!(lab.say(0, "c SETACL INBOX b@x lrswite").contains("c OK"));
    lab.say(0, "u UNSELECT");
    let mut kinds = vec![Kind::Qresync, Kind::UidOnly, Kind::Notify];
    kinds.extend([Kind::Rev2, Kind::Rev2UidOnly, Kind::Shared].into_iter().filter(|_| seed.one_in(2)));
    let mut clients: Vec<Client> = kinds.iter().map(|&kind| Client::new(kind, bug)).collect();
    for client in &mut clients {
        client.connect(&mut lab)?;
    }
    for _ in 0..20 * clients.len() {
        lab.disk_held = seed.one_in(2);
        let who = seed.below(clients.len() as u64) as usize;
        if clients[who].idle || !clients[who].waits {
            clients[who].act(&mut lab, &mut seed);
        } else if seed.one_in(12) {
            // Whatever was under way is not heard of any more.
            lab.drop_client(clients[who].who);
            clients[who].connect(&mut lab)?;
        } else {
            lab.settle();
        }
        for client in &mut clients {
            let told = lab.take(client.who);
            client.hear(&told)?;
        }
    }
    lab.disk_held = false;
    lab.settle();
    for client in &mut clients {
        let mut told = lab.take(client.who);
        if std::mem::take(&mut client.idle) {
            told += &lab.say(client.who, "DONE");
        }
        client.hear(&told)?;
    }
    for client in &mut clients {
        for line in ["t NOOP".to_owned(), format!("t UID FETCH {}:* (FLAGS)", client.next)] {
            let told = lab.say(client.who, &line);
            client.hear(&told)?;
        }
    }
    clients.iter().try_for_each(|client| compare(&lab, client))
}

/// After all is told, a client's copy is the mailbox, and its figures are those of all others.
fn compare(lab: &Lab, client: &Client) -> Result<(), String> {
    let account = lab.store.account(lab.account).expect("there");
    let inbox = account.inbox();
    let really: BTreeMap<u32, String> = (0..inbox.len())
        .map(|place| {
            let message = inbox.message(place);
            let mut flags = bytes::BytesMut::new();
            crate::proto::imap::reply::flags(&mut flags, message.flags, false, inbox.keywords());
            (message.uid.0, sorted(String::from_utf8_lossy(&flags).trim_matches(['(', ')'])))
        })
        .collect();
    if client.copy != really || client.exists != really.len() {
        let (kind, copy) = (client.kind, &client.copy);
        return Err(format!("{kind:?} keeps {copy:?} of {} instead of {really:?}", client.exists));
    }
    if client.kind != Kind::Notify {
        return Ok(());
    }
    let others = account.mailboxes().filter(|mailbox| mailbox.name() != "INBOX" && !mailbox.no_select());
    let figures: BTreeMap<String, Figures> = others
        .map(|mailbox| {
            let figures = (mailbox.len() as u64, u64::from(mailbox.uid_next().0), mailbox.unseen() as u64);
            (mailbox.name().to_owned(), figures)
        })
        .collect();
    let told: BTreeMap<String, Figures> = client
        .figures
        .iter()
        .filter(|(name, _)| *name != "INBOX")
        .map(|(name, f)| (name.clone(), *f))
        .collect();
    if told != figures { Err(format!("told {told:?} instead of {figures:?}")) } else { Ok(()) }
}

#[test]
fn copies_are_the_store_wherever_connections_break() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match number("RINGPOST_SIM_SYNC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RINGPOST_SIM_SYNC_SEEDS").unwrap_or(60),
    };
    let failed: Vec<_> = seeds.filter_map(|seed| run(seed, None).err().map(|why| (seed, why))).collect();
    assert!(failed.is_empty(), "{} fail, first {:#?}", failed.len(), failed.first());
}

#[test]
fn planted_bugs_are_noticed() {
    let bugs = [Bug::LostVanished, Bug::LostExpunge, Bug::ExpungeInFetch, Bug::LostStatus, Bug::StaleCursor];
    for bug in bugs {
        let noticed = |seed| run(seed, Some(bug)).err().filter(|_| run(seed, None).is_ok());
        let found = (0..60).find_map(|seed| noticed(seed).map(|why| (seed, why)));
        let (seed, why) = found.unwrap_or_else(|| panic!("{bug:?} is not noticed"));
        println!("{bug:?} is noticed with seed {seed}: {}", &why[..why.len().min(100)]);
    }
}
