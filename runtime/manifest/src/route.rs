//! One route's pattern: methods and a path with `:name` and `*rest`.
//!
//! Patterns are compared with the path as it was received: nothing is percent-decoded, no `.` or `..` is resolved, and
//! `/a` and `/a/` differ. So a route decides which code runs; it is not an access control.

use std::fmt;
use std::str::FromStr;

use http::Method;

use crate::limits::{ROUTE_PATH_BYTES_MAX, ROUTE_SEGMENTS_MAX};
use crate::text::text_type;

/// `METHOD[,METHOD] /path/:name/*rest`, or only the path for every method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    methods: Methods,
    segments: Box<[Segment]>,
}

/// Methods that a route answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Every one.
    Any,
    /// These, none twice, at least one. `GET` also answers `HEAD` where no route names `HEAD`
    /// (RFC 9110, section 9.3.2).
    Only(Box<[Method]>),
}

/// The part of a path pattern between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// These very characters; empty for what follows a slash at the end.
    Exact(Box<str>),
    /// `:name`: any one segment that is not empty.
    One(Box<str>),
    /// `*name`: the rest of the path, which may be empty; only at the end.
    Rest(Box<str>),
}

/// Why a text is not a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No path that begins with a slash.
    #[error("the path of the route `{0}` does not begin with `/`")]
    NoPath(String),
    /// Not a method, or not in the form that clients send.
    #[error("`{0}` is not a method; methods are written in capitals")]
    Method(String),
    /// The same method twice.
    #[error("the method `{0}` is named twice")]
    MethodTwice(Method),
    /// A character that no path on the wire has.
    #[error("the path has a `{0}`, which paths carry percent-encoded only")]
    Character(char),
    /// `:` or `*` without a name, or with one that is not letters, digits, `-` and `_`.
    #[error("`{0}` needs a name of letters, digits, `-` and `_`")]
    ParameterName(String),
    /// Two parameters of one name.
    #[error("the parameter `{0}` is named twice")]
    ParameterTwice(String),
    /// `*rest` before the end.
    #[error("`*{0}` is not at the end of the path")]
    RestNotLast(String),
    /// Longer than any client sends.
    #[error("the path is longer than {ROUTE_PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Deeper than the lookup goes.
    #[error("the path has more than {ROUTE_SEGMENTS_MAX} segments")]
    TooDeep,
}

impl RoutePattern {
    /// Every method, every path.
    pub fn everything() -> Self {
        Self { methods: Methods::Any, segments: [Segment::Rest("rest".into())].into() }
    }

    /// The methods.
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// The segments; at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Methods {
    /// Whether any method is one of both.
    pub(crate) fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Only(methods), Self::Only(others)) => methods.iter().any(|method| others.contains(method)),
            _ => false,
        }
    }

    /// Whether `method` is one that is named.
    pub(crate) fn name(&self, method: &Method) -> bool {
        matches!(self, Self::Only(methods) if methods.contains(method))
    }
}

impl FromStr for RoutePattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let (methods, path) = match text.split_once(' ') {
            Some((methods, path)) => (parse_methods(methods)?, path.trim_start()),
            None => (Methods::Any, text),
        };
        Ok(Self { methods, segments: parse_path(path)? })
    }
}

fn parse_methods(text: &str) -> Result<Methods, RouteError> {
    let mut methods = Vec::new();
    for name in text.split(',') {
        let valid = !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_lowercase());
        let method =
            name.parse::<Method>().ok().filter(|_| valid).ok_or_else(|| RouteError::Method(name.into()))?;
        if methods.contains(&method) {
            return Err(RouteError::MethodTwice(method));
        }
        methods.push(method);
    }
    Ok(Methods::Only(methods.into()))
}

fn parse_path(path: &str) -> Result<Box<[Segment]>, RouteError> {
    let inner = path.strip_prefix('/').ok_or_else(|| RouteError::NoPath(path.into()))?;
    if path.len() > ROUTE_PATH_BYTES_MAX {
        return Err(RouteError::TooLong);
    }
    if let Some(odd) = path.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#')) {
        return Err(RouteError::Character(odd));
    }
    let segments = inner.split('/').map(parse_segment).collect::<Result<Box<[_]>, _>>()?;
    check_segments(&segments)?;
    Ok(segments)
}

fn parse_segment(text: &str) -> Result<Segment, RouteError> {
    let (name, make): (_, fn(Box<str>) -> Segment) = match (text.strip_prefix(':'), text.strip_prefix('*')) {
        (Some(name), _) => (name, Segment::One),
        (_, Some(name)) => (name, Segment::Rest),
        (None, None) => return Ok(Segment::Exact(text.into())),
    };
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if valid { Ok(make(name.into())) } else { Err(RouteError::ParameterName(text.into())) }
}

fn check_segments(segments: &[Segment]) -> Result<(), RouteError> {
    if segments.len() > ROUTE_SEGMENTS_MAX {
        return Err(RouteError::TooDeep);
    }
    for (index, segment) in segments.iter().enumerate() {
        let Some(name) = segment.parameter() else { continue };
        if segments[..index].iter().any(|earlier| earlier.parameter() == Some(name)) {
            return Err(RouteError::ParameterTwice(name.into()));
        }
        if matches!(segment, Segment::Rest(_)) && index + 1 < segments.len() {
            return Err(RouteError::RestNotLast(name.into()));
        }
    }
    Ok(())
}

impl Segment {
    /// The name of the parameter that takes this part of the path.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Exact(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Methods::Only(methods) = &self.methods {
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            write!(f, "{} ", names.join(","))?;
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Exact(text) => write!(f, "/{text}"),
            Segment::One(name) => write!(f, "/:{name}"),
            Segment::Rest(name) => write!(f, "/*{name}"),
        })
    }
}

text_type!(
    RoutePattern,
    pattern: r"^([A-Z][A-Z0-9_-]*(,[A-Z][A-Z0-9_-]*)* +)?/[^ ?#]*$",
    hint: "a route is `METHOD /path`, `METHOD,METHOD /path` or `/path`, with `:name` for one segment and `*rest` at the end"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<RoutePattern>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(String::from).map_err(String::from), "{text}");
    }

    #[test]
    fn a_route_is_methods_and_a_path() {
        for text in ["/", "/a", "/a/", "GET /a/:b/*rest", "GET,POST /a", "PROPFIND /dav/*rest", "/%41/a:b"] {
            check(text, Ok(text));
        }
        check("GET   /a", Ok("GET /a"));
    }

    #[test]
    fn a_wrong_route_says_what_is_wrong() {
        check("a", Err("the path of the route `a` does not begin with `/`"));
        check("GET a", Err("the path of the route `a` does not begin with `/`"));
        check("GET", Err("the path of the route `GET` does not begin with `/`"));
        check("get /a", Err("`get` is not a method; methods are written in capitals"));
        check("GET, POST /a", Err("`` is not a method; methods are written in capitals"));
        check("GET,GET /a", Err("the method `GET` is named twice"));
        check("/a b", Err("`/a` is not a method; methods are written in capitals"));
        check("/ü", Err("the path has a `ü`, which paths carry percent-encoded only"));
        check("/a?b", Err("the path has a `?`, which paths carry percent-encoded only"));
        check("/:", Err("`:` needs a name of letters, digits, `-` and `_`"));
        check("/*", Err("`*` needs a name of letters, digits, `-` and `_`"));
        check("/:a/:a", Err("the parameter `a` is named twice"));
        check("/*a/b", Err("`*a` is not at the end of the path"));
    }

    #[test]
    fn a_route_has_at_most_32_segments_and_1024_bytes() {
        let deep = |segments: usize| "/a".repeat(segments).parse::<RoutePattern>();
        assert!(deep(ROUTE_SEGMENTS_MAX).is_ok());
        assert_eq!(deep(ROUTE_SEGMENTS_MAX + 1).unwrap_err(), RouteError::TooDeep);
        let long = |bytes: usize| format!("/{}", "a".repeat(bytes - 1)).parse::<RoutePattern>();
        assert!(long(ROUTE_PATH_BYTES_MAX).is_ok());
        assert_eq!(long(ROUTE_PATH_BYTES_MAX + 1).unwrap_err(), RouteError::TooLong);
    }
}
