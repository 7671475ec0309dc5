//! SMTP, submission and LMTP: hands messages over and notes what the server took.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringpost::proto::Service;

use super::lines::Reader;
use super::{Client, Tools};
use crate::oracle::{Behind, Token, Verdict};

/// What the server should say to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Known,
    /// 550, for want of an account behind it or because it is not ours.
    Refused,
    /// Either: the administrator is changing it.
    Open,
}

/// A recipient and the accounts behind it.
#[derive(Clone, Debug)]
pub struct To {
    pub address: String,
    /// The accounts behind it; of an alias that changes, all that may be.
    pub accounts: Vec<String>,
    pub fate: Fate,
    /// The alias it is, in the version that it had when it was named.
    pub alias: Option<u64>,
    /// Whether a 250 for the message speaks for all of `accounts`.
    pub bound: bool,
}

/// A message to hand over.
#[derive(Clone, Debug)]
pub struct Mail {
    pub token: Token,
    pub octets: Vec<u8>,
    pub to: Vec<To>,
    /// BDAT instead of DATA.
    pub by_chunks: bool,
}

impl Mail {
    fn accounts<'a>(&'a self, recipients: &'a [usize]) -> BTreeSet<&'a String> {
        recipients.iter().flat_map(|index| &self.to[*index].accounts).collect()
    }

    /// Those that a 250 for the message speaks for.
    fn bound<'a>(&'a self, recipients: &'a [usize]) -> BTreeSet<&'a String> {
        let bound = recipients.iter().map(|index| &self.to[*index]).filter(|to| to.bound);
        bound.flat_map(|to| &to.accounts).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Hello,
    StartTls,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    /// A chunk that is not the last.
    Chunk,
    /// The recipients this reply is for.
    Body(Vec<usize>),
    Reset,
    Quit,
}

/// One connection that hands over some messages.
#[derive(Debug)]
pub struct Smtp {
    service: Service,
    reader: Reader,
    expect: VecDeque<Step>,
    mails: VecDeque<Mail>,
    accepted: Vec<usize>,
    start_tls: bool,
    login: Option<(String, String)>,
    pipelining: bool,
    /// When the first recipient was named, in the oracle's epochs.
    since: u64,
    done: bool,
}

impl Smtp {
    pub fn new(service: Service, mails: Vec<Mail>, login: Option<(String, String)>, knobs: u64) -> Smtp {
        Smtp {
            service,
            reader: Reader::default(),
            expect: VecDeque::from([Step::Greeting]),
            mails: mails.into(),
            accepted: Vec::new(),
            start_tls: knobs & 1 != 0,
            login,
            pipelining: knobs & 2 != 0,
            since: 0,
            done: false,
        }
    }

    fn say(&mut self, tools: &mut Tools<'_>, text: impl AsRef<[u8]>, step: Step) {
        tools.say(text);
        self.expect.push_back(step);
    }

    fn hello(&mut self, tools: &mut Tools<'_>) {
        let verb = if self.service == Service::Lmtp { "LHLO" } else { "EHLO" };
        self.say(tools, format!("{verb} client.example\r\n"), Step::Hello);
    }

    fn after_hello(&mut self, tools: &mut Tools<'_>) {
        if std::mem::take(&mut self.start_tls) {
            return self.say(tools, "STARTTLS\r\n", Step::StartTls);
        }
        match self.login.clone() {
            Some((user, password)) => {
                let response = STANDARD.encode(format!("\0{user}\0{password}"));
                self.say(tools, format!("AUTH PLAIN {response}\r\n"), Step::Auth);
            }
            None => self.next(tools),
        }
    }

    /// Begins the next message, or says goodbye.
    fn next(&mut self, tools: &mut Tools<'_>) {
        self.accepted.clear();
        self.since = tools.oracle.epoch();
        let Some(mail) = self.mails.front().cloned() else { return self.say(tools, "QUIT\r\n", Step::Quit) };
        let (token, size) = (mail.token, mail.octets.len());
        // A user may send as themselves only (rfc6409#6.1).
        let sender = match &self.login {
            Some((user, _)) => user.clone(),
            None => format!("sender{token}@client.example"),
        };
        self.say(tools, format!("MAIL FROM:<{sender}> SIZE={size}\r\n"), Step::Mail);
        if self.pipelining {
            for index in 0..mail.to.len() {
                self.recipient(index, tools);
            }
            if !mail.by_chunks {
                self.say(tools, "DATA\r\n", Step::Data);
            }
        }
    }

    fn recipient(&mut self, index: usize, tools: &mut Tools<'_>) {
        let to = &mut self.mails[0].to[index];
        to.alias = to.alias.map(|_| tools.oracle.alias_version(&to.address));
        let text = format!("RCPT TO:<{}>\r\n", to.address);
        self.say(tools, text, Step::Rcpt(index));
    }

    /// What the server's answer says about who is behind a recipient.
    fn on_recipient(&mut self, index: usize, code: u16, tools: &mut Tools<'_>) -> bool {
        let to = &mut self.mails[0].to[index];
        let behind = to.alias.and_then(|version| tools.oracle.behind(&to.address, version));
        match behind {
            Some(Behind::Exactly(accounts)) if accounts.is_empty() => to.fate = Fate::Refused,
            Some(Behind::Exactly(accounts)) => to.accounts = accounts,
            Some(Behind::Among(accounts)) => {
                to.accounts = accounts;
                to.fate = Fate::Open;
                to.bound = false;
            }
            None => {}
        }
        let doubtful = to.accounts.iter().any(|account| tools.oracle.is_doubtful(account));
        match (to.fate, code) {
            (Fate::Known | Fate::Open, 250) => self.accepted.push(index),
            (Fate::Refused | Fate::Open, 550) => {}
            (Fate::Known, 550) if doubtful => {}
            _ => return code / 100 == 4 && !tools.calm,
        }
        true
    }

    fn after_recipient(&mut self, index: usize, tools: &mut Tools<'_>) {
        let mail = self.mails[0].clone();
        if index + 1 < mail.to.len() {
            if !self.pipelining {
                self.recipient(index + 1, tools);
            }
        } else if self.pipelining && !mail.by_chunks {
            // DATA is on its way already.
        } else if self.accepted.is_empty() {
            self.say(tools, "RSET\r\n", Step::Reset);
        } else if mail.by_chunks {
            self.hand_over(tools);
            let (first, second) = mail.octets.split_at(mail.octets.len() / 2);
            self.say(tools, format!("BDAT {}\r\n", first.len()), Step::Chunk);
            tools.say(first);
            tools.say(format!("BDAT {} LAST\r\n", second.len()));
            tools.say(second);
            self.expect_bodies();
        } else {
            self.say(tools, "DATA\r\n", Step::Data);
        }
    }

    fn hand_over(&mut self, tools: &mut Tools<'_>) {
        let mail = &self.mails[0];
        // One copy in each account, however many recipients lead there.
        tools.oracle.sending(mail.token, &mail.octets, false, mail.accounts(&self.accepted));
    }

    fn expect_bodies(&mut self) {
        if self.service == Service::Lmtp {
            // rfc2033#4.2: one reply per recipient that was accepted.
            self.expect.extend(self.accepted.iter().map(|index| Step::Body(vec![*index])));
        } else {
            self.expect.push_back(Step::Body(self.accepted.clone()));
        }
    }

    fn on_body(&mut self, recipients: &[usize], code: u16, text: &str, tools: &mut Tools<'_>) -> Verdict {
        let mail = &self.mails[0];
        if code == 250 {
            // LMTP speaks per recipient: two that lead to one account speak of the same copy.
            let earlier: Vec<usize> =
                self.accepted.iter().copied().take_while(|index| !recipients.contains(index)).collect();
            let told = mail.bound(&earlier);
            let fresh = mail.bound(recipients).into_iter().filter(|account| !told.contains(account));
            tools.oracle.took(mail.token, self.since, fresh);
        } else if code / 100 == 5 && mail.accounts(recipients).iter().any(|who| tools.oracle.is_doubtful(who))
        {
            // Deleted between its acceptance and the message.
        } else if tools.calm || code / 100 != 4 {
            return Err(format!("message {} was refused: {text}", mail.token));
        }
        if !matches!(self.expect.front(), Some(Step::Body(_))) {
            self.mails.pop_front();
            self.next(tools);
        }
        Ok(())
    }

    fn on_reply(&mut self, code: u16, text: &str, tools: &mut Tools<'_>) -> Verdict {
        let step = self.expect.pop_front().ok_or_else(|| format!("nobody asked for {text:?}"))?;
        let service = self.service;
        let bad = || Err(format!("{service:?} {step:?} got {text:?}"));
        let temporary = code / 100 == 4 && !tools.calm;
        match &step {
            // rfc5321#3.8: the server is going down.
            _ if code == 421 && temporary => self.give_up(tools),
            Step::Greeting if code == 220 => self.hello(tools),
            Step::Hello if code == 250 => self.after_hello(tools),
            Step::StartTls if code == 220 => self.hello(tools),
            Step::Auth if code == 235 => self.next(tools),
            Step::Mail if code == 250 => {
                if !self.pipelining {
                    self.recipient(0, tools);
                }
            }
            // The password pool was busy, or too much is being received.
            Step::Auth | Step::Mail if temporary => self.give_up(tools),
            Step::Auth | Step::Mail if code / 100 == 5 && self.is_doubtful(tools) => self.give_up(tools),
            Step::Rcpt(index) => {
                if !self.on_recipient(*index, code, tools) {
                    return bad();
                }
                self.after_recipient(*index, tools);
            }
            Step::Data if code == 354 && !self.accepted.is_empty() => {
                self.hand_over(tools);
                tools.say(dot_stuffed(&self.mails[0].octets));
                self.expect_bodies();
            }
            Step::Data if code >= 400 && (self.accepted.is_empty() || temporary) => {
                self.say(tools, "RSET\r\n", Step::Reset);
            }
            Step::Chunk if code == 250 || temporary => {}
            Step::Body(recipients) => return self.on_body(recipients, code, text, tools),
            Step::Reset if code == 250 => {
                self.mails.pop_front();
                self.next(tools);
            }
            Step::Quit if code == 221 => self.done = true,
            _ => return bad(),
        }
        Ok(())
    }

    /// Whether the user who logs in may not be there.
    fn is_doubtful(&self, tools: &Tools<'_>) -> bool {
        self.login.as_ref().is_some_and(|(user, _)| tools.oracle.is_doubtful(user))
    }

    fn give_up(&mut self, tools: &mut Tools<'_>) {
        tools.hang_up = true;
        self.done = true;
    }
}

/// The message as DATA carries it (rfc5321#4.5.2), end included.
fn dot_stuffed(octets: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(octets.len() + 8);
    let mut line_start = true;
    for &octet in octets {
        if line_start && octet == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(octet);
        line_start = octet == b'\n';
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

impl Client for Smtp {
    fn service(&self) -> Service {
        self.service
    }

    fn on_bytes(&mut self, bytes: &[u8], tools: &mut Tools<'_>) -> Verdict {
        self.reader.extend(bytes);
        while !self.done {
            let Some((code, text)) = self.reader.smtp_reply() else { break };
            self.on_reply(code, &text, tools)?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(&mut self, tools: &mut Tools<'_>) {
        self.give_up(tools);
    }

    fn name(&self) -> String {
        format!("{} mails={} expect={:?}", self.service.name(), self.mails.len(), self.expect)
    }
}
