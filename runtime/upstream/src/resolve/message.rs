//! One question to a DNS server, and what comes back judged: is it the answer, and what does it say.
//!
//! Pure; `wire` has the bytes. Whatever does not carry the question's number, name (in its very letters), type and class
//! is somebody else's (RFC 5452, section 9), and records that do not belong to the name or to the aliases that lead on
//! from it are passed over: an answer teaches nothing about other names.

use super::LookupError;
use super::wire::{self, Content, Message, Name};
use crate::limits;
use std::net::IpAddr;
use std::time::Duration;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A question that can be recognised in its answer.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    name: Name,
    kind: u16,
    /// Whether larger answers are offered (RFC 6891); a server that is too old for it gets the question again.
    with_edns: bool,
}

/// What a server says.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The addresses, none where the name has none.
    pub(super) found: Result<Vec<IpAddr>, LookupError>,
    /// For how long it may be used, where it says.
    pub(super) ttl: Option<Duration>,
}

/// What some bytes are.
#[derive(Debug)]
pub(super) enum Verdict {
    Answer(Answer),
    /// The answer did not fit: ask over TCP.
    Truncated,
    /// The right answer, but the name's letters are in another case: a server that does not keep it, or a guess.
    OtherCase,
    /// The server does not know RFC 6891.
    TooOld,
    /// Not the answer to this question.
    Strange,
}

/// Codes of failure (RFC 1035, section 4.1.1; RFC 6891, section 9).
const FORMAT_ERROR: u16 = 1;
const NO_SUCH_NAME: u16 = 3;
const NOT_IMPLEMENTED: u16 = 4;
const BAD_VERSION: u16 = 16;

impl Question {
    /// Its number and the case of its letters are from the cryptography provider: who cannot see the question has to
    /// guess both.
    pub(super) fn new(name: &str, family: Family, with_edns: bool) -> Result<Self, LookupError> {
        let name = Name::of(name).ok_or(LookupError::Unusable("the name is not one"))?;
        let mut random = [0; 34];
        let provider = rustls::crypto::ring::default_provider();
        provider
            .secure_random
            .fill(&mut random)
            .map_err(|_| LookupError::Unusable("the system gives no random numbers"))?;
        let (id, case) = random.split_at(2);
        let kind = if family == Family::V4 { wire::A } else { wire::AAAA };
        Ok(Self { id: u16::from_be_bytes([id[0], id[1]]), name: name.with_case(case), kind, with_edns })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        wire::question(self.id, &self.name, self.kind, self.with_edns.then_some(limits::DNS_PACKET_BYTES))
    }

    /// What came over UDP is.
    pub(super) fn judge(&self, bytes: &[u8]) -> Verdict {
        self.judged(bytes, true)
    }

    /// What came over a connection is: its letters may be in any case.
    pub(super) fn judge_whatever_case(&self, bytes: &[u8]) -> Verdict {
        self.judged(bytes, false)
    }

    fn judged(&self, bytes: &[u8], is_case_kept: bool) -> Verdict {
        let Some(message) = Message::read(bytes) else { return Verdict::Strange };
        if message.id != self.id || !message.is_answer || message.operation != 0 {
            return Verdict::Strange;
        }
        let is_too_old =
            self.with_edns && matches!(message.code, FORMAT_ERROR | NOT_IMPLEMENTED | BAD_VERSION);
        let (asked, kind, class) = match &message.asked[..] {
            [asked] => asked,
            // A server that cannot read a question may answer with the head alone (RFC 6891, section 7).
            [] if is_too_old && bytes.len() == wire::HEAD_BYTES => return Verdict::TooOld,
            _ => return Verdict::Strange,
        };
        if (*kind, *class) != (self.kind, wire::IN) || !asked.is(&self.name) {
            return Verdict::Strange;
        }
        if is_case_kept && !asked.is_exactly(&self.name) {
            return Verdict::OtherCase;
        }
        if message.is_truncated {
            return Verdict::Truncated;
        }
        match message.code {
            0 => Verdict::Answer(self.addresses(&message)),
            NO_SUCH_NAME => {
                Verdict::Answer(Answer { found: Err(LookupError::NoSuchName), ttl: negative_ttl(&message) })
            }
            _ if is_too_old => Verdict::TooOld,
            code => Verdict::Answer(Answer { found: Err(LookupError::Failed(code)), ttl: None }),
        }
    }

    /// What the name leads to, by way of its aliases (RFC 1034, section 3.6.2).
    fn addresses(&self, message: &Message) -> Answer {
        let mut name = &self.name;
        let mut ttl = u32::MAX;
        for _ in 0..=limits::ALIASES_MAX {
            let mut alias = None;
            let mut addresses = Vec::new();
            for record in message.answers.iter().filter(|record| record.name.is(name)) {
                match &record.content {
                    Content::V4(v4) if self.kind == wire::A => addresses.push(IpAddr::V4(*v4)),
                    Content::V6(v6) if self.kind == wire::AAAA => addresses.push(IpAddr::V6(*v6)),
                    Content::Alias(to) => alias = Some(to),
                    _ => continue,
                }
                ttl = ttl.min(record.ttl);
            }
            if !addresses.is_empty() {
                addresses.truncate(limits::ADDRESSES_MAX);
                return Answer { found: Ok(addresses), ttl: Some(seconds(ttl)) };
            }
            match alias {
                Some(next) => name = next,
                None => return Answer { found: Ok(Vec::new()), ttl: negative_ttl(message) },
            }
        }
        Answer { found: Err(LookupError::Unusable("aliases without an end")), ttl: None }
    }
}

/// RFC 2308, section 5: the lesser of the zone's minimum and the time to live of the record that says so.
fn negative_ttl(message: &Message) -> Option<Duration> {
    message.authorities.iter().find_map(|record| match record.content {
        Content::Zone { minimum } => Some(seconds(minimum.min(record.ttl))),
        _ => None,
    })
}

/// A time with the highest bit set is none (RFC 2181, section 8).
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > i32::MAX as u32 { 0 } else { ttl.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question::new("vision.example.com", Family::V4, true).unwrap()
    }

    #[test]
    fn numbers_and_letters_differ_from_question_to_question() {
        let seen: Vec<_> = (0..64).map(|_| question().bytes()).collect();
        let numbers: std::collections::HashSet<_> = seen.iter().map(|bytes| &bytes[..2]).collect();
        let names: std::collections::HashSet<_> = seen.iter().map(|bytes| &bytes[12..32]).collect();
        assert!(numbers.len() > 56 && names.len() > 32, "{} {}", numbers.len(), names.len());
    }

    /// The question turned into an answer without records, with two bytes of it as they should not be.
    fn judge(question: &Question, change: impl FnOnce(&mut Vec<u8>)) -> Verdict {
        let mut bytes = Question { with_edns: false, name: question.name.clone(), ..*question }.bytes();
        bytes[2] |= 0x80;
        change(&mut bytes);
        question.judge(&bytes)
    }

    /// C11: an answer that was guessed or meant for another question is not one.
    #[test]
    fn bytes_that_do_not_carry_the_question_are_strange() {
        let strange = |what: &str, change: fn(&mut Vec<u8>)| {
            let verdict = judge(&question(), change);
            assert!(matches!(verdict, Verdict::Strange), "{what}: {verdict:?}");
        };
        strange("number", |bytes| bytes[1] ^= 1);
        strange("a question", |bytes| bytes[2] &= 0x7f);
        strange("another operation", |bytes| bytes[2] |= 0x08);
        strange("name", |bytes| bytes[13] = b'X');
        strange("type", |bytes| *bytes.iter_mut().nth_back(2).unwrap() = 28);
        strange("class", |bytes| *bytes.last_mut().unwrap() = 3);
        strange("no question", |bytes| bytes[5] = 0);
        strange("two questions", |bytes| bytes[5] = 2);
        strange("cut", |bytes| bytes.truncate(bytes.len() - 1));
        let verdict = judge(&question(), |_| {});
        assert!(matches!(verdict, Verdict::Answer(Answer { found: Ok(_), .. })), "{verdict:?}");
    }

    /// C11: the case of the letters is a second number to guess; over a connection nobody guesses.
    #[test]
    fn an_answer_in_other_letters_is_told_apart() {
        let question = question();
        let mut bytes = question.bytes();
        bytes[2] |= 0x80;
        bytes[13] ^= 0x20;
        assert!(matches!(question.judge(&bytes), Verdict::OtherCase));
        assert!(matches!(question.judge_whatever_case(&bytes), Verdict::Answer(_)));
    }

    #[test]
    fn codes_of_failure_are_told_apart() {
        let check = |code: u8, expected: Option<u16>| {
            let found = match judge(&question(), |bytes| bytes[3] |= code) {
                Verdict::Answer(answer) => answer.found.unwrap_err().code(),
                Verdict::TooOld => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{code}");
        };
        check(2, Some(2));
        check(3, Some(3));
        check(5, Some(5));
        check(1, None);
        check(4, None);
        assert!(matches!(judge(&question(), |bytes| bytes[2] |= 2), Verdict::Truncated));
        let head_alone = judge(&question(), |bytes| {
            bytes.truncate(12);
            (bytes[3], bytes[5]) = (1, 0);
        });
        assert!(matches!(head_alone, Verdict::TooOld));
    }
}
