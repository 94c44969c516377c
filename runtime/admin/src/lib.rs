//! The admin API of a node, on its unix socket.
