//! Looks at what a client sends before hyper does. First which protocol it is, then that protocol's own rules: see
//! [`http1`] and [`http2`]. Nothing is copied and nothing held back.
//!
//! What must not be is replaced by something that hyper is sure to refuse, and nothing that comes after it is read. So
//! there is one place that answers a malformed request (400), and one that says goodbye over HTTP/2
//! (ENHANCE_YOUR_CALM), and what was sent before the fault is still answered in its turn.

mod http1;
mod http2;

use http1::Http1;
use http2::Http2;
use tokio::io::ReadBuf;

/// What an HTTP/2 client with prior knowledge begins with (RFC 9113, section 3.4). Whatever differs is HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Ends every head and every trailer and is in none; in a chunk's extension hyper takes what is not a LF.
const NO_REQUEST: &[u8] = b"\0\n\r\n\r\n";

/// SETTINGS of a stream, which has none: h2 answers PROTOCOL_ERROR.
const NO_FRAME: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 1];

/// A header block that never ends: h2 answers more CONTINUATION than fit a header list with ENHANCE_YOUR_CALM.
static NO_FRAMES: [u8; 9 * 12] = no_frames();

const fn no_frames() -> [u8; 9 * 12] {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    let mut frames = [0; 9 * 12];
    let mut at = 0;
    while at < frames.len() {
        frames[at + 3] = if at == 0 { HEADERS } else { CONTINUATION };
        // The last stream that a client can open.
        frames[at + 5] = 0x7f;
        frames[at + 6] = 0xff;
        frames[at + 7] = 0xff;
        frames[at + 8] = 0xff;
        at += 9;
    }
    frames
}

/// Why what a client sends is not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A request that can be read in two ways, or frames that break the protocol where h2 does not look.
    Malformed,
    /// HTTP/2 frames that only make work.
    Flood,
}

/// What is known about a connection by what came.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// So much of the preface came.
    Undecided(usize),
    Http1(Http1),
    Http2(Http2),
    /// This is still to be read, and then nothing.
    Refused(&'static [u8]),
}

impl Default for Inspection {
    fn default() -> Self {
        Self::Undecided(0)
    }
}

impl Inspection {
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self, Self::Undecided(_))
    }

    /// Whether this is HTTP/1.1 and every request so far has come whole.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self, Self::Http1(requests) if requests.is_between_requests())
    }

    /// Whether there is nothing more to read from the client. What takes the place of that goes into `buffer`.
    pub(crate) fn is_over(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Self::Refused(instead) = self else { return false };
        let fits = instead.len().min(buffer.remaining());
        buffer.put_slice(&instead[..fits]);
        *instead = &instead[fits..];
        true
    }

    /// Looks at what was read into `buffer` after `before`. What must not be read is taken out of it.
    pub(crate) fn read(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> Option<Fault> {
        let (good, fault, instead) = self.look(&mut buffer.filled_mut()[before..])?;
        buffer.set_filled(before + good);
        *self = Self::Refused(instead);
        self.is_over(buffer);
        Some(fault)
    }

    /// So much was written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        if let Self::Http2(frames) = self {
            frames.wrote(bytes);
        }
    }

    /// How much is good, where not all is, why, and what must be read instead of the rest.
    fn look(&mut self, bytes: &mut [u8]) -> Option<(usize, Fault, &'static [u8])> {
        let refused = |taken: Result<(), usize>| taken.err().map(|at| (at, Fault::Malformed, NO_REQUEST));
        match self {
            Self::Http1(requests) => refused(requests.take(bytes)),
            Self::Http2(frames) => frames.take(bytes).err().map(|(at, fault)| match fault {
                Fault::Malformed => (at, fault, NO_FRAME),
                Fault::Flood => (at, fault, &NO_FRAMES[..]),
            }),
            Self::Undecided(so_far) => {
                let wanted = &PREFACE[*so_far..];
                let compared = wanted.len().min(bytes.len());
                if wanted[..compared] != bytes[..compared] {
                    let mut requests = Http1::default();
                    // What came before is in nobody's hands any more; a fault in it is one in what comes now.
                    let taken = requests.take(&PREFACE[..*so_far]).map_err(|_before| 0);
                    let taken = taken.and_then(|()| requests.take(bytes));
                    *self = Self::Http1(requests);
                    return refused(taken);
                }
                *so_far += compared;
                if *so_far == PREFACE.len() {
                    *self = Self::Http2(Http2::new());
                    return self
                        .look(&mut bytes[compared..])
                        .map(|(at, fault, instead)| (compared + at, fault, instead));
                }
                None
            }
            Self::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these parts, and why no more is.
    fn read(parts: &[&[u8]]) -> (Vec<u8>, Option<Fault>) {
        let (mut inspection, mut fault) = (Inspection::default(), None);
        let mut read = Vec::new();
        for part in parts {
            let mut space = [0; 256];
            let mut buffer = ReadBuf::new(&mut space);
            if !inspection.is_over(&mut buffer) {
                buffer.put_slice(part);
                fault = fault.or(inspection.read(&mut buffer, 0));
            }
            read.extend_from_slice(buffer.filled());
        }
        (read, fault)
    }

    /// H7, H9: nothing that stands behind a malformed line is read.
    #[test]
    fn what_comes_after_a_fault_is_not_read() {
        let (seen, fault) = read(&[b"GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n", b"GET /2 HTTP/1.1\r\n\r\n"]);
        assert_eq!(seen, b"GET / HTTP/1.1\r\nhost: a\0\n\r\n\r\n");
        assert_eq!(fault, Some(Fault::Malformed));
        let (seen, fault) = read(&[b"GET / HTTP/1.1\r\n\r\n", b"GET /2 HTTP/1.1\r\n\r\n"]);
        assert_eq!((seen.len(), fault), (37, None));
    }

    /// H7: what looks like the beginning of HTTP/2 and is not.
    #[test]
    fn half_a_preface_is_a_malformed_request() {
        for at in 0..PREFACE.len() {
            let (seen, fault) = read(&[&PREFACE[..at], b"X / HTTP/1.1\r\n\r\n"]);
            // Up to the end of its first line it could go on as a request; hyper refuses that version.
            let good = at < b"PRI * HTTP/2.0\r".len();
            assert_eq!(
                fault,
                (!good).then_some(Fault::Malformed),
                "{at}: {:?}",
                String::from_utf8_lossy(&seen)
            );
        }
        assert_eq!(read(&[&PREFACE[..7], &PREFACE[7..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]]).1, None);
        assert_eq!(read(&[PREFACE, &[0; 9]]), ([PREFACE, NO_FRAME].concat(), Some(Fault::Malformed)));
    }

    /// H11: what h2 is given instead of a flood.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_replaced_by_frames_that_end_the_connection() {
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let count = crate::limits::H2_CONTROL_FRAMES as usize - 1;
        let mut parts = vec![PREFACE, &settings];
        parts.extend(std::iter::repeat_n(&ping[..], count + 2));
        let (seen, fault) = read(&parts);
        assert_eq!(fault, Some(Fault::Flood));
        assert_eq!(seen.len(), PREFACE.len() + settings.len() + count * ping.len() + NO_FRAMES.len());
        assert!(seen.ends_with(&NO_FRAMES));
    }
}
