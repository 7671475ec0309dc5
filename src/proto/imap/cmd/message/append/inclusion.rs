//! A part of a message that lies in the store already: CATENATE's URL (rfc4469#3).
//!
//! *Owns*: what a URL means here and the copying of its octets. *Promises*: refused with the URL as it was
//! written (rfc4469#4.1); looks at bounded pieces that are in memory; `\Seen` stays as it is. *Assumes*: the
//! account is the only one whose messages a session can read by URL. *Never*: opens a mailbox.
//!
//! ```text
//!  find ──whole message──────────────────────► Run ──Warm, copy, Warm, copy … ──► done
//!    └──section──► Located ──Warm(summary)──► ─┤
//!                                              └──► Fields ──Warm, measure …, Warm, copy … ──► done
//! ```

use bytes::Bytes;
use ringpost_engine::ids::BodyKey;
use ringpost_engine::layout::SummaryView;

use super::draft::Draft;
use crate::limits::IMAP_COPY_BYTES_MAX;
use crate::proto::Cx;
use crate::proto::imap::cmd::fetch::fields::{Names, Pass, Reading};
use crate::proto::imap::cmd::fetch::section::{Located, clip, locate};
use crate::proto::imap::command::{Partial, Section, SectionText};
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::url::ImapUrl;

/// See the module.
#[derive(Debug)]
pub struct Inclusion {
    /// As written.
    url: Bytes,
    body: BodyKey,
    section: Section,
    partial: Option<Partial>,
    stage: Stage,
    /// What the stage looks at is in memory.
    warm: bool,
}

#[derive(Debug)]
enum Stage {
    Located,
    Fields(Box<(Names, Reading)>),
    Run { at: u32, end: u32 },
}

impl Inclusion {
    /// The message that a URL means, relative to the selected mailbox (rfc4469#3).
    pub fn find(url: &Bytes, core: &Core, cx: &Cx<'_>) -> Result<Inclusion, Reply> {
        let parsed = ImapUrl::parse(url).map_err(|_| bad_url(url))?;
        let whole = Section { path: Vec::new(), text: SectionText::Whole };
        let account = core.account(cx).map_err(|_| bad_url(url))?;
        // rfc4469#3: an absolute URL is beyond this extension; nor does URLAUTH authorise here.
        let mailbox = match (&parsed.server, &parsed.auth, &parsed.mailbox) {
            (None, None, Some(name)) => account.mailbox_by_name(name),
            (None, None, None) => {
                let selected = core.selected(cx).ok().filter(|(view, _)| view.account() == account.id());
                selected.map(|(_, mailbox)| mailbox)
            }
            _ => None,
        };
        let found = mailbox.filter(|mailbox| {
            parsed.uid_validity.is_none_or(|uid_validity| uid_validity == mailbox.uid_validity())
        });
        let message = found.zip(parsed.uid).and_then(|(mailbox, uid)| {
            let mailbox = cx.store.mailbox(account.id(), mailbox.id())?;
            mailbox.place(uid).map(|place| mailbox.message(place))
        });
        let body = message.map(|message| message.key()).ok_or_else(|| bad_url(url))?;
        // rfc5550#2.1: without a count to the end.
        let partial = parsed
            .partial
            .map(|partial| Partial { start: partial.offset, count: partial.count.unwrap_or(u64::MAX) });
        let stage = match parsed.section {
            Some(_) => Stage::Located,
            None => {
                let (at, end) = clip(0, body.len, partial);
                Stage::Run { at, end }
            }
        };
        let section = parsed.section.unwrap_or(whole);
        Ok(Inclusion { url: url.clone(), body, section, partial, stage, warm: false })
    }

    /// Copies into the draft. Where it has to stop; none when all is copied.
    pub fn step(&mut self, draft: &mut Draft, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (summary, bytes) = match self.warm {
            true => cx.store.body(self.body).map(|body| (body.summary.into(), body.bytes)),
            false => Some(cx.store.seek(self.body)),
        }
        .ok_or_else(|| bad_url(&self.url))?;
        let looked_at = match &self.stage {
            Stage::Located => summary,
            Stage::Fields(fields) => match fields.1.wants() {
                Some(window) => bytes.slice(window.start, window.end - window.start),
                None => return self.end_pass(draft, cx),
            },
            &Stage::Run { at, end } => {
                if !self.warm {
                    draft.grow(u64::from(end - at), cx)?;
                }
                bytes.slice(at, (end - at).min(IMAP_COPY_BYTES_MAX))
            }
        };
        if !self.warm {
            self.warm = true;
            return Ok(Some(Step::Warm(vec![looked_at])));
        }
        let octets = cx.store.bytes(looked_at).ok_or_else(|| bad_url(&self.url))?;
        self.warm = false;
        match &mut self.stage {
            Stage::Located => self.locate(&octets, bytes.len)?,
            Stage::Fields(fields) => {
                let (names, reading) = &mut **fields;
                reading.window(&octets, names, &mut |piece| draft.copy(piece));
            }
            Stage::Run { at, end } => {
                draft.copy(&octets);
                *at += looked_at.len;
                if at == end {
                    return Ok(None);
                }
            }
        }
        Ok(Some(Step::Yield))
    }

    /// The end of a pass over header fields: before the second one their room is known.
    fn end_pass(&mut self, draft: &mut Draft, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let Stage::Fields(fields) = &mut self.stage else { return Ok(None) };
        match fields.1.end_pass(&mut |piece| draft.copy(piece)) {
            Pass::Send(size) => {
                draft.grow(u64::from(size), cx)?;
                Ok(Some(Step::Yield))
            }
            Pass::Done => Ok(None),
        }
    }

    fn locate(&mut self, summary: &[u8], size: u32) -> Result<(), Reply> {
        let view = SummaryView::new(summary).ok_or_else(|| bad_url(&self.url))?;
        self.stage = match (locate(&self.section, &view, size), Names::of(&self.section)) {
            (Located::Run(start, end), _) => {
                let (at, end) = clip(start, end, self.partial);
                Stage::Run { at, end }
            }
            (Located::Fields(start, end), Some(names)) => {
                let reading = Reading::new((start, end), &names, self.partial, &view);
                Stage::Fields(Box::new((names, reading)))
            }
            _ => return Err(bad_url(&self.url)),
        };
        Ok(())
    }
}

/// rfc4469#4.1. What may not stand in a response code is written as the URL should have had it.
fn bad_url(url: &[u8]) -> Reply {
    let mut shown = String::new();
    for &octet in url {
        match octet {
            b'!'..=b'~' if octet != b']' => shown.push(char::from(octet)),
            _ => shown.push_str(&format!("%{octet:02X}")),
        }
    }
    Reply::no(format!("[BADURL {shown}] That is no message of this account"))
}
