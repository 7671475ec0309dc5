//! Commands about messages: putting them in, copying and moving, flags, removing. FETCH and SEARCH have
//! folders of their own.

pub mod append;
pub mod copy;
pub mod expunge;
pub mod store;
mod transfer;
