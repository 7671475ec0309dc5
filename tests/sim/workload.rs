//! What clients want of the server in a run.
//!
//! *Owns*: accounts, aliases, messages, the jobs and their moments. *Promises*: each job is one connection.
//! *Assumes*: `Plan::directory` is set up before. *Never*: reacts; drivers do.

use ringpost::proto::Service;
use ringpost_engine::ids::normalise_address;

use crate::clients::Client;
use crate::clients::imap::{Imap, Naming, Op};
use crate::clients::pop3::Pop3;
use crate::clients::smtp::{Fate, Mail, Smtp, To};
use crate::oracle::{Token, token_line};
use crate::seeds::Rng;

pub const DOMAIN: &str = "example.test";
pub const PASSWORD: &str = "secret";
/// The largest message of runs that also make large mailboxes.
const SMALL_BYTES: u64 = 400;
const FLAGS: [&str; 4] = ["\\Flagged", "\\Answered", "$Forwarded", "Later"];

/// Who is there.
#[derive(Clone, Debug)]
pub struct Plan {
    pub accounts: Vec<String>,
    /// Aliases and the accounts behind them.
    pub aliases: Vec<(String, Vec<String>)>,
    pub jobs: usize,
    /// The jobs begin within this time, microseconds.
    pub span_us: u64,
    pub message_bytes_max: u64,
    large_mailboxes: bool,
    last_token: Token,
    last_box: u64,
}

impl Plan {
    /// On a slow network nobody makes a large mailbox: to read it would take more than a run's time.
    pub fn new(rng: &mut Rng, slow_network: bool) -> Plan {
        let accounts: Vec<String> =
            (0..rng.within(2..6)).map(|i| normalise_address(&format!("User{i}@{DOMAIN}"))).collect();
        let aliases = (0..rng.within(1..3))
            .map(|i| {
                let targets = accounts.iter().filter(|_| rng.chance(50)).cloned().collect::<Vec<_>>();
                let targets = if targets.is_empty() { accounts[..1].to_vec() } else { targets };
                (format!("list{i}@{DOMAIN}"), targets)
            })
            .collect();
        Plan {
            accounts,
            aliases,
            jobs: rng.within(8..40) as usize,
            span_us: rng.within(1..20) * 1_000_000,
            message_bytes_max: *rng.pick(&[SMALL_BYTES, 4_000, 40_000]),
            large_mailboxes: !slow_network,
            last_token: 0,
            last_box: 0,
        }
    }

    /// One connection's work.
    pub fn job(&mut self, rng: &mut Rng) -> Box<dyn Client> {
        let tls = rng.chance(25);
        match rng.within(0..100) {
            0..45 => self.hand_over(rng),
            45..60 => {
                let (read, remove) = (rng.within(0..6) as usize, rng.within(0..3) as usize);
                Box::new(Pop3::new(&rng.pick::<String>(&self.accounts).clone(), PASSWORD, read, remove, tls))
            }
            _ => {
                let user = rng.pick(&self.accounts).clone();
                let (mailbox, other) =
                    if rng.chance(75) { ("INBOX", "Archive") } else { ("Archive", "INBOX") };
                let mut ops = vec![Op::Read];
                if self.large_mailboxes && self.message_bytes_max <= SMALL_BYTES && rng.chance(10) {
                    // Enough to make long commands take turns (limits::STEP_MESSAGES_MAX).
                    for _ in 0..7 {
                        ops.extend([Op::CopyAll(mailbox.to_owned()), Op::Read]);
                    }
                    ops.push(Op::Search { header: false });
                }
                for _ in 0..rng.within(0..8) {
                    ops.push(self.op(rng, other));
                }
                if rng.chance(15) {
                    ops.extend(self.names(rng));
                }
                if rng.chance(40) {
                    ops.push(Op::Idle);
                }
                Box::new(Imap::new(&user, PASSWORD, mailbox, ops, tls))
            }
        }
    }

    fn op(&mut self, rng: &mut Rng, other: &'static str) -> Op {
        match rng.within(0..13) {
            0 => Op::Read,
            1 | 2 => Op::Flag(rng.pick::<&str>(&FLAGS)),
            3 => Op::Remove,
            4 => Op::Copy(other.to_owned()),
            5 => Op::Move(other.to_owned()),
            6 => {
                let (token, octets) = self.message(rng);
                Op::Append(token, octets)
            }
            7 | 8 => Op::Search { header: rng.chance(50) },
            9..12 => Op::Turn,
            _ => Op::Noop,
        }
    }

    /// The life of a mailbox of the user's own, ending somewhere in its middle.
    fn names(&mut self, rng: &mut Rng) -> Vec<Op> {
        self.last_box += 2;
        let (first, second) = (format!("Box{}", self.last_box), format!("Box{}", self.last_box + 1));
        if rng.chance(15) {
            return vec![Op::Name(Naming::Rename("INBOX".to_owned(), first)), Op::Noop];
        }
        let below = if rng.chance(50) { "/Under" } else { "" };
        let (here, there) = (format!("{first}{below}"), format!("{second}{below}"));
        let whole = [
            Op::Name(Naming::Create(here.clone())),
            Op::Copy(here.clone()),
            Op::Name(Naming::Subscribe(here.clone(), true)),
            Op::Move(here.clone()),
            Op::Name(Naming::Rename(first, second)),
            Op::Name(Naming::Subscribe(here, false)),
            Op::Copy(there.clone()),
            Op::Name(Naming::Delete(there)),
        ];
        let steps = rng.within(1..whole.len() as u64 + 6) as usize;
        whole.into_iter().take(steps).collect()
    }

    fn hand_over(&mut self, rng: &mut Rng) -> Box<dyn Client> {
        let service = *rng.pick(&[Service::Smtp, Service::Smtp, Service::Lmtp, Service::Submission]);
        let mails = (0..rng.within(1..4))
            .map(|_| {
                let (token, octets) = self.message(rng);
                let to = (0..rng.within(1..4)).map(|_| self.recipient(rng, service)).collect();
                Mail { token, octets, to, by_chunks: rng.chance(25) }
            })
            .collect();
        let login =
            (service == Service::Submission).then(|| (rng.pick(&self.accounts).clone(), PASSWORD.to_owned()));
        Box::new(Smtp::new(service, mails, login, rng.within(0..4)))
    }

    fn recipient(&mut self, rng: &mut Rng, service: Service) -> To {
        let account = rng.pick(&self.accounts).clone();
        let to = |address: String, accounts, fate| To { address, accounts, fate, alias: None, bound: true };
        let known = |address: String, accounts: Vec<String>| to(address, accounts, Fate::Known);
        let refused = |address: &str| to(address.to_owned(), Vec::new(), Fate::Refused);
        match rng.within(0..10) {
            0 | 1 => {
                let (alias, targets) = rng.pick(&self.aliases).clone();
                To { alias: Some(0), ..known(alias, targets) }
            }
            2 => known(account.replace('@', "+detail@").to_uppercase(), vec![account]),
            3 => refused(&format!("nobody@{DOMAIN}")),
            4 if service == Service::Smtp => refused("somebody@elsewhere.example"),
            _ => known(account.clone(), vec![account]),
        }
    }

    /// A new message: lines that begin with dots, long lines, sometimes parts.
    fn message(&mut self, rng: &mut Rng) -> (Token, Vec<u8>) {
        self.last_token += 1;
        let token = self.last_token;
        let mut text = format!(
            "From: Sender <sender{token}@client.example>\r\nTo: list@{DOMAIN}\r\nSubject: message {token}\r\n\
             Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{token}@client.example>\r\n"
        );
        text.push_str(&token_line(token));
        let parts = rng.chance(20);
        if parts {
            text.push_str("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"cut\"\r\n");
        }
        text.push_str("\r\n");
        if parts {
            text.push_str("--cut\r\nContent-Type: text/plain\r\n\r\n");
        }
        let size = rng.within(0..self.message_bytes_max) as usize;
        while text.len() < size {
            if rng.chance(10) {
                text.push('.');
            }
            for _ in 0..rng.within(0..70) {
                text.push(char::from(b' ' + rng.within(0..95) as u8));
            }
            text.push_str("\r\n");
        }
        if parts {
            text.push_str("\r\n--cut--\r\n");
        }
        (token, text.into_bytes())
    }
}
