//! A whole node against a scripted server, over TLS.

mod canaries;
mod consent;
mod fixture;
mod network;
mod work;
