//! Route tables against a model that is slow and plain: every route is compared with the request, and the most specific of
//! those that match is taken. The input is text: a line for each route, its host and a space before it; an empty line; then
//! lines of method, host and path.

use http::Method;
use rimward_manifest::{HostName, Lookup, Methods, RoutePattern, RouteTable, Segment};

/// Lines of either kind that are looked at.
const LINES: usize = 64;

/// Any text as routes and requests.
pub fn routes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (routes, requests) = text.split_once("\n\n").unwrap_or((text, ""));
    let (mut table, mut model) = (RouteTable::default(), Vec::new());
    for line in routes.lines().take(LINES) {
        let Some((host, route)) = line.split_once(' ') else { continue };
        let host = if host.is_empty() { Ok(HostName::Any) } else { host.parse() };
        let (Ok(host), Ok(route)) = (host, route.parse::<RoutePattern>()) else { continue };
        match table.insert(&host, &route, model.len()) {
            Ok(()) => model.push((host, route)),
            Err(conflict) => assert!(conflict.owner < model.len() && conflict.route == route),
        }
    }
    for line in requests.lines().take(LINES) {
        let mut parts = line.splitn(3, ' ');
        let [Some(method), Some(host), Some(path)] = [parts.next(), parts.next(), parts.next()] else {
            continue;
        };
        let Ok(method) = Method::from_bytes(method.as_bytes()) else { continue };
        let found = match table.find(&method, host, path) {
            Lookup::Found { value, params, .. } => {
                assert!(params.iter().all(|(_, value)| path.contains(value)), "{line:?}");
                Some(*value)
            }
            Lookup::MethodNotAllowed { allow } => {
                assert!(!allow.is_empty() && !allow.contains(&method), "{line:?}: {allow:?}");
                None
            }
            Lookup::NotFound => None,
        };
        assert_eq!(found, slowly(&model, &method, host, path), "{line:?} in {model:?}");
    }
}

/// The place of the most specific route that answers.
fn slowly(model: &[(HostName, RoutePattern)], method: &Method, host: &str, path: &str) -> Option<usize> {
    let path = path.strip_prefix('/')?;
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let rank = |(host_of_route, route): &(HostName, RoutePattern)| {
        let segments = segments(route.segments(), path)?;
        Some((of_host(host_of_route, &host)?, segments, of_method(route.methods(), method)?))
    };
    let ranked = model.iter().enumerate().filter_map(|(place, route)| Some((rank(route)?, place)));
    ranked.min().map(|(_, place)| place)
}

/// How little specific the host is.
fn of_host(route: &HostName, host: &str) -> Option<usize> {
    match route {
        HostName::Exact(name) => (**name == *host).then_some(0),
        HostName::Under(suffix) => {
            let label = host.strip_suffix(&**suffix)?.strip_suffix('.')?;
            (!label.is_empty()).then(|| 1_000 - suffix.len())
        }
        HostName::Any => Some(1_000),
    }
}

/// How little specific each segment is.
fn segments(pattern: &[Segment], path: &str) -> Option<Vec<u8>> {
    let mut left = Some(path);
    let mut ranks = Vec::new();
    for segment in pattern {
        let path = left?;
        let (one, following) = path.split_once('/').map_or((path, None), |(one, rest)| (one, Some(rest)));
        ranks.push(match segment {
            Segment::Exact(text) if **text == *one => 0,
            Segment::One(_) if !one.is_empty() => 1,
            Segment::Rest(_) => 2,
            Segment::Exact(_) | Segment::One(_) => return None,
        });
        left = if matches!(segment, Segment::Rest(_)) { None } else { following };
    }
    left.is_none().then_some(ranks)
}

fn of_method(methods: &Methods, method: &Method) -> Option<u8> {
    match methods {
        Methods::Any => Some(2),
        Methods::Only(named) if named.contains(method) => Some(0),
        Methods::Only(named) => (method == Method::HEAD && named.contains(&Method::GET)).then_some(1),
    }
}
