//! An upstream's replies in a file, and a stand-in that gives them.
//!
//! ```toml
//! [[reply]]
//! method  = "POST"          # any, where it is absent
//! path    = "/infer"        # as the function asks; with a query only that one; `/models/*` for whatever begins so
//! status  = 200             # 200, where it is absent
//! headers = { content-type = "application/json" }
//! body    = '{"label": "cat"}'   # or `file = "cat.json"`, beside this one
//! ```
//!
//! Where several fit, they are given one after the other, and the last one again and again. The file is read at each
//! request, so that it can be edited while the session runs; then the turns begin anew.

use super::Tell;
use super::server::{self, Answers, plain};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) reply: Vec<Reply>,
}

/// One reply, as written.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
}

/// Starts a stand-in that answers from `file`.
pub(super) async fn start(file: PathBuf, tell: Tell) -> Result<SocketAddr> {
    read(&file)?;
    server::start(Fixtures { file, tell, turns: Mutex::default() }).await
}

struct Fixtures {
    file: PathBuf,
    tell: Tell,
    turns: Mutex<Turns>,
}

/// How often each reply was given, of this text of the file.
#[derive(Default)]
struct Turns {
    text: String,
    given: BTreeMap<usize, usize>,
}

impl Answers for Fixtures {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.reply(&request).unwrap_or_else(|error| {
            (self.tell)(error.as_ref());
            // No failure of an upstream's, which would be tried again.
            plain(StatusCode::NOT_IMPLEMENTED, format!("{error:#}\n"))
        })
    }
}

impl Fixtures {
    fn reply(&self, request: &Request<Bytes>) -> Result<Response<Bytes>> {
        let (text, replies) = read(&self.file)?;
        let fitting: Vec<usize> =
            (0..replies.len()).filter(|&at| replies[at].fits(request.method(), request.uri())).collect();
        let Some(&last) = fitting.last() else {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            bail!("no reply in {} fits {} {target}", self.file.display(), request.method());
        };
        let at = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.text != text {
                *turns = Turns { text, given: BTreeMap::new() };
            }
            let next = fitting.iter().find(|at| !turns.given.contains_key(at)).copied().unwrap_or(last);
            *turns.given.entry(next).or_default() += 1;
            next
        };
        replies[at].response(self.file.parent().unwrap_or(Path::new(".")))
    }
}

/// The text of the file, and its replies.
pub(super) fn read(file: &Path) -> Result<(String, Vec<Reply>)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let replies =
        toml_edit::de::from_str::<File>(&text).with_context(|| format!("in {}", file.display()))?.reply;
    for reply in &replies {
        reply.check().with_context(|| format!("in {}, the reply to {}", file.display(), reply.path))?;
    }
    Ok((text, replies))
}

impl Reply {
    fn check(&self) -> Result<()> {
        if !self.path.starts_with('/') {
            bail!("`path` begins with a slash");
        }
        if self.body.is_some() && self.file.is_some() {
            bail!("it has a `body` and a `file`: leave one of them out");
        }
        self.head().map(drop)
    }

    fn head(&self) -> Result<(StatusCode, HeaderMap)> {
        let status = self.status.unwrap_or(200);
        let status = StatusCode::from_u16(status).ok().filter(|it| !it.is_informational());
        let status = status.with_context(|| format!("{:?} is not the status of a reply", self.status))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName =
                name.parse().with_context(|| format!("`{name}` is no name of a header"))?;
            let value = HeaderValue::from_str(value).with_context(|| format!("the value of `{name}`"))?;
            headers.append(name, value);
        }
        // These are the server's.
        for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION]
        {
            headers.remove(name);
        }
        Ok((status, headers))
    }

    fn fits(&self, method: &Method, uri: &http::Uri) -> bool {
        let target = match self.path.contains('?') {
            true => uri.path_and_query().map_or("/", |target| target.as_str()),
            false => uri.path(),
        };
        let is_path = match self.path.strip_suffix('*') {
            Some(prefix) => target.starts_with(prefix),
            None => target == self.path,
        };
        is_path && self.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method.as_str()))
    }

    pub(super) fn response(&self, folder: &Path) -> Result<Response<Bytes>> {
        let body = match (&self.body, &self.file) {
            (_, Some(file)) => {
                let file = folder.join(file);
                std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.into()
            }
            (Some(text), None) => Bytes::from(text.clone()),
            (None, None) => Bytes::new(),
        };
        let (status, headers) = self.head()?;
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixtures(text: &str) -> (tempfile::TempDir, Fixtures) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vision.toml");
        std::fs::write(&file, text).unwrap();
        (folder, Fixtures { file, tell: std::sync::Arc::new(|_| {}), turns: Mutex::default() })
    }

    fn ask(fixtures: &Fixtures, method: &str, target: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(target).body(Bytes::new()).unwrap();
        let response = fixtures
            .reply(&request)
            .unwrap_or_else(|error| plain(StatusCode::NOT_IMPLEMENTED, format!("{error:#}")));
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[test]
    fn a_reply_is_found_by_method_path_and_query() {
        let (_folder, fixtures) = fixtures(
            "[[reply]]\npath = '/a'\nmethod = 'post'\nstatus = 201\nbody = 'posted'\n\
             [[reply]]\npath = '/a?x=1'\nbody = 'x'\n[[reply]]\npath = '/models/*'\nbody = 'model'\n",
        );
        assert_eq!(ask(&fixtures, "POST", "/a?y=2"), (201, "posted".into()));
        assert_eq!(ask(&fixtures, "GET", "/a?x=1"), (200, "x".into()));
        assert_eq!(ask(&fixtures, "GET", "/models/7/versions"), (200, "model".into()));
        let (status, why) = ask(&fixtures, "GET", "/a");
        assert!(status == 501 && why.contains("vision.toml fits GET /a"), "{why}");
    }

    #[test]
    fn replies_take_turns_and_begin_anew_when_the_file_changes() {
        let text = "[[reply]]\npath = '/a'\nstatus = 503\n[[reply]]\npath = '/a'\nbody = 'well'\n";
        let (_folder, fixtures) = fixtures(text);
        let statuses = || [0; 3].map(|_| ask(&fixtures, "GET", "/a").0);
        assert_eq!(statuses(), [503, 200, 200]);
        std::fs::write(&fixtures.file, format!("{text}# changed\n")).unwrap();
        assert_eq!(statuses(), [503, 200, 200]);
    }

    #[test]
    fn a_body_may_be_a_file_beside_it() {
        let (folder, fixtures) = fixtures("[[reply]]\npath = '/a'\nfile = 'cat.json'\n");
        assert!(ask(&fixtures, "GET", "/a").1.contains("cat.json"));
        std::fs::write(folder.path().join("cat.json"), "{}").unwrap();
        assert_eq!(ask(&fixtures, "GET", "/a"), (200, "{}".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[[reply]]\npath = 'a'", "begins with a slash"),
            ("[[reply]]\npath = '/a'\nstatus = 99", "is not the status"),
            ("[[reply]]\npath = '/a'\nbody = 'x'\nfile = 'y'", "leave one of them out"),
            ("[[reply]]\npath = '/a'\nheaders = { 'a b' = 'x' }", "no name of a header"),
            ("[[reply]]\npath = '/a'\nstaus = 200", "unknown field `staus`"),
        ] {
            let (_folder, fixtures) = fixtures(text);
            let error = format!("{:#}", read(&fixtures.file).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
