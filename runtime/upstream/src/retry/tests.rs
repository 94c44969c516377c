//! What is worth another try, and when.

use super::*;

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Result<Response<()>, Error> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    Ok(response)
}

/// C6: throttling is told apart from failing.
#[test]
fn statuses_say_who_failed() {
    let check = |status: u16, headers: &[_], expected: Outcome| {
        assert_eq!(outcome(&answer(status, headers)), expected, "{status}");
    };
    for status in [200, 204, 301, 304, 400, 401, 404, 409, 501, 505] {
        check(status, &[], Outcome::Answered);
    }
    for status in [500, 502, 503, 504, 520] {
        check(status, &[], Outcome::Failed);
    }
    check(429, &[], Outcome::Throttled);
    check(503, &[("retry-after", "1")], Outcome::Throttled);
    check(500, &[("retry-after", "1")], Outcome::Failed);
}

/// C1, C3: failures to answer count; what the caller or the node did does not.
#[test]
fn errors_say_who_failed() {
    let check = |error: Error, expected: Outcome| {
        assert_eq!(outcome::<()>(&Err(error.clone())), expected, "{error}");
    };
    check(Error::ConnectionRefused, Outcome::Failed);
    check(Error::TlsAlert(48), Outcome::Failed);
    check(Error::ResponseUpgrade, Outcome::Failed);
    check(Error::ConnectionTimeout, Outcome::TimedOut);
    check(Error::FirstByteTimeout, Outcome::TimedOut);
    check(Error::DnsTimeout, Outcome::TimedOut);
    check(Error::RequestBodyTooLarge, Outcome::Void);
    check(Error::RequestDenied("x".into()), Outcome::Void);
    check(Error::ConnectionLimit, Outcome::Void);
    check(Error::CircuitOpen, Outcome::Void);
}

/// C6: seconds, both kinds of dates, and what is neither.
#[test]
fn retry_after_is_read_in_all_its_forms() {
    let check = |value: &str, expected: Option<u64>| {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let asked = retry_after(&answer(503, &[("retry-after", value), date]));
        assert_eq!(asked.map(|asked| asked.as_secs()), expected, "{value}");
    };
    check("0", Some(0));
    check("120", Some(120));
    check("99999999999999999999999", Some(u64::from(u32::MAX)));
    check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
    check("Sunday, 06-Nov-94 08:50:37 GMT", Some(60));
    check("Sun, 06 Nov 1994 08:48:37 GMT", Some(0));
    check("-1", None);
    check("1.5", None);
    check("soon", None);
    check("", None);
    assert_eq!(retry_after(&answer(503, &[])), None);
}

/// C6: without a `Date` the machine's clock has to do.
#[test]
fn a_date_without_a_date_counts_from_now() {
    let until = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    let asked = retry_after(&answer(503, &[("retry-after", &until)])).unwrap();
    assert!((58..=60).contains(&asked.as_secs()), "{asked:?}");
}

/// C18: full jitter: from nothing up to a bound that doubles, and has an end.
#[test]
fn pauses_are_spread_and_grow_up_to_their_bound() {
    let policy = Policy::default();
    let random = Random::seeded(5);
    for (tries, most_ms) in [(1, 50), (2, 100), (3, 200), (6, 1_600), (7, 2_000), (255, 2_000)] {
        let pauses: Vec<_> = (0..1_000).map(|_| policy.backoff(tries, &random).as_secs_f64() * 1e3).collect();
        let (least, most) =
            pauses.iter().fold((f64::MAX, 0.0_f64), |(least, most), ms| (least.min(*ms), most.max(*ms)));
        assert!(most <= f64::from(most_ms) && most > 0.95 * f64::from(most_ms), "{tries}: {most}");
        assert!(least < 0.05 * f64::from(most_ms), "{tries}: {least}");
    }
}

/// C9: RFC 9110's idempotent methods, and keyed requests.
#[test]
fn only_what_is_the_same_twice_may_be_repeated() {
    let none = HeaderMap::new();
    for (method, expected) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("MINE", false),
    ] {
        assert_eq!(is_repeatable(&method.parse().unwrap(), &none), expected, "{method}");
    }
    let keyed: HeaderMap = [(IDEMPOTENCY_KEY, http::HeaderValue::from_static("k"))].into_iter().collect();
    assert!(is_repeatable(&Method::POST, &keyed));
}

#[test]
fn a_set_of_statuses_holds_all_there_are() {
    let every: Statuses = (100..=599).collect();
    for status in 100..=599 {
        let alone: Statuses = [status].into_iter().collect();
        assert!(every.contains(StatusCode::from_u16(status).unwrap()));
        assert!(!alone.contains(StatusCode::from_u16(if status == 599 { 100 } else { status + 1 }).unwrap()));
    }
    assert!(!every.contains(StatusCode::from_u16(999).unwrap()));
    assert_eq!([7, 612, 65_535].into_iter().collect::<Statuses>(), Statuses::default());
}

/// Each kind of failure is switched by its own word.
#[test]
fn what_is_tried_again_is_the_policys_choice() {
    let check = |error: fn() -> Error, on: On| {
        assert!(On::default().includes::<()>(&Err(error())));
        assert!(on.includes::<()>(&Err(error())));
        assert!(!On::nothing().includes::<()>(&Err(error())));
    };
    check(|| Error::ConnectionRefused, On { connect: true, ..On::nothing() });
    check(|| Error::FirstByteTimeout, On { timeout: true, ..On::nothing() });
    check(
        || Error::ConnectionTerminated(std::sync::Arc::new(std::io::Error::other("gone"))),
        On { reset: true, ..On::nothing() },
    );
    check(
        || Error::Unsent(std::sync::Arc::new(std::io::Error::other("gone"))),
        On { refused_stream: true, ..On::nothing() },
    );
}
