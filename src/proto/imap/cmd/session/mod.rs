//! Commands about the connection and who uses it: capabilities, login, TLS, IDLE.

mod enable;
pub mod idle;
pub mod login;
pub mod notify;
pub mod plain;
