//! Where another IMAP server is: `imap[s]://user@host[:port]` (rfc5092#3, of which this is a part).
//!
//! *Owns*: reading it. *Promises*: user names may hold `@` as it is or any octet as `%40`. *Assumes*: nothing. *Never*:
//! takes a password: others can see command lines.

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// TLS from the first octet on.
    pub tls: bool,
    /// Who.
    pub user: String,
    /// A name or an address.
    pub host: String,
    /// 143 or 993 unless given.
    pub port: u16,
}

impl std::str::FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        // What was typed may hold a password, and what is said may be kept in a log.
        let bad = || "it is no such URL: give one like imaps://ann@imap.example.org".to_owned();
        let (tls, rest) = match (text.strip_prefix("imaps://"), text.strip_prefix("imap://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let (user, place) = rest.trim_end_matches('/').rsplit_once('@').ok_or_else(bad)?;
        if user.contains(':') {
            let hint = "no password belongs into a URL, others can see it: give --password-file (a colon in a user \
                        name is %3A)";
            return Err(hint.to_owned());
        }
        let usual = if tls { 993 } else { 143 };
        let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
            None => (place, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let user = decoded(user).filter(|user| !user.is_empty()).ok_or_else(bad)?;
        if host.is_empty() || host.contains('/') {
            return Err(bad());
        }
        Ok(Url { tls, user, host, port })
    }
}

/// Without percent signs; none if one is followed by no octet.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            octets.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(tls: bool, user: &str, host: &str, port: u16) -> Result<Url, String> {
        Ok(Url { tls, user: user.to_owned(), host: host.to_owned(), port })
    }

    #[test]
    fn urls_name_scheme_user_host_and_port() {
        assert_eq!("imap://ann@h".parse(), url(false, "ann", "h", 143));
        assert_eq!("imaps://ann@x.test@h.test/".parse(), url(true, "ann@x.test", "h.test", 993));
        assert_eq!("imaps://ann%40x@[::1]:1993".parse(), url(true, "ann@x", "::1", 1993));
        assert_eq!("imap://ann@[::1]".parse(), url(false, "ann", "::1", 143));
        for bad in
            ["", "ann@h", "imap://h", "imap://@h", "imap://a@", "imap://a@h:x", "imap://%4@h", "pop://a@h"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
        for bad in ["imaps://ann:geheim@h", "imaps://ann:geheim@x@h:1", "pop://ann:geheim@h"] {
            assert!(bad.parse::<Url>().is_err_and(|why| !why.contains("geheim")), "{bad}");
        }
        assert_eq!("imap://a%3Ab@h".parse(), url(false, "a:b", "h", 143));
    }
}
