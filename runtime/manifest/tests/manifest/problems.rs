//! What is refused, and how a problem looks.

use rimward_manifest::limits::{FUNCTIONS_MAX, ROUTES_MAX};
use rimward_manifest::{App, Colour, NodeFile, Problems};

const START: &str = "[app]\nname = 'a'\n[function.f]\ncomponent = 'f.wasm'\n";

/// Each problem as `line:column message`, with the nearest name where there is one.
fn shown(problems: &Problems) -> Vec<String> {
    let shown = problems.problems.iter().map(|problem| {
        let nearest = problem.nearest.as_ref().map(|nearest| format!(" (`{nearest}`?)")).unwrap_or_default();
        format!("{}:{} {}{nearest}", problem.place.line, problem.place.column, problem.message)
    });
    shown.collect()
}

/// The problems of `rest` in a file that is right without it; lines count from the start of `rest`.
fn check_app(rest: &str, expected: &[&str]) {
    let problems = App::parse(&format!("{START}{rest}")).expect_err(rest);
    let lines_before = START.lines().count();
    let mut problems = problems.clone();
    problems.problems.iter_mut().for_each(|problem| problem.place.line -= lines_before);
    assert_eq!(shown(&problems), expected, "{rest}");
}

fn check_node(text: &str, expected: &[&str]) {
    assert_eq!(shown(&NodeFile::parse(text).expect_err(text)), expected, "{text}");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    check_app(
        "limits = { memry = '1MiB', cpu = '2' }\nupstreams = ['visoin']\n[upstream.vision]\nurl = 'x'\n",
        &[
            "1:12 unknown key `memry` in `[function.f.limits]` (`memory`?)",
            "1:34 `cpu`: the duration `2` has no unit",
            "2:14 there is no upstream `visoin` in this file (`vision`?)",
            "4:7 `url`: `x` is not a URL",
        ],
    );
}

#[test]
fn an_unknown_key_is_a_problem_with_the_nearest_valid_one() {
    check_app("bild = 1", &["1:1 unknown key `bild` in `[function.f]` (`build`?)"]);
    check_app("colour = 1", &["1:1 unknown key `colour` in `[function.f]`"]);
    check_app("[functions.g]\n", &["1:2 unknown key `functions` in this file (`function`?)"]);
    check_app(
        "[store.s]\nkind = 'memroy'",
        &["2:8 `kind`: `memroy` is not one of `durable`, `memory` (`memory`?)"],
    );
}

#[test]
fn a_policy_that_cannot_hold_says_why() {
    let upstream = |table: &str| format!("[upstream.u]\nurl = 'http://u'\n{table}");
    let check = |table: &str, expected: &str| check_app(&upstream(table), &[&format!("3:{expected}")]);
    check("retry = { attempts = 11 }", "22 `attempts` is more than 10");
    check("retry = { attempts = 0 }", "22 `attempts`: the number is zero");
    check(
        "retry = { backoff = '2s..1s' }",
        "21 `backoff`: the longest pause of `2s..1s` is shorter than the first",
    );
    check("retry = { on = ['200'] }", "17 `on`: `200` is no failure that can be tried again");
    check("retry = { budget = '101%' }", "20 `budget`: `101%` is not a share from `0%` to `100%`");
    check("circuit-breaker = { failure-rate = '0%' }", "36 `failure-rate` is zero");
    check("circuit-breaker = { slow-rate = '5%' }", "33 `slow-rate` says nothing without `slow-call`");
    check("circuit-breaker = { half-open-calls = 1001 }", "39 `half-open-calls` is more than 1000");
    check("circuit-breaker = { open-max = '4s' }", "32 `open-max` is less than `open`, 5s");
    check("bulkhead = { adaptive-min = 257 }", "29 `adaptive-min` is more than `concurrent`, 256");
    check("hedge = { after = 'p100' }", "19 `after`: the duration `p100` does not start with a whole number");
    for table in [
        "retry = { attempts = 10, budget = '0%', on = [] }",
        "circuit-breaker = { half-open-calls = 1000, open-max = '5s' }",
        "bulkhead = { adaptive-min = 256 }",
        "hedge = { after = 'p99' }",
    ] {
        assert!(App::parse(&format!("{START}{}", upstream(table))).is_ok(), "{table}");
    }
}

#[test]
fn several_places_of_an_upstream_are_two_to_64() {
    let upstream = |count: usize| {
        let places: Vec<_> = (0..count).map(|at| format!("{{ url = 'http://p{at}' }}")).collect();
        format!("[upstream.u]\nurl = 'http://u'\nendpoints = [{}]", places.join(", "))
    };
    check_app(&upstream(1), &["3:13 there is nothing to choose from"]);
    check_app(&upstream(65), &["3:13 the upstream has 65 endpoints, more than 64"]);
    for count in [2, 64] {
        assert!(App::parse(&format!("{START}{}", upstream(count))).is_ok(), "{count}");
    }
    check_app("[upstream.u]\nurl = 'http://u'\nhealth = { path = 'up' }", &["3:19 it is not a path"]);
}

#[test]
fn a_key_of_a_later_version_is_named_as_such() {
    let later = |key: &str| format!("`{key}` is not supported by this version yet");
    check_app("publishes = ['t']", &[&format!("1:1 {}", later("function.f.publishes"))]);
    check_app("[[trigger.cron]]\nschedule = '*'", &[&format!("1:11 {}", later("trigger.cron"))]);
    check_app("[[trigger.message]]\ntopic = 't'", &[&format!("1:11 {}", later("trigger.message"))]);
}

#[test]
fn a_fallback_that_says_nothing_is_refused() {
    let check = |fallback: &str, expected: &[&str]| {
        check_app(&format!("[upstream.u]\nurl = 'http://u'\nfallback = {fallback}"), expected);
    };
    check("{}", &["3:1 there is nothing to answer with"]);
    check("{ function = 'g' }", &["3:25 there is no function `g` in this file (`f`?)"]);
    check("{ body = 'x' }", &["3:21 `body` belongs to a fixed reply, which has no `status`"]);
    check("{ status = 100 }", &["3:23 `status`: 100 is not the status of a reply"]);
    check("{ status = 600 }", &["3:23 `status`: 600 is not the status of a reply"]);
    check("{ status = 200, body = 'x', file = 'y' }", &["3:47 the reply has a `body` and a `file`"]);
    check(
        "{ status = 200, headers = { x = \"a\\nb\" } }",
        &["3:38 the value of `x` cannot stand in a header"],
    );
}

#[test]
fn what_proves_who_calls_is_not_written_twice() {
    let check = |auth: &str, header: &str, is_refused: bool| {
        let text = format!("[upstream.u]\nurl = 'http://u'\nheaders = {{ {header} = 'x' }}\nauth = {auth}");
        let problem = format!("3:11 `{header}` would take the place of what `auth` writes there");
        match is_refused {
            true => check_app(&text, &[&problem]),
            false => assert!(App::parse(&format!("{START}{text}")).is_ok(), "{text}"),
        }
    };
    let oauth = "{ oauth = { token-url = 'https://t', client-id = 'c', client-secret = 's' } }";
    let aws = "{ aws = { region = 'r', service = 's3', access-key = 'a', secret-key = 's' } }";
    check(oauth, "authorization", true);
    check(oauth, "x-amz-date", false);
    check(aws, "authorization", true);
    check(aws, "x-amz-date", true);
    check(aws, "x-amz-target", false);
}

#[test]
fn a_cache_that_cannot_be_is_refused() {
    let upstream = |keys: &str| format!("[upstream.u]\nurl = 'http://u'\n{keys}");
    let larger = "one answer may be larger than all of them together";
    check_app(&upstream("cache = { bytes = '1KiB', body = '1025B' }"), &[&format!("3:34 {larger}")]);
    check_app(&upstream("cache = { body = '16777217B' }"), &[&format!("3:18 {larger}")]);
    check_app(
        &upstream("fallback = { cached = '1h' }"),
        &["3:12 the fallback is a kept answer, and none are kept"],
    );
    for keys in [
        "cache = { bytes = '1KiB', body = '1KiB' }",
        "cache = { body = '16MiB' }",
        "cache = {}\nfallback = { cached = '1h' }",
    ] {
        assert!(App::parse(&format!("{START}{}", upstream(keys))).is_ok(), "{keys}");
    }
}

#[test]
fn an_outbox_that_cannot_be_is_refused() {
    let check = |keys: &str, expected: &str| {
        check_app(&format!("[upstream.u]\nurl = 'http://u'\n{keys}"), &[expected]);
    };
    check("deferred = 'always'", "3:12 calls are deferred, and there is no outbox");
    check("outbox = { on-delivered = 'g' }", "3:27 there is no function `g` in this file (`f`?)");
    check("outbox = { bytes = '1KiB', body = '2KiB' }", "3:35 `body` is more than `bytes`, 1024 bytes");
    check("outbox = { order = 'fifo' }", "3:20 `order`: `fifo` is not one of `per-key`, `none`, `all`");
}

#[test]
fn what_must_be_there_is_missed() {
    let check = |text: &str, expected: &[&str]| assert_eq!(shown(&App::parse(text).unwrap_err()), expected);
    check("", &["1:1 `app` is missing", "1:1 the app has no function and no model"]);
    check(
        "[app]\n[function.f]\n",
        &["1:2 `name` is missing in `[app]`", "2:11 `component` is missing in `[function.f]`"],
    );
    check_app(
        "[[trigger.http]]\n[upstream.u]\n",
        &[
            "1:1 `function` is missing in `[trigger.http]`",
            "1:1 `route` is missing in `[trigger.http]`",
            "2:11 `url` is missing in `[upstream.u]`",
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_a_problem() {
    check_app("limits = 3", &["1:10 `limits` must be a table, not a whole number"]);
    check_app("hosts = 'x'", &["1:9 `hosts` must be a list, not a string"]);
    check_app("config = { a = 1 }", &["1:16 `a`: a string is expected, not a whole number"]);
    check_app("limits = { memory = true }", &["1:21 `memory`: a size is expected, not true or false"]);
    check_app("limits = { concurrency = 0 }", &["1:26 `concurrency`: the number is zero"]);
    check_app("limits = { concurrency = -1 }", &["1:26 `concurrency`: `-1` is not between 0 and 4294967295"]);
    check_app("limits = { memory = 0 }", &["1:21 `memory`: the size is zero"]);
    check_app("reuse = 0", &["1:9 `reuse`: the number is zero"]);
    check_app("reuse = 'always'", &["1:9 `reuse`: `always` is not one of `fresh`"]);
    check_app("[function.F]\ncomponent = 'x'", &["1:11 the name `F` has a `F`"]);
}

#[test]
fn a_trigger_needs_a_function_of_the_file_and_a_route_of_its_own() {
    let f = "[[trigger.http]]\nfunction = 'f'\nroute = 'GET /a/:x'\n";
    check_app(
        "[[trigger.http]]\nroute = '/'\nfunction = 'g'",
        &["3:12 there is no function `g` in this file (`f`?)"],
    );
    check_app(
        &format!("{f}[[trigger.http]]\nfunction = 'f'\nroute = 'GET,POST /a/:y'\n"),
        &["6:9 the route `GET,POST /a/:y` answers the same requests as `GET /a/:x`"],
    );
    let other_host =
        format!("{START}{f}[[trigger.http]]\nfunction = 'f'\nroute = 'GET /a/:x'\nhost = 'b.example'\n");
    assert!(App::parse(&other_host).is_ok());
}

#[test]
fn a_config_key_and_a_secret_share_no_name() {
    check_app(
        "config = { key = '1' }\nsecrets = ['key']",
        &["2:11 `key` is a config key and a secret of the same function"],
    );
}

#[test]
fn a_private_key_is_named_as_a_secret() {
    let text = format!(
        "{START}[upstream.u]\nurl = 'http://u'\nclient-certificate = {{ cert = 'c.pem', key = 'k.pem' }}"
    );
    let problems = App::parse(&text).unwrap_err();
    assert_eq!(shown(&problems), ["7:46 `key`: the name `k.pem` has a `.`"]);
    let hint = problems.problems[0].hint.as_deref().unwrap();
    assert_eq!(hint, "name the secret that holds the private key: the key itself stays on the node");
}

#[test]
fn a_file_of_the_app_stays_in_its_folder() {
    check_app(
        "[upstream.u]\nurl = 'http://u'\nca = '../ca.pem'",
        &["3:6 `ca`: the path `../ca.pem` leaves the app's folder or is not in its plain form"],
    );
}

#[test]
fn an_app_has_at_most_256_functions() {
    let app = |functions: usize| {
        let functions: String =
            (0..functions).map(|n| format!("[function.f{n}]\ncomponent = 'f'\n")).collect();
        App::parse(&format!("[app]\nname = 'a'\n{functions}"))
    };
    assert!(app(FUNCTIONS_MAX).is_ok());
    let problems = app(FUNCTIONS_MAX + 1).unwrap_err();
    assert_eq!(problems.problems[0].message, "the app has 257 functions, more than 256");
}

#[test]
fn an_app_has_at_most_1024_routes() {
    let app = |routes: usize| {
        let routes: String =
            (0..routes).map(|n| format!("[[trigger.http]]\nroute = '/{n}'\nfunction = 'f'\n")).collect();
        App::parse(&format!("{START}{routes}"))
    };
    assert!(app(ROUTES_MAX).is_ok());
    let problems = app(ROUTES_MAX + 1).unwrap_err();
    assert_eq!(problems.problems[0].message, "the app has 1025 routes, more than 1024");
}

#[test]
fn a_host_belongs_to_one_tenant() {
    let tenants =
        |one: &str, other: &str| format!("[tenant.a]\nhosts = ['{one}']\n[tenant.b]\nhosts = ['{other}']\n");
    assert!(NodeFile::parse(&tenants("a.example.com", "b.example.com")).is_ok());
    check_node(
        &tenants("*.example.com", "b.example.com"),
        &["4:9 the host `b.example.com` overlaps with `*.example.com` of `[tenant.a]`"],
    );
    assert!(NodeFile::parse("[tenant.a]\nhosts = ['*', 'a.example.com']").is_ok());
}

#[test]
fn an_app_needs_a_tenant_of_the_file() {
    check_node("[[app]]\npath = '/a'\ntenant = 'acme'", &["3:10 there is no tenant `acme` in this file"]);
    check_node("[tenant.acme]\nhosts = ['*']\n[[app]]\npath = '/a'", &["3:1 `tenant` is missing in `[app]`"]);
}

#[test]
fn a_secret_has_one_source_and_one_owner() {
    check_node("[secret.s]", &["1:9 `file` or `env` is missing in `[secret.s]`"]);
    check_node("[secret.s]\nfile = 'f'\nenv = 'E'", &["3:7 a secret has either a `file` or an `env`"]);
    check_node(
        "[tenant.acme]\nhosts = ['*']\n[secret.s]\nenv = 'E'",
        &["3:2 these secrets belong to the tenant `default`, which this file does not declare"],
    );
    check_node(
        "[tenant.default]\nhosts = ['*']\n[tenant.default.secret.s]\nenv = 'E'\n[secret.s]\nenv = 'E'",
        &["5:2 the secret `s` is declared here and in `[tenant.default.secret]`"],
    );
}

#[test]
fn a_node_says_what_is_wrong_with_its_addresses() {
    check_node("[node]\nlisten = ['8080']", &["2:11 `listen`: `8080` is not an address with a port"]);
    check_node("[node]\nlisten = []", &["2:10 the node listens nowhere"]);
    check_node("[tls]\n", &["1:2 `listen` is missing in `[tls]`", "1:2 `certificate` is missing in `[tls]`"]);
    let tls_only =
        "[node]\nlisten = []\n[tls]\nlisten = ['[::]:443']\ncertificate = [{ cert = 'c', key = 'k' }]";
    assert!(NodeFile::parse(tls_only).is_ok());
    check_node("[tls]\nlisten = ['[::]:443']\ncertificate = []", &["3:15 `certificate` is empty"]);
    check_node("[tenant.a]\nhosts = []", &["2:9 `hosts` is empty"]);
    check_node("[ops]\nlisten = 'none'", &["2:10 `listen`: `none` is not an address with a port"]);
}

#[test]
fn broken_toml_is_a_problem_with_its_place() {
    check_node("[node]\nstate = \n", &["2:9 string values must be quoted, expected literal string"]);
    check_node("[node]\na = 1\na = 2\n", &["3:1 duplicate key"]);
}

const BROKEN: &str = "[app]\nname = 'a'\n[function.\"größe\"]\n\tcomponent = 1\n";

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let problems = App::parse(BROKEN).unwrap_err();
    assert_eq!(
        problems.render(Colour::Plain),
        "rimward.toml:3:11: the name `größe` has a `ö`\n\
         3 | [function.\"größe\"]\n  |           ^^^^^^^\n  \
         = a name is a DNS label: up to 63 lower-case letters, digits and `-`, not at an end\n\
         rimward.toml:4:14: `component`: a path is expected, not a whole number\n\
         4 | \tcomponent = 1\n  | \t            ^\n"
    );
    assert_eq!(problems.to_string(), problems.render(Colour::Plain).trim_end());
}

#[test]
fn colour_changes_nothing_but_escapes() {
    let problems = App::parse(BROKEN).unwrap_err();
    let coloured = problems.render(Colour::Ansi);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_ne!(coloured, problems.render(Colour::Plain));
    assert_eq!(plain + rest, problems.render(Colour::Plain));
}

#[test]
fn problems_are_json_for_tools() {
    let problems = NodeFile::parse("[ops]\nlisen = 1").unwrap_err();
    assert_eq!(
        serde_json::to_value(problems).unwrap(),
        serde_json::json!({
            "file": "node.toml",
            "problems": [{
                "line": 2, "column": 1, "length": 5,
                "message": "unknown key `lisen` in `[ops]`",
                "hint": "the keys here are `listen`",
                "nearest": "listen",
            }],
        })
    );
}
