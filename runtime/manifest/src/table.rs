//! Which route answers a request: the most specific one, found without an allocation.
//!
//! Built once when a revision is installed, read by every request, never changed in between. It does not know what it
//! finds. A lookup visits each node of the tree at most once; a path without a route is a plain answer.
//!
//! More specific is, in this order: an exact host before the longest `*.` host before no host; then, segment by segment
//! from the left, exact text before `:name` before `*rest`; then a named method before every method. A route that does
//! not take the method is passed over, so `POST /a/:name` answers `POST /a/b` beside `GET /a/b`.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;

use crate::host::{HostName, is_under};
use crate::route::{Methods, RoutePattern, Segment};

/// Routes and what stands behind each.
#[derive(Debug, Clone)]
pub struct RouteTable<T> {
    exact: HashMap<Box<str>, Node<T>>,
    /// By the length of the suffix, longest first.
    under: Vec<(Box<str>, Node<T>)>,
    any: Node<T>,
}

/// What a lookup found.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'t, 'p, T> {
    /// The most specific route.
    Found {
        /// What stands behind it.
        value: &'t T,
        /// The route as it was declared.
        route: &'t RoutePattern,
        /// What its parameters took from the path.
        params: Params<'t, 'p>,
    },
    /// Routes match the path, but none takes the method.
    MethodNotAllowed {
        /// The methods that they take, for the reply's `Allow` (RFC 9110, section 15.5.6).
        allow: Vec<Method>,
    },
    /// No route matches the path.
    NotFound,
}

/// The parameters of a matched route, as they stand in the path (not percent-decoded), in the order of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<'t, 'p> {
    segments: &'t [Segment],
    path: &'p str,
}

/// Two routes that would answer the same requests.
#[derive(Debug, thiserror::Error)]
#[error("the route `{route}` answers the same requests as `{existing}`")]
pub struct Conflict<T> {
    /// The route that was to be inserted.
    pub route: RoutePattern,
    /// The one that is there.
    pub existing: RoutePattern,
    /// What stands behind the one that is there.
    pub owner: T,
}

/// What may follow one beginning of a path.
#[derive(Debug, Clone)]
struct Node<T> {
    /// Sorted by text.
    exact: Vec<(Box<str>, Node<T>)>,
    one: Option<Box<Node<T>>>,
    rest: Vec<Endpoint<T>>,
    here: Vec<Endpoint<T>>,
}

/// A route at the end of its path. Those with named methods come first.
#[derive(Debug, Clone)]
struct Endpoint<T> {
    route: RoutePattern,
    value: T,
}

impl<T: Clone> RouteTable<T> {
    /// Adds a route, unless one is there that answers the same requests.
    pub fn insert(&mut self, host: &HostName, route: &RoutePattern, value: T) -> Result<(), Conflict<T>> {
        let endpoints = self.tree(host).endpoints(route.segments());
        let methods = |endpoint: &&Endpoint<T>| endpoint.route.methods().overlap(route.methods());
        if let Some(existing) = endpoints.iter().find(methods) {
            return Err(Conflict {
                route: route.clone(),
                existing: existing.route.clone(),
                owner: existing.value.clone(),
            });
        }
        let position = match route.methods() {
            Methods::Any => endpoints.len(),
            Methods::Only(_) => 0,
        };
        endpoints.insert(position, Endpoint { route: route.clone(), value });
        Ok(())
    }
}

impl<T> RouteTable<T> {
    /// The most specific route for a request. `host` is the request's host without its port (empty where there is
    /// none), in any case, with or without a dot at the end; `path` is the path as received, without the query.
    pub fn find<'t, 'p>(&'t self, method: &Method, host: &str, path: &'p str) -> Lookup<'t, 'p, T> {
        let Some(inner) = path.strip_prefix('/') else { return Lookup::NotFound };
        let host = normal(host);
        let found = self.visit(&host, inner, &mut |endpoints| select(endpoints, method));
        match found {
            Some(Endpoint { route, value }) => {
                Lookup::Found { value, route, params: Params { segments: route.segments(), path: inner } }
            }
            None => self.not_found(&host, inner),
        }
    }

    fn not_found<'p>(&self, host: &str, inner: &str) -> Lookup<'_, 'p, T> {
        let mut allow = Vec::new();
        self.visit(host, inner, &mut |endpoints| {
            allow.extend(endpoints.iter().flat_map(|endpoint| answered(endpoint.route.methods())));
            None
        });
        allow.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        allow.dedup();
        if allow.is_empty() { Lookup::NotFound } else { Lookup::MethodNotAllowed { allow } }
    }

    /// Shows `select` the endpoints that match host and path, most specific first, until it takes one.
    fn visit<'t>(
        &'t self,
        host: &str,
        inner: &str,
        select: &mut impl FnMut(&'t [Endpoint<T>]) -> Option<&'t Endpoint<T>>,
    ) -> Option<&'t Endpoint<T>> {
        let exact = self.exact.get(host).into_iter();
        let under = self.under.iter().filter(|(suffix, _)| is_under(host, suffix)).map(|(_, tree)| tree);
        exact.chain(under).chain([&self.any]).find_map(|tree| tree.visit(Some(inner), select))
    }

    fn tree(&mut self, host: &HostName) -> &mut Node<T> {
        match host {
            HostName::Any => &mut self.any,
            HostName::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostName::Under(suffix) => {
                let longer = |(other, _): &(Box<str>, _)| (other.len(), suffix) > (suffix.len(), other);
                let position = self.under.partition_point(longer);
                if self.under.get(position).is_none_or(|(other, _)| other != suffix) {
                    self.under.insert(position, (suffix.clone(), Node::default()));
                }
                &mut self.under[position].1
            }
        }
    }
}

/// The host as routes hold it; borrowed unless it has capitals.
fn normal(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

/// The endpoint for `method`: one that names it, for `HEAD` one that names `GET`, or one for every method.
fn select<'t, T>(endpoints: &'t [Endpoint<T>], method: &Method) -> Option<&'t Endpoint<T>> {
    let naming = |method: &Method| endpoints.iter().find(|endpoint| endpoint.route.methods().name(method));
    let for_head = || if method == Method::HEAD { naming(&Method::GET) } else { None };
    let for_any = || endpoints.last().filter(|endpoint| *endpoint.route.methods() == Methods::Any);
    naming(method).or_else(for_head).or_else(for_any)
}

/// The methods that a route answers by name.
fn answered(methods: &Methods) -> impl Iterator<Item = Method> {
    let named: &[Method] = match methods {
        Methods::Any => &[],
        Methods::Only(methods) => methods,
    };
    let head = named.contains(&Method::GET).then_some(Method::HEAD);
    named.iter().cloned().chain(head)
}

impl<T> Node<T> {
    /// Where routes with this path end; makes the nodes on the way.
    fn endpoints(&mut self, segments: &[Segment]) -> &mut Vec<Endpoint<T>> {
        match segments {
            [] => &mut self.here,
            [Segment::Rest(_), ..] => &mut self.rest,
            [Segment::One(_), following @ ..] => self.one.get_or_insert_default().endpoints(following),
            [Segment::Exact(text), following @ ..] => self.child(text).endpoints(following),
        }
    }

    fn child(&mut self, text: &str) -> &mut Self {
        let position = match self.position(text) {
            Ok(position) => position,
            Err(position) => {
                self.exact.insert(position, (text.into(), Self::default()));
                position
            }
        };
        &mut self.exact[position].1
    }

    fn position(&self, text: &str) -> Result<usize, usize> {
        self.exact.binary_search_by(|(other, _)| (**other).cmp(text))
    }

    /// `path` is what follows the slash behind this node, or `None` where the path ends here.
    fn visit<'t>(
        &'t self,
        path: Option<&str>,
        select: &mut impl FnMut(&'t [Endpoint<T>]) -> Option<&'t Endpoint<T>>,
    ) -> Option<&'t Endpoint<T>> {
        let Some(path) = path else { return select(&self.here) };
        let (segment, following) = match path.split_once('/') {
            Some((segment, following)) => (segment, Some(following)),
            None => (path, None),
        };
        let exact = self.position(segment).ok().map(|position| &self.exact[position].1);
        let one = self.one.as_deref().filter(|_| !segment.is_empty());
        let deeper = exact.into_iter().chain(one).find_map(|node| node.visit(following, select));
        deeper.or_else(|| select(&self.rest))
    }
}

impl<'t, 'p> Params<'t, 'p> {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'t str, &'p str)> + use<'t, 'p> {
        let mut left = Some(self.path);
        self.segments.iter().filter_map(move |segment| {
            let path = left?;
            if let Segment::Rest(name) = segment {
                return Some((&**name, path));
            }
            let (value, following) =
                path.split_once('/').map_or((path, None), |(value, rest)| (value, Some(rest)));
            left = following;
            segment.parameter().map(|name| (name, value))
        })
    }

    /// The value of the parameter `name`.
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.iter().find_map(|(other, value)| (other == name).then_some(value))
    }
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), under: Vec::new(), any: Node::default() }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { exact: Vec::new(), one: None, rest: Vec::new(), here: Vec::new() }
    }
}
