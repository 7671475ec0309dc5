//! IMAP URLs (rfc5092), absolute and relative.
//!
//! *Owns*: their grammar, percent-encoding, and how they are written. *Promises*: never panics, linear time;
//! names are decoded UTF-8 without control characters, INBOX spelled `INBOX`; what a URL authorises
//! (rfc4467) is kept as written, since its token covers those octets. *Assumes*: at most
//! `limits::IMAP_URL_BYTES_MAX` octets, refused otherwise. *Never*: knows which mailboxes exist, or whether a
//! token is good.
//!
//! ```text
//!  imap://user@host/mailbox;UIDVALIDITY=n/;UID=n/;SECTION=s/;PARTIAL=o.c;EXPIRE=t;URLAUTH=access:mechanism:token
//!  └ server, absent in relative URLs ┘└──── which octets ──────────────┘└──── who may read them ────────────────┘
//! ```

use bytes::Bytes;
use ringpost_engine::ids::Uid;

use super::command::Section;
use super::parse;
use crate::limits::IMAP_URL_BYTES_MAX;
use crate::proto::mime::date::days_from_civil;

/// A URL that refers to a mailbox, a message or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapUrl {
    /// None in a relative URL.
    pub server: Option<UrlServer>,
    /// None where a relative URL takes it from its base.
    pub mailbox: Option<String>,
    /// `;UIDVALIDITY=`
    pub uid_validity: Option<u32>,
    /// `/;UID=`
    pub uid: Option<Uid>,
    /// `/;SECTION=`; none for the whole message.
    pub section: Option<Section>,
    /// `/;PARTIAL=` (rfc5092#6, rfc5550#2.1)
    pub partial: Option<UrlPartial>,
    /// `;URLAUTH=`
    pub auth: Option<UrlAuth>,
}

/// The server of an absolute URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlServer {
    /// Decoded; none for anonymous access.
    pub user: Option<String>,
    /// Host and maybe `:port`, lower case.
    pub host: String,
}

/// Which octets of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlPartial {
    /// The first one, counted from 0.
    pub offset: u64,
    /// How many; none: to the end.
    pub count: Option<u64>,
}

/// What a URL authorises (rfc4467#2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlAuth {
    /// `;EXPIRE=`, milliseconds since 1970 (negative before).
    pub expire_ms: Option<i64>,
    /// Who may use it.
    pub access: Access,
    /// How many octets of the URL its token covers: up to the access identifier's end.
    pub rump_bytes: usize,
    /// The token; none in what GENURLAUTH is given.
    pub verifier: Option<Verifier>,
}

/// An access identifier (rfc4467#2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `submit+user`: a submission server on that user's behalf.
    Submit(String),
    /// `user+user`
    User(String),
    /// `authuser`: everybody who is logged in.
    AuthUser,
    /// `anonymous`: everybody.
    Anonymous,
}

/// What vouches for a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// Lower case; `internal` is the one mechanism that every server has (rfc4467#2.4).
    pub mechanism: String,
    /// Decoded from its hexadecimal digits; at least 16 octets.
    pub token: Vec<u8>,
}

/// It is no IMAP URL, or of a kind that refers to no message data (lists, searches).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadUrl;

impl ImapUrl {
    /// Reads a URL, absolute or relative.
    pub fn parse(text: &[u8]) -> Result<ImapUrl, BadUrl> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(BadUrl)?;
        if text.len() > IMAP_URL_BYTES_MAX {
            return Err(BadUrl);
        }
        let (server, path) = match strip_scheme(text) {
            Some(rest) => split_server(rest)?,
            None => (None, text),
        };
        let mut url = ImapUrl {
            server,
            mailbox: None,
            uid_validity: None,
            uid: None,
            section: None,
            partial: None,
            auth: None,
        };
        let named = path.strip_prefix('/').unwrap_or(path);
        let (mailbox, parameters) = match named.find(';') {
            Some(at) => (&named[..at], &named[at..]),
            None => (named, ""),
        };
        // The slash before `;UID=` belongs to the parameter.
        let (mailbox, slash) = match mailbox.strip_suffix('/') {
            Some(mailbox) if !parameters.is_empty() => (mailbox, true),
            _ => (mailbox, mailbox.is_empty()),
        };
        if !mailbox.is_empty() {
            url.mailbox = Some(mailbox_name(mailbox)?);
        }
        url.read_parameters(text.len() - parameters.len(), parameters, slash)?;
        Ok(url)
    }

    /// `;NAME=value`, in the one order that the grammar has. `slash` says whether a `/` stood before.
    fn read_parameters(&mut self, mut at: usize, text: &str, mut slash: bool) -> Result<(), BadUrl> {
        let (mut rank, mut expire_ms) = (0, None);
        for parameter in text.split(';').skip(1) {
            let (name, value) = parameter.split_once('=').ok_or(BadUrl)?;
            at += 1 + parameter.len();
            let (bare, ends_in_slash) = match value.strip_suffix('/') {
                Some(bare) => (bare, true),
                None => (value, false),
            };
            let name = name.to_ascii_uppercase();
            let (this, after_slash) = match name.as_str() {
                "UIDVALIDITY" => (1, false),
                "UID" => (2, true),
                "SECTION" => (3, true),
                "PARTIAL" => (4, true),
                "EXPIRE" => (5, false),
                "URLAUTH" => (6, false),
                _ => return Err(BadUrl),
            };
            if this <= rank || (after_slash && !slash) {
                return Err(BadUrl);
            }
            match this {
                1 => self.uid_validity = Some(nz_number(bare)?),
                2 => self.uid = Some(Uid(nz_number(bare)?)),
                3 => self.section = Some(section(bare)?),
                4 => self.partial = Some(partial(bare)?),
                5 => expire_ms = Some(date_time(value)?),
                _ => self.auth = Some(authorisation(value, at, expire_ms)?),
            }
            (rank, slash) = (this, ends_in_slash);
        }
        // rfc5092#11: an expiry limits an authorisation, so it does not stand alone.
        if expire_ms.is_some() && self.auth.is_none() { Err(BadUrl) } else { Ok(()) }
    }
}

fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "imap://";
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// `iserver` and what follows it.
fn split_server(rest: &str) -> Result<(Option<UrlServer>, &str), BadUrl> {
    let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match server.split_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, server),
    };
    let user = match user.map(|user| user.split_once(';').unwrap_or((user, ""))) {
        // `;AUTH=` says how to log in, which whoever reads this has done.
        Some(("", _)) | None => None,
        Some((user, _)) => Some(decoded(user, is_achar)?),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(good) {
        return Err(BadUrl);
    }
    Ok((Some(UrlServer { user, host: host.to_ascii_lowercase() }), path))
}

/// `enc-mailbox`
fn mailbox_name(text: &str) -> Result<String, BadUrl> {
    let name = decoded(text, is_bchar)?;
    if name.chars().any(char::is_control) {
        return Err(BadUrl);
    }
    Ok(parse::mailbox::fold_inbox(name))
}

/// `enc-section`
fn section(text: &str) -> Result<Section, BadUrl> {
    let spelled = decoded(text, is_bchar)?;
    parse::fetch::whole_section(Bytes::from(spelled)).map_err(|_| BadUrl)
}

/// `partial-range`
fn partial(text: &str) -> Result<UrlPartial, BadUrl> {
    let (offset, count) = match text.split_once('.') {
        Some((offset, count)) => (offset, Some(u64::from(nz_number(count)?))),
        None => (text, None),
    };
    Ok(UrlPartial { offset: number(offset)?, count })
}

/// What stands behind `;URLAUTH=`; the value ends at `end` octets of the URL.
fn authorisation(value: &str, end: usize, expire_ms: Option<i64>) -> Result<UrlAuth, BadUrl> {
    let mut words = value.splitn(3, ':');
    let access = words.next().unwrap_or("");
    let verifier = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(mechanism), Some(token)) => Some(verifier(mechanism, token)?),
        (Some(_), None) => return Err(BadUrl),
    };
    let rump_bytes = end - (value.len() - access.len());
    Ok(UrlAuth { expire_ms, access: access_identifier(access)?, rump_bytes, verifier })
}

fn access_identifier(text: &str) -> Result<Access, BadUrl> {
    let user = |user: &str| decoded(user, is_achar).and_then(|user| non_empty(user).ok_or(BadUrl));
    let (kind, name) = text.split_at(text.find('+').map_or(text.len(), |at| at + 1));
    match kind.to_ascii_lowercase().as_str() {
        "submit+" => Ok(Access::Submit(user(name)?)),
        "user+" => Ok(Access::User(user(name)?)),
        "authuser" => Ok(Access::AuthUser),
        "anonymous" => Ok(Access::Anonymous),
        _ => Err(BadUrl),
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// `iua-verifier`, its colons taken out.
fn verifier(mechanism: &str, digits: &str) -> Result<Verifier, BadUrl> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if mechanism.is_empty()
        || !mechanism.chars().all(named)
        || digits.len() < 32
        || !digits.len().is_multiple_of(2)
    {
        return Err(BadUrl);
    }
    let token = digits.as_bytes().chunks_exact(2).map(|pair| hex_octet(pair[0], pair[1]));
    let token = token.collect::<Option<Vec<u8>>>().ok_or(BadUrl)?;
    Ok(Verifier { mechanism: mechanism.to_ascii_lowercase(), token })
}

/// rfc3339#5.6 `date-time`
fn date_time(text: &str) -> Result<i64, BadUrl> {
    let field = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u32>().ok()).ok_or(BadUrl)
    };
    let marked = |at: usize, mark: &[u8]| text.as_bytes().get(at).is_some_and(|octet| mark.contains(octet));
    let shaped =
        marked(4, b"-") && marked(7, b"-") && marked(10, b"Tt") && marked(13, b":") && marked(16, b":");
    if !shaped {
        return Err(BadUrl);
    }
    let days = days_from_civil(field(0..4)? as i32, field(5..7)?, field(8..10)?).ok_or(BadUrl)?;
    let (hour, minute, second) = (field(11..13)?, field(14..16)?, field(17..19)?);
    if hour > 23 || minute > 59 || second > 60 {
        return Err(BadUrl);
    }
    let mut rest = text.get(19..).ok_or(BadUrl)?;
    let mut milliseconds = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let thousandths = format!("{:0<3.3}", &fraction[..digits]);
        milliseconds = thousandths.parse::<i64>().map_err(|_| BadUrl)?;
        rest = &fraction[digits..];
        if digits == 0 {
            return Err(BadUrl);
        }
    }
    let seconds = i64::from(days) * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
    Ok((seconds - zone_seconds(rest)?) * 1_000 + milliseconds)
}

/// `Z` or `+hh:mm`
fn zone_seconds(text: &str) -> Result<i64, BadUrl> {
    if matches!(text, "Z" | "z") {
        return Ok(0);
    }
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err(BadUrl),
    };
    let (hours, minutes) = text[1..].split_once(':').ok_or(BadUrl)?;
    let two = |text: &str| {
        let shaped = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
        if shaped { text.parse::<i64>().map_err(|_| BadUrl) } else { Err(BadUrl) }
    };
    Ok(sign * (two(hours)? * 3_600 + two(minutes)? * 60))
}

fn number(text: &str) -> Result<u64, BadUrl> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let number = text.parse::<u64>().ok().filter(|&number| digits && i64::try_from(number).is_ok());
    number.ok_or(BadUrl)
}

fn nz_number(text: &str) -> Result<u32, BadUrl> {
    u32::try_from(number(text)?).ok().filter(|&number| number > 0).ok_or(BadUrl)
}

/// Percent-encoded UTF-8 (rfc5092#8) of octets that `class` allows as they are.
fn decoded(text: &str, class: fn(u8) -> bool) -> Result<String, BadUrl> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = match (octet, after) {
            (b'%', [high, low, after @ ..]) => {
                octets.push(hex_octet(*high, *low).filter(|&octet| octet > 0).ok_or(BadUrl)?);
                after
            }
            (b'%', _) => return Err(BadUrl),
            _ if class(octet) => {
                octets.push(octet);
                after
            }
            _ => return Err(BadUrl),
        };
    }
    String::from_utf8(octets).map_err(|_| BadUrl)
}

fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| (octet as char).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// rfc5092#11
fn is_achar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~!$'()*+,&=".contains(&octet)
}

/// rfc5092#11
fn is_bchar(octet: u8) -> bool {
    is_achar(octet) || b":@/".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::imap::command::SectionText;

    fn parse(text: &str) -> ImapUrl {
        ImapUrl::parse(text.as_bytes()).unwrap_or_else(|_| panic!("{text}"))
    }

    fn bad(text: &str) -> bool {
        ImapUrl::parse(text.as_bytes()).is_err()
    }

    #[test]
    fn the_example_of_rfc4467() {
        let text = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred\
                    :internal:91354a473744909de610943775f92038";
        let url = parse(text);
        let server = UrlServer { user: Some("joe".to_owned()), host: "example.com".to_owned() };
        assert_eq!(url.server, Some(server));
        assert_eq!((url.mailbox.as_deref(), url.uid), (Some("INBOX"), Some(Uid(20))));
        assert_eq!(url.section, Some(Section { path: vec![1, 2], text: SectionText::Whole }));
        let auth = url.auth.unwrap();
        assert_eq!(auth.access, Access::Submit("fred".to_owned()));
        assert!(text[..auth.rump_bytes].ends_with(";urlauth=submit+fred"));
        let verifier = auth.verifier.unwrap();
        assert_eq!((verifier.mechanism.as_str(), verifier.token.len()), ("internal", 16));
        assert_eq!(verifier.token[..2], [0x91, 0x35]);
    }

    #[test]
    fn the_examples_of_rfc4469_are_relative() {
        let url = parse("/Drafts;UIDVALIDITY=385759045/;UID=30/;section=1.MIME");
        assert_eq!((url.server, url.mailbox.as_deref()), (None, Some("Drafts")));
        assert_eq!((url.uid_validity, url.uid), (Some(385_759_045), Some(Uid(30))));
        assert_eq!(url.section, Some(Section { path: vec![1], text: SectionText::Mime }));
        let url = parse("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER");
        assert_eq!(url.section, Some(Section { path: vec![], text: SectionText::Header }));
        // Relative to the selected mailbox.
        for text in ["/;UID=7", ";UID=7"] {
            let url = parse(text);
            assert_eq!((url.mailbox, url.uid), (None, Some(Uid(7))), "{text}");
        }
    }

    #[test]
    fn names_are_percent_encoded_utf_8() {
        // rfc2192#8, rfc5092#8
        assert_eq!(parse("imap://foo.com/gray%20council").mailbox.as_deref(), Some("gray council"));
        assert_eq!(parse("imap://h/inbox/Entw%C3%BCrfe/;UID=1").mailbox.as_deref(), Some("INBOX/Entwürfe"));
        let url = parse("imap://a%40x;AUTH=*@H:143/~peter/a&b;UIDVALIDITY=1");
        let server = UrlServer { user: Some("a@x".to_owned()), host: "h:143".to_owned() };
        assert_eq!((url.server, url.mailbox.as_deref()), (Some(server), Some("~peter/a&b")));
        for text in ["/a%", "/a%4", "/a%zz", "/a%ff", "/a%00", "/a%07", "/a b", "/Entwürfe", "/a?b", "/a<b"]
        {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn partial_ranges() {
        assert_eq!(
            parse("/a/;UID=1/;PARTIAL=0.1024").partial,
            Some(UrlPartial { offset: 0, count: Some(1024) })
        );
        let url = parse("/a/;UID=1/;SECTION=1.2/;PARTIAL=7");
        assert_eq!(url.partial, Some(UrlPartial { offset: 7, count: None }));
        for text in
            ["/a/;UID=1/;PARTIAL=", "/a/;UID=1/;PARTIAL=1.0", "/a/;UID=1/;PARTIAL=1.", "/a/;UID=1;PARTIAL=1"]
        {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn expiries_and_access() {
        let base = "imap://a@h/INBOX/;UID=1";
        let auth = |text: &str| parse(&format!("{base}{text}")).auth.unwrap();
        let found = auth(";EXPIRE=2002-10-02T10:00:00.05Z;URLAUTH=anonymous");
        assert_eq!((found.expire_ms, found.access), (Some(1_033_552_800_050), Access::Anonymous));
        assert_eq!(
            auth(";expire=2002-10-02T12:00:00+02:00;urlauth=authuser").expire_ms,
            Some(1_033_552_800_000)
        );
        assert_eq!(auth(";URLAUTH=user+b%40x").access, Access::User("b@x".to_owned()));
        for text in [
            ";EXPIRE=2002-10-02T10:00:00Z",
            ";EXPIRE=2002-13-02T10:00:00Z;URLAUTH=authuser",
            ";EXPIRE=2002-10-02 10:00:00Z;URLAUTH=authuser",
            ";EXPIRE=2002-10-02T10:00:00;URLAUTH=authuser",
            ";EXPIRE=;URLAUTH=authuser",
            ";URLAUTH=",
            ";URLAUTH=user",
            ";URLAUTH=user+",
            ";URLAUTH=nobody",
            ";URLAUTH=authuser:",
            ";URLAUTH=authuser:internal",
            ";URLAUTH=authuser:internal:12",
            ";URLAUTH=authuser:internal:9135zz473744909de610943775f92038",
            ";URLAUTH=authuser;EXPIRE=2002-10-02T10:00:00Z",
        ] {
            assert!(bad(&format!("{base}{text}")), "{text}");
        }
    }

    #[test]
    fn order_and_numbers_are_the_grammars() {
        for text in [
            "/a/;UID=0",
            "/a/;UID=4294967296",
            "/a/;UID=+1",
            "/a;UID=1",
            "/a/;UID=1/;UID=2",
            "/a/;SECTION=1/;UID=1",
            "/a;UIDVALIDITY=0",
            "/a/;UID=1/;SECTION=",
            "/a/;UID=1/;SECTION=0",
            "/a/;UID=1/;SECTION=MIME",
            "/a/;UID=1/;X=1",
            "/a/;UID",
            "imap://",
            "imap:///a",
            "imap://h h/a",
        ] {
            assert!(bad(text), "{text}");
        }
        assert!(bad(&format!("/{}", "a".repeat(IMAP_URL_BYTES_MAX))));
    }
}
