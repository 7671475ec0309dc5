//! Every scenario of the real binary against a server that counts, and one that errs.

mod fake;

use std::process::Command;
use std::sync::Arc;

use fake::{Fault, Server};
use serde_json::Value;

/// Runs the binary; its JSON line and whether it exited with 0.
fn bench(scenario: &str, port: u16, arguments: &[&str]) -> (Value, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringpost-bench"))
        .args([scenario, "--port", &port.to_string(), "--timeout-seconds", "5"])
        .args(arguments)
        .env("RINGPOST_BENCH_PASSWORD", "secret")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("secret"));
    (serde_json::from_str(&text).unwrap(), output.status.success())
}

/// A server that holds messages already.
fn stocked(fault: Fault, count: usize) -> Arc<Server> {
    let server = Server::start(fault);
    let arguments = ["--count", &count.to_string(), "--message-bytes", "600"];
    bench("imap-append", server.ports[2], &arguments);
    assert_eq!(server.count(), count);
    server
}

#[test]
fn deliveries_are_counted_where_the_server_counts_them() {
    for (scenario, arguments) in [
        ("smtp", &["--connections", "4"][..]),
        ("lmtp", &["--rate", "500", "--threads", "2", "--mailboxes", "3"]),
    ] {
        let server = Server::start(Fault::None);
        let all = [arguments, &["--count", "40", "--message-bytes", "1000"]].concat();
        let (line, clean) = bench(scenario, server.ports[0], &all);
        assert!(clean, "{line}");
        assert_eq!(server.count(), 40);
        assert_eq!((&line["operations"], &line["bytes"]), (&40.into(), &40_000.into()));
        assert_eq!(line["scenario"], scenario);
        assert!(line["latency_us"]["p99_9"].as_u64().unwrap() > 0);
    }
}

#[test]
fn refusals_are_errors_with_their_text() {
    let server = Server::start(Fault::RefuseThird);
    let (line, clean) = bench("smtp", server.ports[0], &["--count", "9"]);
    assert!(!clean);
    assert_eq!((&line["operations"], &line["errors"]["total"]), (&6.into(), &3.into()));
    assert_eq!(line["errors"]["kinds"][0]["kind"], "refused");
    assert_eq!(line["errors"]["kinds"][0]["first"], "message: 451 later");
}

#[test]
fn a_run_ends_by_its_seconds() {
    let server = Server::start(Fault::Slow(5));
    let (line, clean) = bench("smtp", server.ports[0], &["--seconds", "0.5", "--connections", "2"]);
    assert!(clean, "{line}");
    let seconds = line["seconds"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&seconds), "{seconds}");
    assert!(line["latency_us"]["p50"].as_u64().unwrap() >= 5_000);
}

#[test]
fn fetches_and_retrievals_are_verified() {
    let server = stocked(Fault::None, 5);
    let (line, clean) = bench(
        "imap-fetch",
        server.ports[2],
        &["--messages", "8", "--prepare", "--message-bytes", "600", "--count", "3"],
    );
    assert!(clean, "{line}");
    assert_eq!(server.count(), 8);
    assert_eq!((&line["messages"], &line["bytes"]), (&24.into(), &(24 * 600).into()));
    let (line, clean) = bench("pop3-retr", server.ports[1], &["--messages", "8", "--count", "20"]);
    assert!(clean, "{line}");
    assert_eq!((&line["messages"], &line["bytes"]), (&20.into(), &(20 * 600).into()));
}

#[test]
fn bodies_that_are_too_short_are_found() {
    let server = stocked(Fault::ShortBody, 2);
    for (scenario, port) in [("imap-fetch", server.ports[2]), ("pop3-retr", server.ports[1])] {
        let (line, clean) = bench(scenario, port, &["--messages", "2", "--count", "2"]);
        assert!(!clean);
        assert_eq!(line["operations"], 0);
        assert_eq!(line["errors"]["kinds"][0]["kind"], "mismatch", "{line}");
    }
}

#[test]
fn pushes_are_measured_for_every_session() {
    let server = Server::start(Fault::None);
    let smtp_port = server.ports[0].to_string();
    let pid = std::process::id().to_string();
    let common = ["--count", "4", "--settle-seconds", "0.1", "--smtp-port", &smtp_port];
    let arguments = [&common[..], &["--connections", "6", "--server-pid", &pid]].concat();
    let (line, clean) = bench("idle", server.ports[2], &arguments);
    assert!(clean, "{line}");
    assert_eq!((&line["operations"], &line["deliveries"]), (&24.into(), &4.into()));
    assert_eq!(line["idle_sessions"], 6);
    assert!(line["memory_per_session"]["rss_bytes_each"].is_number());
    assert!(line["server"]["rss_after_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_session_that_is_not_told_is_an_error() {
    let server = Server::start(Fault::Mute);
    let smtp_port = server.ports[0].to_string();
    let arguments = [
        "--count",
        "1",
        "--settle-seconds",
        "0.1",
        "--smtp-port",
        &smtp_port,
        "--connections",
        "3",
        "--timeout-seconds",
        "0.5",
    ];
    // The later of two --timeout-seconds would be refused, so this one runs the binary itself.
    let output = Command::new(env!("CARGO_BIN_EXE_ringpost-bench"))
        .args(["idle", "--password", "x", "--port", &server.ports[2].to_string()])
        .args(arguments)
        .output()
        .unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&line["operations"], &line["errors"]["total"]), (&0.into(), &3.into()));
    assert_eq!(line["errors"]["kinds"][0]["kind"], "timeout");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (line, clean) = bench("lmtp", port, &["--count", "3"]);
    assert!(!clean);
    assert_eq!(line["errors"]["kinds"][0]["kind"], "connect");
}

/// Takes TLS off on a port of its own and passes all to `port`.
fn tls_in_front_of(port: u16) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outer = acceptor.accept(stream).await.unwrap();
                let mut inner = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                // The client ends without a word to TLS; the counts tell whether all came through.
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    };
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve)
    });
    tls_port
}

#[test]
fn tls_carries_the_same() {
    let server = Server::start(Fault::None);
    let [mail, pop3, imap] = server.ports.map(tls_in_front_of);
    let (line, clean) = bench("lmtp", mail, &["--tls", "--count", "5", "--message-bytes", "200000"]);
    assert!(clean, "{line}");
    assert_eq!((server.count(), &line["tls"]), (5, &true.into()));
    for (scenario, port) in [("imap-fetch", imap), ("pop3-retr", pop3)] {
        let (line, clean) = bench(scenario, port, &["--tls", "--messages", "5", "--count", "5"]);
        assert!(clean, "{line}");
    }
    let refused = bench("lmtp", server.ports[0], &["--tls", "--count", "1"]);
    assert!(!refused.1);
}

#[test]
fn a_histogram_is_written() {
    let server = Server::start(Fault::None);
    let path = std::env::temp_dir().join(format!("ringpost-bench-{}.hgrm", std::process::id()));
    let (_, clean) = bench("smtp", server.ports[0], &["--count", "7", "--histogram", path.to_str().unwrap()]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(clean);
    assert!(text.contains("Total = 7"), "{text}");
}

#[test]
fn manuals_are_printed() {
    for arguments in [&["man"][..], &["man", "idle"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringpost-bench")).args(arguments).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(".TH "));
    }
}
