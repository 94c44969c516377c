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

    /// H20.
    #[test]
    fn an_address_that_is_taken_is_refused_with_the_remedy() {
        let (address, _listeners) = bind(ANY.parse().unwrap(), 2).unwrap();
        let error = bind(address, 2).unwrap_err().to_string();
        assert!(error.contains("another program listens there"), "{error}");
    }
}
