//! The address of an upstream: scheme, host, port and a base path.

use std::fmt;
use std::str::FromStr;

use ::url::Url;

use crate::text::text_type;

/// An `http` or `https` URL without user name, query and fragment. Its path is put before a call's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is not the address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Not a URL.
    #[error("`{url}` is not a URL")]
    Url {
        /// As written.
        url: String,
        /// The URL parser's reason.
        source: ::url::ParseError,
    },
    /// Neither `http` nor `https`.
    #[error("the URL's scheme is `{0}`, not `http` or `https`")]
    Scheme(String),
    /// A user name or password, which would end in logs.
    #[error("the URL holds a user name or a password")]
    Credentials,
    /// A query or a fragment, which cannot be put before a path.
    #[error("the URL has a query or a fragment")]
    Query,
}

impl BaseUrl {
    /// The URL.
    pub fn get(&self) -> &Url {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let url = Url::parse(text).map_err(|source| BaseUrlError::Url { url: text.into(), source })?;
        match url.scheme() {
            "http" | "https" => {}
            scheme => return Err(BaseUrlError::Scheme(scheme.into())),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_type!(
    BaseUrl,
    pattern: "^[Hh][Tt][Tt][Pp][Ss]?://[^?#@]+$",
    hint: "an upstream's address is `https://host[:port][/base/path]`; secrets go into `headers`"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<BaseUrl>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(String::from).map_err(String::from), "{text}");
    }

    #[test]
    fn an_upstream_is_an_http_url() {
        check("https://vision.example.com", Ok("https://vision.example.com/"));
        check("http://10.0.0.7:8080/v2", Ok("http://10.0.0.7:8080/v2"));
        check("vision.example.com", Err("`vision.example.com` is not a URL"));
        check("ftp://a", Err("the URL's scheme is `ftp`, not `http` or `https`"));
        check("https://u:p@a", Err("the URL holds a user name or a password"));
        check("https://a?b", Err("the URL has a query or a fragment"));
    }
}
