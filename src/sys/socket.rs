//! Listening sockets and the options of accepted ones.
//!
//! *Owns*: socket calls that std has no word for. *Promises*: descriptors close with their owner.
//! *Assumes*: IPv4 or IPv6 over TCP. *Never*: waits.

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A socket bound to `address`, not yet listening. With `shared`, others of the same user may listen there
/// as well and the kernel spreads connections over them (SO_REUSEPORT).
///
/// # Errors
/// What the kernel says: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable`.
pub fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no memory is involved.
    let descriptor = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if shared {
        set(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if address.is_ipv6() {
        // An IPv6 listener takes IPv6 only, so that it never depends on a system setting.
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    let (storage, len) = name_of(address);
    // SAFETY: `storage` holds `len` valid bytes of a socket address.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), len) })?;
    Ok(TcpListener::from(socket))
}

/// From now on clients are let in, `backlog` of them may wait to be accepted.
///
/// # Errors
/// `AddrInUse` when somebody else listens there without sharing.
pub fn listen(socket: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

/// Options of an accepted connection: answers leave at once, and a peer that vanished is noticed some day.
///
/// # Errors
/// What the kernel says.
pub fn prepare_connection(socket: &impl AsRawFd) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)
}

/// Has what was received acknowledged now instead of with the next answer: a client that waits for that before
/// it sends the rest (Nagle's algorithm, rfc9293#3.7.4) would wait 40 ms. A connection that is gone is no error.
pub fn acknowledge_now(socket: &impl AsRawFd) {
    // A refusal costs the client those milliseconds, nothing more.
    set(socket, libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1).unwrap_or_default();
}

/// Which direction to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sending: the peer sees an end of file after what was sent.
    Send,
    /// Both: every operation under way on the socket completes.
    Both,
}

/// Ends one or both directions of a connection. A connection that is gone already is no error.
pub fn shut(socket: &impl AsRawFd, direction: Direction) {
    let how = match direction {
        Direction::Send => libc::SHUT_WR,
        Direction::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no memory is involved. The only failure on a valid socket is "not connected", which is the
    // goal.
    unsafe { libc::shutdown(socket.as_raw_fd(), how) };
}

/// An address as the kernel reads it.
fn name_of(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all zeroes is valid for this plain struct.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is made for every kind of socket address.
            unsafe { *(&raw mut storage).cast() = raw };
            mem::size_of_val(&raw)
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: the storage is made for every kind of socket address.
            unsafe { *(&raw mut storage).cast() = raw };
            mem::size_of_val(&raw)
        }
    };
    (storage, len as libc::socklen_t)
}

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option's value is one readable integer.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<i32>() as libc::socklen_t,
        )
    })
}

fn checked(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_listeners_share_and_others_do_not() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let first = bind(address.parse().expect("an address"), true).expect("bind");
            let bound = first.local_addr().expect("bound");
            assert_eq!(bound.ip(), address.parse::<SocketAddr>().expect("an address").ip());
            let second = bind(bound, true).expect("a second one beside it");
            listen(&first, 16).and_then(|()| listen(&second, 16)).expect("listen");
            assert_eq!(bind(bound, false).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
        }
    }
}
