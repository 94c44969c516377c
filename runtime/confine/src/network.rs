//! A network of its own, which has nothing in it. Works before the process has threads, where the kernel lets anybody
//! make user namespaces, and not inside of a confined server.

use rustix::thread::UnshareFlags;

#[allow(unsafe_code, reason = "rustix marks the call unsafe for the sake of flags that are not used here")]
pub(crate) fn of_its_own() -> Result<(), String> {
    // SAFETY: unsharing the table of descriptors would break I/O safety; namespaces do not.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }
        .map_err(|error| error.to_string())
}
