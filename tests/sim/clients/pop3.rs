//! POP3: reads a maildrop, checks every message, removes some.

use std::collections::VecDeque;

use ringpost::proto::Service;

use super::lines::Reader;
use super::{Client, Tools};
use crate::oracle::{Place, Verdict};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Stls,
    User,
    Pass,
    Stat,
    Uidl,
    UidlLines,
    Retr(u32),
    RetrLines(u32),
    Dele(u32),
    Quit,
}

/// One maildrop session.
#[derive(Debug)]
pub struct Pop3 {
    user: String,
    password: String,
    /// How many messages to read, and how many of those to remove.
    read: usize,
    remove: usize,
    stls: bool,
    reader: Reader,
    expect: VecDeque<Step>,
    uids: Vec<u32>,
    fetched: Vec<u32>,
    marked: Vec<u32>,
    /// The life of the account that is logged in to.
    life: Option<u64>,
    done: bool,
}

impl Pop3 {
    pub fn new(user: &str, password: &str, read: usize, remove: usize, stls: bool) -> Pop3 {
        Pop3 {
            user: user.to_owned(),
            password: password.to_owned(),
            read,
            remove,
            stls,
            reader: Reader::default(),
            expect: VecDeque::from([Step::Greeting]),
            uids: Vec::new(),
            fetched: Vec::new(),
            marked: Vec::new(),
            life: None,
            done: false,
        }
    }

    fn say(&mut self, tools: &mut Tools<'_>, text: impl AsRef<[u8]>, step: Step) {
        tools.say(text);
        self.expect.push_back(step);
    }

    fn place(&self, number: u32) -> Place {
        (self.user.clone(), "INBOX".to_owned(), self.uids[number as usize - 1])
    }

    fn after_listing(&mut self, tools: &mut Tools<'_>) {
        let count = self.uids.len().min(self.read) as u32;
        for number in 1..=count {
            self.say(tools, format!("RETR {number}\r\n"), Step::Retr(number));
        }
        if count == 0 {
            self.quit(tools);
        }
    }

    fn quit(&mut self, tools: &mut Tools<'_>) {
        for number in self.fetched.clone().into_iter().take(self.remove) {
            tools.oracle.removing(&self.place(number));
            self.say(tools, format!("DELE {number}\r\n"), Step::Dele(number));
        }
        self.say(tools, "QUIT\r\n", Step::Quit);
    }

    fn after_message(&mut self, tools: &mut Tools<'_>) {
        if self.expect.is_empty() {
            self.quit(tools);
        }
    }

    /// Takes one unit; none when more bytes are needed.
    fn unit(&mut self, tools: &mut Tools<'_>) -> Option<Verdict> {
        match self.expect.front().cloned()? {
            Step::UidlLines => {
                let text = self.reader.pop3_lines()?;
                self.expect.pop_front();
                for line in String::from_utf8_lossy(&text).lines() {
                    match line.rsplit_once('.').and_then(|(_, uid)| uid.parse().ok()) {
                        Some(uid) => self.uids.push(uid),
                        None => return Some(Err(format!("UIDL line {line:?}"))),
                    }
                }
                self.after_listing(tools);
                Some(Ok(()))
            }
            Step::RetrLines(number) => {
                let octets = self.reader.pop3_lines()?;
                self.expect.pop_front();
                // No check against later removal: a session goes on showing its snapshot (rfc1939#8).
                let verdict = tools.oracle.shown_in_snapshot(&self.place(number), &octets);
                self.fetched.push(number);
                self.after_message(tools);
                Some(verdict)
            }
            step => {
                let line = self.reader.line()?;
                self.expect.pop_front();
                Some(self.on_line(step, &line, tools))
            }
        }
    }

    fn on_line(&mut self, step: Step, line: &str, tools: &mut Tools<'_>) -> Verdict {
        if !line.starts_with("+OK") {
            // Removed by somebody else meanwhile.
            if matches!(step, Step::Retr(_)) && line.starts_with("-ERR") {
                self.after_message(tools);
                return Ok(());
            }
            let refused = step == Step::Pass && tools.oracle.is_doubtful(&self.user);
            if refused || (line.starts_with("-ERR [SYS/TEMP]") && !tools.calm) {
                self.finish(tools);
                return Ok(());
            }
            return Err(format!("POP3 {step:?} got {line:?}"));
        }
        match step {
            Step::Greeting if self.stls => self.say(tools, "STLS\r\n", Step::Stls),
            Step::Greeting | Step::Stls => {
                let text = format!("USER {}\r\n", self.user);
                self.say(tools, text, Step::User);
            }
            Step::User => {
                self.life = Some(tools.oracle.life(&self.user));
                let text = format!("PASS {}\r\n", self.password);
                self.say(tools, text, Step::Pass);
            }
            Step::Pass if tools.oracle.is_out_of_service(&self.user) => {
                return Err(format!("{} is out of service and let in", self.user));
            }
            Step::Pass => {
                self.say(tools, "STAT\r\n", Step::Stat);
                self.say(tools, "UIDL\r\n", Step::Uidl);
            }
            Step::Uidl => self.expect.push_front(Step::UidlLines),
            Step::Retr(number) => self.expect.push_front(Step::RetrLines(number)),
            Step::Dele(number) => self.marked.push(number),
            Step::Quit => {
                for number in &self.marked {
                    tools.oracle.removed(&self.place(*number));
                }
                self.done = true;
            }
            Step::Stat | Step::UidlLines | Step::RetrLines(_) => {}
        }
        Ok(())
    }
}

impl Client for Pop3 {
    fn service(&self) -> Service {
        Service::Pop3
    }

    fn on_bytes(&mut self, bytes: &[u8], tools: &mut Tools<'_>) -> Verdict {
        self.reader.extend(bytes);
        // Deleted meanwhile: what is said here is about an account that is gone.
        if self.life.is_some_and(|life| life != tools.oracle.life(&self.user)) {
            self.finish(tools);
        }
        while !self.done {
            match self.unit(tools) {
                Some(verdict) => verdict?,
                None => break,
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(&mut self, tools: &mut Tools<'_>) {
        tools.hang_up = true;
        self.done = true;
    }

    fn name(&self) -> String {
        format!("pop3 {} expect={:?}", self.user, self.expect)
    }
}
