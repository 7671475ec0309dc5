//! Clients that believe what they are told, against a store that knows better.
//!
//! Goal: whatever several sessions do at once, the sequence numbers a client keeps by applying EXISTS and
//! EXPUNGE always name the messages that the server means by them, and once told everything it knows the
//! mailbox as it is. Method: random commands on a disk that is held at random, every reply applied to the
//! client's own list.

use ringpost_engine::ids::Uid;
use ringpost_engine::testing::seed::Seed;

use super::lab::Lab;

/// What a client knows: by number, the UID and flags once it has heard of them.
#[derive(Default)]
struct Known {
    messages: Vec<(Option<u32>, Option<String>)>,
    idle: bool,
    /// A command is under way.
    waits: bool,
    /// What a silent STORE under way asks for.
    silent: Option<Silent>,
}

/// A `STORE.SILENT`: its sign, its flag, and by number whether the client still has to do it for itself. A
/// FETCH reply that comes meanwhile says how it ended.
struct Silent {
    sign: String,
    flag: String,
    believed: Vec<bool>,
}

/// Flags in one order, for comparing.
fn sorted<'a>(flags: impl Iterator<Item = &'a str>) -> String {
    let mut flags: Vec<&str> = flags.filter(|flag| !flag.is_empty() && *flag != "\\Recent").collect();
    flags.sort_unstable();
    flags.dedup();
    flags.join(" ")
}

impl Known {
    fn hear(&mut self, told: &str) {
        for line in told.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["*", number, "EXISTS"] => {
                    let count: usize = number.parse().expect("a number");
                    assert!(count >= self.messages.len(), "EXISTS never shrinks: {told}");
                    self.messages.resize(count, (None, None));
                }
                ["*", number, "EXPUNGE"] => {
                    let number: usize = number.parse().expect("a number");
                    self.messages.remove(number - 1);
                    if let Some(silent) = &mut self.silent
                        && number <= silent.believed.len()
                    {
                        silent.believed.remove(number - 1);
                    }
                }
                ["*", number, "FETCH", ..] => self.hear_fetch(number.parse().expect("a number"), line),
                _ => {
                    assert!(!line.contains(" BAD ") && !line.contains("BYE"), "{told}");
                    if line.starts_with("t ") {
                        self.waits = false;
                        self.believe(line.starts_with("t OK"));
                    }
                }
            }
        }
    }

    fn hear_fetch(&mut self, number: usize, line: &str) {
        let entry = &mut self.messages[number - 1];
        if let Some((_, rest)) = line.split_once("UID ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let uid: u32 = digits.parse().expect("a UID");
            assert!(entry.0.is_none_or(|known| known == uid), "number {number} was {:?}: {line}", entry.0);
            entry.0 = Some(uid);
        }
        if let Some((_, rest)) = line.split_once("FLAGS (") {
            entry.1 = Some(sorted(rest.split(')').next().expect("a list").split(' ')));
            if let Some(believed) =
                self.silent.as_mut().and_then(|silent| silent.believed.get_mut(number - 1))
            {
                *believed = false;
            }
        }
    }

    /// Notes what a silent STORE will do to what is known.
    fn begin(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let (uid, rest) = match words.as_slice() {
            ["t", "UID", "STORE", rest @ ..] => (true, rest),
            ["t", "STORE", rest @ ..] => (false, rest),
            _ => return,
        };
        let [range, item, flag] = rest else { return };
        let Some(sign) = item.strip_suffix("FLAGS.SILENT") else { return };
        let (a, b) = range.split_once(':').expect("a range");
        let (a, b): (u32, u32) = (a.parse().expect("a number"), b.parse().expect("a number"));
        let names = |number: u32| (a.min(b)..=a.max(b)).contains(&number);
        if uid {
            // Whether it meant a message without a known UID, the client cannot tell.
            self.messages
                .iter_mut()
                .filter(|(known, _)| known.is_none())
                .for_each(|(_, flags)| *flags = None);
        }
        let believed = self.messages.iter().zip(1..).map(|((known, _), number)| match uid {
            true => known.is_some_and(names),
            false => names(number),
        });
        self.silent = Some(Silent {
            sign: sign.to_owned(),
            flag: flag.trim_matches(['(', ')']).to_owned(),
            believed: believed.collect(),
        });
    }

    fn believe(&mut self, done: bool) {
        let Some(silent) = self.silent.take().filter(|_| done) else { return };
        for ((_, flags), _) in
            self.messages.iter_mut().zip(&silent.believed).filter(|(_, believed)| **believed)
        {
            let Some(flags) = flags else { continue };
            let flag = silent.flag.as_str();
            *flags = match silent.sign.as_str() {
                "+" => sorted(flags.split(' ').chain([flag])),
                "-" => sorted(flags.split(' ').filter(|known| *known != flag)),
                _ => flag.to_owned(),
            };
        }
    }
}

/// What a client may do, given how many messages it numbers.
fn command(seed: &mut Seed, count: usize) -> String {
    let mut number = || 1 + seed.below(count as u64);
    let (a, b) = (number(), number());
    let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"][seed.below(4) as usize];
    let sign = ["+", "-", ""][seed.below(3) as usize];
    let silent = if seed.one_in(2) { ".SILENT" } else { "" };
    let uid = if seed.one_in(3) { "UID " } else { "" };
    match seed.below(12) {
        0 => "t NOOP".to_owned(),
        1 => "t EXPUNGE".to_owned(),
        2 => "t IDLE".to_owned(),
        3 => "t UID FETCH 1:* (FLAGS)".to_owned(),
        4 => "t APPEND INBOX {4+}\r\nA: b".to_owned(),
        _ if count == 0 => "t CHECK".to_owned(),
        5 => format!("t {uid}COPY {a}:{b} INBOX"),
        6 => format!("t {uid}FETCH {a}:{b} (UID FLAGS)"),
        7 => format!("t FETCH {a},{b} (UID BODY[TEXT])"),
        8 => format!("t {uid}SEARCH {a}:{b} OR SEEN BODY x"),
        9 if seed.one_in(3) => format!("t {uid}MOVE {a} Sent"),
        _ => format!("t {uid}STORE {a}:{b} {sign}FLAGS{silent} ({flag})"),
    }
}

fn run(number: u64) {
    let mut seed = Seed::new(number);
    let mut lab = Lab::with_messages(5);
    lab.room = [40, 300, crate::limits::OUTPUT_BYTES_MAX][seed.below(3) as usize];
    let mut clients: Vec<Known> = Vec::new();
    for who in 0..3 {
        if who > 0 {
            lab.login();
        }
        let parameter = if seed.one_in(2) { " (CONDSTORE)" } else { "" };
        let told = lab.say(who, &format!("t SELECT INBOX{parameter}"));
        clients.push(Known::default());
        clients[who].hear(&told);
        let told = lab.say(who, "t FETCH 1:* (UID FLAGS)");
        clients[who].hear(&told);
    }
    for _ in 0..120 {
        lab.disk_held = seed.one_in(2);
        let who = seed.below(3) as usize;
        if clients[who].idle {
            clients[who].idle = false;
            lab.say_later(who, "DONE");
        } else if !clients[who].waits {
            let line = command(&mut seed, clients[who].messages.len());
            clients[who].waits = true;
            clients[who].begin(&line);
            clients[who].idle = line == "t IDLE";
            lab.say_later(who, &line);
        } else {
            lab.settle();
        }
        for (who, client) in clients.iter_mut().enumerate() {
            client.hear(&lab.take(who));
        }
    }
    settle_and_compare(&mut lab, &mut clients, number);
}

/// After all is told, every client knows the mailbox as it is.
fn settle_and_compare(lab: &mut Lab, clients: &mut [Known], number: u64) {
    lab.disk_held = false;
    lab.settle();
    for (who, client) in clients.iter_mut().enumerate() {
        if client.idle {
            lab.say_later(who, "DONE");
        }
        let told = lab.take(who) + &lab.say(who, "t NOOP") + &lab.say(who, "t FETCH 1:* (UID)");
        client.hear(&told.replace("t BAD No message has that number", ""));
    }
    let inbox = lab.store.account(lab.account).expect("there").inbox();
    for (who, client) in clients.iter().enumerate() {
        assert_eq!(client.messages.len(), inbox.len(), "seed {number}, client {who}");
        for (place, (uid, flags)) in client.messages.iter().enumerate() {
            let message = inbox.message(place);
            assert_eq!(uid.map(Uid), Some(message.uid), "seed {number}, client {who}");
            let Some(flags) = flags else { continue };
            let mut really = bytes::BytesMut::new();
            crate::proto::imap::reply::flags(&mut really, message.flags, false, inbox.keywords());
            let really = String::from_utf8_lossy(&really).into_owned();
            let really = sorted(really.trim_matches(['(', ')']).split(' '));
            assert_eq!(*flags, really, "seed {number}, client {who}, UID {}", message.uid);
        }
    }
}

#[test]
fn numbers_mean_the_same_to_client_and_server() {
    for number in 0..100 {
        run(number);
    }
}
