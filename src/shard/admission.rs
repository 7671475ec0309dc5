//! Who may connect.
//!
//! *Owns*: how many connections each client address has here. *Promises*: bounds of `limits`; loopback is
//! exempt from the one per address; what is counted in is counted out. *Assumes*: every end is told.
//! *Never*: refuses a session that moves here; its client was let in where it came from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::limits::{CONNECTIONS_PER_ADDRESS_MAX, CONNECTIONS_PER_SHARD_MAX};
use crate::proto::Service;

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 customer has; none for loopback.
fn client(address: &str) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    if address.to_canonical().is_loopback() {
        return None;
    }
    Some(match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    })
}

/// Connections by client.
#[derive(Debug, Default)]
pub(super) struct Admission {
    connections: usize,
    by_client: BTreeMap<IpAddr, usize>,
}

impl Admission {
    /// Whether one more connection of this address fits the bounds.
    pub fn allows(&self, address: &str) -> bool {
        self.connections < CONNECTIONS_PER_SHARD_MAX
            && client(address).is_none_or(|client| {
                self.by_client.get(&client).is_none_or(|count| *count < CONNECTIONS_PER_ADDRESS_MAX)
            })
    }

    /// Counts a connection in.
    pub fn enter(&mut self, address: &str) {
        self.connections += 1;
        if let Some(client) = client(address) {
            *self.by_client.entry(client).or_default() += 1;
        }
    }

    /// Counts a connection out.
    pub fn leave(&mut self, address: &str) {
        self.connections -= 1;
        let Some(client) = client(address) else { return };
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

/// The last word to a client that is not let in, in its protocol.
pub(super) fn refusal(service: Service) -> &'static [u8] {
    match service {
        // rfc5321#4.2.3, rfc3463#3.4
        Service::Smtp | Service::Submission | Service::Lmtp => b"421 4.3.2 not now, try again later\r\n",
        // rfc3206#4
        Service::Pop3 => b"-ERR [SYS/TEMP] not now, try again later\r\n",
        // rfc3501#7.1.5, rfc5530#3
        Service::Imap => b"* BYE [UNAVAILABLE] not now, try again later\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bound_and_loopback_has_none() {
        let mut admission = Admission::default();
        for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
            assert!(admission.allows("192.0.2.1"));
            admission.enter("192.0.2.1");
            admission.enter("127.0.0.1");
            admission.enter("::1");
        }
        assert!(!admission.allows("192.0.2.1"));
        assert!(!admission.allows("::ffff:192.0.2.1"));
        assert!(admission.allows("192.0.2.2"));
        assert!(admission.allows("127.0.0.1"));
        admission.leave("192.0.2.1");
        assert!(admission.allows("192.0.2.1"));
    }

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        let mut admission = Admission::default();
        for host in 0..CONNECTIONS_PER_ADDRESS_MAX {
            admission.enter(&format!("2001:db8:1:1::{host:x}"));
        }
        assert!(!admission.allows("2001:db8:1:1:ffff::1"));
        assert!(admission.allows("2001:db8:1:2::1"));
    }

    #[test]
    fn nothing_is_kept_of_who_left() {
        let mut admission = Admission::default();
        admission.enter("192.0.2.1");
        admission.leave("192.0.2.1");
        assert!(admission.by_client.is_empty());
        assert_eq!(admission.connections, 0);
    }
}
