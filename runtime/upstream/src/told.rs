//! What became of a call, for whoever made it.
//!
//! Filled in by [`call`](crate::call()), beside the response. [`Told::mark`] writes it into the response's headers, where
//! every language can read it. A response of the first try with nothing to tell has no such header.

use crate::{cache, fallback};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that tells a function what became of its call: a dictionary (RFC 9651, section 3.2).
pub(crate) const HEADER: HeaderName = HeaderName::from_static("rimward-upstream");

/// What became of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How often the upstream was tried.
    pub tries: u8,
    /// Whether a second try was sent beside a slow one.
    pub is_hedged: bool,
    /// Whether the first proof of who calls was refused, and another one was made.
    pub is_renewed: bool,
    /// What the cache did, where there is one.
    pub cache: Option<cache::Status>,
    /// What answered in the upstream's place, and why.
    pub fallback: Option<(fallback::Kind, fallback::Reason)>,
}

impl Told {
    /// Writes it into `headers`, in place of what the upstream says there.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if let Some(status) = self.cache {
            status.mark(headers);
        }
        let is_hit = self.cache.is_some_and(cache::Status::is_hit);
        if (self.tries == 1 || is_hit) && !self.is_hedged && self.fallback.is_none() {
            // Seldom there: a look at each name is cheaper than a hash of this one.
            if headers.keys().any(|name| name == HEADER) {
                headers.remove(HEADER);
            }
            return;
        }
        let text = self.to_string();
        match HeaderValue::try_from(text) {
            Ok(value) if !value.is_empty() => headers.insert(HEADER, value),
            _ => headers.remove(HEADER),
        };
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut entries = Entries { f, is_first: true };
        if self.tries != 1 {
            entries.add(format_args!("tries={}", self.tries))?;
        }
        if self.is_hedged {
            entries.add(format_args!("hedged"))?;
        }
        if let Some((kind, reason)) = self.fallback {
            entries.add(format_args!("fallback={kind}"))?;
            entries.add(format_args!("reason={reason}"))?;
        }
        Ok(())
    }
}

/// Entries of a dictionary, with commas between them.
struct Entries<'a, 'f> {
    f: &'a mut std::fmt::Formatter<'f>,
    is_first: bool,
}

impl Entries<'_, '_> {
    fn add(&mut self, entry: std::fmt::Arguments<'_>) -> std::fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.f.write_str(", ")?;
        }
        self.f.write_fmt(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(told: &Told, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("tries=99"));
        told.mark(&mut headers);
        assert_eq!(headers.get(HEADER).map(|value| value.to_str().unwrap()), expected, "{told:?}");
    }

    #[test]
    fn only_what_is_out_of_the_ordinary_is_told_and_the_upstream_cannot_tell_it() {
        check(&Told { tries: 1, is_hedged: false, ..Told::default() }, None);
        check(&Told { tries: 2, is_hedged: false, ..Told::default() }, Some("tries=2"));
        check(&Told { tries: 1, is_hedged: true, ..Told::default() }, Some("hedged"));
        check(&Told { tries: 3, is_hedged: true, ..Told::default() }, Some("tries=3, hedged"));
        check(&Told { tries: 0, is_hedged: false, ..Told::default() }, Some("tries=0"));
    }
}
