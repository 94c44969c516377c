//! What the frames of an HTTP/2 connection cost. The h2 crate bounds what a client can make the node keep: resets, empty
//! DATA, header blocks. What it does not bound is work: a client may send PING, SETTINGS, WINDOW_UPDATE, PRIORITY or
//! RST_STREAM for as long as it likes, each is looked at and some are answered, and no stream ever ends. So each connection
//! has an allowance for such frames. It grows with time and with what the node has to say to the client, and a client that
//! has used it up is sent away (RFC 9113, section 10.5).
//!
//! Two rules are kept here because h2 does not: the first frame is SETTINGS (section 3.4), and trailers have no
//! pseudo-headers (section 8.1). Those are first in a header block or h2 refuses them, so a look at its beginning is enough.
//! Where that does not show (a reference to what was sent before, a name that comes in parts) h2 drops the pseudo-header.

use super::Fault;
use crate::limits::{H2_CONTROL_BYTES, H2_CONTROL_FRAMES, H2_CONTROL_RATE, H2_RESET_COST};
use tokio::time::Instant;

const HEAD: usize = 9;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;

/// An index that no header block may have (RFC 7541, section 6.1).
const NO_FIELD: u8 = 0x80;

/// How pseudo-headers begin that have names of the static table (RFC 7541, appendix A), in each kind of field (section 6).
const PSEUDO: [std::ops::RangeInclusive<u8>; 4] = [0x81..=0x8e, 0x41..=0x4e, 0x01..=0x0e, 0x11..=0x1e];

/// Whether a header block begins with a pseudo-header.
fn begins_with_pseudo(block: &[u8]) -> bool {
    match block {
        // Its name in full, as it is or in Huffman's code (RFC 7541, section 5.2 and appendix B).
        [0x00 | 0x10 | 0x40, length, first, ..] if length & 0x80 == 0 => *first == b':',
        [0x00 | 0x10 | 0x40, _, first, ..] => *first >> 1 == 0b101_1100,
        [first, ..] => PSEUDO.iter().any(|pseudo| pseudo.contains(first)),
        [] => false,
    }
}

/// The frames of one connection, as far as they came.
#[derive(Debug)]
pub(crate) struct Http2 {
    head: [u8; HEAD],
    head_came: usize,
    /// Bytes of the frame that are still to come.
    left: usize,
    /// How many of them until the first field of trailers.
    trailers: Option<usize>,
    /// The last stream that was opened.
    opened: u32,
    begun: Begun,
    /// Frames that the client may still send without a stream gaining by them.
    allowance: u32,
    /// Bytes that were written and did not count yet.
    written: usize,
    topped_up: Instant,
}

/// Whether the first frame came, and was what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
    Wrongly,
}

impl Http2 {
    pub(super) fn new() -> Self {
        Self {
            head: [0; HEAD],
            head_came: 0,
            left: 0,
            trailers: None,
            opened: 0,
            begun: Begun::No,
            allowance: H2_CONTROL_FRAMES,
            written: 0,
            topped_up: Instant::now(),
        }
    }

    /// Looks at what came next. An error is the place of a frame that must not be looked at any more.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.left > 0 {
                at += self.skip(&mut bytes[at..]);
                continue;
            }
            if self.head_came == 0 && !self.has_allowance() {
                return Err((at, Fault::Flood));
            }
            if self.begun == Begun::Wrongly {
                return Err((at, Fault::Malformed));
            }
            let part = (HEAD - self.head_came).min(bytes.len() - at);
            self.head[self.head_came..][..part].copy_from_slice(&bytes[at..at + part]);
            self.head_came += part;
            at += part;
            if self.head_came == HEAD {
                self.frame();
                if self.begun == Begun::Wrongly && part == HEAD {
                    return Err((at - HEAD, Fault::Malformed));
                }
            }
        }
        Ok(())
    }

    /// What is in a frame. A field that must not be is made one that h2 refuses.
    fn skip(&mut self, bytes: &mut [u8]) -> usize {
        let skipped = self.left.min(bytes.len());
        self.left -= skipped;
        if let Some(until) = self.trailers {
            match bytes[..skipped].get_mut(until..) {
                Some(block @ [_, ..]) => {
                    if begins_with_pseudo(block) {
                        block[0] = NO_FIELD;
                    }
                    self.trailers = None;
                }
                _ => self.trailers = Some(until - skipped),
            }
        }
        skipped
    }

    /// So much was written to the client.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= H2_CONTROL_BYTES {
            self.top_up(u32::try_from(self.written / H2_CONTROL_BYTES).unwrap_or(u32::MAX));
            self.written %= H2_CONTROL_BYTES;
        }
    }

    fn frame(&mut self) {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.head_came = 0;
        if self.begun == Begun::No {
            self.begun = if kind == SETTINGS { Begun::Yes } else { Begun::Wrongly };
        }
        self.trailers = (kind == HEADERS && stream <= self.opened).then(|| {
            let padding = usize::from(flags & PADDED != 0);
            padding + if flags & PRIORITIZED != 0 { 5 } else { 0 }
        });
        if kind == HEADERS {
            self.opened = self.opened.max(stream);
        }
        let cost = match kind {
            HEADERS => 0,
            DATA if self.left > 0 || flags & END_STREAM != 0 => 0,
            RST_STREAM => H2_RESET_COST,
            _ => 1,
        };
        self.allowance = self.allowance.saturating_sub(cost);
    }

    /// The clock is looked at only when everything else is used up, so that a client that was quiet for long may send as
    /// much once more.
    fn has_allowance(&mut self) -> bool {
        if self.allowance == 0 {
            let grown = self.topped_up.elapsed().as_secs_f64() * f64::from(H2_CONTROL_RATE);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
            let grown = grown as u32;
            if grown > 0 {
                self.topped_up = Instant::now();
                self.top_up(grown);
            }
        }
        self.allowance > 0
    }

    fn top_up(&mut self, frames: u32) {
        self.allowance = self.allowance.saturating_add(frames).min(H2_CONTROL_FRAMES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FLOOD: Result<(), (usize, Fault)> = Err((0, Fault::Flood));

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(content.len()).unwrap(), kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(content);
        frame
    }

    /// A connection whose first frame came.
    fn begun() -> Http2 {
        let mut frames = Http2::new();
        frames.take(&mut frame(SETTINGS, 0, &[])).unwrap();
        frames.allowance = H2_CONTROL_FRAMES;
        frames
    }

    /// How many frames like this are taken at once.
    fn taken(frame: &[u8]) -> u32 {
        let mut frames = begun();
        (0..2 * H2_CONTROL_FRAMES)
            .take_while(|_| frames.take(&mut frame.to_vec()).is_ok())
            .count()
            .try_into()
            .unwrap()
    }

    /// H11: every kind of frame by which no stream gains, up to the limit and not one more.
    #[tokio::test(start_paused = true)]
    async fn frames_that_do_nothing_are_taken_up_to_their_number() {
        for kind in [2, 4, 5, 6, 7, 8, 9, 10, 200] {
            assert_eq!(taken(&frame(kind, 0, &[0; 8])), H2_CONTROL_FRAMES, "{kind}");
        }
        assert_eq!(taken(&frame(RST_STREAM, 0, &[0; 4])), H2_CONTROL_FRAMES.div_ceil(H2_RESET_COST));
        assert_eq!(taken(&frame(DATA, 0, &[])), H2_CONTROL_FRAMES);
        for works in [frame(HEADERS, 4, &[0x82]), frame(DATA, 0, b"x"), frame(DATA, END_STREAM, &[])] {
            assert_eq!(taken(&works), 2 * H2_CONTROL_FRAMES);
        }
    }

    /// H11: a client that reads what it asked for may say so.
    #[tokio::test(start_paused = true)]
    async fn the_allowance_grows_with_time_and_with_replies() {
        let ping = frame(6, 0, &[0; 8]);
        let mut frames = begun();
        for _ in 0..H2_CONTROL_FRAMES {
            frames.take(&mut ping.clone()).unwrap();
        }
        assert_eq!(frames.take(&mut ping.clone()), FLOOD);
        frames.wrote(H2_CONTROL_BYTES - 1);
        assert_eq!(frames.take(&mut ping.clone()), FLOOD);
        frames.wrote(1);
        frames.take(&mut ping.clone()).unwrap();
        assert_eq!(frames.take(&mut ping.clone()), FLOOD);
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..H2_CONTROL_RATE {
            frames.take(&mut ping.clone()).unwrap();
        }
        assert_eq!(frames.take(&mut ping.clone()), FLOOD);
        tokio::time::advance(Duration::from_secs(86_400)).await;
        frames.wrote(1 << 30);
        let burst = (0..).take_while(|_| frames.take(&mut ping.clone()).is_ok()).count();
        // What replies earned and what time did, each no more than there was at first.
        assert_eq!(burst, 2 * H2_CONTROL_FRAMES as usize);
    }

    /// H11: frames are found however they are cut.
    #[tokio::test(start_paused = true)]
    async fn frames_are_counted_however_they_come() {
        let many = frame(4, 0, &[0; 6]).repeat(H2_CONTROL_FRAMES as usize);
        for step in [1, 5, 9, 15, 4096] {
            let mut frames = begun();
            assert!(many.chunks(step).all(|part| frames.take(&mut part.to_vec()).is_ok()), "{step}");
            assert_eq!(frames.take(&mut [0]), FLOOD, "{step}");
        }
        let mut frames = begun();
        assert_eq!(
            frames.take(&mut [&many[..], &many].concat()),
            Err((many.len(), Fault::Flood)),
            "the place is that of a frame"
        );
    }

    /// H11: what the first field of trailers becomes.
    #[tokio::test(start_paused = true)]
    async fn trailers_that_begin_with_a_pseudo_header_become_invalid() {
        let first = |flags: u8, content: &[u8], at: usize, step: usize| {
            let mut frames = begun();
            frames.take(&mut frame(HEADERS, 4, &[0x82])).unwrap();
            let mut trailers = frame(HEADERS, flags, content);
            for part in trailers.chunks_mut(step) {
                frames.take(part).unwrap();
            }
            trailers[HEAD + at]
        };
        for step in [1, 2, 9, 10, 64] {
            for pseudo in [0x84, 0x88, 0x44, 0x04, 0x14] {
                assert_eq!(first(5, &[pseudo, 1, b'/'], 0, step), NO_FIELD, "{pseudo:x} {step}");
            }
            for other in [0x8f, 0x40, 0x00, 0x10, 0xbe, 0x4f] {
                assert_eq!(first(5, &[other, 1, b'x', 1, b'y'], 0, step), other, "{other:x} {step}");
            }
            assert_eq!(first(5 | PADDED, &[1, 0x84, 0], 1, step), NO_FIELD);
            assert_eq!(first(5 | PRIORITIZED, &[0x84, 0x84, 0x84, 0x84, 0x84, 0x84], 5, step), NO_FIELD);
            assert_eq!(first(5 | PRIORITIZED, &[0x84, 0x84, 0x84, 0x84, 0x84, 0x84], 4, step), 0x84);
        }
        assert_eq!(
            first(5, &[0, 5, b':', b'p', b'a', b't', b'h', 1, b'/'], 0, 64),
            NO_FIELD,
            "its name in full"
        );
    }
}
