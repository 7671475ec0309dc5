//! Arguments of METADATA, QUOTA, ACL and URLAUTH.
//!
//! *Owns*: what rfc5464, rfc9208, rfc4314 and rfc4467 add. *Promises*: names of annotations are in lower case
//! and could be some; rights are known ones. *Assumes*: the parser. *Never*: knows what exists.

use bytes::Bytes;
use ringpost_engine::change::{QuotaLimits, Rights};

/// GETMETADATA, SETMETADATA (rfc5464#4.2, #4.3). The empty mailbox name is the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataCommand {
    /// GETMETADATA
    Get {
        /// Whose.
        mailbox: String,
        /// Which, each once.
        entries: Vec<String>,
        /// Values with more octets are not wanted.
        size_max: Option<u32>,
        /// How far below the entries.
        depth: Depth,
    },
    /// SETMETADATA
    Set {
        /// Whose.
        mailbox: String,
        /// Names, each once, and values; none removes.
        entries: Vec<(String, Option<Bytes>)>,
    },
}

/// `DEPTH` (rfc5464#4.2.2)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The entry alone.
    #[default]
    Zero,
    /// And those immediately below.
    One,
    /// And all below.
    Infinity,
}

/// GETQUOTA, GETQUOTAROOT, SETQUOTA (rfc9208#4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaCommand {
    /// GETQUOTA
    Get {
        /// Name of a quota root.
        root: Bytes,
    },
    /// GETQUOTAROOT
    Root {
        /// Any mailbox name.
        mailbox: String,
    },
    /// SETQUOTA
    Set {
        /// Name of a quota root.
        root: Bytes,
        /// Its limits from now on; none if a resource was named that is not known.
        limits: Option<QuotaLimits>,
    },
}

/// What SETACL does with the rights of an identifier (rfc4314#3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// They become these.
    Replace(Rights),
    /// `+`
    Add(Rights),
    /// `-`
    Remove(Rights),
}

/// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (rfc4314#3). Identifiers are normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclCommand {
    /// SETACL
    Set {
        /// Whose list.
        mailbox: String,
        /// Whose rights.
        identifier: String,
        /// How they change.
        change: RightsChange,
    },
    /// DELETEACL
    Delete {
        /// Whose list.
        mailbox: String,
        /// Whose rights.
        identifier: String,
    },
    /// GETACL
    Get {
        /// Whose list.
        mailbox: String,
    },
    /// LISTRIGHTS
    List {
        /// Whose list.
        mailbox: String,
        /// Whose rights, as the client named it: the reply repeats it (rfc4314#3.4).
        identifier: String,
    },
    /// MYRIGHTS
    Mine {
        /// On which mailbox.
        mailbox: String,
    },
}

/// GENURLAUTH, RESETKEY, URLFETCH (rfc4467#7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlCommand {
    /// GENURLAUTH: URLs and the mechanism for each, in lower case.
    Generate(Vec<(Bytes, String)>),
    /// RESETKEY
    Reset {
        /// Whose key; none for all.
        mailbox: Option<String>,
    },
    /// URLFETCH
    Fetch(Vec<Bytes>),
}
