//! Listening sockets: one for each core on each address (SO_REUSEPORT), so that the kernel spreads connections. That
//! option lets a second process take the same port without an error, so a probe without it comes first.

use crate::descriptors::is_exhausted;
use crate::limits::BACKLOG;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`{}", remedy(source))]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A socket that listens already, opened by somebody else.
#[derive(Debug)]
pub struct GivenSocket {
    /// What its giver calls it: a socket named `http`, `https`, `models`, `models-tls` or `ops` serves that and nothing else.
    pub name: String,
    /// The socket.
    pub listener: TcpListener,
    /// What happens if the node does not listen on its address.
    pub unwanted: Unwanted,
}

/// What becomes of a given socket that the node has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// It is a mistake of the giver, and the node does not start.
    Error,
    /// It is closed: the settings have changed since it was opened.
    Closed,
}

/// Given sockets that have not been taken yet.
pub(crate) struct Given(Vec<GivenSocket>);

const NAMES: [&str; 5] = ["http", "https", "models", "models-tls", "ops"];

impl Given {
    pub(crate) fn new(sockets: Vec<GivenSocket>) -> Self {
        Self(sockets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those on `address` (any port where it asks for any): at least one for each of `cores`, and every one of them, because
    /// connections wait in each. None where there is none.
    pub(crate) fn take(
        &mut self,
        address: SocketAddr,
        name: &str,
        cores: usize,
    ) -> Result<Option<(SocketAddr, Vec<TcpListener>)>, ListenError> {
        let fits = |socket: &GivenSocket| {
            let at = socket.listener.local_addr().ok()?;
            let named = !NAMES.contains(&&*socket.name) || socket.name == name;
            let same = at == address || (address.port() == 0 && at.ip() == address.ip());
            (named && same).then_some(at)
        };
        let Some(bound) = self.0.iter().find_map(fits) else { return Ok(None) };
        let (ours, others) =
            std::mem::take(&mut self.0).into_iter().partition(|socket| fits(socket) == Some(bound));
        self.0 = others;
        let ours: Vec<GivenSocket> = ours;
        let mut listeners: Vec<_> = ours.into_iter().map(|socket| socket.listener).collect();
        let fail = |source| ListenError { address: bound, source };
        for index in listeners.len()..cores {
            let again = listeners[index % listeners.len()].try_clone().map_err(fail)?;
            listeners.push(again);
        }
        listeners.iter().try_for_each(|listener| listener.set_nonblocking(true)).map_err(fail)?;
        Ok(Some((bound, listeners)))
    }

    /// A socket that nobody took is one that clients wait on in vain.
    pub(crate) fn all_taken(self) -> Result<(), ListenError> {
        let left = self.0.iter().find(|socket| socket.unwanted == Unwanted::Error);
        let address = left.and_then(|socket| socket.listener.local_addr().ok());
        match address {
            None => Ok(()),
            Some(address) => Err(ListenError {
                address,
                source: io::Error::other(
                    "its socket was handed to this process, and node.toml does not name the address: add it to `node.listen`, `tls.listen`, `trigger.inference` or `ops.listen`, or take it out of the socket unit",
                ),
            }),
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there; stop it or choose another port (0 picks a free one)"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need the right to bind them; choose a higher one"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            ": this machine does not speak that protocol; IPv6 is off"
        }
        _ if is_exhausted(error) => {
            ": this process may not open as many files; raise `ulimit -n` or LimitNOFILE="
        }
        _ => "",
    }
}

/// As many sockets on `address` as asked for, and the address with its port.
pub(crate) fn bind(
    address: SocketAddr,
    sockets: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), ListenError> {
    let fail = |source| ListenError { address, source };
    // Fails if anybody else listens there, with or without the option.
    let probe = socket(address, Share::No).map_err(fail)?;
    let bound = probe.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(address);
    drop(probe);
    let listeners = (0..sockets.max(1)).map(|_| listener(bound).map_err(fail)).collect::<Result<_, _>>()?;
    Ok((bound, listeners))
}

enum Share {
    Yes,
    No,
}

fn socket(address: SocketAddr, share: Share) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(matches!(share, Share::Yes))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Only listening tells whether somebody else does.
    if matches!(share, Share::No) {
        socket.listen(1)?;
    }
    Ok(socket)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Share::Yes)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn every_core_gets_a_socket_on_the_same_port() {
        let (address, listeners) = bind(ANY.parse().unwrap(), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
    }

    /// H20.
    #[test]
    fn an_address_that_is_not_ours_is_refused_with_the_reason() {
        let error = bind("192.0.2.1:0".parse().unwrap(), 1).unwrap_err().to_string();
        assert!(error.contains("this machine does not have that address"), "{error}");
        let told = |errno: rustix::io::Errno| remedy(&io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(told(rustix::io::Errno::AFNOSUPPORT).contains("IPv6 is off"));
        assert!(told(rustix::io::Errno::MFILE).contains("ulimit -n"));
        assert!(told(rustix::io::Errno::ACCESS).contains("below 1024"));
    }

    fn given(name: &str, unwanted: Unwanted) -> (SocketAddr, Given) {
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        (address, Given::new(vec![GivenSocket { name: name.into(), listener, unwanted }]))
    }

    /// H19: a socket that is handed over is used on every core, for the address that it is on and for what its name says.
    #[test]
    fn a_given_socket_is_taken_by_address_and_name() {
        let (address, mut sockets) = given("rimward.socket", Unwanted::Error);
        let (bound, listeners) = sockets.take(address, "http", 3).unwrap().unwrap();
        assert_eq!((bound, listeners.len()), (address, 3));
        assert!(sockets.take(address, "http", 3).unwrap().is_none(), "it is taken once");
        sockets.all_taken().unwrap();
        let (address, mut sockets) = given("ops", Unwanted::Error);
        assert!(sockets.take(address, "http", 1).unwrap().is_none());
        assert!(sockets.take(ANY.parse().unwrap(), "ops", 1).unwrap().is_some());
    }

    /// H19: a socket that nobody asked for is a mistake, unless the settings changed since it was opened.
    #[test]
    fn a_given_socket_that_nobody_wants_is_told() {
        let (address, sockets) = given("", Unwanted::Error);
        let error = sockets.all_taken().unwrap_err();
        assert_eq!(error.address, address);
        assert!(given("", Unwanted::Closed).1.all_taken().is_ok());
    }

    /// H20.
    #[test]
    fn an_address_that_is_taken_is_refused_with_the_remedy() {
        let (address, _listeners) = bind(ANY.parse().unwrap(), 2).unwrap();
        let error = bind(address, 2).unwrap_err().to_string();
        assert!(error.contains("another program listens there"), "{error}");
    }
}
