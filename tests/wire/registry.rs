//! The capability line, word by word, against the names that IANA has registered.
//!
//! *Owns*: the registry's names, typed from the RFCs that register them, and what may be shown in which state.
//! *Promises*: a name in other letters, an unknown one, one shown in the wrong state or twice fails; so does a
//! shown one that no transcript is about. *Assumes*: transcripts cite their RFCs in remarks. *Never*: asks the
//! server's own table what is right.

use std::collections::BTreeSet;

use ringpost::proto::{Server, Service};

use crate::files::{Transcript, transcripts};
use crate::world::{World, server};

/// Names of the "IMAP Capabilities" registry and the RFCs that say what they mean. A name that ends by `=` has
/// a value.
const REGISTERED: &[(&str, &[u16])] = &[
    ("ACL", &[4314]),
    ("ANNOTATE-EXPERIMENT-1", &[5257]),
    ("APPENDLIMIT", &[7889]),
    ("APPENDLIMIT=", &[7889]),
    ("AUTH=", &[3501, 9051]),
    ("BINARY", &[3516]),
    ("CATENATE", &[4469]),
    ("CHILDREN", &[3348, 5258]),
    ("COMPRESS=DEFLATE", &[4978]),
    ("CONDSTORE", &[7162]),
    ("CONTEXT=SEARCH", &[5267]),
    ("CONTEXT=SORT", &[5267]),
    ("CONVERT", &[5259]),
    ("CREATE-SPECIAL-USE", &[6154]),
    ("ENABLE", &[5161]),
    ("ESEARCH", &[4731]),
    ("ESORT", &[5267]),
    ("FILTERS", &[5466]),
    ("I18NLEVEL=1", &[5255]),
    ("I18NLEVEL=2", &[5255]),
    ("ID", &[2971]),
    ("IDLE", &[2177]),
    ("IMAP4rev1", &[3501]),
    ("IMAP4rev2", &[9051]),
    ("IMAPSIEVE=", &[6785]),
    ("INPROGRESS", &[9585]),
    ("JMAPACCESS", &[9698]),
    ("LANGUAGE", &[5255]),
    ("LIST-EXTENDED", &[5258]),
    ("LIST-METADATA", &[9590]),
    ("LIST-MYRIGHTS", &[8440]),
    ("LIST-STATUS", &[5819]),
    ("LITERAL+", &[7888]),
    ("LITERAL-", &[7888]),
    ("LOGIN-REFERRALS", &[2221]),
    ("LOGINDISABLED", &[3501, 9051]),
    ("MAILBOX-REFERRALS", &[2193]),
    ("MESSAGELIMIT=", &[9738]),
    ("METADATA", &[5464]),
    ("METADATA-SERVER", &[5464]),
    ("MOVE", &[6851]),
    ("MULTIAPPEND", &[3502]),
    ("MULTISEARCH", &[7377]),
    ("NAMESPACE", &[2342]),
    ("NOTIFY", &[5465]),
    ("OBJECTID", &[8474]),
    ("PARTIAL", &[9394]),
    ("PREVIEW", &[8970]),
    ("QRESYNC", &[7162]),
    ("QUOTA", &[9208]),
    ("QUOTA=RES-STORAGE", &[9208]),
    ("QUOTA=RES-MESSAGE", &[9208]),
    ("QUOTA=RES-MAILBOX", &[9208]),
    ("QUOTA=RES-ANNOTATION-STORAGE", &[9208]),
    ("QUOTASET", &[9208]),
    ("REPLACE", &[8508]),
    ("RIGHTS=", &[4314]),
    ("SASL-IR", &[4959]),
    ("SAVEDATE", &[8514]),
    ("SAVELIMIT=", &[9738]),
    ("SEARCH=FUZZY", &[6203]),
    ("SEARCHRES", &[5182]),
    ("SORT", &[5256]),
    ("SORT=DISPLAY", &[5957]),
    ("SPECIAL-USE", &[6154]),
    ("STARTTLS", &[3501, 9051]),
    ("STATUS=SIZE", &[8438]),
    ("THREAD=ORDEREDSUBJECT", &[5256]),
    ("THREAD=REFERENCES", &[5256]),
    ("UIDBATCHES", &[10022]),
    ("UIDONLY", &[9586]),
    ("UIDPLUS", &[4315]),
    ("UNAUTHENTICATE", &[8437]),
    ("UNSELECT", &[3691]),
    ("URL-PARTIAL", &[5550]),
    ("URLAUTH", &[4467]),
    ("URLAUTH=BINARY", &[5524]),
    ("UTF8=ACCEPT", &[9755]),
    ("UTF8=ONLY", &[9755]),
    ("WITHIN", &[5032]),
];

/// Shown without being registered: drafts that clients and servers agreed on before there was an RFC, and what
/// their transcripts cite instead.
const UNREGISTERED: &[(&str, &str)] =
    &[("THREAD=REFS", "draft-ietf-morg-inthread"), ("SNIPPET=FUZZY", "SNIPPET=FUZZY")];

/// What may be shown before login. The rest speaks of mailboxes that nobody has yet.
const BEFORE_LOGIN: &[&str] = &[
    "IMAP4rev1",
    "IMAP4rev2",
    "APPENDLIMIT=",
    "AUTH=",
    "ENABLE",
    "ID",
    "LITERAL+",
    "LITERAL-",
    "LOGIN-REFERRALS",
    "LOGINDISABLED",
    "SASL-IR",
    "STARTTLS",
];
/// What ends with login.
const NOT_AFTER_LOGIN: &[&str] = &["STARTTLS", "LOGINDISABLED", "AUTH="];

/// States of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without TLS, where passwords need it.
    Locked,
    /// Without TLS, where they do not.
    Plain,
    /// With TLS.
    Tls,
    LoggedIn,
    Selected,
}

const STATES: [State; 5] = [State::Locked, State::Plain, State::Tls, State::LoggedIn, State::Selected];

/// The words of the capability line in a state, by CAPABILITY; the greeting and the answer to LOGIN must say
/// the same.
fn shown(state: State) -> Vec<String> {
    let facts = Server { plaintext_login: state != State::Locked, ..server() };
    let mut world = World::new(1, &facts);
    world.connect(1, Service::Imap, !matches!(state, State::Locked | State::Plain));
    let mut code = code(&world, 1);
    if matches!(state, State::LoggedIn | State::Selected) {
        world.receive(1, b"l LOGIN alice@example.test secret\r\n");
        code = self::code(&world, 1);
    }
    if state == State::Selected {
        world.receive(1, b"s SELECT INBOX\r\n");
    }
    world.receive(1, b"c CAPABILITY\r\n");
    let heard = String::from_utf8_lossy(world.heard(1)).into_owned();
    let line = heard.lines().rev().find_map(|line| line.strip_prefix("* CAPABILITY ")).expect("an answer");
    assert_eq!(line, code, "{state:?}: the response code and the command differ");
    line.split(' ').map(str::to_owned).collect()
}

/// The words of the last CAPABILITY response code that a client heard.
fn code(world: &World, conn: u64) -> String {
    let heard = String::from_utf8_lossy(world.heard(conn)).into_owned();
    let (_, after) = heard.rsplit_once("[CAPABILITY ").expect("a response code");
    after.split_once(']').expect("its end").0.to_owned()
}

/// The row of a shown name.
fn registered(word: &str) -> Option<&'static (&'static str, &'static [u16])> {
    REGISTERED.iter().find(|(name, _)| match name.strip_suffix('=') {
        Some(_) => word.strip_prefix(name).is_some_and(|value| !value.is_empty()),
        None => word == *name,
    })
}

fn is_among(word: &str, names: &[&str]) -> bool {
    names.iter().any(|name| word == *name || name.ends_with('=') && word.starts_with(name))
}

#[test]
fn every_capability_is_spelled_as_registered() {
    for state in STATES {
        let words = shown(state);
        for word in &words {
            let known = registered(word).is_some() || UNREGISTERED.iter().any(|(name, _)| word == name);
            assert!(known, "{state:?}: {word} is not a registered name");
        }
        let once: BTreeSet<&String> = words.iter().collect();
        assert_eq!(once.len(), words.len(), "{state:?}: a name is shown twice: {words:?}");
    }
}

#[test]
fn every_capability_is_shown_when_it_can_be_used() {
    for state in STATES {
        let words = shown(state);
        let shows = |name: &str| words.iter().any(|word| is_among(word, &[name]));
        let logged_in = matches!(state, State::LoggedIn | State::Selected);
        for word in &words {
            let right =
                if logged_in { !is_among(word, NOT_AFTER_LOGIN) } else { is_among(word, BEFORE_LOGIN) };
            assert!(right, "{word} is shown when {state:?}");
        }
        assert!(shows("IMAP4rev1"), "rfc3501#7.2.1: {state:?}");
        // rfc3501#6.2.1 and #6.2.3
        assert_eq!(shows("STARTTLS"), matches!(state, State::Locked | State::Plain), "{state:?}");
        assert_eq!(shows("LOGINDISABLED"), state == State::Locked, "{state:?}");
        assert_eq!(shows("AUTH="), matches!(state, State::Plain | State::Tls), "{state:?}");
        // rfc7888#5: one of the two.
        assert!(!(shows("LITERAL+") && shows("LITERAL-")), "{state:?}");
        // What implies another shows it too (rfc7162#3.2.3, rfc9208#3.1, rfc5464#1, rfc6154#5.2).
        for (one, other) in [
            ("QRESYNC", "CONDSTORE"),
            ("QUOTA=RES-STORAGE", "QUOTA"),
            ("QUOTASET", "QUOTA"),
            ("CREATE-SPECIAL-USE", "SPECIAL-USE"),
            ("RIGHTS=", "ACL"),
            ("SORT=DISPLAY", "SORT"),
            ("ESORT", "SORT"),
            ("CONTEXT=SORT", "ESORT"),
            ("CONTEXT=SEARCH", "ESEARCH"),
        ] {
            assert!(!shows(one) || shows(other), "{state:?}: {one} without {other}");
        }
    }
}

#[test]
fn what_is_hidden_from_an_account_is_not_shown_to_its_clients() {
    let all = shown(State::LoggedIn);
    let mut world = World::new(1, &server());
    world.hide("alice@example.test", &["UIDONLY", "QRESYNC", "IMAP4rev2"]);
    for (conn, address, hidden) in [(1, "alice", true), (2, "bob", false)] {
        world.connect(conn, Service::Imap, true);
        world.receive(conn, format!("l LOGIN {address}@example.test secret\r\n").as_bytes());
        let words: Vec<String> = code(&world, conn).split(' ').map(str::to_owned).collect();
        let left = |word: &&String| !["UIDONLY", "QRESYNC", "IMAP4rev2"].contains(&word.as_str());
        let wanted: Vec<String> =
            if hidden { all.iter().filter(left).cloned().collect() } else { all.clone() };
        assert_eq!(words, wanted, "{address}");
    }
}

#[test]
fn what_is_hidden_stays_so_with_another_users_mailbox_selected() {
    for shards in [1, 2, 3] {
        let mut world = World::new(shards, &server());
        world.hide("bob@example.test", &["UIDONLY"]);
        for (conn, user) in [(1, "alice"), (2, "bob")] {
            world.connect(conn, Service::Imap, true);
            world.receive(conn, format!("l LOGIN {user}@example.test secret\r\n").as_bytes());
        }
        world.receive(1, b"a SETACL INBOX bob@example.test lr\r\n");
        world.receive(2, b"a EXAMINE \"Other Users/alice@example.test/INBOX\"\r\n");
        world.receive(2, b"b ENABLE UIDONLY\r\nc CAPABILITY\r\n");
        let heard = String::from_utf8_lossy(world.heard(2)).into_owned();
        assert!(heard.contains("a OK ") && heard.contains("c OK "), "{heard}");
        assert!(!heard.contains("UIDONLY"), "{shards} shards: {heard}");
    }
}

#[test]
fn every_capability_has_a_transcript_that_cites_its_rfc() {
    let transcripts = transcripts("imap");
    let about = |cited: &str| -> Vec<&str> {
        transcripts.iter().filter(|file| file.cites(cited)).map(|file| file.name.as_str()).collect()
    };
    let words: BTreeSet<String> = STATES.into_iter().flat_map(shown).collect();
    let mut without = Vec::new();
    println!("{} transcripts of IMAP; {} capabilities:", transcripts.len(), words.len());
    for word in &words {
        let cited: Vec<String> = match registered(word) {
            Some((_, rfcs)) => rfcs.iter().map(|rfc| format!("rfc{rfc}")).collect(),
            None => UNREGISTERED.iter().filter(|row| row.0 == word).map(|row| row.1.to_owned()).collect(),
        };
        let files: BTreeSet<&str> = cited.iter().flat_map(|cited| about(cited)).collect();
        println!("  {word}: {} ({})", files.len(), files.iter().copied().collect::<Vec<_>>().join(", "));
        if files.is_empty() {
            without.push(format!("{word} ({})", cited.join(", ")));
        }
    }
    assert!(without.is_empty(), "no transcript cites: {without:?}");
}

#[test]
fn the_readme_names_every_capability() {
    let readme = include_str!("../../README.md");
    let named: BTreeSet<&str> = readme.split([' ', ',', '|', '\n', '.']).collect();
    for word in shown(State::LoggedIn) {
        let name = if word.starts_with("APPENDLIMIT=") { "APPENDLIMIT" } else { word.as_str() };
        assert!(named.contains(name), "README.md does not say that {name} is offered");
    }
}

impl Transcript {
    /// Whether a remark names it; `RFC 5258` is `rfc5258`.
    fn cites(&self, what: &str) -> bool {
        let remarks = self.text.lines().filter(|line| line.starts_with('#'));
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
        remarks
            .map(|line| line.replace("RFC ", "rfc"))
            .any(|line| line.match_indices(what).any(|(at, _)| ends(&line[at + what.len()..])))
    }
}
