//! Whom to ask, and what is known without asking: `/etc/resolv.conf` and `/etc/hosts`.
//!
//! Read when the resolver is made and again when a file has changed, looked at every
//! [`SETUP_CHECK`](limits::SETUP_CHECK) at the most: the addresses of the servers change when an edge machine changes its
//! network. A file that cannot be read leaves what was known; one that is missing is an empty one.

use super::names::Hosts;
use crate::limits;
use resolv_conf::{Config, ScopedIp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::time::Instant;

/// Where a resolver learns whom to ask.
#[derive(Clone, Debug)]
pub enum Servers {
    /// From these two files, as they change.
    Files {
        /// As resolv.conf(5) says.
        resolv_conf: PathBuf,
        /// As hosts(5) says.
        hosts: PathBuf,
    },
    /// These, always.
    Fixed(Setup),
}

impl Servers {
    /// The system's own files.
    #[must_use]
    pub fn system() -> Self {
        Self::Files { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Setup {
    /// DNS servers in the order in which to ask them.
    pub servers: Vec<SocketAddr>,
    /// Domains under which a short name is looked for.
    pub search: Vec<String>,
    /// A name with fewer dots is looked for in `search` first.
    pub ndots: usize,
    /// Rounds through the servers.
    pub attempts: usize,
    /// Names that need no server, as hosts(5) writes them.
    pub hosts: String,
}

/// As the resolver uses it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) setup: Setup,
    pub(super) hosts: Hosts,
}

impl Setup {
    /// These servers, no search domains and no known names.
    #[must_use]
    pub fn of(servers: Vec<SocketAddr>) -> Self {
        Self { servers, search: Vec::new(), ndots: 1, attempts: 2, hosts: String::new() }
    }

    /// Options that nobody knows are passed over.
    fn parse(resolv_conf: &[u8], hosts: String) -> Self {
        let (config, _) = Config::parse_with_errors(resolv_conf);
        let mut servers: Vec<SocketAddr> = config.nameservers.iter().filter_map(server).collect();
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, 53).into()); // resolv.conf(5)
        }
        servers.truncate(limits::NAME_SERVERS_MAX);
        let search = config.get_last_search_or_domain().take(limits::SEARCH_MAX).cloned().collect();
        Self {
            servers,
            search,
            ndots: (config.ndots as usize).min(limits::NDOTS_MAX),
            attempts: (config.attempts as usize).clamp(1, limits::LOOKUP_ROUNDS_MAX),
            hosts,
        }
    }

    /// The names to ask for, in order (resolv.conf(5), `search` and `ndots`).
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        let below = self.search.iter().map(|domain| format!("{name}.{}", domain.trim_matches('.')));
        let below = below.filter(|name| !name.ends_with('.'));
        let whole = std::iter::once(name.to_owned());
        match name.matches('.').count() >= self.ndots {
            true => whole.chain(below).collect(),
            false => below.chain(whole).collect(),
        }
    }
}

/// A scoped address needs an interface, which only the C library can look up here; such a server is passed over.
fn server(address: &ScopedIp) -> Option<SocketAddr> {
    let ip: IpAddr = match address {
        ScopedIp::V4(v4) => (*v4).into(),
        ScopedIp::V6(v6, None) => (*v6).into(),
        ScopedIp::V6(_, Some(_)) => return None,
    };
    Some((ip, 53).into())
}

/// The present setup, reread when its files change.
#[derive(Debug)]
pub(super) struct Current {
    from: Servers,
    now: Mutex<(Arc<Known>, Stamps, Instant)>,
    /// Whether somebody is rereading: one is enough.
    is_read: AtomicBool,
}

/// When the two files were last changed.
type Stamps = [Option<SystemTime>; 2];

impl Current {
    pub(super) fn new(from: Servers) -> Self {
        let (known, stamps) = match &from {
            Servers::Fixed(setup) => (known(setup.clone()), Stamps::default()),
            Servers::Files { resolv_conf, hosts } => (read(resolv_conf, hosts), stamps(resolv_conf, hosts)),
        };
        Self { from, now: Mutex::new((known, stamps, Instant::now())), is_read: AtomicBool::new(false) }
    }

    pub(super) fn get(&self) -> Arc<Known> {
        let Servers::Files { resolv_conf, hosts } = &self.from else { return self.now().0.clone() };
        let (present, before, checked) = self.now().clone();
        if checked.elapsed() < limits::SETUP_CHECK || self.is_read.swap(true, Relaxed) {
            return present;
        }
        let after = stamps(resolv_conf, hosts);
        let present = if after == before { present } else { read(resolv_conf, hosts) };
        *self.now() = (present.clone(), after, Instant::now());
        self.is_read.store(false, Relaxed);
        present
    }

    /// Never held across an await or a read of a file.
    fn now(&self) -> std::sync::MutexGuard<'_, (Arc<Known>, Stamps, Instant)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(setup: Setup) -> Arc<Known> {
    Arc::new(Known { hosts: Hosts::parse(&setup.hosts), setup })
}

fn stamps(resolv_conf: &Path, hosts: &Path) -> Stamps {
    [resolv_conf, hosts].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(resolv_conf: &Path, hosts: &Path) -> Arc<Known> {
    let text = |path: &Path| {
        std::fs::read(path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "a file about names cannot be read");
            Vec::new()
        })
    };
    let names = String::from_utf8_lossy(&text(hosts)).into_owned();
    known(Setup::parse(&text(resolv_conf), names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(resolv_conf: &str) -> Setup {
        Setup::parse(resolv_conf.as_bytes(), String::new())
    }

    #[test]
    fn resolv_conf_says_whom_to_ask() {
        let read = setup(
            "# here\nnameserver 10.0.0.1\nnameserver fd00::53\nnameserver fe80::1%eth0\noptions ndots:2 attempts:3 nonsense\n",
        );
        assert_eq!(read.servers, ["10.0.0.1:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap()]);
        assert_eq!((read.ndots, read.attempts), (2, 3));
        assert_eq!(setup("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn resolv_conf_may_fill_its_bounds_and_no_more() {
        let many = |line: &str, count: usize| -> String {
            (0..count).map(|each| line.replace('N', &each.to_string())).collect()
        };
        let servers = setup(&many("nameserver 10.0.0.N\n", limits::NAME_SERVERS_MAX + 1)).servers;
        assert_eq!(servers.len(), limits::NAME_SERVERS_MAX);
        let search = setup(&format!("search {}", many("dN.example ", limits::SEARCH_MAX + 1))).search;
        assert_eq!(search.len(), limits::SEARCH_MAX);
        assert_eq!(setup("options attempts:99").attempts, limits::LOOKUP_ROUNDS_MAX);
        assert_eq!(setup("options ndots:99").ndots, limits::NDOTS_MAX);
    }

    #[test]
    fn a_short_name_is_looked_for_in_the_search_domains_first() {
        let check = |resolv_conf: &str, name: &str, expected: &str| {
            assert_eq!(setup(resolv_conf).candidates(name).join(" "), expected, "{resolv_conf:?}");
        };
        check("search a.example b.example", "db", "db.a.example db.b.example db");
        check("search a.example", "db.x", "db.x db.x.a.example");
        check("search a.example\noptions ndots:2", "db.x", "db.x.a.example db.x");
        check("domain a.example", "db", "db.a.example db");
        check("search .", "db", "db");
        check("", "db", "db");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (resolv_conf, hosts) = (folder.path().join("resolv.conf"), folder.path().join("hosts"));
        std::fs::write(&resolv_conf, "nameserver 10.0.0.1").unwrap();
        let current = Current::new(Servers::Files { resolv_conf: resolv_conf.clone(), hosts });
        let server = || current.get().setup.servers[0].ip().to_string();
        std::fs::write(&resolv_conf, "nameserver 10.0.0.2").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&resolv_conf).unwrap().set_modified(later).unwrap();
        assert_eq!(server(), "10.0.0.1");
        tokio::time::advance(limits::SETUP_CHECK).await;
        assert_eq!(server(), "10.0.0.2");
    }
}
