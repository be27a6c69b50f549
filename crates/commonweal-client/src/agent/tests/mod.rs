//! A whole node against a scripted server, over TLS.

mod canaries;
mod consent;
mod dry_run;
mod fixture;
mod logs;
mod network;
mod proxy;
mod states;
mod work;
