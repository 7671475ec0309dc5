//! A header of any octets is read to its end.

use ringpost::proto::mime::{address, date, fold, header, header_contains, words};

/// Takes any octets.
pub fn run(octets: &[u8]) {
    let mut end = 0;
    for field in header::fields(octets) {
        assert_eq!(field.range().start, end);
        end = field.range().end;
        assert_eq!(&octets[field.range()], field.raw);
    }
    let value = header::unfold(octets);
    assert!(!value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
    let mut count = 0;
    address::each(&value, 100, |_| count += 1);
    assert!(count <= 101);
    date::parse_rfc5322(&value);
    date::sent_date(octets);
    let text = fold(&words::decode_words(&value));
    date::parse_imap_date(&text);
    date::parse_imap_date_time(&text);
    header_contains(octets, "subject", "needle");
}
