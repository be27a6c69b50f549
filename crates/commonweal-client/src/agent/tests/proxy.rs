//! A site whose only way out is a proxy that asks for a password.
//!
//! The proxy comes from the environment, which a test must not change for the others: so the node is another process,
//! this very program with one test chosen.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::folder::NodeFolder;
use crate::join::{Consent, Join, join};
use crate::scripted::Scripted;
use crate::settings::Accept;

const INVITATION: &str = "COMMONWEAL_TEST_INVITATION";
const FOLDER: &str = "COMMONWEAL_TEST_FOLDER";

/// The node's process; without an invitation there is nothing to do.
#[test]
fn a_process_behind_the_proxy_joins() {
    let (Ok(invitation), Ok(folder)) = (std::env::var(INVITATION), std::env::var(FOLDER)) else {
        return;
    };
    let how = Join {
        string: invitation.parse().unwrap(),
        name: Some("node-a".to_owned()),
        ca_file: None,
        consent: Some(Consent {
            accept: Accept::Ask,
            smallest_cohort: 3,
        }),
    };
    join(&NodeFolder::at(folder), how).unwrap();
}

#[test]
fn a_node_goes_through_a_proxy_with_a_password_and_around_it_where_it_may() {
    let server = Scripted::start();
    let proxy = Proxy::start();
    for (exception, asked) in [("", 1), ("127.0.0.1", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let node = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "agent::tests::proxy::a_process_behind_the_proxy_joins",
            ])
            .env(INVITATION, server.invitation().to_string())
            .env(FOLDER, folder.path())
            .env(
                "HTTPS_PROXY",
                format!("http://ada:secret@{}", proxy.address),
            )
            .env("NO_PROXY", exception)
            .output()
            .unwrap();
        assert!(
            node.status.success(),
            "{}",
            String::from_utf8_lossy(&node.stdout)
        );
        assert!(NodeFolder::at(folder.path()).server().exists());
        let passed = std::mem::take(&mut *proxy.passed.lock().unwrap());
        assert_eq!(passed.len(), asked, "{passed:?}");
        let target = server.url.trim_start_matches("https://");
        assert!(passed.iter().all(|passed| passed == target));
    }
}

/// Lets through whoever knows the password.
struct Proxy {
    address: String,
    /// To where.
    passed: Arc<Mutex<Vec<String>>>,
}

/// `ada:secret` in base64.
const PASSWORD: &str = "proxy-authorization: basic ywrhonnly3jldA==";

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let passed: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&passed);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                // A client that is refused goes away, and so may a connection.
                thread::spawn(move || relay(stream?, &seen));
            }
        });
        Self { address, passed }
    }
}

fn relay(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_let_through = head.to_lowercase().contains(&PASSWORD.to_lowercase());
    let target = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let (Some(target), true) = (target, is_let_through) else {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    };
    seen.lock().unwrap().push(target.to_owned());
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client)?;
    Ok(())
}
