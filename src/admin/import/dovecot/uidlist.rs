//! `dovecot-uidlist`: which file has which UID.
//!
//! *Owns*: reading version 3 of it. *Promises*: bounded lines; one that is cut short (it is being written) ends the
//! list. *Assumes*: Dovecot's format:
//!
//! ```text
//!  3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1        UIDVALIDITY, UIDNEXT, GUID
//!  25006 :1276528487.M364837P9451.host,S=1355:2,S                UID, file
//!  25017 W2481 Pold-uidl :1276533073.M242911P3632.host:2,F       with fields: octets, POP3 unique-id
//! ```
//! *Never*: trusts a number.

use std::io::BufRead;

use ringpost_engine::change::is_unique_id;

use super::base_of;

/// Octets of one line; a longer one ends the list.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT when the list was written whole; lines appended since may have greater UIDs.
    pub uid_next: u32,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// UID.
    pub uid: u32,
    /// The file's name without its flags.
    pub base: String,
    /// POP3 unique-id, where it is not the usual one.
    pub unique_id: Option<Box<str>>,
}

/// Reads a list, and hands its records over in the order in which they stand there.
pub fn read(mut input: impl BufRead, each: &mut dyn FnMut(Record)) -> Result<Header, String> {
    let first = line(&mut input)?.ok_or("it is empty")?;
    let header = header(&first).ok_or_else(|| format!("not version 3: {first:?}"))?;
    while let Some(line) = line(&mut input)? {
        // Dovecot passes over what it does not understand, and so the file may hold it.
        if let Some(record) = record(&line) {
            each(record);
        }
    }
    Ok(header)
}

/// The next whole line.
fn line(input: &mut impl BufRead) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    let mut bounded = std::io::Read::take(&mut *input, LINE_BYTES_MAX);
    bounded.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    Ok((line.pop() == Some(b'\n')).then(|| String::from_utf8_lossy(&line).into_owned()))
}

fn header(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    if words.next() != Some("3") {
        return None;
    }
    let mut header = Header { uid_validity: 0, uid_next: 1 };
    for word in words {
        match word.split_at_checked(1) {
            Some(("V", number)) => header.uid_validity = number.parse().ok()?,
            Some(("N", number)) => header.uid_next = number.parse().ok()?,
            _ => {}
        }
    }
    (header.uid_validity > 0 && header.uid_next > 0).then_some(header)
}

fn record(line: &str) -> Option<Record> {
    let (fields, file) = line.split_once(" :")?;
    let mut fields = fields.split(' ');
    let uid = fields.next()?.parse().ok().filter(|&uid| uid > 0)?;
    let unique_id = fields.find_map(|field| field.strip_prefix('P')).filter(|text| is_unique_id(text));
    Some(Record { uid, base: base_of(file).to_owned(), unique_id: unique_id.map(Box::from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<(Header, Vec<Record>), String> {
        let mut records = Vec::new();
        let header = read(text.as_bytes(), &mut |record| records.push(record))?;
        Ok((header, records))
    }

    #[test]
    fn a_list_of_version_3_is_read() {
        let text = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n\
                    25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n\
                    25017 W2481 Pold uidl :1276533073.M242911P3632.kurkku:2,F\n\
                    rubbish\n0 :zero\n25020 :cut";
        let (header, records) = read_all(text).expect("it is one");
        assert_eq!(header, Header { uid_validity: 1_275_660_208, uid_next: 25_022 });
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].base, "1276528487.M364837P9451.kurkku,S=1355,W=1394");
        assert_eq!((records[1].uid, records[1].unique_id.as_deref()), (25_017, Some("old")));
    }

    #[test]
    fn no_octets_panic_and_a_record_has_a_uid() {
        let seed = b"3 V7 N9 G00\n1 :a:2,S\n2 W3 Pold :b\n";
        for at in 0..seed.len() {
            for mark in *b" :\n0P\xff" {
                let mut bent = seed.to_vec();
                bent[at] = mark;
                let _any = read(&bent[..], &mut |record| assert!(record.uid > 0));
                let _any = read(&bent[..at], &mut |record| assert!(record.uid > 0));
            }
        }
        let long = format!("3 V7 N9\n1 :{}\n2 :b\n", "x".repeat(LINE_BYTES_MAX as usize));
        let mut records = 0;
        read(long.as_bytes(), &mut |_| records += 1).expect("the header is good");
        assert_eq!(records, 0, "a line beyond its bound ends the list");
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        for bad in ["", "3 V0 N1\n", "1 123 4\n", "3 V1 Nx\n", "3 V99999999999 N1\n", "3 N1"] {
            assert!(read_all(bad).is_err(), "{bad:?}");
        }
    }
}
