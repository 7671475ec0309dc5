//! Compares what the restarted server shows with what the ledger knows.

use std::collections::BTreeSet;

use crate::ledger::{Account, Ledger, Sure};
use crate::server::{PASSWORD, Server, Wire};

/// Checks every account; what turned out settles what was in doubt. Returns how many messages were found.
pub fn check(server: &Server, ledger: &mut Ledger) -> u64 {
    ledger.accounts.iter_mut().map(|account| check_account(server, account)).sum()
}

fn check_account(server: &Server, account: &mut Account) -> u64 {
    let mut wire = Wire::connect(server.port("IMAP", false)).unwrap();
    wire.line().unwrap();
    wire.imap("a", &format!("LOGIN {}@example.test \"{PASSWORD}\"", account.name)).unwrap();
    let selected = wire.imap("b", "SELECT INBOX").unwrap();
    check_counters(account, &selected);
    let mut found = BTreeSet::new();
    if !selected.iter().any(|line| line == "* 0 EXISTS") {
        let lines = wire.imap("c", "UID FETCH 1:* (UID FLAGS BODY.PEEK[])").unwrap();
        for pair in lines.windows(2).filter(|pair| pair[0].ends_with('}')) {
            let id = check_message(account, &pair[0], &pair[1]);
            assert!(found.insert(id.clone()), "{}: {id} is there twice", account.name);
        }
    }
    for (id, fate) in &mut account.messages {
        let here = found.contains(id);
        if here {
            assert_ne!(fate.gone, Sure::Yes, "{}: {id} was expunged and is back", account.name);
            (fate.stored, fate.gone) = (Sure::Yes, Sure::No);
        } else {
            let lost = fate.stored == Sure::Yes && fate.gone == Sure::No;
            assert!(!lost, "{}: {id} was acknowledged and is lost", account.name);
            // Whether it never came or went: it must not appear from here on.
            fate.gone = Sure::Yes;
        }
    }
    found.len() as u64
}

fn check_counters(account: &mut Account, selected: &[String]) {
    let code = |name: &str| -> u32 {
        let line = selected.iter().find_map(|line| line.split_once(name));
        let (_, rest) = line.unwrap_or_else(|| panic!("no {name} in {selected:?}"));
        rest.split(']').next().and_then(|number| number.trim().parse().ok()).expect("a number")
    };
    let (validity, next) = (code("[UIDVALIDITY"), code("[UIDNEXT"));
    assert_eq!(
        *account.uid_validity.get_or_insert(validity),
        validity,
        "{}: UIDVALIDITY changed",
        account.name
    );
    let highest = account.messages.values().filter_map(|fate| fate.uid).max().unwrap_or(0);
    assert!(next > highest && next >= account.uid_next, "{}: UIDNEXT fell to {next}", account.name);
    account.uid_next = next;
}

/// Checks one FETCH response and returns its Message-ID.
fn check_message(account: &mut Account, response: &str, body: &str) -> String {
    let id = body.split_once("Message-ID: <").and_then(|(_, rest)| rest.split_once('>')).map(|(id, _)| id);
    let id = id.unwrap_or_else(|| panic!("{}: an invented message: {body}", account.name)).to_string();
    let name = account.name.clone();
    let fate = account.messages.get_mut(&id).unwrap_or_else(|| panic!("{name}: {id} was never sent"));
    let trace =
        body.strip_suffix(fate.sent.as_str()).unwrap_or_else(|| panic!("{name}: {id} has other bytes"));
    let traced =
        trace.starts_with("Return-Path: <load@load.test>\r\nReceived: from ") && trace.ends_with("\r\n");
    assert!(if fate.traced { traced } else { trace.is_empty() }, "{name}: {id} has the trace {trace:?}");
    let uid: u32 = response
        .split_once("UID ")
        .and_then(|(_, rest)| rest.split([' ', ')']).next())
        .and_then(|uid| uid.parse().ok())
        .expect("a UID");
    assert_eq!(*fate.uid.get_or_insert(uid), uid, "{name}: {id} changed its UID");
    let flagged = response.contains("\\Flagged");
    match fate.flagged {
        Sure::Yes => assert!(flagged, "{name}: {id} lost its flag"),
        Sure::No => assert!(!flagged, "{name}: {id} was flagged by nobody"),
        Sure::Maybe => fate.flagged = if flagged { Sure::Yes } else { Sure::No },
    }
    id
}
