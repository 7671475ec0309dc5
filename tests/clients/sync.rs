//! mbsync: a mailbox kept in two places.

use std::path::Path;
use std::process::Command;

use crate::server::{PASSWORD, Server, run};

/// Syncs alice with `near`, and returns what was said.
pub fn mbsync(folder: &Path, server: &Server) -> String {
    let (near, rc) = (folder.join("near"), folder.join("mbsyncrc"));
    std::fs::create_dir_all(&near).unwrap();
    let text = format!(
        "IMAPAccount ringpost\nHost localhost\nPort {}\nUser alice@example.test\nPass \"{PASSWORD}\"\nSSLType IMAPS\n\
         CertificateFile {}\n\nIMAPStore far\nAccount ringpost\n\nMaildirStore near\nPath {near}/\n\
         Inbox {near}/INBOX\nSubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\n\
         Expunge Both\nSyncState {state}/\n",
        server.port("IMAP", true),
        server.data.join("tls/certificate.pem").display(),
        near = near.display(),
        state = folder.display(),
    );
    std::fs::write(&rc, text).unwrap();
    run(Command::new("mbsync").args(["-c", rc.to_str().unwrap(), "-D", "all"]), "")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let folders = ["cur", "new"].map(|part| folder.join(part));
    let mut found: Vec<_> = folders
        .iter()
        .filter(|part| part.exists())
        .flat_map(|part| std::fs::read_dir(part).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    found.sort();
    found
}

/// How many of the IMAP commands that mbsync sent moved or changed a message.
pub fn moved(output: &str) -> usize {
    let verbs = ["BODY.PEEK[]", "STORE ", "APPEND ", "COPY ", "MOVE ", "EXPUNGE"];
    let sent = output.lines().filter(|line| line.contains(">>> "));
    sent.filter(|line| verbs.iter().any(|verb| line.contains(verb))).count()
}

#[test]
fn mbsync_syncs_both_ways_and_then_finds_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, "alice@example.test", subject);
    }
    let first = mbsync(folder.path(), &server);
    assert_eq!(moved(&first), 3, "{first}");
    let inbox = folder.path().join("near/INBOX");
    assert_eq!(files(&inbox).len(), 3, "{first}");
    assert!(folder.path().join("near/Sent").exists(), "{first}");
    // Something new here, something read here, something gone there.
    std::fs::write(inbox.join("cur/1.mine.here:2,S"), crate::message("mine").replace("\r\n", "\n")).unwrap();
    let old = files(&inbox).into_iter().find(|file| !file.to_str().unwrap().contains("mine")).unwrap();
    let read = inbox
        .join("cur")
        .join(format!("{}FS", old.file_name().unwrap().to_str().unwrap().replace(":2,", "") + ":2,"));
    std::fs::rename(&old, &read).unwrap();
    let second = mbsync(folder.path(), &server);
    let shown = server.admin(&["account", "show", "alice@example.test", "--json"], "");
    let row = shown.lines().find(|line| line.contains("INBOX")).unwrap().to_string();
    assert!(row.contains("\"messages\":4") && row.contains("\"unseen\":2"), "{row}\n{second}");
    let third = mbsync(folder.path(), &server);
    assert_eq!(moved(&third), 0, "{third}");
    assert_eq!(files(&inbox).len(), 4, "{third}");
}
