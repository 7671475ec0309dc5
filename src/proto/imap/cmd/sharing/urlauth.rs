//! GENURLAUTH, RESETKEY, URLFETCH (rfc4467#7).
//!
//! *Owns*: who may have a URL authorised, and who may use one. *Promises*: whatever is wrong with a URL, the
//! answer is NIL; octets leave as extents, those of a message with NUL as copies; one piece of work a call.
//! *Assumes*: [`token`] for what vouches. *Never*: asks for rights: the URL is the right.
//!
//! ```text
//!  next URL ──good──► at its owner ──► Warm ──► found ──► octets ─┬─► next URL … Done
//!     └──────bad──► NIL ────────────────────────────────────────┘
//! ```

use bytes::Bytes;
use ringpost_engine::change::{Change, Outcome};
use ringpost_engine::ids::{BodyKey, normalise_address};
use ringpost_engine::index::{AccountRef, MailboxRef};
use ringpost_engine::layout::{SummaryView, flag};
use ringpost_engine::octets::Octets;

use super::token;
use crate::limits::IMAP_COPY_BYTES_MAX;
use crate::proto::imap::access;
use crate::proto::imap::cmd::fetch::fields::{Names, Pass, Reading};
use crate::proto::imap::cmd::fetch::section::{Located, clip, locate};
use crate::proto::imap::cmd::fetch::sending::{put_literal_head, put_without_nul};
use crate::proto::imap::command::{Partial, Section, SectionText, UrlCommand};
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::url::{Access, ImapUrl, UrlAuth, UrlServer};
use crate::proto::imap::write;
use crate::proto::{self, Cx};

/// The mechanism that every server has (rfc4467#2.4).
const INTERNAL: &str = "internal";

/// See the module.
#[derive(Debug)]
pub struct UrlAuthorisation {
    command: UrlCommand,
    /// URLFETCH: the URL it is at.
    at: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The URL has not been looked at.
    Begin,
    /// Its owner's account is here.
    There(Box<ImapUrl>),
    /// This body's summary and the start of its octets are in memory.
    Warm(BodyKey, Section, Option<Partial>),
    /// The octets `from..to` of a body that holds NUL are still to be copied; the first piece is in memory.
    Copy(BodyKey, u32, u32),
    /// Fields of a body's header are picked; whether the window is in memory that is wanted next.
    Pick(BodyKey, Box<(Names, Reading)>, bool),
}

/// What of a URL's octets is not written yet.
enum Left {
    Run(u32, u32),
    Fields(Box<(Names, Reading)>),
}

impl UrlAuthorisation {
    /// A command that has not begun.
    pub fn new(command: UrlCommand) -> UrlAuthorisation {
        UrlAuthorisation { command, at: 0, stage: Stage::Begin }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match (&self.command, wake) {
            (_, Wake::Committed(Outcome::Refused(refusal))) => Reply::from(refusal).into(),
            // rfc4467#7: after RESETKEY the mechanisms there are.
            (_, Wake::Committed(_)) => Reply::ok("[URLMECH INTERNAL] Keys removed").into(),
            (UrlCommand::Generate(urls), _) => generate(urls, core, cx).unwrap_or_else(Into::into),
            (UrlCommand::Reset { mailbox }, _) => {
                reset(mailbox.as_deref(), core, cx).unwrap_or_else(Step::Done)
            }
            (UrlCommand::Fetch(_), wake) => self.fetch(wake, core, cx),
        }
    }

    fn fetch(&mut self, wake: Wake, core: &mut Core, cx: &Cx<'_>) -> Step {
        let UrlCommand::Fetch(urls) = &self.command else { return Reply::done().into() };
        let Some(text) = urls.get(self.at) else { return Reply::done().into() };
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin if !core.out.has_room() => return Step::Room,
            Stage::Begin => {
                if let Some((url, owner)) = usable(text, core, cx) {
                    self.stage = Stage::There(Box::new(url));
                    return core.go_to(owner);
                }
            }
            Stage::There(url) => {
                debug_assert!(matches!(wake, Wake::Replied(proto::Reply::Arrived) | Wake::Go));
                if let Some((body, extents)) = authorised(text, &url, core, cx) {
                    let partial = url.partial.map(|partial| Partial {
                        start: partial.offset,
                        count: partial.count.unwrap_or(u64::MAX),
                    });
                    let whole = Section { path: Vec::new(), text: SectionText::Whole };
                    self.stage = Stage::Warm(body, url.section.unwrap_or(whole), partial);
                    return Step::Warm(extents);
                }
            }
            Stage::Warm(body, section, partial) => {
                put_head(text, core);
                match put_octets(body, &section, partial, core, cx) {
                    Some(Left::Run(from, to)) => {
                        self.stage = Stage::Copy(body, from, to);
                        return self.copy(core, cx, false);
                    }
                    Some(Left::Fields(fields)) => return self.pick(body, fields, false, core, cx),
                    None => return self.next(core),
                }
            }
            Stage::Pick(body, fields, warm) => return self.pick(body, fields, warm, core, cx),
            Stage::Copy(body, from, to) => {
                self.stage = Stage::Copy(body, from, to);
                return self.copy(core, cx, true);
            }
        }
        // rfc4467#7: whatever is wrong with it.
        put_head(text, core);
        core.out.put(b" NIL");
        self.next(core)
    }

    /// Reads the window of a header that is in memory, or asks for the next one.
    fn pick(
        &mut self,
        id: BodyKey,
        mut fields: Box<(Names, Reading)>,
        warm: bool,
        core: &mut Core,
        cx: &Cx<'_>,
    ) -> Step {
        let gone = || Step::Leave(Reply::no("[SERVERBUG] It is gone"));
        let (names, reading) = &mut *fields;
        let Some(window) = reading.wants() else {
            return match reading.end_pass(&mut |piece| core.out.put(piece)) {
                Pass::Done => self.next(core),
                Pass::Send(size) => {
                    put_literal_head(&mut core.out, size);
                    self.stage = Stage::Pick(id, fields, false);
                    Step::Yield
                }
            };
        };
        let (from, len) = (window.start, window.end - window.start);
        if !warm {
            self.stage = Stage::Pick(id, fields, true);
            return Step::Warm(vec![cx.store.seek(id).1.slice(from, len)]);
        }
        let octets = cx.store.body(id).and_then(|body| cx.store.bytes(body.bytes.slice(from, len)));
        let Some(octets) = octets else { return gone() };
        reading.window(&octets, names, &mut |piece| put_without_nul(piece, &mut core.out));
        self.stage = Stage::Pick(id, fields, false);
        if core.out.has_room() { Step::Yield } else { Step::Room }
    }

    /// Ends a URL's reply and goes to the next one.
    fn next(&mut self, core: &mut Core) -> Step {
        core.out.line("");
        self.at += 1;
        self.stage = Stage::Begin;
        Step::Yield
    }

    /// Copies the piece that is in memory, then asks for the next one.
    fn copy(&mut self, core: &mut Core, cx: &Cx<'_>, warm: bool) -> Step {
        let Stage::Copy(id, from, to) = self.stage else { return self.next(core) };
        let len = (to - from).min(IMAP_COPY_BYTES_MAX);
        if !warm {
            return Step::Warm(vec![cx.store.seek(id).1.slice(from, len)]);
        }
        let Some(body) = cx.store.body(id) else { return Step::Leave(Reply::no("[SERVERBUG] It is gone")) };
        let octets =
            cx.store.bytes(body.bytes.slice(from, len)).unwrap_or_else(|| Bytes::from(vec![0; len as usize]));
        put_without_nul(&octets, &mut core.out);
        if from + len == to {
            return self.next(core);
        }
        self.stage = Stage::Copy(id, from + len, to);
        self.copy(core, cx, false)
    }
}

fn put_head(url: &[u8], core: &mut Core) {
    core.out.put(b"* URLFETCH ");
    write::astring(core.out.text(), url);
}

/// Writes the octets, or what can be said before they are looked at: what is left.
fn put_octets(
    id: BodyKey,
    section: &Section,
    partial: Option<Partial>,
    core: &mut Core,
    cx: &Cx<'_>,
) -> Option<Left> {
    let out = &mut core.out;
    let body = cx.store.body(id);
    let summary = body.and_then(|body| cx.store.bytes(body.summary));
    let (Some(body), Some(view)) = (body, summary.as_deref().and_then(SummaryView::new)) else {
        out.put(b" NIL");
        return None;
    };
    match locate(section, &view, body.bytes.len) {
        Located::Missing => out.put(b" NIL"),
        Located::Run(start, end) => {
            let (from, to) = clip(start, end, partial);
            put_literal_head(out, to - from);
            if view.flags() & flag::HAS_NUL != 0 && from < to {
                return Some(Left::Run(from, to));
            }
            out.octets(body.bytes.slice(from, to - from));
        }
        Located::Fields(start, end) => {
            let names = Names::of(section)?;
            let reading = Reading::new((start, end), &names, partial, &view);
            return Some(Left::Fields(Box::new((names, reading))));
        }
    }
    None
}

/// A URL that this session may use if its token is good, and its owner's address.
fn usable(text: &[u8], core: &Core, cx: &Cx<'_>) -> Option<(ImapUrl, String)> {
    let url = ImapUrl::parse(text).ok()?;
    let owner = owner(url.server.as_ref()?, cx)?;
    let auth = url.auth.as_ref()?;
    let user = &core.user.as_ref()?.address;
    let expired = auth.expire_ms.is_some_and(|expire_ms| expire_ms <= cx.now.unix_ms as i64);
    let allowed = match &auth.access {
        // rfc4467#2.3: only a submission server on behalf of that user.
        Access::Submit(_) => cx.server.submission_users.contains(user),
        Access::User(name) => normalise_address(name) == *user,
        Access::AuthUser | Access::Anonymous => true,
    };
    let complete = url.uid.is_some() && auth.verifier.is_some();
    (allowed && complete && !expired).then_some((url, owner))
}

/// The user of a URL of this server.
fn owner(server: &UrlServer, cx: &Cx<'_>) -> Option<String> {
    let host = server.host.split(':').next().unwrap_or("");
    let ours = host.eq_ignore_ascii_case(&cx.server.hostname);
    server.user.as_ref().filter(|_| ours).map(|user| normalise_address(user))
}

/// The message behind a URL whose token is good, and what of it has to be in memory.
fn authorised(text: &[u8], url: &ImapUrl, core: &Core, cx: &Cx<'_>) -> Option<(BodyKey, Vec<Octets>)> {
    let account = cx.store.account(cx.store.account_by_address(&core.here)?)?;
    let mailbox = account.mailbox_by_name(url.mailbox.as_ref()?)?;
    let auth = url.auth.as_ref()?;
    let verifier = auth.verifier.as_ref().filter(|verifier| verifier.mechanism == INTERNAL)?;
    let current = url.uid_validity.is_none_or(|validity| validity == mailbox.uid_validity());
    let key = key(account, mailbox, cx);
    if !current || !token::is_good(&key, text.get(..auth.rump_bytes)?, &verifier.token) {
        return None;
    }
    let message = mailbox.message(mailbox.place(url.uid?)?);
    Some((message.key(), vec![cx.store.seek(message.key()).0]))
}

fn key(account: AccountRef<'_>, mailbox: MailboxRef<'_>, cx: &Cx<'_>) -> token::Key {
    token::key(&cx.server.url_secret, account.id(), mailbox.id(), mailbox.url_generation())
}

/// GENURLAUTH. The store is the user's: only a mailbox's owner holds its key (rfc4467#7, check 2).
fn generate(urls: &[(Bytes, String)], core: &mut Core, cx: &Cx<'_>) -> Result<Step, Reply> {
    let account = core.account(cx)?;
    let mut line = bytes::BytesMut::from(&b"* GENURLAUTH"[..]);
    for (text, mechanism) in urls {
        let refused = |why: &'static str| Reply::bad(why);
        if mechanism != INTERNAL {
            return Err(refused("INTERNAL is the only mechanism"));
        }
        let url = ImapUrl::parse(text).map_err(|_| refused("That is no URL of a message"))?;
        let owner = url.server.as_ref().and_then(|server| owner(server, cx));
        if owner.as_deref() != Some(account.address()) {
            return Err(refused("The URL must name you and this server"));
        }
        let Some(UrlAuth { verifier: None, rump_bytes, .. }) = url.auth else {
            return Err(refused("The URL must end in an access identifier"));
        };
        let mailbox = url.mailbox.as_deref().and_then(|name| account.mailbox_by_name(name));
        let (Some(mailbox), Some(_)) = (mailbox, url.uid) else {
            return Err(refused("The URL must name a mailbox and a message"));
        };
        let token = token::make(&key(account, mailbox, cx), &text[..rump_bytes]);
        let mut full = text.to_vec();
        full.extend_from_slice(b":internal:");
        full.extend(token.iter().flat_map(|octet| format!("{octet:02x}").into_bytes()));
        line.extend_from_slice(b" ");
        write::astring(&mut line, &full);
    }
    line.extend_from_slice(b"\r\n");
    core.out.put(&line);
    Ok(Reply::done().into())
}

/// RESETKEY: what was authorised so far is void.
fn reset(name: Option<&str>, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
    let account = core.account(cx)?.id();
    let mailbox = match name {
        None => None,
        Some(name) => {
            let target = access::find(name, core, cx)?;
            if target.account.id() != account {
                return Err(Reply::no("[NOPERM] Only its owner has a key of that mailbox"));
            }
            Some(target.mailbox.id())
        }
    };
    Ok(Step::Commit(core.append(cx, Change::UrlKey { mailbox })?))
}
