//! Machines whose disks are full or may not be written: who suffers says so, and goes on when there is room again.
//!
//! A disk is a small `tmpfs`, which takes the right to mount one: without it these tests say that they tried nothing.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use commonweal_wire::control::{self, RunInfo, RunState};

use crate::federation::{Federation, is_round, job};
use crate::hand::{Hand, JOB};
use crate::server::{Server, until};

/// A disk of its own. Unmounted with its value, which must outlive whoever uses it.
struct Disk(PathBuf);

impl Disk {
    /// Mounts a disk of so many MB there; none where that is not allowed.
    fn mount(path: &Path, size_mb: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={size_mb}m");
        let is_mounted = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], path);
        if !is_mounted {
            eprintln!("NOT TESTED: a full disk needs the right to mount one");
        }
        is_mounted.then(|| Self(path.to_owned()))
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let filler = self.0.join("filler");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(filler)
            .unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    /// Lets nobody write any more.
    fn close(&self) {
        assert!(run("mount", &["-o", "remount,ro"], &self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_server_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("data"), 16) else {
        return;
    };
    let server = Server::start_at(folder.path().join("data"));
    let mut one = Hand::enrolled(&server, "one", 1);
    let mut two = Hand::enrolled(&server, "two", 2);
    let run = server.submit(JOB).id;
    one.approve();
    two.approve();
    let given = (one.work(), two.work());
    disk.fill();
    one.do_honestly(&given.0);
    two.do_honestly(&given.1);
    until("the log speaks of the disk", || {
        let log = server.log().to_lowercase();
        log.contains("disk is full") || log.contains("no space")
    });
    assert_eq!(
        server.info(&run).round,
        0,
        "what is not on disk is not committed"
    );
    disk.free();
    Hand::do_the_rest(&mut [&mut one, &mut two]);
    let info = server.end(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    drop(server);
}

#[test]
fn a_run_that_waits_for_room_on_the_disk_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("data"), 16) else {
        return;
    };
    let server = Server::start_at(folder.path().join("data"));
    let mut one = Hand::enrolled(&server, "one", 1);
    let mut two = Hand::enrolled(&server, "two", 2);
    let run = server.submit(JOB).id;
    one.approve();
    two.approve();
    let given = (one.work(), two.work());
    disk.fill();
    one.do_honestly(&given.0);
    two.do_honestly(&given.1);
    until("the log speaks of the disk", || {
        server.log().contains("the store refuses")
    });
    let cancel = || server.control::<RunInfo>("POST", &control::cancel(&run), &());
    let told = cancel().unwrap_err();
    assert!(told.contains("does nothing more"), "{told}");
    assert!(told.to_lowercase().contains("disk is full"), "{told}");
    assert!(cancel().is_err(), "it is not written down yet");
    disk.free();
    let info = server.end(&run);
    assert_eq!(info.state, RunState::Cancelled, "{:?}", info.reason);
    assert_eq!(info.round, 0);
    drop(server);
}

#[test]
fn a_server_that_may_not_write_says_where_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(disk) = Disk::mount(&data, 16) else {
        return;
    };
    drop(Server::start_at(data.clone()));
    disk.close();
    let output = Command::new(env!("CARGO_BIN_EXE_commonweal"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&data.display().to_string()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_node_whose_disk_is_full_says_so_and_ends_and_goes_on_when_started_again() {
    const CLIENTS: usize = 3;
    let mut federation = Federation::joined(&job(CLIENTS, 6), CLIENTS);
    let place = federation.sites[1].folder().join("node");
    let Some(disk) = federation.sites[1].move_to(|to| Disk::mount(to, 8)) else {
        return;
    };
    federation.sites.iter_mut().for_each(|site| site.run());
    federation.server.until_online(CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 2));
    disk.fill();
    // It sends nothing that it cannot record.
    assert_eq!(federation.sites[1].ended(), Some(1));
    let log = federation.sites[1].log();
    assert!(
        log.contains("disk is full") && log.contains(&place.display().to_string()),
        "{log}"
    );
    disk.free();
    federation.sites[1].run();
    let (info, _) = federation.end(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    assert_eq!(info.model, Some(federation.simulated()));
    federation.sites[1].kill();
}

#[test]
fn a_node_that_may_not_write_says_where_and_ends() {
    let server = Server::start();
    let mut site = crate::site::Site::join(&server, "node", "");
    let Some(disk) = site.move_to(|to| Disk::mount(to, 8)) else {
        return;
    };
    disk.close();
    site.run();
    assert_ne!(site.ended(), Some(0));
    let log = site.log();
    assert!(
        log.contains(&site.folder().join("node").display().to_string()),
        "{log}"
    );
    assert!(!log.contains("panicked"), "{log}");
}
