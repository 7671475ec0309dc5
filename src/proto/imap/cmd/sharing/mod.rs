//! Commands about what is shared and how much of it: annotations, rights, quotas, authorised URLs.

pub mod acl;
pub mod metadata;
pub mod quota;
mod token;
pub mod urlauth;
