//! K9, K10, K3: an outbox whose disk is full, cannot be written, or has damaged it. The disks are real file systems in memory,
//! mounted where only the node sees them; where this user may not mount any, those tests say so and are skipped.

use super::{Cloud, defer, free_port, gateway, start};
use crate::harness::{Folder, PATIENCE, Running, address, get_path};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A gateway whose outbox lies on a disk of its own.
struct Site {
    folder: Folder,
    cloud: Cloud,
}

/// A running node, and what may be done to its disk.
struct Node {
    process: Running,
    address: SocketAddr,
}

fn may_mount() -> bool {
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-ec", "mount -t tmpfs none /mnt"]);
    let may = shell.output().is_ok_and(|output| output.status.success());
    if !may && let Some(skips) = std::env::var_os("RIMWARD_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(skips);
        let why = b"K9, an outbox on a full disk: this user may not mount a file system\n";
        file.and_then(|mut file| std::io::Write::write_all(&mut file, why)).unwrap();
    }
    may
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: Folder::new(), cloud: Cloud::start() };
        site.cloud.is_cut.store(true, Relaxed);
        gateway(&site.folder, site.cloud.address, free_port());
        site
    }

    /// The node, after `mount` made its disk: a shell's command, where `$DISK` is the place.
    fn start(&self, mount: &str) -> Node {
        let script = format!(
            "export DISK=state/tenants; mkdir -p -m 700 state $DISK; {mount}\n\
             exec \"$0\" --json serve --config node.toml"
        );
        let plain = self.folder.rimward(&[]);
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script]).arg(plain.get_program());
        command.current_dir(self.folder.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut process = Folder::spawn(command.stderr(log));
        let address = address(&process.event("ready"));
        Node { process, address }
    }

    /// The outbox as the operator sees it.
    fn outbox(&self) -> Value {
        let listed = self.folder.run(&["outbox", "list", "--json", "--socket", "admin.sock"]).succeeds();
        listed.json()["outboxes"][0].clone()
    }

    /// Lets the cloud have everything, and checks that each of these readings arrived.
    fn delivers(&self, accepted: &[u32]) {
        self.cloud.is_cut.store(false, Relaxed);
        let accepted: BTreeSet<u32> = accepted.iter().copied().collect();
        eventually("every accepted call arrives", || {
            self.folder.run(&["outbox", "drain", "origin", "--socket", "admin.sock"]).succeeds();
            let arrived = self.cloud.calls().iter().map(super::Delivered::reading).collect();
            accepted.is_subset(&arrived)
        });
    }
}

impl Node {
    /// Does something to the disk while the node runs.
    fn remount(&self, options: &str) {
        let pid = self.process.pid().as_raw_nonzero().to_string();
        let script = format!("mount -o remount,{options} {}/state/tenants", folder_of(&pid));
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &pid, "--user", "--mount", "--preserve-credentials", "sh", "-ec", &script]);
        let output = enter.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn defers(&self, reading: u32) -> bool {
        defer(self.address, "a", reading).unwrap()
    }

    /// What has nothing to do with the outbox.
    #[track_caller]
    fn serves(&self) {
        assert_eq!(get_path(self.address, "/hello").0, 200);
    }
}

/// The folder in which a process runs.
fn folder_of(pid: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str().unwrap().to_owned()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "it did not happen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// K9, K3: where there is no more room a call is refused and not acknowledged; everything else goes on, and so does the
/// outbox when there is room.
#[test]
fn a_full_disk_refuses_calls_and_recovers() {
    if !may_mount() {
        return;
    }
    let site = Site::new();
    let node = site.start("mount -t tmpfs -o size=3m,mode=700 none $DISK");
    let mut accepted = Vec::new();
    // Every ninth is a large one, so that bodies of their own meet the end too.
    let refused = (1..2000).find(|&reading| {
        let is_accepted = node.defers(reading);
        if is_accepted {
            accepted.push(reading);
        }
        !is_accepted
    });
    let refused = refused.expect("three megabytes are full at some time");
    assert!(accepted.len() > 20, "{}", accepted.len());
    node.serves();
    let seen = site.outbox();
    assert!(seen["refused"].as_u64() >= Some(1), "{seen}");
    let log = site.folder.log();
    assert!(log.contains("No space left on device") || seen["problem"].is_string(), "{seen}\n{log}");
    node.remount("size=64m");
    eventually("calls are accepted again", || {
        let is_accepted = node.defers(refused);
        if is_accepted {
            accepted.push(refused);
        }
        is_accepted
    });
    assert!(site.outbox()["problem"].is_null(), "{}", site.outbox());
    site.delivers(&accepted);
    assert_eq!(node.process.stop(), Some(0));
}

/// K9, K3: a disk that cannot be written is named; what was accepted before is delivered when it can be.
#[test]
fn a_read_only_disk_is_named_and_the_outbox_recovers() {
    if !may_mount() {
        return;
    }
    let site = Site::new();
    let (node, _) = start(&site.folder);
    let address = address_of(&site);
    for reading in 1..=5 {
        assert!(defer(address, "a", reading).unwrap());
    }
    assert_eq!(node.stop(), Some(0));
    let node = site.start("mount --bind $DISK $DISK; mount -o remount,bind,ro $DISK");
    assert!(!node.defers(6));
    node.serves();
    let seen = site.outbox();
    assert!(seen["problem"].as_str().is_some_and(|why| why.contains("Read-only file system")), "{seen}");
    let log = site.folder.log();
    assert!(log.contains("an outbox cannot be used"), "{log}");
    node.remount("bind,rw");
    eventually("calls are accepted again", || node.defers(6));
    assert!(site.outbox()["problem"].is_null(), "{}", site.outbox());
    site.delivers(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(node.process.stop(), Some(0));
}

/// Where the node listens, which is the same each time.
fn address_of(site: &Site) -> SocketAddr {
    let text = std::fs::read_to_string(site.folder.path().join("node.toml")).unwrap();
    let listen = text.split("listen = [\"").nth(1).and_then(|rest| rest.split('"').next());
    listen.unwrap().parse().unwrap()
}

/// Writes other bytes into the middle of every page of the outbox's file.
fn damage(folder: &Folder) {
    let path = folder.path().join("state/tenants/default/gateway/outbox/origin.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096) {
        let middle = page.len() / 2;
        page[middle..].iter_mut().take(64).for_each(|byte| *byte ^= 0x5a);
    }
    std::fs::write(path, bytes).unwrap();
}

/// K10: a damaged file is set aside and named, never deleted, and the outbox goes on with an empty one.
#[test]
fn a_damaged_file_is_set_aside_and_named() {
    let site = Site::new();
    let (node, address) = start(&site.folder);
    for reading in 1..=5 {
        assert!(defer(address, "a", reading).unwrap());
    }
    assert_eq!(node.stop(), Some(0));
    damage(&site.folder);
    let (node, address) = start(&site.folder);
    assert_eq!(get_path(address, "/hello").0, 200);
    assert!(defer(address, "a", 6).unwrap());
    let seen = site.outbox();
    assert_eq!(seen["set-aside"].as_array().map(Vec::len), Some(1), "{seen}");
    let kept = std::path::PathBuf::from(seen["set-aside"][0].as_str().unwrap());
    assert!(site.folder.path().join(&kept).exists(), "{}", kept.display());
    let said = site.folder.run(&["outbox", "list", "--socket", "admin.sock"]).succeeds().stdout;
    assert!(said.contains("a damaged file was set aside"), "{said}");
    assert!(site.folder.log().contains("damaged"), "{}", site.folder.log());
    site.delivers(&[6]);
    assert_eq!(node.stop(), Some(0));
}

/// K10: where the app says so, nothing takes the place of a damaged file until somebody has seen to it.
#[test]
fn a_damaged_file_that_must_be_seen_to_refuses_calls() {
    let site = Site::new();
    let manifest = std::fs::read_to_string(site.folder.path().join("gateway/rimward.toml")).unwrap();
    let refuses = manifest.replace("outbox = { ", "outbox = { when-damaged = \"refuse\", ");
    site.folder.write("gateway/rimward.toml", refuses);
    let (node, address) = start(&site.folder);
    assert!(defer(address, "a", 1).unwrap());
    assert_eq!(node.stop(), Some(0));
    let path = site.folder.path().join("state/tenants/default/gateway/outbox/origin.redb");
    let whole = std::fs::read(&path).unwrap();
    damage(&site.folder);
    let (node, address) = start(&site.folder);
    assert!(!defer(address, "a", 2).unwrap());
    assert_eq!(get_path(address, "/hello").0, 200);
    assert!(site.outbox()["problem"].is_string(), "{}", site.outbox());
    // From a backup, as an operator would, while the node runs.
    let beside = path.with_extension("restored");
    std::fs::write(&beside, whole).unwrap();
    std::fs::rename(beside, path).unwrap();
    eventually("calls are accepted again", || defer(address, "a", 2).unwrap());
    site.delivers(&[1, 2]);
    assert_eq!(node.stop(), Some(0));
}
