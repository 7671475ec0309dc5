//! neomutt: a person's session, typed into a terminal.

use std::path::Path;
use std::process::Command;

use crate::server::{PASSWORD, Server, run};

/// Writes the settings: CONDSTORE and QRESYNC with a header cache, compression, IDLE.
fn settings(folder: &Path, server: &Server) -> String {
    let rc = folder.join("muttrc");
    let text = format!(
        "set folder=\"imaps://localhost:{}/\" spoolfile=+INBOX record=+Sent trash=+Trash postponed=+Drafts\n\
         set imap_user=alice@example.test imap_pass=\"{PASSWORD}\" from=alice@example.test realname=Alice\n\
         set ssl_ca_certificates_file={} header_cache={folder}/cache\n\
         set imap_condstore imap_qresync imap_deflate imap_idle imap_check_subscribed\n\
         set smtp_url=smtp://localhost:{} ssl_starttls=no ssl_force_tls=no\n\
         set delete=yes quit=yes copy=yes move=no confirmappend=no confirmcreate=no mark_old=no wait_key=no\n\
         set editor=true abort_unmodified=no abort_nosubject=no\n\
         set debug_level=2 debug_file={folder}/debug\n",
        server.port("IMAP", true),
        server.data.join("tls/certificate.pem").display(),
        server.port("SMTP", false),
        folder = folder.display(),
    );
    std::fs::write(&rc, text).unwrap();
    rc.display().to_string()
}

/// Types `keys` into a neomutt that has opened the INBOX. A terminal is made by `script`.
fn type_into(folder: &Path, rc: &str, keys: &str) {
    std::fs::write(folder.join("keys"), format!("push \"{keys}\"\n")).unwrap();
    let command = format!("neomutt -F {rc} -e 'source {}/keys'", folder.display());
    let mut terminal = Command::new("timeout");
    terminal.env("TERM", "xterm").env("HOME", folder).env("LC_ALL", "C.UTF-8");
    run(terminal.args(["30", "script", "--quiet", "--return", "--command", &command, "/dev/null"]), "");
}

fn row(server: &Server, mailbox: &str) -> String {
    let shown = server.admin(&["account", "show", "alice@example.test", "--json"], "");
    shown.lines().find(|line| line.contains(&format!("\"{mailbox}\""))).unwrap_or_default().to_string()
}

#[test]
fn neomutt_reads_flags_copies_saves_deletes_and_sends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    for subject in ["one", "two", "three", "four"] {
        crate::deliver(&server, "alice@example.test", subject);
    }
    let rc = settings(folder.path(), &server);
    type_into(
        folder.path(),
        &rc,
        "<limit>~A<enter><search>~s one<enter><flag-message><search>~s two<enter><display-message><exit>\
         <copy-message>+Archive<enter><search>~b dots<enter><search>~s three<enter><save-message>+Projects<enter>\
         <delete-pattern>~s four<enter><sync-mailbox><quit>",
    );
    let debug = || {
        std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("debug"))
            .map(|path| std::fs::read_to_string(path).unwrap_or_default())
            .collect::<String>()
    };
    for (mailbox, messages) in [("INBOX", 2), ("Archive", 1), ("Projects", 1), ("Trash", 1)] {
        let shown = row(&server, mailbox);
        assert!(shown.contains(&format!("\"messages\":{messages},")), "{mailbox}: {shown}\n{}", debug());
    }
    assert!(row(&server, "INBOX").contains("\"unseen\":1"), "{}", row(&server, "INBOX"));
    // Sent to herself by SMTP, kept in Sent by APPEND; the editor leaves the message as it is.
    let keys = "<mail>alice@example.test<enter>greetings<enter><send-message><quit>";
    type_into(folder.path(), &rc, keys);
    assert!(row(&server, "Sent").contains("\"messages\":1,"), "{}", debug());
    assert!(row(&server, "INBOX").contains("\"messages\":3,"), "{}", debug());
    // Back with the cache: what changed meanwhile is learnt.
    type_into(folder.path(), &rc, "<limit>~A<enter><delete-pattern>~s greetings<enter><sync-mailbox><quit>");
    assert!(row(&server, "INBOX").contains("\"messages\":2,"), "{}", debug());
    assert!(row(&server, "Trash").contains("\"messages\":2,"), "{}", debug());
}
