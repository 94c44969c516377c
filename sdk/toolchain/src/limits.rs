//! How long a command may take before it is stopped, and how often it is tried.

use std::time::Duration;

/// A question to rustc, rustup, dpkg or apt-cache. They answer in a tenth of a second; a slow disk takes seconds.
pub const QUERY: Duration = Duration::from_secs(30);

/// `rustup target add`: 25 MiB, or a server that does not answer.
pub const RUSTUP_DOWNLOAD: Duration = Duration::from_secs(180);

/// One `apt-get update`.
pub const APT_UPDATE: Duration = Duration::from_secs(300);

/// Tries of `apt-get update`: mirrors fail now and then while they are synchronised.
pub const APT_UPDATE_TRIES: u32 = 3;

/// The pause between two tries of `apt-get update`.
pub const APT_UPDATE_PAUSE: Duration = Duration::from_secs(3);

/// `apt-get install` of a compiler, its source and LLVM: 200 MiB.
pub const APT_INSTALL: Duration = Duration::from_secs(1800);

/// Building the standard library: two minutes on a desktop, ten times that on a board.
pub const BUILD_STD: Duration = Duration::from_secs(3600);

/// Building a program of one line.
pub const BUILD_PROBE: Duration = Duration::from_secs(300);

/// Lines of a failed command's output that its error quotes.
pub const QUOTED_LINES: usize = 12;
