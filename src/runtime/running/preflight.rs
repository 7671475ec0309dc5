//! Whether this machine and this folder can serve, before anything is served.
//!
//! *Owns*: the checks and their remedies in words. *Promises*: one line that says what is wrong and what to
//! do.
//! *Assumes*: it runs as the user that will serve. *Never*: changes anything but the data folder's existence
//! and lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::limits::{
    DESCRIPTORS_FOR_CLIENTS_MIN, DESCRIPTORS_PER_SHARD, DESCRIPTORS_RESERVED, RING_SUBMISSIONS,
};
use crate::runtime::{Plan, ring, tls};
use crate::sys::process::{free_bytes, lock_exclusive, raise_descriptor_limit};
use crate::sys::socket;

/// The file whose lock says that a process serves the folder; holds that process's number.
const LOCK_FILE: &str = "lock";
/// The file that holds the number of shards.
pub(super) const SHARDS_FILE: &str = "shards";

/// The data folder, ours as long as this lives.
pub struct Lock {
    _file: File,
}

/// Makes the folder if it is missing, and takes its lock.
///
/// # Errors
/// One line: who has it, or why it cannot be used.
pub fn lock(data: &Path) -> Result<Lock, String> {
    let name = data.display();
    fs::create_dir_all(data).map_err(|error| {
        format!("cannot make the data folder {name}: {error}; choose another with --data")
    })?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(data.join(LOCK_FILE))
        .map_err(|error| format!("cannot write in the data folder {name}: {error}; check its owner"))?;
    if let Err(error) = lock_exclusive(&file) {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(format!("cannot lock the data folder {name}: {error}; use a local file system"));
        }
        let mut holder = String::new();
        // Only to name it; the lock is what counts.
        file.read_to_string(&mut holder).unwrap_or_default();
        let holder = holder.trim();
        let holder = if holder.is_empty() { "unknown" } else { holder };
        return Err(format!(
            "the data folder {name} is in use by process {holder}: stop it or choose another folder \
             with --data"
        ));
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| full_or_broken(&name.to_string(), &error))?;
    Ok(Lock { _file: file })
}

/// How many shards the folder was made with; none if it is new.
///
/// # Errors
/// One line when the number cannot be read.
pub fn stored_shards(data: &Path) -> Result<Option<u16>, String> {
    let path = data.join(SHARDS_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(shards) if shards > 0 => Ok(Some(shards)),
            _ if text.starts_with("format ") => Err(format!(
                "{} has {}, this version knows a number alone: use a newer ringpost",
                path.display(),
                text.lines().next().unwrap_or_default()
            )),
            _ => Err(format!("{} should hold the number of shards: restore it", path.display())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}; run as the folder's owner", path.display())),
    }
}

/// Notes the number of shards in a new folder, durably; in an old one, compares it and asks for every shard's folder.
///
/// # Errors
/// One line when they differ, a folder is missing, or it cannot be written.
pub fn settle_shards(data: &Path, shards: u16) -> Result<(), String> {
    match stored_shards(data)? {
        Some(stored) if stored == shards => return check_folders(data),
        Some(stored) => {
            return Err(format!(
                "the data folder {0} is of {stored} shards, not of {shards}: set shards = {stored}, or run \
                 `ringpost-log reshard {0} --shards {shards}` first",
                data.display()
            ));
        }
        None => {}
    }
    // The folders come first: from the number on, one that is not there has been lost.
    let make = || {
        (0..shards).try_for_each(|shard| fs::create_dir_all(shard_folder(data, shard)))?;
        write_shards(data, shards)
    };
    make().map_err(|error| full_or_broken(&data.display().to_string(), &error))
}

/// Where a shard's files are.
fn shard_folder(data: &Path, shard: u16) -> PathBuf {
    data.join(format!("shard-{shard:03}"))
}

/// Shards of a data folder whose folders are not there; none for a folder that is new.
///
/// # Errors
/// As [`stored_shards`].
pub fn missing_shards(data: &Path) -> Result<Vec<u16>, String> {
    let shards = stored_shards(data)?.unwrap_or(0);
    Ok((0..shards).filter(|&shard| !shard_folder(data, shard).is_dir()).collect())
}

/// A shard that began anew would have none of its accounts, and mail for them would go back to its senders.
fn check_folders(data: &Path) -> Result<(), String> {
    match missing_shards(data)?.first() {
        None => Ok(()),
        Some(&shard) => Err(format!(
            "{} is missing, and with it the mail of every account of shard {shard}: mount it or put it back from a \
             backup; an empty folder in its place gives that mail up",
            shard_folder(data, shard).display()
        )),
    }
}

/// Notes the number of shards, durably.
pub(super) fn write_shards(folder: &Path, shards: u16) -> io::Result<()> {
    let fresh = folder.join("shards.new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{shards}")?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(SHARDS_FILE))?;
    File::open(folder)?.sync_all()
}

/// All checks that leave no trace; the ports are tried and let go again.
///
/// # Errors
/// The first that fails, with its remedy.
pub fn check(plan: &Plan) -> Result<(), String> {
    if plan.shards == 0 {
        return Err("a server needs at least one shard".to_owned());
    }
    check_ring()?;
    if let Some(pair) = &plan.tls {
        tls::settings(pair)?;
    } else if let Some(listener) = plan.listeners.iter().find(|listener| listener.implicit_tls) {
        return Err(format!("the listener {} needs TLS, and no certificate is set up", listener.address));
    }
    check_folders(&plan.data)?;
    check_space(plan)?;
    raise_descriptors(plan)?;
    plan.listeners.iter().try_for_each(|listener| check_port(listener.address))
}

fn check_ring() -> Result<(), String> {
    match ring::settings().build(RING_SUBMISSIONS) {
        Ok(_) => Ok(()),
        Err(error) => {
            let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
            let switch = read("/proc/sys/kernel/io_uring_disabled");
            Err(ring_refusal(&error, &switch, &read("/proc/sys/kernel/osrelease")))
        }
    }
}

/// Why the kernel gives no ring, and what to do; `switch` is the sysctl's value, `kernel` the running
/// version.
fn ring_refusal(error: &io::Error, switch: &str, kernel: &str) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => format!(
            "this system has no io_uring: run Linux 6.0 or newer (this is {kernel}), and where a container's \
             seccomp profile hides it, allow io_uring_setup, io_uring_enter and io_uring_register"
        ),
        Some(libc::EPERM | libc::EACCES) if switch == "1" || switch == "2" => format!(
            "io_uring is switched off (kernel.io_uring_disabled = {switch}): as root, run \
             `sysctl kernel.io_uring_disabled=0`"
        ),
        Some(libc::EPERM | libc::EACCES) => "io_uring is forbidden to this process: allow io_uring_setup, \
            io_uring_enter and io_uring_register in the seccomp profile of its container or service"
            .to_owned(),
        Some(libc::EINVAL) => {
            format!("this kernel's io_uring is too old: run Linux 6.0 or newer (this is {kernel})")
        }
        Some(libc::ENOMEM) => "no memory may be locked for io_uring: raise the limit, for example with \
            `ulimit -l unlimited` or LimitMEMLOCK=infinity"
            .to_owned(),
        Some(libc::EMFILE | libc::ENFILE) => {
            "no descriptor is left for io_uring: raise the limit, for example with `ulimit -n 65536`"
                .to_owned()
        }
        _ => format!("io_uring cannot be used: {error}"),
    }
}

/// A new folder takes a segment a shard at once and the next one soon, and a reserve stays free. In an old one the
/// start itself finds out: it gives room back before it asks for some, and a full disk must not keep anybody from
/// deleting.
fn check_space(plan: &Plan) -> Result<(), String> {
    if stored_shards(&plan.data)?.is_some() {
        return Ok(());
    }
    // The folder may not exist yet: its nearest parent that does is on the same file system.
    let existing = plan.data.ancestors().find(|path| path.exists());
    let place = existing.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let free = free_bytes(place).map_err(|error| format!("cannot look at {}: {error}", place.display()))?;
    let ahead = plan.segment_bytes.saturating_mul(2 * u64::from(plan.shards));
    let needed = ahead.saturating_add(plan.reserve_bytes());
    if free < needed {
        return Err(format!(
            "{} has {free} bytes free, and a new store of {} shards needs {needed}: make room, choose another \
             folder with --data, or set a smaller store.segment_bytes",
            plan.data.display(),
            plan.shards
        ));
    }
    Ok(())
}

/// Raises the limit of descriptors to what is allowed, and returns it.
///
/// # Errors
/// One line when it is too low to serve anybody.
pub fn raise_descriptors(plan: &Plan) -> Result<u64, String> {
    let most = raise_descriptor_limit()
        .map_err(|error| format!("cannot raise the limit of descriptors: {error}; set `ulimit -n 65536`"))?;
    // Each door is polled through a second descriptor.
    let own = u64::from(plan.shards) * (2 * plan.listeners.len() as u64 + DESCRIPTORS_PER_SHARD);
    let needed = own + DESCRIPTORS_RESERVED + DESCRIPTORS_FOR_CLIENTS_MIN;
    if most < needed {
        return Err(format!(
            "at most {most} descriptors may be open and at least {needed} are needed: raise the limit, for \
             example with `ulimit -n 65536` or LimitNOFILE=65536"
        ));
    }
    Ok(most)
}

fn check_port(address: SocketAddr) -> Result<(), String> {
    socket::bind(address, false).map(drop).map_err(|error| port_refusal(address, &error))
}

/// Why a port cannot be had, and what to do.
pub fn port_refusal(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} on {} is in use: stop who uses it (`ss -ltnp`) or set another in the configuration",
            address.port(),
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {} needs a privilege: grant CAP_NET_BIND_SERVICE or set a port of 1024 or more",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is not an address of this machine: set another in the configuration", address.ip())
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

fn full_or_broken(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("no space is left in the data folder {name}: make room")
        }
        _ => format!("cannot write in the data folder {name}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_process_and_one_number_of_shards() {
        let data = tempfile::tempdir().expect("a folder");
        let inner = data.path().join("made/on/demand");
        let held = lock(&inner).expect("free");
        let refused = lock(&inner).err().expect("taken");
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(held);
        lock(&inner).expect("free again");
        assert_eq!(stored_shards(&inner), Ok(None));
        settle_shards(&inner, 3).expect("new");
        settle_shards(&inner, 3).expect("the same");
        assert_eq!(stored_shards(&inner), Ok(Some(3)));
        assert!(settle_shards(&inner, 4).expect_err("another").contains("of 3 shards, not of 4"));
        fs::remove_dir(shard_folder(&inner, 1)).expect("it was made");
        assert_eq!(missing_shards(&inner), Ok(vec![1]));
        let lost = settle_shards(&inner, 3).expect_err("a shard's folder is gone");
        assert!(lost.contains("shard-001 is missing") && !shard_folder(&inner, 1).exists(), "{lost}");
        fs::write(inner.join(SHARDS_FILE), "many").expect("write");
        assert!(stored_shards(&inner).is_err());
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let refused = check_port(address).expect_err("taken");
        assert!(refused.starts_with(&format!("port {} on 127.0.0.1 is in use", address.port())), "{refused}");
        let elsewhere = check_port("192.0.2.1:0".parse().expect("an address")).expect_err("not ours");
        assert!(elsewhere.contains("not an address of this machine"), "{elsewhere}");
    }

    #[test]
    fn each_refusal_of_the_kernel_has_its_remedy() {
        let say = |error, switch| ring_refusal(&io::Error::from_raw_os_error(error), switch, "5.4.0");
        assert!(say(libc::ENOSYS, "").contains("6.0 or newer (this is 5.4.0)"));
        assert!(say(libc::EPERM, "2").contains("sysctl kernel.io_uring_disabled=0"));
        assert!(say(libc::EPERM, "0").contains("seccomp"));
        assert!(say(libc::EINVAL, "0").contains("too old"));
        assert!(say(libc::ENOMEM, "0").contains("ulimit -l"));
        check_ring().expect("this machine has io_uring");
    }
}
