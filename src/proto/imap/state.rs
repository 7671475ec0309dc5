//! What all commands of a session share, and how a command and its session talk.
//!
//! *Owns*: who is logged in, what is selected, what is enabled. *Promises*: a command learns of the world
//! by [`Wake`] and answers by [`Step`], nothing else. *Assumes*: one command at a time. *Never*: keeps
//! store data, ids excepted.

use bytes::{Bytes, BytesMut};
use ringpost_engine::change::{Change, Outcome, Rights, UidSet};
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Uid};
use ringpost_engine::index::{AccountRef, MailboxRef};
use ringpost_engine::octets::Octets;
use ringpost_engine::origin::Origin;

use super::access;
use super::capability;
use super::cmd::Watch;
use super::cut::Cut;
use super::framer::Literal;
use super::out::Out;
use super::reply::{self, Name, Reply};
use super::table::Place;
use super::view::{OutOfRange, Tell, View};
use crate::proto::identity::Identity;
use crate::proto::{self, Cx, Output, Peer};

/// Why a command is called.
#[derive(Debug)]
pub enum Wake {
    /// For the first time, or what it waited for is there: warmed extents, room for output, its turn.
    Go,
    /// The change it awaited is applied.
    Committed(Outcome),
    /// The shard's answer to a [`Step::Ask`].
    Replied(proto::Reply),
    /// A line of the client, without its end (AUTHENTICATE, IDLE).
    Line(Bytes),
    /// What the client wrote behind a streamed literal, up to the next one or to the command's end.
    Text {
        /// Without announcement and line end.
        text: Bytes,
        /// What is announced; taken by [`Step::Literal`].
        literal: Option<Literal>,
    },
}

/// What a command says at the end of a call.
#[derive(Debug)]
pub enum Step {
    /// It is complete: the view's news, then this completion.
    Done(Reply),
    /// Call again when this position is applied.
    Commit(Lsn),
    /// Call again when these runs are in memory.
    Warm(Vec<Octets>),
    /// Call again after other sessions had their turn.
    Yield,
    /// Call again when there is room for output.
    Room,
    /// Hand this to the shard and call again with its reply.
    Ask(Output),
    /// Call again with the client's next line.
    Line,
    /// Take the announced literal: it goes to [`Running::message`](super::cmd::Running::message), then call
    /// again with the text behind it.
    Literal,
    /// It is complete: this completion, then what the connection is to do behind it.
    Then(Reply, Output),
    /// It is complete: this completion, then the TLS handshake.
    Handshake(Reply),
    /// The last word is said (BYE included): close after this completion.
    Leave(Reply),
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Step {
        Step::Done(reply)
    }
}

/// The authenticated user.
#[derive(Clone, Debug)]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// Its address, for the log line.
    pub address: String,
    /// Capabilities that its clients are not shown, as of its login: where the account is not at hand.
    pub hidden: Vec<String>,
}

/// What a client switched on, by ENABLE (rfc5161) or by using it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// A CONDSTORE enabling command was given (rfc7162#3.1).
    pub condstore: bool,
    /// VANISHED stands for EXPUNGE (rfc7162#3.2.3); CONDSTORE is on with it.
    pub qresync: bool,
    /// UTF-8 stands in quoted strings and mailbox names (rfc9755#3).
    pub utf8: bool,
    /// The client speaks IMAP4rev2 (rfc9051#6.3.1).
    pub rev2: bool,
    /// Messages are named by UID only (rfc9586#3).
    pub uidonly: bool,
}

impl Enabled {
    /// Whether mailbox names and quoted strings are UTF-8 both ways (rfc9755#3, rfc9051#5.1).
    pub fn utf8_names(self) -> bool {
        self.utf8 || self.rev2
    }

    /// How this client is told of a message.
    pub fn name(self, number: u32, uid: Uid) -> Name {
        if self.uidonly { Name::Uid(uid) } else { Name::Number(number) }
    }
}

/// What all commands share.
#[derive(Debug)]
pub struct Core {
    /// The connection.
    pub peer: Peer,
    /// Who is logged in.
    pub user: Option<User>,
    /// The address whose account's shard the session is on; empty before login.
    pub here: String,
    /// The selected mailbox.
    pub view: Option<View>,
    /// The address of its owner.
    pub selected_at: String,
    /// What NOTIFY asked for; none before its first use.
    pub watch: Option<Box<Watch>>,
    /// What the client switched on for the rest of the connection.
    pub enabled: Enabled,
    /// What the client gets.
    pub out: Out,
    /// Compression is on (rfc4978#3).
    pub compressed: bool,
    /// What the command under way leaves undone.
    pub cut: Option<Cut>,
    /// The client sent more behind the command that begins.
    pub pipelined: bool,
    /// Logins that failed.
    pub login_failures: u32,
    /// Messages sent by FETCH, for the log line.
    pub fetched: u64,
    /// How it is named in the log.
    pub identity: Identity,
}

impl Core {
    /// At the start of a connection.
    pub fn new(peer: Peer) -> Core {
        Core {
            peer,
            user: None,
            here: String::new(),
            view: None,
            selected_at: String::new(),
            watch: None,
            enabled: Enabled::default(),
            out: Out::default(),
            compressed: false,
            cut: None,
            pipelined: false,
            login_failures: 0,
            fetched: 0,
            identity: Identity::default(),
        }
    }

    /// The account, for commands that the table allows only after login.
    pub fn account<'a>(&self, cx: &'a Cx<'_>) -> Result<AccountRef<'a>, Reply> {
        let user = self.user.as_ref().ok_or_else(|| Reply::bad("Log in first"))?;
        cx.store.account(user.account).ok_or_else(|| Reply::no("[UNAVAILABLE] The account is gone"))
    }

    /// Capabilities that the user's clients are not shown, wherever the session is.
    pub fn hidden<'a>(&'a self, cx: &'a Cx<'_>) -> &'a [String] {
        let Some(user) = &self.user else { return &[] };
        cx.store.account(user.account).map_or(&user.hidden, |account| account.hidden_capabilities())
    }

    /// The capabilities of this moment.
    pub fn capabilities(&self, cx: &Cx<'_>) -> BytesMut {
        let facts = capability::Facts {
            peer: &self.peer,
            server: cx.server,
            logged_in: self.user.is_some(),
            compressed: self.compressed,
            hidden: self.hidden(cx),
        };
        let mut text = BytesMut::new();
        capability::write(&mut text, facts);
        text
    }

    /// Forgets who was logged in and all that the client switched on (rfc8437#3, #4.1), TLS aside.
    pub fn forget_user(&mut self) {
        let peer = self.peer.clone();
        let mut out = std::mem::take(&mut self.out);
        out.spell_names_in_utf8(false);
        let (login_failures, fetched) = (self.login_failures, self.fetched);
        let identity = std::mem::take(&mut self.identity).without_user();
        *self = Core { out, login_failures, fetched, identity, ..Core::new(peer) };
    }

    /// The id of the account that [`Core::account`] shows.
    pub fn account_id(&self) -> AccountId {
        self.user.as_ref().map_or(AccountId(0), |user| user.account)
    }

    /// Moves the session to the shard that owns an address; the command is called again there.
    pub fn go_to(&mut self, address: String) -> Step {
        self.here.clone_from(&address);
        Step::Ask(Output::Handoff { address })
    }

    /// Where the session stays between two commands: at the selected mailbox, so that it is pushed, or at
    /// home. None if it is there.
    pub fn way_back(&self) -> Option<String> {
        let user = self.user.as_ref()?;
        let rest = if self.view.is_some() { &self.selected_at } else { &user.address };
        (*rest != self.here).then(|| rest.clone())
    }

    /// Whether the selected mailbox is on another shard than the session may be on now: then nothing can be
    /// said of it.
    pub fn is_away(&self) -> bool {
        self.view.is_some() && self.here != self.selected_at
    }

    /// The client put messages into a mailbox; none to tell it of by NOTIFY.
    pub fn note_own_new(&mut self, account: AccountId, mailbox: MailboxId, uids: &UidSet) {
        if let Some(watch) = &mut self.watch {
            watch.note_own_new(account, mailbox, uids);
        }
    }

    /// Whether the session is where the user's own mailboxes are.
    pub fn is_home(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.address == self.here)
    }

    /// The way to where a command has to run; none if that is here.
    pub fn way_to(&self, place: Place<'_>) -> Option<String> {
        let user = self.user.as_ref()?;
        let wanted = match place {
            Place::Here => return None,
            Place::Home => &user.address,
            Place::Of(name) => access::split_other(name).map_or(user.address.as_str(), |(owner, _)| owner),
        };
        (wanted != self.here).then(|| wanted.to_owned())
    }

    /// What the user may do with the selected mailbox.
    pub fn selected_rights(&self, cx: &Cx<'_>) -> Rights {
        match (&self.user, self.selected(cx)) {
            (Some(user), Ok((view, mailbox))) => access::rights(mailbox, view.account(), user),
            _ => Rights::NONE,
        }
    }

    /// Whether the user has a right to the selected mailbox.
    pub fn require(&self, cx: &Cx<'_>, needed: Rights) -> Result<(), Reply> {
        match self.selected(cx) {
            Ok(_) if !self.selected_rights(cx).contains(needed) => {
                Err(Reply::no("[NOPERM] The rights do not suffice"))
            }
            found => found.map(drop),
        }
    }

    /// The view and its mailbox, for commands that the table allows only with a mailbox selected.
    pub fn selected<'a>(&'a self, cx: &'a Cx<'_>) -> Result<(&'a View, MailboxRef<'a>), Reply> {
        let view = self.view.as_ref().ok_or_else(|| Reply::bad("Select a mailbox first"))?;
        let mailbox = view.mailbox(cx.store).filter(|_| !view.is_lost());
        Ok((view, mailbox.ok_or_else(|| Reply::no("[NONEXISTENT] The selected mailbox is gone"))?))
    }

    /// The same, for commands that change it.
    pub fn selected_for_writing<'a>(&'a self, cx: &'a Cx<'_>) -> Result<(&'a View, MailboxRef<'a>), Reply> {
        let (view, mailbox) = self.selected(cx)?;
        if view.read_only() {
            return Err(Reply::no("[CANNOT] The mailbox was opened read-only"));
        }
        Ok((view, mailbox))
    }

    /// Queues a change of the user's account.
    pub fn append(&mut self, cx: &mut Cx<'_>, change: Change) -> Result<Lsn, Reply> {
        self.append_to(self.account_id(), cx, change)
    }

    /// Queues a change of an account that the user has the rights to.
    pub fn append_to(&mut self, account: AccountId, cx: &mut Cx<'_>, change: Change) -> Result<Lsn, Reply> {
        let by = self.origin(cx);
        cx.store.append_by(by, account, change, cx.now).map_err(Reply::from)
    }

    /// How the log names this session.
    fn origin(&mut self, cx: &mut Cx<'_>) -> Origin {
        let user = self.user.as_ref().map_or("", |user| &user.address);
        self.identity.origin(&self.peer, user, cx)
    }

    /// Queues a change of the selected mailbox.
    pub fn append_selected(&mut self, cx: &mut Cx<'_>, change: Change) -> Result<Lsn, Reply> {
        let account = self.view.as_ref().map_or(AccountId(0), |view| view.account());
        self.append_to(account, cx, change)
    }

    /// Notes expunges of the selected mailbox, which are remembered for a while only, and whether the user may
    /// still read it (rfc4314#4). To be called whenever the store may have changed.
    pub fn absorb(&mut self, cx: &Cx<'_>) {
        let away = self.is_away();
        let (Some(view), Some(user), false) = (&mut self.view, &self.user, away) else { return };
        view.absorb(cx.store);
        let rights = view.mailbox(cx.store).map(|mailbox| access::rights(mailbox, view.account(), user));
        if !rights.is_some_and(|rights| rights.contains(Rights::READ)) {
            view.lose();
        }
    }

    /// Tells what is new in the view, as far as there is room. Whether all is told.
    pub fn tell(&mut self, cx: &mut Cx<'_>, expunge: bool) -> bool {
        self.absorb(cx);
        let tell = Tell { expunge, growth: true, flags: true, enabled: self.enabled };
        let Some(view) = &mut self.view else { return true };
        view.tell(cx.store, &mut self.out, tell)
    }

    /// Takes `\Recent` of what was told from other sessions. IDLE leaves that to its end, so that a push to
    /// a waiting client writes nothing: who was not certainly told first may see it as recent
    /// (rfc3501#2.3.2).
    pub fn claim_recent(&mut self, cx: &mut Cx<'_>) {
        if let Some(view) = &mut self.view
            && let Some(change) = view.claim_recent(cx.store)
        {
            // Nobody waits for it: if it is refused, another session sees the same messages as recent, no
            // more.
            let _refused_is_harmless = cx.store.append(view.account(), change, cx.now);
        }
    }

    /// A CONDSTORE enabling command was given (rfc7162#3.1): the first one shows HIGHESTMODSEQ of what is
    /// selected.
    pub fn enable_condstore(&mut self, cx: &Cx<'_>) {
        if self.enabled.condstore {
            return;
        }
        self.enabled.condstore = true;
        self.show_highest_modseq(cx);
    }

    /// HIGHESTMODSEQ of what is selected, if anything is.
    pub fn show_highest_modseq(&mut self, cx: &Cx<'_>) {
        let highest = self.selected(cx).ok().map(|(_, mailbox)| mailbox.highest_modseq());
        if let Some(highest) = highest {
            reply::highest_modseq(self.out.text(), highest);
        }
    }
}

impl From<OutOfRange> for Reply {
    fn from(_: OutOfRange) -> Reply {
        Reply::bad("No message has that number")
    }
}
