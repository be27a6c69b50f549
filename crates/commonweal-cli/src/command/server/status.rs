//! `commonweal server status`: where the server is reached, how it is known, and whom it knows.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use commonweal_server::authority::Authority;
use commonweal_server::store::NodeState;
use serde::Serialize;

use super::{Office, ServerFailure};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;
use crate::serving::Serving;
use crate::time_text::clock;

/// How long this machine may take to answer itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// The arguments.
#[derive(Debug, Args)]
pub struct Status {}

#[derive(Serialize)]
struct State {
    data_dir: PathBuf,
    url: String,
    is_listening: bool,
    authority: Option<String>,
    /// When the first of its certificates runs out.
    certificate_until_ms: Option<u64>,
    nodes_enrolled: usize,
    nodes_waiting: usize,
    invitations_open: usize,
    keys: usize,
}

impl Status {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let state = state(folder)?;
        console.event("server", &state);
        let line = |name: &str, value: &str| console.line(format_args!("{name:<13} {value}"));
        line("data", &state.data_dir.display().to_string());
        line("address", &state.url);
        line(
            "listening",
            if state.is_listening {
                "yes"
            } else {
                "no: `commonweal serve` starts it"
            },
        );
        if let Some(authority) = &state.authority {
            line("authority", authority);
        }
        if let Some(until_ms) = state.certificate_until_ms {
            line(
                "certificate",
                &format!("good until {} UTC", clock(until_ms)),
            );
        }
        let waiting = match state.nodes_waiting {
            0 => String::new(),
            waiting => format!(", {waiting} to approve"),
        };
        line(
            "nodes",
            &format!("{} enrolled{waiting}", state.nodes_enrolled),
        );
        line("invitations", &format!("{} open", state.invitations_open));
        line("keys", &state.keys.to_string());
        Ok(Exit::Success)
    }
}

fn state(folder: &ServerFolder) -> Result<State, Failure> {
    let office = Office::existing(folder)?;
    let config = folder.load()?;
    let now = SystemTime::now();
    let authority = Authority::open(&config, now).map_err(ServerFailure::from)?;
    let until = authority
        .certificates()
        .iter()
        .map(|file| file.dates.not_after)
        .min();
    let serving = Serving::read(&config.data_dir).map_err(ServerFailure::from)?;
    let address = serving
        .as_ref()
        .and_then(|serving| serving.address.parse().ok());
    let nodes = office.wait(office.admin.nodes().list())?;
    let count = |state| nodes.iter().filter(|node| node.state == state).count();
    let now_ms = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.as_millis());
    let invitations = office.wait(office.admin.invitations().list())?.into_iter();
    let is_open = |expires_at_ms: u64| u128::from(expires_at_ms) > now_ms;
    let open = invitations.filter(|it| it.used.is_none() && is_open(it.expires_at_ms));
    let keys = office.wait(office.admin.keys().list())?.into_iter();
    Ok(State {
        url: serving.map_or_else(|| config.public_url().to_string(), |serving| serving.url),
        is_listening: address.is_some_and(listens),
        authority: authority.fingerprint().map(|digest| digest.to_string()),
        certificate_until_ms: until
            .and_then(|seconds| u64::try_from(seconds).ok()?.checked_mul(1000)),
        nodes_enrolled: count(NodeState::Enrolled),
        nodes_waiting: count(NodeState::Waiting),
        invitations_open: open.count(),
        keys: keys.filter(|key| key.revoked_at_ms.is_none()).count(),
        data_dir: config.data_dir,
    })
}

/// Whether something takes connections there; a server that listens everywhere listens here.
fn listens(mut address: SocketAddr) -> bool {
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}
