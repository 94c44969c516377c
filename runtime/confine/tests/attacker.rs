//! A process that was taken over, under each profile: this binary runs itself again, confines itself, and tries what an
//! attacker would. What is refused here is refused to whoever gets control of a node.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]
#![allow(unsafe_code, reason = "an attacker makes system calls that no library offers")]
#![expect(clippy::print_stdout, reason = "the attacker tells the test what it could do")]

use rimward_confine::{Mode, Reach, Report, server, worker};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROFILE: &str = "RIMWARD_TEST_PROFILE";
const FOLDER: &str = "RIMWARD_TEST_FOLDER";
const PORT: &str = "RIMWARD_TEST_PORT";

/// What each attempt came to: `done`, or the system's error.
type Outcomes = BTreeMap<String, String>;

/// Runs [`the_attacker`] under a profile, with a folder that it was given (`mine`), one that it was not (`theirs`), and
/// somebody who listens.
fn attack(profile: &str) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mine", "theirs"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file"), "content").unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_attacker", "--nocapture", "--test-threads=1"])
        .env(PROFILE, profile)
        .env(FOLDER, folder.path())
        .env(PORT, listener.local_addr().unwrap().port().to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcomes: Outcomes = text
        .lines()
        .filter_map(|line| line.split_once("attack: ")?.1.split_once('='))
        .map(|(attempt, outcome)| (attempt.to_owned(), outcome.to_owned()))
        .collect();
    assert!(outcomes.contains_key("end"), "the attacker did not come to its end: {text}{output:?}");
    outcomes
}

#[track_caller]
fn are(outcomes: &Outcomes, attempts: &[&str], wanted: impl Fn(&str) -> bool) {
    for attempt in attempts {
        let outcome = outcomes.get(*attempt).unwrap_or_else(|| panic!("nobody tried to {attempt}"));
        assert!(wanted(outcome), "{attempt}: {outcome}");
    }
}

fn refused(outcome: &str) -> bool {
    outcome.starts_with("refused")
}

fn done(outcome: &str) -> bool {
    outcome == "done"
}

const PRIVILEGES: &[&str] = &[
    "trace another process",
    "make namespaces",
    "make namespaces while cloning",
    "mount",
    "load a program into the kernel",
    "measure the kernel",
    "handle page faults",
    "use io_uring",
    "read keys",
    "make a raw socket",
    "use the other number of a call",
];

const FILES: &[&str] =
    &["read /etc/passwd", "list /", "read theirs", "write theirs", "make a file in /tmp", "execute"];

/// Without confining, all of it works here: what the other tests see refused is refused by the profile.
#[test]
fn a_process_that_is_not_confined_does_what_the_profiles_refuse() {
    let outcomes = attack("none");
    are(&outcomes, FILES, done);
    are(
        &outcomes,
        &["connect", "connect to a unix socket", "start a thread", "use the other number of a call"],
        done,
    );
}

/// D3: what has taken over a process that compiles reaches no file, no network, no other process and no program.
#[test]
fn a_compiling_process_that_was_taken_over_reaches_nothing() {
    let outcomes = attack("compiler");
    are(&outcomes, FILES, refused);
    are(&outcomes, PRIVILEGES, refused);
    are(
        &outcomes,
        &[
            "connect",
            "connect to a unix socket",
            "listen",
            "read mine",
            "write mine",
            "signal another process",
        ],
        refused,
    );
    are(&outcomes, &["start a thread"], done);
}

/// F18: what has taken over a server reaches the files that it was given and no others, starts no program, and uses no
/// part of the kernel that servers have no use for.
#[test]
fn a_server_that_was_taken_over_keeps_to_its_files_and_calls() {
    let outcomes = attack("server");
    are(&outcomes, FILES, refused);
    are(&outcomes, PRIVILEGES, refused);
    are(&outcomes, &["read mine", "write mine", "connect", "listen", "start a thread"], done);
}

/// Says what each attempt came to. Does nothing unless another test has started it.
#[test]
fn the_attacker() {
    let Ok(profile) = std::env::var(PROFILE) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let parent = rustix::process::getppid().unwrap();
    let mine = folder.join("mine");
    let reach = Reach { write: vec![mine.clone()], ..Reach::default() };
    let report: Report = match profile.as_str() {
        "compiler" => worker(Mode::Auto).unwrap(),
        "server" => server(Mode::Auto, &reach).unwrap(),
        _ => Report::default(),
    };
    // Standard output was opened before.
    println!("\nattack: report={report}");
    try_files(&folder, &mine);
    attempt("connect", || TcpStream::connect(("127.0.0.1", port)).map(drop));
    attempt("connect to a unix socket", || UnixStream::pair().map(drop));
    attempt("listen", || TcpListener::bind("127.0.0.1:0").map(drop));
    attempt("start a thread", || {
        std::thread::Builder::new().spawn(|| {}).map(|thread| thread.join().unwrap())
    });
    // 0 sends nothing: it asks whether one could be sent.
    attempt("signal another process", || rustix::process::test_kill_process(parent).map_err(io::Error::from));
    try_calls(parent.as_raw_nonzero().get());
    println!("\nattack: end=done");
}

fn try_files(folder: &Path, mine: &Path) {
    let theirs = folder.join("theirs");
    attempt("read /etc/passwd", || fs::read("/etc/passwd").map(drop));
    attempt("list /", || fs::read_dir("/").map(drop));
    attempt("read theirs", || fs::read(theirs.join("file")).map(drop));
    attempt("write theirs", || fs::write(theirs.join("file"), "x"));
    attempt("make a file in /tmp", || tempfile::tempfile().map(drop));
    attempt("execute", || Command::new("/bin/true").status().map(drop));
    attempt("read mine", || fs::read(mine.join("file")).map(drop));
    attempt("write mine", || fs::write(mine.join("new"), "x"));
}

fn try_calls(parent: i32) {
    call("trace another process", libc::SYS_ptrace, [libc::PTRACE_SEIZE as i64, i64::from(parent), 0, 0]);
    call("make namespaces", libc::SYS_unshare, [i64::from(libc::CLONE_NEWNS), 0, 0, 0]);
    call("make namespaces while cloning", libc::SYS_clone, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0]);
    call("mount", libc::SYS_mount, [0, 0, 0, 0]);
    call("load a program into the kernel", libc::SYS_bpf, [0, 0, 0, 0]);
    call("measure the kernel", libc::SYS_perf_event_open, [0, 0, 0, 0]);
    call("handle page faults", libc::SYS_userfaultfd, [0, 0, 0, 0]);
    call("use io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0]);
    call("read keys", libc::SYS_keyctl, [0, 0, 0, 0]);
    let raw = i64::from(libc::SOCK_RAW);
    call("make a raw socket", libc::SYS_socket, [i64::from(libc::AF_PACKET), raw, 0, 0]);
    #[cfg(target_arch = "x86_64")]
    other_number();
    #[cfg(not(target_arch = "x86_64"))]
    println!("\nattack: use the other number of a call=refused: there is none");
}

/// The call that programs with short pointers make. Kernels without them answer that there is no such call, so what
/// decides is whether the filter answered: it says EPERM to servers.
#[cfg(target_arch = "x86_64")]
fn other_number() {
    let confined = std::env::var(PROFILE).unwrap();
    // SAFETY: whatever it answers, no argument is a pointer that is followed.
    let answer = unsafe { libc::syscall(0x4000_0000 | libc::SYS_ptrace, -1, 0, 0, 0) };
    let error = io::Error::last_os_error();
    let by_filter = match &*confined {
        "server" => error.raw_os_error() == Some(libc::EPERM),
        "compiler" => error.raw_os_error() == Some(libc::ENOSYS),
        _ => false,
    };
    assert_eq!(answer, -1);
    println!("\nattack: use the other number of a call={}", if by_filter { "refused" } else { "done" });
}

fn attempt(what: &str, act: impl FnOnce() -> io::Result<()>) {
    report(what, act());
}

/// Arguments that the kernel itself refuses come back with another error than a filter's.
fn call(what: &str, number: i64, arguments: [i64; 4]) {
    let [a, b, c, d] = arguments;
    // SAFETY: no argument is a pointer that is followed; what a call does to the process is what is tested.
    let answer = unsafe { libc::syscall(number, a, b, c, d) };
    if number == libc::SYS_clone && answer == 0 {
        // The child of an attack that worked.
        std::process::exit(0);
    }
    report(what, if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
}

fn report(what: &str, came_to: io::Result<()>) {
    let by_profile = [libc::EPERM, libc::EACCES, libc::ENOSYS];
    match came_to {
        Ok(()) => println!("\nattack: {what}=done"),
        Err(error) if error.raw_os_error().is_some_and(|number| by_profile.contains(&number)) => {
            println!("\nattack: {what}=refused: {error}");
        }
        Err(error) => println!("\nattack: {what}=failed: {error}"),
    }
}
