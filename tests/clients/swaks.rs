//! swaks: SMTP, LMTP, STARTTLS, AUTH.

use std::process::Command;

use crate::server::{PASSWORD, Server, run, try_run};

fn swaks(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new("swaks");
    command.args(["--server", "127.0.0.1", "--port", &port.to_string(), "--timeout", "20"]).args(arguments);
    command
}

#[test]
fn swaks_delivers_by_every_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    let alice = ["--from", "ann@elsewhere.test", "--to", "alice@example.test"];
    let (smtp, lmtp) = (server.port("SMTP", false), server.port("LMTP", false));
    run(swaks(smtp, &alice).args(["--header", "Subject: plain"]), "");
    run(swaks(smtp, &alice).args(["--header", "Subject: starttls", "-tls"]), "");
    run(
        swaks(smtp, &["--from", "<>", "--to", "alice+news@example.test,bob@example.test"])
            .args(["--pipeline"]),
        "",
    );
    run(swaks(lmtp, &alice).args(["--protocol", "LMTP"]), "");
    let login =
        ["--auth-user", "alice@example.test", "--auth-password", PASSWORD, "--from", "alice@example.test"];
    let submission = server.port("submission", false);
    for mechanism in ["PLAIN", "LOGIN"] {
        run(swaks(submission, &login).args(["-tls", "--auth", mechanism, "--to", "bob@example.test"]), "");
    }
    let submissions = server.port("submission", true);
    run(
        swaks(submissions, &login).args(["--tls-on-connect", "--auth", "PLAIN", "--to", "bob@example.test"]),
        "",
    );
    let alice_has = server.admin(&["account", "show", "alice@example.test", "--json"], "");
    let bob_has = server.admin(&["account", "show", "bob@example.test", "--json"], "");
    assert!(alice_has.contains("\"messages\":4"), "{alice_has}");
    assert!(bob_has.contains("\"messages\":4"), "{bob_has}");
}

#[test]
fn swaks_is_refused_with_the_right_codes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let smtp = server.port("SMTP", false);
    for (arguments, code) in [
        (["--from", "a@elsewhere.test", "--to", "nobody@example.test"], "550 5.1.1"),
        (["--from", "a@elsewhere.test", "--to", "bob@elsewhere.test"], "550 5.7.1"),
    ] {
        let (output, good) = try_run(&mut swaks(smtp, &arguments), "");
        assert!(!good && output.contains(code), "{output}");
    }
    let submission = server.port("submission", false);
    let wrong =
        ["--auth-user", "alice@example.test", "--auth-password", "wrong", "--to", "alice@example.test"];
    let (output, good) = try_run(swaks(submission, &wrong).args(["-tls", "--auth", "PLAIN"]), "");
    assert!(!good && output.contains("535 5.7.8"), "{output}");
}
