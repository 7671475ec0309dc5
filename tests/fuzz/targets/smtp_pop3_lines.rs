//! Command lines, SASL responses and DATA of any octets.

use ringpost::proto::pop3;
use ringpost::proto::sasl::{Exchange, Mechanism, Step};
use ringpost::proto::smtp::body::{Body, Flaw};
use ringpost::proto::smtp::command::{self, Command};
use ringpost::proto::smtp::data::DataReader;
use ringpost::proto::smtp::path::Path;

/// The message, or that it is refused, and where it ended.
fn read(octets: &[u8], size: usize) -> (Option<Vec<u8>>, Option<usize>) {
    let (mut body, mut reader, mut at) = (Body::begin(Vec::new(), 1 << 20, None), DataReader::default(), 0);
    for chunk in octets.chunks(size) {
        let (taken, ended) = reader.read(chunk, &mut body);
        at += taken;
        if ended {
            let message = (body.flaw() != Some(Flaw::BareLineEnd)).then(|| body.octets().to_vec());
            return (message, Some(at));
        }
    }
    (None, None)
}

/// Takes any octets.
pub fn run(octets: &[u8]) {
    let _ = pop3::command::parse(octets);
    if let Ok(Command::Mail(mail)) = command::parse(octets) {
        // What goes into Return-Path cannot end it.
        assert!(!mail.sender.text().chars().any(char::is_control));
        if let Path::Mailbox(mailbox) = &mail.sender {
            assert!(!mailbox.domain.is_empty());
        }
    }
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        if let (_, Step::Done(credentials)) = Exchange::begin(mechanism, Some(octets)) {
            assert!(!credentials.user.contains('\0') && !credentials.password.0.contains(&0));
        }
    }
    let whole = read(octets, octets.len().max(1));
    assert_eq!(read(octets, 1), whole);
    // The only end: CRLF "." CRLF, the CRLF of DATA itself counted.
    let text = [b"\r\n".as_slice(), octets].concat();
    let end = text.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 3);
    assert_eq!(whole.1, end);
}
