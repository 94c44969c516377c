//! The policy for calls to an upstream: what is declared, and the defaults where nothing is.

use rimward_manifest::{Duration, HedgeAfter, Percent, RetryOn, Upstream};
use rimward_upstream::budget::Share;
use rimward_upstream::{Policy, breaker, bulkhead, cache, endpoints, hedge, retry};

pub(super) fn policy(upstream: &Upstream) -> Policy {
    Policy {
        retry: retry(&upstream.retry),
        breaker: breaker(&upstream.circuit_breaker),
        bulkhead: bulkhead(&upstream.bulkhead),
        hedge: upstream.hedge.as_ref().map(hedge),
        endpoints: endpoints(upstream),
        cache: upstream.cache.as_ref().map(|cache| cache_of(cache, upstream)),
        // Its files are in the bundle.
        fallback: None,
    }
}

fn cache_of(declared: &rimward_manifest::Cache, upstream: &Upstream) -> cache::Policy {
    let Upstream { url, endpoints, headers, client_certificate, auth, .. } = upstream;
    cache::Policy {
        bytes: declared.total(),
        body_bytes: usize::try_from(declared.one()).unwrap_or(usize::MAX),
        // By name: a secret that is renewed is still the same one.
        scope: format!("{url} {endpoints:?} {headers:?} {client_certificate:?} {auth:?}"),
    }
}

fn retry(declared: &rimward_manifest::Retry) -> retry::Policy {
    let default = retry::Policy::default();
    retry::Policy {
        attempts: declared
            .attempts
            .map_or(default.attempts, |tries| u8::try_from(tries.get()).unwrap_or(u8::MAX)),
        backoff: declared.backoff.map_or(default.backoff, |backoff| backoff.first.get()),
        backoff_max: declared.backoff.map_or(default.backoff_max, |backoff| backoff.longest.get()),
        on: declared.on.as_deref().map_or(default.on, on),
        budget: declared.budget.map_or(default.budget, share),
    }
}

fn on(failures: &[RetryOn]) -> retry::On {
    let has = |failure| failures.contains(&failure);
    retry::On {
        connect: has(RetryOn::Connect),
        timeout: has(RetryOn::Timeout),
        reset: has(RetryOn::Reset),
        refused_stream: has(RetryOn::RefusedStream),
        statuses: failures.iter().flat_map(|failure| failure.statuses()).collect(),
    }
}

fn breaker(declared: &rimward_manifest::CircuitBreaker) -> breaker::Policy {
    let default = breaker::Policy::default();
    let time = |declared: Option<Duration>, default| declared.map_or(default, Duration::get);
    let rate = |declared: Option<Percent>, default| declared.map_or(default, Percent::fraction);
    let open = time(declared.open, default.open);
    breaker::Policy {
        is_on: declared.enabled.unwrap_or(default.is_on),
        window: time(declared.window, default.window),
        calls_min: declared.minimum_calls.map_or(default.calls_min, Into::into),
        failure_rate: rate(declared.failure_rate, default.failure_rate),
        in_a_row: declared.consecutive.unwrap_or(default.in_a_row),
        slow_call: declared.slow_call.map(Duration::get).or(default.slow_call),
        slow_rate: rate(declared.slow_rate, default.slow_rate),
        open,
        open_max: time(declared.open_max, default.open_max.max(open)),
        probes: declared.half_open_calls.map_or(default.probes, Into::into),
    }
}

fn bulkhead(declared: &rimward_manifest::Bulkhead) -> bulkhead::Policy {
    let default = bulkhead::Policy::default();
    bulkhead::Policy {
        concurrent: declared.concurrent.map_or(default.concurrent, Into::into),
        queue: declared.queue.unwrap_or(default.queue),
        queue_wait: declared.queue_wait.map_or(default.queue_wait, Duration::get),
        adaptive_min: declared.adaptive_min.map(Into::into),
    }
}

fn hedge(declared: &rimward_manifest::Hedge) -> hedge::Policy {
    let default = hedge::Policy::default();
    let after = declared.after.map(|after| match after {
        HedgeAfter::Percentile(percent) => hedge::After::Percentile(f64::from(percent) / 100.0),
        HedgeAfter::Time(time) => hedge::After::Time(time.get()),
    });
    hedge::Policy {
        after: after.unwrap_or(default.after),
        budget: declared.budget.map_or(default.budget, share),
    }
}

/// Without the node's zone.
fn endpoints(upstream: &Upstream) -> endpoints::Policy {
    let default = endpoints::Policy::default();
    let (balance, health) = (&upstream.balance, &upstream.health);
    let time = |declared: Option<Duration>, default| declared.map_or(default, Duration::get);
    let ejected = time(balance.ejected, default.ejected);
    let place = |place: &rimward_manifest::Endpoint| endpoints::PlaceConfig {
        url: place.url.get().as_str().into(),
        zone: place.zone.as_ref().map(|zone| zone.as_str().into()),
        weight: place.weight.map_or(1, std::num::NonZeroU32::get),
    };
    endpoints::Policy {
        places: upstream.endpoints.iter().map(place).collect(),
        failures: balance.consecutive.map_or(default.failures, std::num::NonZeroU32::get),
        ejected,
        ejected_max: time(balance.ejected_max, default.ejected_max.max(ejected)),
        slow_start: time(balance.slow_start, default.slow_start),
        health: health.as_ref().map(self::health),
        ..default
    }
}

fn health(declared: &rimward_manifest::Health) -> endpoints::health::Policy {
    let default = endpoints::health::Policy::default();
    endpoints::health::Policy {
        path: declared.path.as_str().into(),
        every: declared.every.map_or(default.every, Duration::get),
        timeout: declared.timeout.map_or(default.timeout, Duration::get),
        unhealthy: declared.unhealthy.map_or(default.unhealthy, std::num::NonZeroU32::get),
        healthy: declared.healthy.map_or(default.healthy, std::num::NonZeroU32::get),
        ..default
    }
}

fn share(percent: Percent) -> Share {
    Share::new(percent.fraction())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_manifest::App;

    fn declared(tables: &str) -> Policy {
        let text = format!(
            "[app]\nname = 'a'\nversion = '1.0.0'\n[function.f]\ncomponent = 'f.wasm'\n\
             [upstream.u]\nurl = 'http://u'\n{tables}"
        );
        let app = App::parse(&text).unwrap();
        policy(app.upstreams.values().next().unwrap())
    }

    #[test]
    fn what_is_not_declared_is_the_default() {
        assert_eq!(declared(""), Policy::default());
        assert_eq!(declared("retry = {}\ncircuit-breaker = {}\nbulkhead = {}"), Policy::default());
        assert_eq!(declared("hedge = {}").hedge, Some(hedge::Policy::default()));
    }

    #[test]
    fn everything_that_is_declared_arrives() {
        let policy = declared(
            "retry = { attempts = 5, backoff = '10ms..1s', on = ['reset', '5xx', '429'], budget = '10%' }\n\
             bulkhead = { concurrent = 7, queue = 0, queue-wait = '1s', adaptive-min = 2 }\n\
             hedge = { after = '30ms', budget = '1%' }\n\
             endpoints = [{ url = 'http://a', zone = 'north', weight = 2 }, { url = 'http://b/v1' }]\n\
             balance = { consecutive = 7, ejected = '1s', ejected-max = '3s', slow-start = '2s' }\n\
             health = { path = '/up', every = '4s', timeout = '500ms', unhealthy = 4, healthy = 1 }\n\
             cache = { bytes = '2MiB', body = '1KiB' }\nheaders = { x-key = 'secret:key' }\n\
             [upstream.u.circuit-breaker]\nwindow = '20s'\nminimum-calls = 9\nfailure-rate = '10%'\n\
             consecutive = 0\nslow-call = '1s'\nslow-rate = '70%'\nopen = '90s'\nhalf-open-calls = 4\nenabled = false",
        );
        let ms = std::time::Duration::from_millis;
        let place = |url: &str, zone: Option<&str>, weight| endpoints::PlaceConfig {
            url: url.into(),
            zone: zone.map(Into::into),
            weight,
        };
        let statuses = (500..600).chain([429]).collect();
        let expected = Policy {
            retry: retry::Policy {
                attempts: 5,
                backoff: ms(10),
                backoff_max: ms(1_000),
                on: retry::On { reset: true, statuses, ..retry::On::nothing() },
                budget: Share::new(0.1),
            },
            breaker: breaker::Policy {
                is_on: false,
                window: ms(20_000),
                calls_min: 9,
                failure_rate: 0.1,
                in_a_row: 0,
                slow_call: Some(ms(1_000)),
                slow_rate: 0.7,
                open: ms(90_000),
                open_max: ms(90_000),
                probes: 4,
            },
            bulkhead: bulkhead::Policy {
                concurrent: 7,
                queue: 0,
                queue_wait: ms(1_000),
                adaptive_min: Some(2),
            },
            fallback: None,
            endpoints: endpoints::Policy {
                places: vec![place("http://a/", Some("north"), 2), place("http://b/v1", None, 1)],
                failures: 7,
                ejected: ms(1000),
                ejected_max: ms(3000),
                slow_start: ms(2000),
                health: Some(endpoints::health::Policy {
                    path: "/up".into(),
                    every: ms(4000),
                    timeout: ms(500),
                    unhealthy: 4,
                    healthy: 1,
                    statuses: Vec::new(),
                }),
                ..endpoints::Policy::default()
            },
            hedge: Some(hedge::Policy { after: hedge::After::Time(ms(30)), budget: Share::new(0.01) }),
            cache: Some(cache::Policy {
                bytes: 2 << 20,
                body_bytes: 1 << 10,
                scope: policy.cache.as_ref().map(|cache| cache.scope.clone()).unwrap_or_default(),
            }),
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn answers_are_kept_apart_by_what_is_asked_and_as_whom() {
        let scope = |tables: &str| declared(&format!("cache = {{}}\n{tables}")).cache.unwrap().scope;
        assert_eq!(scope(""), scope("retry = { attempts = 5 }"));
        for other in [
            "headers = { x-key = 'secret:key' }",
            "endpoints = [{ url = 'http://a' }, { url = 'http://b' }]",
            "auth = { aws = { region = 'eu-west-1', service = 's3', access-key = 'a', secret-key = 's' } }",
        ] {
            assert_ne!(scope(""), scope(other), "{other}");
        }
    }
}
