//! Runs the binary in a folder of its own, and pins what it says in golden files. `RIMWARD_BLESS=1` writes them anew.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

const BLESS: &str = "RIMWARD_BLESS";

/// How long anything may take before a test gives up: a loaded machine compiles slowly.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder to run commands in.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Writes a file, and the folders that it is in.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Whole or not at all, as editors do it: whoever watches never reads half a file.
        let beside = path.with_extension("written");
        fs::write(&beside, content).unwrap();
        fs::rename(beside, path).unwrap();
        self
    }

    /// The binary with these arguments, as a user in this folder would run it, in a plain environment.
    pub(crate) fn rimward(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rimward"));
        command.args(arguments).current_dir(self.path()).env("XDG_CACHE_HOME", self.path().join("cache"));
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("RIMWARD_") || name.contains("COLOR"))
        {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(self.rimward(arguments).output().unwrap())
    }

    pub(crate) fn ended(&self, output: Output) -> Ended {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(self.path().to_str().unwrap(), "[FOLDER]")
        };
        Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts a command that runs until it is stopped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let log = fs::File::options().create(true).append(true).open(self.path().join("log")).unwrap();
        let mut command = self.rimward(arguments);
        Self::spawn(command.stderr(log))
    }

    /// Everything that commands which ran until they were stopped have said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn spawn(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }
}

impl Ended {
    /// Compares everything that was said with the golden file of that name.
    #[track_caller]
    pub(crate) fn is_golden(&self, name: &str) {
        let Self { status, stdout, stderr } = self;
        let status = status.map_or("killed".into(), |status| status.to_string());
        let text = format!("exit status {status}\n--- stdout\n{stdout}--- stderr\n{stderr}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
        if std::env::var_os(BLESS).is_some() {
            return fs::write(path, text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "`{name}` has changed: if that is meant, run the test with {BLESS}=1");
    }

    /// The same with what differs from run to run taken out.
    pub(crate) fn without(mut self, text: &str, name: &str) -> Self {
        self.stdout = self.stdout.replace(text, name);
        self.stderr = self.stderr.replace(text, name);
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A command that runs until it is stopped; at the latest when it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// The next event of that name; others before it are skipped.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("it ended before `{name}`")).unwrap();
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Leaves it so many more file descriptors than it has open.
    pub(crate) fn limit_descriptors(&self, more: u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count() as u64;
        let limit = rustix::process::Rlimit { current: Some(open + more), maximum: Some(open + more) };
        rustix::process::prlimit(Some(self.pid()), rustix::process::Resource::Nofile, limit).unwrap();
    }

    /// Its exit status, when it has ended by itself.
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }

    /// Asks it to stop, as systemd does, and waits until it has. Returns its exit status.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.ends()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first address that an event names.
pub(crate) fn address(event: &Value) -> SocketAddr {
    event["addresses"]["http"][0].as_str().unwrap().parse().unwrap()
}

/// Sends `GET /` on a connection of its own. Returns the status and the body.
pub(crate) fn get(address: SocketAddr) -> (u16, String) {
    get_path(address, "/")
}

/// The same with another path.
pub(crate) fn get_path(address: SocketAddr, path: &str) -> (u16, String) {
    get_host(address, "localhost", path)
}

/// The same on another host.
pub(crate) fn get_host(address: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_else(|| panic!("no reply: {reply}")), body.unwrap_or_default())
}

/// The component of an example, which the test command builds first.
pub(crate) fn example(name: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/target/wasm32-wasip2/release");
    let path = target.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| {
        panic!("the example `{name}` is not built ({error}): run `cargo xtask setup`")
    })
}

/// A guest of the tests: a small program for one behaviour.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let target =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/target/wasm32-wasip2/release");
    let path = target.join(format!("{name}.wasm"));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("the guest `{name}` is not built ({error}): run `cargo xtask setup`"))
}

/// A declaration of one function, `function.wasm`, that answers `GET /`.
pub(crate) fn manifest(name: &str, of_function: &str) -> String {
    format!(
        "[app]\nname = \"{name}\"\n\n[function.{name}]\ncomponent = \"function.wasm\"\n{of_function}\n\
         [[trigger.http]]\nroute = \"GET /\"\nfunction = \"{name}\"\n"
    )
}
