//! What `serve` gives up before it serves: every file but those that a node needs, the system calls that no server needs,
//! new privileges and core dumps. Called first, while the process has one thread; what is given up stays so, also for the
//! program that a restart in place executes, which is why folders are named here rather than files: what is replaced in
//! them later (an app, a certificate, the binary) is still reached.

use super::Plan;
use anyhow::Result;
use rimward_confine::{Mode, Reach, Report};
use rimward_manifest::{FileAt, Secret, UpstreamBinding};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Set for the program that a confined node executes in its place: what it is confined to already.
pub(super) const CONFINED: &str = "RIMWARD_CONFINED_TO";

/// Read by the C library, rustls and the engine: names and addresses, trust, time, the machine. Files in `/etc` are replaced
/// by others of their name when a network changes, so the folder is named.
const SYSTEM: &[&str] = &[
    "/etc",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/pressure",
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/net",
    "/proc/sys/vm",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Folders of programs that are not ours: a binary that lies there is the only one that may be executed.
const SHARED: &[&str] = &["/bin", "/sbin", "/usr/bin", "/usr/sbin"];

/// What came of it.
pub(super) struct Confined {
    report: Report,
    /// Names what was applied, for [`CONFINED`].
    pub(super) to: Option<String>,
    inherited: bool,
}

/// Confines this process to what its plan needs.
pub(super) fn apply(plan: &Plan) -> Result<Confined> {
    let mode = crate::compiler::mode(plan.file.node.confine);
    if mode == Mode::Off {
        return Ok(Confined { report: Report::default(), to: None, inherited: false });
    }
    make_folders(plan);
    let reach = reach(plan);
    let to = name(&reach);
    // The same walls a second time would only cost: each restart would add a layer, and the kernel has sixteen.
    if std::env::var(CONFINED).is_ok_and(|before| before == to) && is_filtered() {
        return Ok(Confined { report: Report::default(), to: Some(to), inherited: true });
    }
    let report = rimward_confine::server(mode, &reach)?;
    Ok(Confined { report, to: Some(to), inherited: false })
}

/// Says it in the log.
pub(super) fn tell(confined: &Confined) {
    let Confined { report, to, inherited } = confined;
    match (to, inherited) {
        (None, _) => tracing::warn!("this process is not confined: `node.confine` is `off`"),
        (_, true) => tracing::info!("confined as the process before the restart was"),
        _ => tracing::info!(from = %standing(report), "confined"),
    }
    for part in report.missing() {
        let reason = part.missing.as_deref().unwrap_or_default();
        tracing::warn!(reason, "not confined in {}: see `rimward doctor`", part.name);
    }
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "the node runs as root, and needs no right of it: run it as a user of its own, as in docs/operating.md (for a port below 1024: AmbientCapabilities=CAP_NET_BIND_SERVICE, or a socket of the service manager)"
        );
    }
}

fn standing(report: &Report) -> String {
    let standing = report.parts.iter().filter(|part| part.missing.is_none());
    standing.map(|part| part.name).collect::<Vec<_>>().join(", ")
}

/// What a node makes for itself; what cannot be made is told by whoever needs it.
fn make_folders(plan: &Plan) {
    for folder in writable(plan) {
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
}

fn writable(plan: &Plan) -> Vec<PathBuf> {
    let node = &plan.file.node;
    let mut folders = vec![node.state.clone(), node.cache.clone()];
    // The folder of a socket that is named without one is this one.
    let sockets = plan.admin.iter().filter_map(|socket| std::path::absolute(socket).ok());
    folders.extend(sockets.filter_map(|socket| socket.parent().map(Path::to_owned)));
    folders
}

fn reach(plan: &Plan) -> Reach {
    let mut read: BTreeSet<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    for file in files(plan) {
        read.extend(around(&file));
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        read.extend(std::env::var_os(variable).map(PathBuf::from));
    }
    let mapped = mapped_files();
    read.extend(mapped.iter().filter_map(|library| library.parent()).map(Path::to_owned));
    let mut execute: Vec<PathBuf> = mapped.into_iter().filter(|file| is_loader(file)).collect();
    execute.extend(std::env::current_exe().map(|program| folder_of_program(&program)));
    Reach { read: read.into_iter().collect(), write: writable(plan), execute }
}

/// Files and folders that the operator names.
fn files(plan: &Plan) -> Vec<PathBuf> {
    let file = &plan.file;
    let mut files: Vec<PathBuf> = plan.config.iter().cloned().collect();
    files.extend(plan.apps.iter().map(|(path, _)| path.clone()));
    let certificates = file.tls.iter().flat_map(|tls| &tls.certificates);
    files.extend(certificates.flat_map(|pair| [pair.cert.clone(), pair.key.clone()]));
    let of_tenants = file.tenants.values().flat_map(|tenant| tenant.secrets.values());
    files.extend(file.secrets.values().chain(of_tenants).filter_map(|secret| match secret {
        Secret::File(path) => Some(path.clone()),
        Secret::Env(_) => None,
    }));
    for (_, placement) in &plan.apps {
        files.extend(placement.bind.upstreams.values().flat_map(of_upstream));
    }
    files
}

fn of_upstream(binding: &UpstreamBinding) -> Vec<PathBuf> {
    let cert = binding.client_certificate.as_ref().map(|certificate| &certificate.cert);
    let on_node = |file: &FileAt| match file {
        FileAt::Node(path) => Some(path.clone()),
        FileAt::App(_) => None,
    };
    binding.ca.iter().chain(cert).filter_map(on_node).collect()
}

/// A file, and the folder that it is in, so that another file in its place is reached too; where it is a link, the same for
/// what it leads to. Folders near the root hold too much: there it is the file alone.
fn around(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = absolute.canonicalize().ok();
    let mut all = Vec::new();
    for path in std::iter::once(absolute).chain(real) {
        let folder = path.parent().filter(|folder| folder.components().count() > 2).map(Path::to_owned);
        all.extend(folder);
        all.push(path);
    }
    // A path without links is its own real one.
    let mut seen = BTreeSet::new();
    all.retain(|path| seen.insert(path.clone()));
    all
}

fn folder_of_program(program: &Path) -> PathBuf {
    match program.parent() {
        Some(folder) if !SHARED.iter().any(|shared| folder == Path::new(shared)) => folder.to_owned(),
        _ => program.to_owned(),
    }
}

/// The program, its loader and its libraries: what a process needs that executes it again.
fn mapped_files() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    paths.filter(|path| path.is_file()).collect()
}

fn is_loader(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-"))
}

fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

fn name(reach: &Reach) -> String {
    let mut hasher = DefaultHasher::new();
    (&reach.read, &reach.write, &reach.execute).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_is_still_reached_and_the_root_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let (file, link) = (real.join("releases/5/key.pem"), real.join("live/key.pem"));
        for path in [&file, &link] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let reached = around(&link);
        assert!(
            reached.contains(&real.join("live")) && reached.contains(&real.join("releases/5")),
            "{reached:?}"
        );
        assert_eq!(around(Path::new("/srv")), [Path::new("/srv")]);
        assert_eq!(around(Path::new("/none/app")), [Path::new("/none/app")]);
    }

    #[test]
    fn a_binary_among_others_is_alone_executable() {
        assert_eq!(folder_of_program(Path::new("/usr/bin/rimward")), Path::new("/usr/bin/rimward"));
        assert_eq!(folder_of_program(Path::new("/opt/rimward/rimward")), Path::new("/opt/rimward"));
    }
}
