//! Which route answers a request.

use http::Method;
use rimward_manifest::{HostName, Lookup, RoutePattern, RouteTable, Segment};

/// Routes written as `[host] METHODS /path`, separated by commas and a space, each standing for its own text.
fn table(routes: &str) -> RouteTable<String> {
    let mut table = RouteTable::default();
    for route in routes.split("; ") {
        let (host, pattern) = parse(route);
        table.insert(&host, &pattern, route.into()).unwrap();
    }
    table
}

fn parse(route: &str) -> (HostName, RoutePattern) {
    match route.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((host, pattern)) => (host.parse().unwrap(), pattern.parse().unwrap()),
        None => (HostName::Any, route.parse().unwrap()),
    }
}

/// What answers, with its parameters; `405` with the allowed methods; or `404`.
fn answer(table: &RouteTable<String>, request: &str) -> String {
    let (method, target) = request.split_once(' ').unwrap();
    let (host, path) = target.split_at(target.find('/').unwrap());
    match table.find(&method.parse().unwrap(), host, path) {
        Lookup::Found { value, params, .. } => {
            let params: String = params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{value}{params}")
        }
        Lookup::MethodNotAllowed { allow } => {
            let allow: Vec<&str> = allow.iter().map(Method::as_str).collect();
            format!("405 {}", allow.join(","))
        }
        Lookup::NotFound => "404".into(),
    }
}

fn check(routes: &str, request: &str, expected: &str) {
    assert_eq!(answer(&table(routes), request), expected, "{request} in {routes}");
}

#[test]
fn exact_text_wins_over_a_parameter_over_the_rest() {
    let routes = "/a/b; /a/:x; /a/*rest; /*rest";
    check(routes, "GET /a/b", "/a/b");
    check(routes, "GET /a/c", "/a/:x x=c");
    check(routes, "GET /a/b/c", "/a/*rest rest=b/c");
    check(routes, "GET /b", "/*rest rest=b");
    check(routes, "GET /", "/*rest rest=");
}

#[test]
fn a_dead_end_is_left_for_a_less_specific_route() {
    let routes = "/a/b/c; /a/:x/d; /:y/b/e; /*rest";
    check(routes, "GET /a/b/c", "/a/b/c");
    check(routes, "GET /a/b/d", "/a/:x/d x=b");
    check(routes, "GET /a/b/e", "/:y/b/e y=a");
    check(routes, "GET /a/b/f", "/*rest rest=a/b/f");
}

#[test]
fn segments_are_decided_from_the_left() {
    check("/a/:x; /:y/b", "GET /a/b", "/a/:x x=b");
}

#[test]
fn a_parameter_takes_one_segment_that_is_not_empty() {
    check("/a/:x", "GET /a/", "404");
    check("/a/:x", "GET /a/b/c", "404");
    check("/a/:x", "GET /a/%2F%20", "/a/:x x=%2F%20");
    check("/:x/:y", "GET /1/2", "/:x/:y x=1 y=2");
}

#[test]
fn the_rest_may_be_empty_but_needs_its_slash() {
    check("/a/*rest", "GET /a/", "/a/*rest rest=");
    check("/a/*rest", "GET /a", "404");
    check("/:x/*rest", "GET /1/2//3/", "/:x/*rest x=1 rest=2//3/");
}

#[test]
fn the_path_is_compared_as_it_was_received() {
    check("/a", "GET /a/", "404");
    check("/a/", "GET /a/", "/a/");
    check("/a", "GET /%61", "404");
    check("/a//b", "GET /a//b", "/a//b");
    check("/b", "GET /a/../b", "404");
    check("/", "GET /", "/");
}

#[test]
fn a_named_method_wins_over_every_method() {
    let routes = "GET /a; POST,PUT /a; /a; GET /b";
    check(routes, "GET /a", "GET /a");
    check(routes, "PUT /a", "POST,PUT /a");
    check(routes, "DELETE /a", "/a");
}

#[test]
fn a_route_that_does_not_take_the_method_is_passed_over() {
    check("GET /a/b; POST /a/:x", "POST /a/b", "POST /a/:x x=b");
    check("GET /a/b; POST /a/:x", "GET /a/c", "405 POST");
}

#[test]
fn a_path_without_the_method_lists_those_that_it_has() {
    check("GET /a; POST,PUT /a; DELETE /:x", "PATCH /a", "405 DELETE,GET,HEAD,POST,PUT");
    check("GET /a", "PATCH /b", "404");
}

#[test]
fn a_route_for_get_answers_head() {
    check("GET /a", "HEAD /a", "GET /a");
    check("GET /a; HEAD /a", "HEAD /a", "HEAD /a");
    check("GET /a; /a", "HEAD /a", "GET /a");
}

#[test]
fn an_exact_host_wins_over_the_longest_wildcard_over_none() {
    let routes = "[a.b.example] /x; [*.b.example] /x; [*.example] /x; /x; /y";
    check(routes, "GET a.b.example/x", "[a.b.example] /x");
    check(routes, "GET c.b.example/x", "[*.b.example] /x");
    check(routes, "GET d.c.b.example/x", "[*.b.example] /x");
    check(routes, "GET b.example/x", "[*.example] /x");
    check(routes, "GET example/x", "/x");
    check(routes, "GET /x", "/x");
    check(routes, "GET a.b.example/y", "/y");
}

#[test]
fn a_host_is_compared_without_case_and_without_its_last_dot() {
    check("[a.example] /x", "GET A.Example./x", "[a.example] /x");
    check("[*.example] /x", "GET A.EXAMPLE/x", "[*.example] /x");
    check("[*.example] /x", "GET badexample/x", "404");
}

#[test]
fn routes_that_answer_the_same_requests_are_refused() {
    let check = |one: &str, other: &str, expected: bool| {
        let mut table = table(one);
        let (host, pattern) = parse(other);
        let conflict = table.insert(&host, &pattern, other.into()).err();
        assert_eq!(conflict.is_some(), expected, "{one} and {other}");
        if let Some(conflict) = conflict {
            assert_eq!((conflict.owner.as_str(), conflict.route), (one, pattern));
        }
    };
    check("/a", "/a", true);
    check("/a/:x", "/a/:y", true);
    check("/a/*x", "/a/*y", true);
    check("GET /a", "POST,GET /a", true);
    check("[a.example] /a", "[a.example] /a", true);
    check("[*.example] /a", "[*.example] /a", true);
    check("/a", "GET /a", false);
    check("GET /a", "POST /a", false);
    check("/a", "/a/", false);
    check("/a/:x", "/a/*y", false);
    check("[a.example] /a", "[*.example] /a", false);
}

/// Every pattern of up to three segments out of `a`, `b`, `:p`, `*r`.
fn all_patterns() -> Vec<RoutePattern> {
    let mut patterns = Vec::new();
    let mut beginnings = vec![String::new()];
    for _ in 0..3 {
        let longer = |beginning: &String| ["a", "b"].map(|text| format!("{beginning}/{text}"));
        let depth = beginnings[0].matches('/').count();
        let ends = beginnings.iter().map(|beginning| format!("{beginning}/*r"));
        let ones = beginnings.iter().map(|beginning| format!("{beginning}/:p{depth}"));
        let next: Vec<String> = beginnings.iter().flat_map(longer).chain(ones).collect();
        patterns.extend(next.iter().cloned().chain(ends).map(|pattern| pattern.parse().unwrap()));
        beginnings = next;
    }
    patterns
}

/// The plain meaning of a pattern, and what makes one more specific than another.
fn matches(pattern: &RoutePattern, path: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = path[1..].split('/').collect();
    let mut ranks = Vec::new();
    for (index, segment) in pattern.segments().iter().enumerate() {
        match (segment, parts.get(index)) {
            (Segment::Exact(text), Some(part)) if **text == **part => ranks.push(0),
            (Segment::One(_), Some(part)) if !part.is_empty() => ranks.push(1),
            (Segment::Rest(_), Some(_)) => {
                ranks.push(2);
                return Some(ranks);
            }
            _ => return None,
        }
    }
    (parts.len() == pattern.segments().len()).then_some(ranks)
}

#[test]
fn the_table_finds_what_a_look_at_every_pattern_finds() {
    let patterns = all_patterns();
    let paths = ["", "a", "b", "c"]
        .map(|one| ["", "a", "b", "c"].map(|two| [format!("/{one}"), format!("/{one}/{two}")]));
    let paths: Vec<String> = paths.into_iter().flatten().flatten().collect();
    let paths: Vec<String> = paths
        .iter()
        .cloned()
        .chain(paths.iter().flat_map(|path| ["a", "b", "c", ""].map(|end| format!("{path}/{end}"))))
        .collect();
    // A different third of the patterns each time, by a small linear congruential generator.
    let mut state = 1_u32;
    for _ in 0..200 {
        let mut table = RouteTable::default();
        let mut chosen = Vec::new();
        for pattern in &patterns {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 16 < 22_000 {
                table.insert(&HostName::Any, pattern, pattern.to_string()).unwrap();
                chosen.push(pattern);
            }
        }
        for path in &paths {
            let best = chosen
                .iter()
                .filter_map(|pattern| Some((matches(pattern, path)?, pattern.to_string())))
                .min();
            let found = match table.find(&Method::GET, "", path) {
                Lookup::Found { value, .. } => Some(value.clone()),
                _ => None,
            };
            assert_eq!(found, best.map(|(_, pattern)| pattern), "{path}");
        }
    }
}
