//! The bytes of a DNS message (RFC 1035, section 4), as much as a question about addresses and its answer need.
//!
//! Pure. Reads what anybody may have sent: every length is checked, a name's pointers only lead backwards, and whatever
//! does not add up is `None`. Knows nothing of what an answer means.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a message's head.
pub(super) const HEAD_BYTES: usize = 12;
/// Longest name, bytes with the lengths of its labels (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// Types of records (RFC 1035, section 3.2.2; RFC 3596; RFC 6891).
pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const AAAA: u16 = 28;
pub(super) const OPT: u16 = 41;
/// The Internet's class.
pub(super) const IN: u16 = 1;

/// A name: its labels, each after its length, without the root's. Letters are as they came.
#[derive(Clone, Debug)]
pub(super) struct Name(Vec<u8>);

impl Name {
    /// The name that a text means; labels stand between dots.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|&length| is_label_length(length))?;
            bytes.push(length);
            bytes.extend(label.as_bytes());
        }
        (bytes.len() < NAME_BYTES_MAX).then_some(Self(bytes))
    }

    /// Turns the case of each letter that stands where `bits` has a one.
    pub(super) fn with_case(mut self, bits: &[u8]) -> Self {
        let one = |at: usize| bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        // Lengths are below 64, where there are no letters.
        for (at, byte) in self.0.iter_mut().enumerate() {
            if byte.is_ascii_alphabetic() && one(at) {
                *byte ^= 0x20;
            }
        }
        self
    }

    /// The same name (RFC 4343: in whatever letters).
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The same name in the same letters.
    pub(super) fn is_exactly(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

fn is_label_length(length: u8) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&length.into())
}

/// A question: recursion desired, one name, and room for larger answers where `payload` is said (RFC 6891).
pub(super) fn question(id: u16, name: &Name, kind: u16, payload: Option<u16>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + name.0.len() + 16);
    for word in [id, 0x0100, 1, 0, 0, payload.is_some().into()] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(&name.0);
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(IN.to_be_bytes());
    if let Some(payload) = payload {
        bytes.push(0);
        for word in [OPT, payload, 0, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
    }
    bytes
}

/// A message, as far as it is of use.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    /// 0 is a question like ours.
    pub(super) operation: u8,
    pub(super) is_truncated: bool,
    /// With the bits that RFC 6891 adds.
    pub(super) code: u16,
    pub(super) asked: Vec<(Name, u16, u16)>,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
}

/// One record of the Internet's class.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) ttl: u32,
    pub(super) content: Content,
}

/// What a record says.
#[derive(Debug)]
pub(super) enum Content {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Alias(Name),
    /// The zone's own time for what does not exist.
    Zone {
        minimum: u32,
    },
    Other,
}

impl Message {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut code = flags & 0xf;
        let asked = (0..counts[0])
            .map(|_| Some((reader.name()?, reader.u16()?, reader.u16()?)))
            .collect::<Option<_>>()?;
        let is_truncated = flags & 0x0200 != 0;
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        // What was cut off need not add up.
        if !is_truncated {
            for (section, count) in sections.iter_mut().zip(&counts[1..]) {
                for _ in 0..*count {
                    section.extend(reader.record(&mut code)?);
                }
            }
        }
        let [answers, authorities, _] = sections;
        Some(Self {
            id,
            is_answer: flags & 0x8000 != 0,
            operation: (flags >> 11 & 0xf) as u8,
            is_truncated,
            code,
            asked,
            answers,
            authorities,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A name with its pointers followed (RFC 1035, section 4.1.4), each to before where the last began: so it ends.
    fn name(&mut self) -> Option<Name> {
        let mut bytes = Vec::new();
        let (mut at, mut begin, mut after) = (self.at, self.at, None);
        loop {
            let length = *self.bytes.get(at)?;
            match length {
                0 => break,
                _ if is_label_length(length) => {
                    let end = at + 1 + usize::from(length);
                    bytes.extend(self.bytes.get(at..end)?);
                    if bytes.len() >= NAME_BYTES_MAX {
                        return None;
                    }
                    at = end;
                }
                _ if length & 0xc0 == 0xc0 => {
                    let to = usize::from(length & 0x3f) << 8 | usize::from(*self.bytes.get(at + 1)?);
                    after.get_or_insert(at + 2);
                    if to >= begin {
                        return None;
                    }
                    (at, begin) = (to, to);
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at + 1);
        Some(Name(bytes))
    }

    /// A record; of one that says more about the whole message (RFC 6891), only its part of the `code`.
    fn record(&mut self, code: &mut u16) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, self.u16()?);
        let start = self.at;
        let data = self.take(length.into())?;
        if kind == OPT {
            *code |= (ttl >> 24 << 4) as u16;
            return Some(None);
        }
        if class != IN {
            return Some(None);
        }
        let mut inside = Reader { bytes: &self.bytes[..self.at], at: start };
        let content = match kind {
            A => Content::V4(<[u8; 4]>::try_from(data).ok()?.into()),
            AAAA => Content::V6(<[u8; 16]>::try_from(data).ok()?.into()),
            CNAME => Content::Alias(inside.name()?),
            SOA => {
                inside.name()?;
                inside.name()?;
                inside.take(16)?;
                Content::Zone { minimum: inside.u32()? }
            }
            _ => Content::Other,
        };
        Some(Some(Record { name, ttl, content }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as a server sends it: name, alias and address, with pointers.
    pub(super) const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\x01\0\x01\
        \x01v\x07example\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01w\xc0\x0e\
        \xc0\x27\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x01\
        \xc0\x0e\0\x06\0\x01\0\0\0\x78\0\x18\xc0\x0e\xc0\x0e\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05\
        \0\0\x29\x04\xd0\x01\0\0\0\0\0";

    #[test]
    fn an_answer_is_read() {
        let message = Message::read(ANSWER).unwrap();
        assert_eq!((message.id, message.is_answer, message.operation), (0x1234, true, 0));
        assert!(message.asked[0].0.is_exactly(&Name::of("v.example").unwrap()));
        assert_eq!((message.asked[0].1, message.asked[0].2), (A, IN));
        let [alias, address] = &message.answers[..] else { panic!("{message:?}") };
        let w = Name::of("w.example").unwrap();
        assert!(matches!(&alias.content, Content::Alias(to) if to.is(&w)) && alias.ttl == 60);
        assert!(address.name.is(&w) && address.ttl == 30);
        assert!(matches!(address.content, Content::V4(v4) if v4 == Ipv4Addr::new(192, 0, 2, 1)));
        assert!(matches!(message.authorities[0].content, Content::Zone { minimum: 5 }));
        assert_eq!(message.code, 16, "the bits of RFC 6891");
    }

    #[test]
    fn a_question_is_read_as_it_was_written() {
        for payload in [None, Some(1232)] {
            let name = Name::of("Vision.example.com.").unwrap();
            let message = Message::read(&question(7, &name, AAAA, payload)).unwrap();
            assert_eq!((message.id, message.is_answer), (7, false));
            let (asked, kind, class) = &message.asked[0];
            assert!(asked.is_exactly(&name) && (*kind, *class) == (AAAA, IN));
        }
    }

    /// C11: whatever bytes come, reading them ends, and cut ones are no message.
    #[test]
    fn damaged_bytes_are_no_message() {
        for length in 0..ANSWER.len() {
            assert!(Message::read(&ANSWER[..length]).is_none(), "{length}");
        }
        for at in 0..ANSWER.len() {
            for byte in 0..=255 {
                let mut bytes = ANSWER.to_vec();
                bytes[at] = byte;
                let _ = Message::read(&bytes);
            }
        }
    }

    #[test]
    fn a_name_that_points_to_itself_or_forward_is_none() {
        for name in
            [&b"\xc0\x00"[..], b"\xc0\x02\0", b"\x01a\xc0\x00", b"\x01a\xc0\x02", b"\x40a", b"\x80", b"\x05a"]
        {
            assert!(Reader { bytes: name, at: 0 }.name().is_none(), "{name:?}");
        }
        let mut looping = Reader { bytes: b"\x01a\xc0\x00\xc0\x02", at: 4 };
        assert!(looping.name().is_none());
    }

    #[test]
    fn names_and_labels_have_a_longest_length() {
        let label = "a".repeat(LABEL_BYTES_MAX);
        assert!(Name::of(&label).is_some() && Name::of(&format!("{label}a")).is_none());
        let name = [&label[..], &label, &label, &"a".repeat(61)].join(".");
        assert!(Name::of(&name).is_some() && Name::of(&format!("{name}a")).is_none());
        let long: Vec<u8> =
            std::iter::repeat_n(b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 4)
                .flatten()
                .copied()
                .chain([0])
                .collect();
        assert!(Reader { bytes: &long, at: 0 }.name().is_none());
        assert!(Name::of("").is_none() && Name::of("a..b").is_none());
    }

    #[test]
    fn letters_are_turned_where_there_are_ones() {
        let name = Name::of("abc.de").unwrap();
        let turned = name.clone().with_case(&[0b0010_0110]);
        assert!(turned.is_exactly(&Name::of("ABc.De").unwrap()));
        assert!(turned.is(&name) && !turned.is_exactly(&name));
    }
}
