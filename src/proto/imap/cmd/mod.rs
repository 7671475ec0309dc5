//! The commands, one file a family.
//!
//! *Owns*: the way from a verb to the state machine that runs it. *Promises*: every command is a value with
//! one entry, `step`, called until it says [`Step::Done`]; a long one does bounded work a call and keeps a
//! UID as its cursor, so it does not mind what others do in between. *Assumes*: the table let it pass.
//! *Never*: lets one command call another.

use bytes::Bytes;

use super::command::Verb;
use super::pace::Progress;
use super::state::{Core, Enabled, Step, Wake};
use crate::proto::Cx;

mod fetch;
mod mailbox;
mod message;
mod search;
mod session;
mod sharing;

use mailbox::{edit, list, select, status};
use message::{append, copy, expunge, store};
pub use search::context::{Contexts, Sight};
pub use session::notify::Watch;
use session::{idle, login, notify, plain};
use sharing::{acl, metadata, quota, urlauth};

/// The command under way.
#[derive(Debug)]
pub enum Running {
    /// CAPABILITY, NOOP, CHECK, LOGOUT, STARTTLS, COMPRESS, ID, ENABLE, NAMESPACE
    Plain(plain::Plain),
    /// LOGIN, AUTHENTICATE
    Login(login::Login),
    /// SELECT, EXAMINE
    Select(select::Open),
    /// CLOSE, UNSELECT
    Close(select::Close),
    /// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
    Mailbox(edit::Edit),
    /// LIST, LSUB
    List(list::Listing),
    /// STATUS
    Status(status::Status),
    /// GETMETADATA, SETMETADATA
    Metadata(metadata::Metadata),
    /// GETQUOTA, GETQUOTAROOT, SETQUOTA
    Quota(quota::Quota),
    /// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS
    Acl(acl::Acl),
    /// GENURLAUTH, RESETKEY, URLFETCH
    UrlAuth(urlauth::UrlAuthorisation),
    /// IDLE
    Idle(idle::Idle),
    /// NOTIFY
    Notify(notify::Notify),
    /// No command: what NOTIFY asked to be told of.
    News(notify::News),
    /// APPEND, REPLACE
    Append(Box<append::Append>),
    /// EXPUNGE, UID EXPUNGE
    Expunge(expunge::Expunge),
    /// SEARCH
    Search(search::Search),
    /// ESEARCH
    MultiSearch(search::multi::MultiSearch),
    /// UIDBATCHES
    UidBatches(search::batches::Batches),
    /// SORT
    Sort(search::sort::Sort),
    /// THREAD
    Thread(search::thread::Thread),
    /// FETCH
    Fetch(fetch::Fetch),
    /// STORE
    Store(store::Store),
    /// COPY, MOVE
    Copy(copy::Copy),
}

impl Running {
    /// A command that has not begun; what was enabled decides on the form of some replies.
    pub fn new(verb: Verb, tag: &Bytes, enabled: Enabled) -> Running {
        match verb {
            Verb::Capability => Running::Plain(plain::Plain::Capability),
            Verb::Noop | Verb::Check => Running::Plain(plain::Plain::Noop),
            Verb::Logout => Running::Plain(plain::Plain::Logout),
            Verb::Id(pairs) => Running::Plain(plain::Plain::Id(pairs)),
            Verb::Enable(names) => Running::Plain(plain::Plain::Enable(names)),
            Verb::Namespace => Running::Plain(plain::Plain::Namespace),
            Verb::Unauthenticate => Running::Plain(plain::Plain::Unauthenticate),
            Verb::StartTls => Running::Plain(plain::Plain::StartTls),
            Verb::Compress => Running::Plain(plain::Plain::Compress),
            Verb::Authenticate(authenticate) => Running::Login(login::Login::authenticate(authenticate)),
            Verb::Login { user, password } => Running::Login(login::Login::plain(&user, password)),
            Verb::Select(select) => Running::Select(select::Open::new(select)),
            Verb::Close => Running::Close(select::Close::expunging()),
            Verb::Unselect => Running::Close(select::Close::keeping()),
            Verb::Create { mailbox: name, special_use } => {
                Running::Mailbox(edit::Edit::Create { name, special_use })
            }
            Verb::Delete { mailbox: name } => Running::Mailbox(edit::Edit::Delete { name }),
            Verb::Rename { from, to } => Running::Mailbox(edit::Edit::Rename { from, to }),
            Verb::Subscribe { mailbox: name, on } => Running::Mailbox(edit::Edit::Subscribe { name, on }),
            Verb::List(list) => Running::List(list::Listing::list(list)),
            Verb::Lsub { reference, pattern } => Running::List(list::Listing::lsub(&reference, &pattern)),
            Verb::Status { mailbox, items } => Running::Status(status::Status { mailbox, items }),
            Verb::Metadata(command) => Running::Metadata(metadata::Metadata::new(command)),
            Verb::Quota(command) => Running::Quota(quota::Quota(command)),
            Verb::Acl(command) => Running::Acl(acl::Acl::new(command)),
            Verb::UrlAuth(command) => Running::UrlAuth(urlauth::UrlAuthorisation::new(command)),
            Verb::Idle => Running::Idle(idle::Idle::default()),
            Verb::Notify(notify) => Running::Notify(notify::Notify::new(notify)),
            Verb::Append(append) => Running::Append(Box::new(append::Append::new(append))),
            Verb::Expunge { uids } => Running::Expunge(expunge::Expunge::new(uids)),
            Verb::Search(search) => Running::Search(search::Search::new(search, tag.clone())),
            Verb::MultiSearch(search) => {
                Running::MultiSearch(search::multi::MultiSearch::new(search, tag.clone()))
            }
            Verb::CancelUpdate(tags) => Running::Plain(plain::Plain::CancelUpdate(tags)),
            Verb::UidBatches(command) => {
                Running::UidBatches(search::batches::Batches::new(command, tag.clone()))
            }
            Verb::Sort(sort) => Running::Sort(search::sort::Sort::new(sort, tag.clone())),
            Verb::Thread(thread) => Running::Thread(search::thread::Thread::new(thread)),
            Verb::Fetch(fetch) => Running::Fetch(fetch::Fetch::new(fetch, enabled.uidonly)),
            Verb::Store(store) => Running::Store(store::Store::new(store)),
            Verb::Copy(copy) => Running::Copy(copy::Copy::new(copy)),
        }
    }

    /// Goes on as far as it can.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match self {
            Running::Plain(command) => command.step(core, cx),
            Running::Login(command) => command.step(wake, core, cx),
            Running::Select(command) => command.step(core, cx),
            Running::Close(command) => command.step(core, cx),
            Running::Mailbox(command) => command.step(wake, core, cx),
            Running::List(command) => command.step(core, cx),
            Running::Status(command) => command.step(core, cx),
            Running::Metadata(command) => command.step(wake, core, cx),
            Running::Quota(command) => command.step(wake, core, cx),
            Running::Acl(command) => command.step(wake, core, cx),
            Running::UrlAuth(command) => command.step(wake, core, cx),
            Running::Idle(command) => command.step(wake, core, cx),
            Running::Notify(command) => command.step(core, cx),
            Running::News(news) => news.step(wake, core, cx),
            Running::Append(command) => command.step(wake, core, cx),
            Running::Expunge(command) => command.step(wake, core, cx),
            Running::Search(command) => command.step(core, cx),
            Running::MultiSearch(command) => command.step(core, cx),
            Running::UidBatches(command) => command.step(core, cx),
            Running::Sort(command) => command.step(core, cx),
            Running::Thread(command) => command.step(core, cx),
            Running::Fetch(command) => command.step(wake, core, cx),
            Running::Store(command) => command.step(wake, core, cx),
            Running::Copy(command) => command.step(wake, core, cx),
        }
    }

    /// How far it is, for a client that waits long; none where it is in the middle of a reply.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Running::Fetch(command) => command.progress(),
            Running::Search(command) => Some(command.progress()),
            Running::MultiSearch(command) => Some(command.progress()),
            Running::Sort(command) => Some(command.progress()),
            Running::Thread(command) => Some(command.progress()),
            _ => Some(Progress::default()),
        }
    }

    /// Octets of a streamed literal.
    pub fn message(&mut self, octets: &[u8]) {
        if let Running::Append(append) = self {
            append.message(octets);
        }
    }

    /// Octets of a message held in memory.
    pub fn buffered(&self) -> usize {
        match self {
            Running::Append(append) => append.buffered(),
            _ => 0,
        }
    }

    /// What is told between two commands.
    pub fn news() -> Running {
        Running::News(notify::News::default())
    }

    /// Whether it is no command, and has no completion.
    pub fn is_news(&self) -> bool {
        matches!(self, Running::News(_))
    }

    /// Whether the client wants news as they come.
    pub fn is_idle(&self) -> bool {
        matches!(self, Running::Idle(_))
    }
}
