//! IMAP: keeps a view of a mailbox by the rules of sequence numbers, changes it, and idles on it.

mod names;

use std::collections::VecDeque;

use ringpost::proto::Service;

use super::lines::Reader;
pub use names::Naming;

use super::{Client, Tools, View};
use crate::oracle::{Place, TURN, Token, Verdict};

/// Messages of one COPY: more would not fit a command line (limits::IMAP_LINE_BYTES_MAX).
const COPY_MAX: usize = 1_000;

/// What the driver may do after SELECT.
#[derive(Clone, Debug)]
pub enum Op {
    /// FETCH of everything, octets included.
    Read,
    /// A flag or keyword on one message.
    Flag(&'static str),
    /// Marks some message and expunges.
    Remove,
    /// UID COPY of one message.
    Copy(String),
    /// UID COPY of every known message: a few of these make a mailbox large.
    CopyAll(String),
    /// UID SEARCH for one message by its token, in the header or in the whole text.
    Search { header: bool },
    /// UID MOVE of one message.
    Move(String),
    /// APPEND of a message.
    Append(Token, Vec<u8>),
    /// Turns a keyword over, unless somebody else changed the message meanwhile.
    Turn,
    /// CREATE, RENAME, DELETE, SUBSCRIBE.
    Name(Naming),
    /// NOOP, for what there is to tell.
    Noop,
    /// IDLE until told otherwise.
    Idle,
}

/// The command under way.
#[derive(Clone, Debug)]
enum Doing {
    Greeting,
    StartTls,
    Login,
    Select,
    Read,
    Flag(Place, &'static str),
    Mark(Place),
    Expunge(Vec<Place>),
    Copy {
        from: Vec<Place>,
        to: String,
        moved: bool,
    },
    Search(Token),
    Append(Token),
    /// FETCH of what the change is to build on.
    Look(Place),
    Turn {
        place: Place,
        base: u64,
        on: bool,
        /// The condition names a state before `base`: it must not hold.
        stale: bool,
    },
    Name(Naming),
    Noop,
    Idle,
    Logout,
}

/// One session.
#[derive(Debug)]
pub struct Imap {
    password: String,
    start_tls: bool,
    reader: Reader,
    tag: u32,
    doing: Doing,
    ops: VecDeque<Op>,
    view: View,
    idling: bool,
    /// The literal to send when the server says go on.
    literal: Option<Vec<u8>>,
    copied: Option<(Vec<u32>, Vec<u32>)>,
    /// The last FETCH answer with a mod-sequence: UID, mod-sequence, whether the keyword was set.
    looked: Option<(u32, u64, bool)>,
    /// The life of the account that is logged in to.
    life: Option<u64>,
    done: bool,
}

fn number_after(text: &str, key: &str) -> Option<u32> {
    let rest = &text[text.find(key)? + key.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn flags_of(text: &str) -> Option<Vec<String>> {
    let rest = &text[text.find("FLAGS (")? + 7..];
    Some(rest[..rest.find(')')?].split_whitespace().map(str::to_owned).collect())
}

/// A set of UIDs as a COPYUID code lists it: no `*`, in order.
fn uid_set(text: &str) -> Option<Vec<u32>> {
    let mut uids = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        uids.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(uids)
}

/// `[COPYUID validity source target]` (rfc4315#3).
fn copied_uids(text: &str) -> Option<(Vec<u32>, Vec<u32>)> {
    let rest = &text[text.find("[COPYUID ")? + 9..];
    let mut words = rest[..rest.find(']')?].split(' ').skip(1);
    Some((uid_set(words.next()?)?, uid_set(words.next()?)?))
}

impl Imap {
    pub fn new(user: &str, password: &str, mailbox: &str, ops: Vec<Op>, start_tls: bool) -> Imap {
        Imap {
            password: password.to_owned(),
            start_tls,
            reader: Reader::default(),
            tag: 0,
            doing: Doing::Greeting,
            ops: ops.into(),
            view: View { account: user.to_owned(), mailbox: mailbox.to_owned(), ..View::default() },
            idling: false,
            literal: None,
            copied: None,
            looked: None,
            life: None,
            done: false,
        }
    }

    fn command(&mut self, tools: &mut Tools<'_>, text: &str, doing: Doing) {
        self.tag += 1;
        tools.say(format!("a{} {text}\r\n", self.tag));
        self.doing = doing;
    }

    fn place(&self, uid: u32) -> Place {
        (self.view.account.clone(), self.view.mailbox.clone(), uid)
    }

    /// Some message whose UID and octets are known.
    fn some_uid(&self, tools: &mut Tools<'_>) -> Option<u32> {
        let known: Vec<u32> = self.view.uids.iter().copied().filter(|uid| *uid != 0).collect();
        let uid = *known.get(tools.rng.index(known.len().max(1)))?;
        tools.oracle.token_at(&self.place(uid)).map(|_| uid)
    }

    fn next(&mut self, tools: &mut Tools<'_>) {
        let Some(op) = self.ops.pop_front() else { return self.command(tools, "LOGOUT", Doing::Logout) };
        let uid = self.some_uid(tools);
        match (op, uid) {
            (Op::Read, _) if !self.view.uids.is_empty() => {
                self.command(tools, "FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[])", Doing::Read);
            }
            (Op::Flag(flag), Some(uid)) => {
                let doing = Doing::Flag(self.place(uid), flag);
                self.command(tools, &format!("UID STORE {uid} +FLAGS ({flag})"), doing);
            }
            (Op::Remove, Some(uid)) => {
                let place = self.place(uid);
                tools.oracle.marking(&place);
                self.command(tools, &format!("UID STORE {uid} +FLAGS (\\Deleted)"), Doing::Mark(place));
            }
            (Op::Copy(to), Some(uid)) => {
                let place = self.place(uid);
                self.copy(tools, vec![place], to);
            }
            (Op::CopyAll(to), _) => {
                let known = self.view.uids.iter().filter(|uid| **uid != 0).map(|uid| self.place(*uid));
                let known = known.filter(|place| tools.oracle.token_at(place).is_some());
                let places: Vec<Place> = known.take(COPY_MAX).collect();
                match places.is_empty() {
                    true => self.command(tools, "NOOP", Doing::Noop),
                    false => self.copy(tools, places, to),
                }
            }
            (Op::Search { header }, Some(uid)) => {
                let token = tools.oracle.token_at(&self.place(uid)).unwrap_or_default();
                let key = if header { "HEADER X-Token" } else { "TEXT" };
                let text = format!("UID SEARCH UNDELETED {key} {token:010}");
                self.command(tools, &text, Doing::Search(token));
            }
            (Op::Move(to), Some(uid)) => {
                let place = self.place(uid);
                tools.oracle.copying(&place);
                tools.oracle.removing(&place);
                let text = format!("UID MOVE {uid} {to}");
                self.command(tools, &text, Doing::Copy { from: vec![place], to, moved: true });
            }
            (Op::Append(token, octets), _) => {
                let (account, mailbox) = (self.view.account.clone(), self.view.mailbox.clone());
                tools.oracle.sending(token, &octets, true, [&account]);
                let plus = tools.rng.chance(50);
                let literal = format!("{{{}{}}}", octets.len(), if plus { "+" } else { "" });
                self.command(tools, &format!("APPEND {mailbox} (\\Seen) {literal}"), Doing::Append(token));
                if plus {
                    tools.say(&octets);
                    tools.say("\r\n");
                } else {
                    self.literal = Some(octets);
                }
            }
            // The first message, so that sessions meet.
            (Op::Turn, Some(_)) => {
                let uid = self.view.uids.iter().copied().find(|uid| *uid != 0).unwrap_or(1);
                self.looked = None;
                let doing = Doing::Look(self.place(uid));
                self.command(tools, &format!("UID FETCH {uid} (FLAGS MODSEQ)"), doing);
            }
            (Op::Name(naming), _) => {
                tools.oracle.naming(&self.view.account, &naming);
                self.command(tools, &naming.command(), Doing::Name(naming));
            }
            (Op::Idle, _) => self.command(tools, "IDLE", Doing::Idle),
            _ => self.command(tools, "NOOP", Doing::Noop),
        }
    }

    fn copy(&mut self, tools: &mut Tools<'_>, from: Vec<Place>, to: String) {
        from.iter().for_each(|place| tools.oracle.copying(place));
        let uids: Vec<String> = from.iter().map(|place| place.2.to_string()).collect();
        let text = format!("UID COPY {} {to}", uids.join(","));
        self.command(tools, &text, Doing::Copy { from, to, moved: false });
    }

    fn untagged(&mut self, text: &str, literals: &[Vec<u8>], tools: &mut Tools<'_>) -> Verdict {
        if let Some(uids) = copied_uids(text) {
            self.copied = Some(uids);
        }
        let mut words = text.splitn(3, ' ');
        let Some(Ok(number)) = words.next().map(str::parse::<usize>) else {
            return self.untagged_status(text, tools);
        };
        match words.next().unwrap_or("") {
            "EXISTS" if number < self.view.uids.len() => {
                Err(format!("EXISTS {number} while {} are known", self.view.uids.len()))
            }
            "EXISTS" => {
                self.view.uids.resize(number, 0);
                self.view.flags.resize(number, None);
                Ok(())
            }
            "EXPUNGE" if matches!(self.doing, Doing::Read) => {
                Err("EXPUNGE during FETCH (rfc3501#7.4.1)".to_owned())
            }
            "EXPUNGE" | "FETCH" if number == 0 || number > self.view.uids.len() => {
                Err(format!("{text:?} while {} messages are known", self.view.uids.len()))
            }
            "EXPUNGE" => {
                self.view.uids.remove(number - 1);
                self.view.flags.remove(number - 1);
                Ok(())
            }
            "FETCH" => self.on_fetch(number - 1, text, literals, tools),
            _ => Ok(()),
        }
    }

    /// What a search found must be what was searched for.
    fn on_search(&self, uids: &str, tools: &Tools<'_>) -> Verdict {
        let Doing::Search(token) = self.doing else {
            return Err("a SEARCH answer nobody asked for".to_owned());
        };
        for uid in uids.split_whitespace() {
            let uid: u32 = uid.parse().map_err(|_| format!("SEARCH found {uid:?}"))?;
            if tools.oracle.token_at(&self.place(uid)).is_some_and(|found| found != token) {
                return Err(format!("SEARCH for message {token} found UID {uid}"));
            }
        }
        Ok(())
    }

    fn untagged_status(&mut self, text: &str, tools: &mut Tools<'_>) -> Verdict {
        if text.starts_with("BYE") && !matches!(self.doing, Doing::Logout) {
            self.done = true;
            return if tools.calm { Err(format!("sent away: {text:?}")) } else { Ok(()) };
        }
        if let Some(uids) = text.strip_prefix("SEARCH") {
            return self.on_search(uids, tools);
        }
        if matches!(self.doing, Doing::Greeting) {
            if !text.starts_with("OK") {
                return Err(format!("greeted by {text:?}"));
            }
            match std::mem::take(&mut self.start_tls) {
                true => self.command(tools, "STARTTLS", Doing::StartTls),
                false => self.login(tools),
            }
        }
        Ok(())
    }

    fn login(&mut self, tools: &mut Tools<'_>) {
        self.life = Some(tools.oracle.life(&self.view.account));
        let text = format!("LOGIN {} {}", self.view.account, self.password);
        self.command(tools, &text, Doing::Login);
    }

    fn on_fetch(&mut self, at: usize, text: &str, literals: &[Vec<u8>], tools: &mut Tools<'_>) -> Verdict {
        if let Some(uid) = number_after(text, "UID ") {
            let known = self.view.uids[at];
            if known != 0 && known != uid {
                return Err(format!("message {} was UID {known} and is UID {uid}", at + 1));
            }
            self.view.uids[at] = uid;
            let ascending = self.view.uids.iter().filter(|uid| **uid != 0).is_sorted_by(|a, b| a < b);
            if !ascending {
                return Err(format!("UIDs do not ascend: {:?}", self.view.uids));
            }
        }
        if let Some(flags) = flags_of(text) {
            self.view.flags[at] = Some(flags);
        }
        if let (Some(modseq), Some(flags)) = (number_after(text, "MODSEQ ("), flags_of(text)) {
            let on = flags.iter().any(|flag| flag == TURN);
            self.looked = Some((self.view.uids[at], u64::from(modseq), on));
        }
        match (literals.first(), self.view.uids[at]) {
            (Some(octets), uid) if uid != 0 => tools.oracle.shown_in_snapshot(&self.place(uid), octets),
            _ => Ok(()),
        }
    }

    /// Turns the keyword over if what was looked at is still so; false when it is gone already.
    fn turn(&mut self, place: Place, tools: &mut Tools<'_>) -> bool {
        let Some((uid, base, on)) = self.looked.take().filter(|looked| looked.0 == place.2) else {
            return false;
        };
        let (on, sign) = if on { (false, '-') } else { (true, '+') };
        let stale = tools.rng.chance(20);
        let since = base - u64::from(stale);
        let text = format!("UID STORE {uid} (UNCHANGEDSINCE {since}) {sign}FLAGS ({TURN})");
        self.command(tools, &text, Doing::Turn { place, base, on, stale });
        true
    }

    fn on_turned(
        &mut self,
        place: &Place,
        base: u64,
        on: bool,
        stale: bool,
        tools: &mut Tools<'_>,
    ) -> Verdict {
        if stale {
            return Err(format!("{place:?} was changed at MODSEQ {base} by a condition below it"));
        }
        match self.looked.take() {
            Some((uid, made, is_on)) if uid == place.2 && is_on == on => {
                tools.oracle.turned(place, base, made, on)
            }
            _ => Ok(()),
        }
    }

    fn on_copied(
        &self,
        (source, target): (Vec<u32>, Vec<u32>),
        from: &[Place],
        to: &str,
        moved: bool,
        tools: &mut Tools<'_>,
    ) -> Verdict {
        if source.len() != target.len() {
            return Err(format!("COPYUID pairs {source:?} with {target:?}"));
        }
        for (source, target) in source.into_iter().zip(target) {
            let place = self.place(source);
            if !from.contains(&place) {
                return Err(format!("COPYUID names {source}, which was not asked for"));
            }
            tools.oracle.copied(&place, &(place.0.clone(), to.to_owned(), target))?;
            if moved {
                tools.oracle.removed(&place);
            }
        }
        Ok(())
    }

    fn tagged(&mut self, text: &str, tools: &mut Tools<'_>) -> Verdict {
        if let Some(uids) = copied_uids(text) {
            self.copied = Some(uids);
        }
        let copied = self.copied.take();
        let good = text.starts_with("OK");
        let doing = std::mem::replace(&mut self.doing, Doing::Noop);
        self.idling = false;
        // Messages that others removed make some commands fail even on a calm day; nothing may be BAD.
        let may_fail = matches!(
            doing,
            Doing::Flag(..) | Doing::Mark(_) | Doing::Copy { .. } | Doing::Read | Doing::Turn { .. }
        );
        if text.starts_with("BAD") || (!good && tools.calm && !may_fail) {
            return Err(format!("IMAP {doing:?} got {text:?}"));
        }
        match doing {
            Doing::Login if !good => {
                self.finish(tools);
                self.done = true;
                return Ok(());
            }
            Doing::StartTls => {
                self.login(tools);
                return Ok(());
            }
            Doing::Login if tools.oracle.is_out_of_service(&self.view.account) => {
                return Err(format!("{} is out of service and let in", self.view.account));
            }
            Doing::Login => {
                let text = format!("SELECT {}", self.view.mailbox);
                self.command(tools, &text, Doing::Select);
                return Ok(());
            }
            Doing::Flag(place, flag) if good => tools.oracle.flagged(&place, flag),
            Doing::Mark(place) if good => {
                self.command(tools, "EXPUNGE", Doing::Expunge(vec![place]));
                return Ok(());
            }
            Doing::Expunge(places) if good => places.iter().for_each(|place| tools.oracle.removed(place)),
            Doing::Copy { from, to, moved } if good => {
                self.on_copied(copied.unwrap_or_default(), &from, &to, moved, tools)?;
            }
            Doing::Look(place) if good => {
                let asked = self.turn(place, tools);
                if asked {
                    return Ok(());
                }
            }
            Doing::Turn { .. } if text.contains("[MODIFIED ") => tools.oracle.turn_refused(),
            Doing::Turn { place, base, on, stale } if good && self.view.uids.contains(&place.2) => {
                self.on_turned(&place, base, on, stale, tools)?;
            }
            Doing::Name(naming) if good => tools.oracle.named(&self.view.account, &naming)?,
            Doing::Append(token) => {
                self.literal = None;
                if good {
                    tools.oracle.took(token, self.life.unwrap_or(0), [&self.view.account]);
                }
            }
            Doing::Logout => {
                self.done = true;
                return Ok(());
            }
            _ => {}
        }
        self.next(tools);
        Ok(())
    }
}

impl Client for Imap {
    fn service(&self) -> Service {
        Service::Imap
    }

    fn on_bytes(&mut self, bytes: &[u8], tools: &mut Tools<'_>) -> Verdict {
        self.reader.extend(bytes);
        // Deleted meanwhile: what is said here is about an account that is gone.
        if self.life.is_some_and(|life| life != tools.oracle.life(&self.view.account)) {
            self.done = true;
            self.idling = false;
            tools.hang_up = true;
        }
        while !self.done {
            let Some((text, literals)) = self.reader.imap_response() else { break };
            if let Some(rest) = text.strip_prefix("* ") {
                self.untagged(rest, &literals, tools)?;
            } else if text.starts_with('+') {
                match (self.literal.take(), &self.doing) {
                    (Some(octets), _) => {
                        tools.say(octets);
                        tools.say("\r\n");
                    }
                    (None, Doing::Idle) => self.idling = true,
                    _ => return Err(format!("nobody waited for {text:?}")),
                }
            } else if let Some(rest) = text.strip_prefix(&format!("a{} ", self.tag)) {
                self.tagged(rest, tools)?;
            } else {
                return Err(format!("IMAP says {text:?}"));
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn view(&self) -> Option<&View> {
        self.idling.then_some(&self.view)
    }

    fn finish(&mut self, tools: &mut Tools<'_>) {
        self.ops.clear();
        if self.idling {
            self.idling = false;
            tools.say("DONE\r\n");
        } else {
            self.done = true;
            tools.hang_up = true;
        }
    }

    fn name(&self) -> String {
        format!(
            "imap {} {} ops={} doing={:?}",
            self.view.account,
            self.view.mailbox,
            self.ops.len(),
            self.doing
        )
    }
}
