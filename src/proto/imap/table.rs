//! Which command is allowed when.
//!
//! *Owns*: the rules of every verb, as data. *Promises*: a new verb does not compile until it has its rule.
//! *Assumes*: the parser knows the names. *Never*: runs anything.

use super::command::{AclCommand, MetadataCommand, Program, QuotaCommand, Source, UrlCommand, Verb};

/// States of a connection, as a set (rfc3501#3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// Before login.
    pub const NOT_AUTHENTICATED: States = States(1);
    /// Logged in, nothing selected.
    pub const AUTHENTICATED: States = States(2);
    /// With a mailbox.
    pub const SELECTED: States = States(4);
    /// After login, with or without a mailbox.
    pub const LOGGED_IN: States = States(2 | 4);
    /// Always.
    pub const ANY: States = States(1 | 2 | 4);

    /// Whether `state` is in the set.
    pub fn allow(self, state: States) -> bool {
        self.0 & state.0 == state.0
    }
}

/// Where a command runs: the data stays where it is, the session goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Where the selected mailbox is, or at home.
    Here,
    /// At the user's account.
    Home,
    /// At the account that a mailbox name is in.
    Of(&'a str),
}

/// Where a command runs.
pub fn place(verb: &Verb) -> Place<'_> {
    match verb {
        Verb::Select(select) => Place::Of(&select.mailbox),
        Verb::Create { mailbox, .. } | Verb::Delete { mailbox } | Verb::Status { mailbox, .. } => {
            Place::Of(mailbox)
        }
        Verb::Rename { from, .. } => Place::Of(from),
        Verb::Append(append) if append.replaces.is_none() => Place::Of(&append.mailbox),
        Verb::Metadata(MetadataCommand::Get { mailbox, .. } | MetadataCommand::Set { mailbox, .. }) => {
            Place::Of(mailbox)
        }
        Verb::Acl(
            AclCommand::Set { mailbox, .. }
            | AclCommand::Delete { mailbox, .. }
            | AclCommand::Get { mailbox }
            | AclCommand::List { mailbox, .. }
            | AclCommand::Mine { mailbox },
        ) => Place::Of(mailbox),
        Verb::Quota(QuotaCommand::Root { mailbox }) => Place::Of(mailbox),
        Verb::Quota(_) | Verb::Subscribe { .. } | Verb::List(_) | Verb::Lsub { .. } | Verb::Notify(_) => {
            Place::Home
        }
        Verb::MultiSearch(search) if !search.sources.contains(&Source::Selected) => Place::Home,
        Verb::UrlAuth(UrlCommand::Generate(_) | UrlCommand::Reset { .. }) => Place::Home,
        _ => Place::Here,
    }
}

/// What holds for a command before anything is known of its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, for completions.
    pub name: &'static str,
    /// When it is allowed.
    pub states: States,
    /// Its message numbers must stand still: no EXPUNGE reply before its completion (rfc3501#7.4.1).
    pub numbers_stand: bool,
}

const fn rule(name: &'static str, states: States) -> Rule {
    Rule { name, states, numbers_stand: false }
}

/// A command with message numbers, or its UID form, during which EXPUNGE may be sent (rfc3501#6.4.8).
const fn numbered(uid: bool, name: &'static str, uid_name: &'static str) -> Rule {
    Rule { name: if uid { uid_name } else { name }, states: States::SELECTED, numbers_stand: !uid }
}

/// A command that looks for messages: its UID form counts as numbered if it looks at numbers
/// (rfc7162#3.2.10.2).
fn looking(uid: bool, program: &Program, name: &'static str, uid_name: &'static str) -> Rule {
    let numbers_stand = !uid || program.key.names_numbers();
    Rule { numbers_stand, ..numbered(uid, name, uid_name) }
}

/// The rule of a verb.
pub fn of(verb: &Verb) -> Rule {
    match verb {
        Verb::Capability => rule("CAPABILITY", States::ANY),
        Verb::Noop => rule("NOOP", States::ANY),
        Verb::Logout => rule("LOGOUT", States::ANY),
        Verb::Id(_) => rule("ID", States::ANY),
        Verb::Unauthenticate => rule("UNAUTHENTICATE", States::LOGGED_IN),
        Verb::StartTls => rule("STARTTLS", States::NOT_AUTHENTICATED),
        Verb::Compress => rule("COMPRESS", States::LOGGED_IN),
        Verb::Authenticate(_) => rule("AUTHENTICATE", States::NOT_AUTHENTICATED),
        Verb::Login { .. } => rule("LOGIN", States::NOT_AUTHENTICATED),
        // rfc5161#3.1 asks clients to do it before SELECT; rfc7162#3.1 foresees that they do not.
        Verb::Enable(_) => rule("ENABLE", States::LOGGED_IN),
        Verb::Select(select) if select.read_only => rule("EXAMINE", States::LOGGED_IN),
        Verb::Select(_) => rule("SELECT", States::LOGGED_IN),
        Verb::Create { .. } => rule("CREATE", States::LOGGED_IN),
        Verb::Delete { .. } => rule("DELETE", States::LOGGED_IN),
        Verb::Rename { .. } => rule("RENAME", States::LOGGED_IN),
        Verb::Subscribe { on: true, .. } => rule("SUBSCRIBE", States::LOGGED_IN),
        Verb::Subscribe { on: false, .. } => rule("UNSUBSCRIBE", States::LOGGED_IN),
        Verb::List(_) => rule("LIST", States::LOGGED_IN),
        Verb::Lsub { .. } => rule("LSUB", States::LOGGED_IN),
        Verb::Status { .. } => rule("STATUS", States::LOGGED_IN),
        Verb::Metadata(MetadataCommand::Get { .. }) => rule("GETMETADATA", States::LOGGED_IN),
        Verb::Metadata(MetadataCommand::Set { .. }) => rule("SETMETADATA", States::LOGGED_IN),
        Verb::Quota(QuotaCommand::Get { .. }) => rule("GETQUOTA", States::LOGGED_IN),
        Verb::Quota(QuotaCommand::Root { .. }) => rule("GETQUOTAROOT", States::LOGGED_IN),
        Verb::Quota(QuotaCommand::Set { .. }) => rule("SETQUOTA", States::LOGGED_IN),
        Verb::Acl(AclCommand::Set { .. }) => rule("SETACL", States::LOGGED_IN),
        Verb::Acl(AclCommand::Delete { .. }) => rule("DELETEACL", States::LOGGED_IN),
        Verb::Acl(AclCommand::Get { .. }) => rule("GETACL", States::LOGGED_IN),
        Verb::Acl(AclCommand::List { .. }) => rule("LISTRIGHTS", States::LOGGED_IN),
        Verb::Acl(AclCommand::Mine { .. }) => rule("MYRIGHTS", States::LOGGED_IN),
        Verb::UrlAuth(UrlCommand::Generate(_)) => rule("GENURLAUTH", States::LOGGED_IN),
        Verb::UrlAuth(UrlCommand::Reset { .. }) => rule("RESETKEY", States::LOGGED_IN),
        Verb::UrlAuth(UrlCommand::Fetch(_)) => rule("URLFETCH", States::LOGGED_IN),
        Verb::Namespace => rule("NAMESPACE", States::LOGGED_IN),
        Verb::Idle => rule("IDLE", States::LOGGED_IN),
        Verb::Notify(_) => rule("NOTIFY", States::LOGGED_IN),
        Verb::Check => rule("CHECK", States::SELECTED),
        Verb::Close => rule("CLOSE", States::SELECTED),
        Verb::Unselect => rule("UNSELECT", States::SELECTED),
        Verb::Append(append) => match append.replaces {
            None => rule("APPEND", States::LOGGED_IN),
            // rfc8508#3.5: in the selected state only.
            Some(replaced) => rule(if replaced.uid { "UID REPLACE" } else { "REPLACE" }, States::SELECTED),
        },
        Verb::Expunge { uids: None } => rule("EXPUNGE", States::SELECTED),
        Verb::Expunge { uids: Some(_) } => rule("UID EXPUNGE", States::SELECTED),
        Verb::Search(search) => looking(search.uid, &search.program, "SEARCH", "UID SEARCH"),
        Verb::Sort(sort) => looking(sort.uid, &sort.program, "SORT", "UID SORT"),
        Verb::Thread(thread) => looking(thread.uid, &thread.program, "THREAD", "UID THREAD"),
        Verb::CancelUpdate(_) => rule("CANCELUPDATE", States::SELECTED),
        Verb::UidBatches(_) => rule("UIDBATCHES", States::SELECTED),
        Verb::MultiSearch(_) => Rule { numbers_stand: true, ..rule("ESEARCH", States::LOGGED_IN) },
        Verb::Fetch(fetch) => numbered(fetch.uid, "FETCH", "UID FETCH"),
        Verb::Store(store) => numbered(store.uid, "STORE", "UID STORE"),
        // rfc2180#4.4: the one numbered command after which the client waits, so EXPUNGE may follow.
        Verb::Copy(copy) if copy.remove => rule(if copy.uid { "UID MOVE" } else { "MOVE" }, States::SELECTED),
        Verb::Copy(copy) => rule(if copy.uid { "UID COPY" } else { "COPY" }, States::SELECTED),
    }
}

/// Whether a command names messages by number, which a client that is told UIDs only cannot know
/// (rfc9586#3.2, #3.5).
pub fn names_numbers(verb: &Verb) -> bool {
    match verb {
        Verb::Fetch(fetch) => !fetch.uid,
        Verb::Store(store) => !store.uid,
        Verb::Copy(copy) => !copy.uid,
        Verb::Search(search) => !search.uid || search.program.key.names_numbers(),
        Verb::Sort(sort) => !sort.uid || sort.program.key.names_numbers(),
        Verb::Thread(thread) => !thread.uid || thread.program.key.names_numbers(),
        Verb::MultiSearch(search) => search.program.key.names_numbers(),
        // rfc9586#3.7: QRESYNC's message sequence match data.
        Verb::Select(select) => select.qresync.as_ref().is_some_and(|known| known.matches.is_some()),
        Verb::Append(append) => append.replaces.is_some_and(|replaced| !replaced.uid),
        _ => false,
    }
}
