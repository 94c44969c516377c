//! `wasi:keyvalue@0.2.0-draft2`, as Spin's guests import it. The path says what to do with the store `things`.

use bindings::wasi::keyvalue::{atomics, batch, store};
use wstd::http::{Body, Error, Request, Response};

mod bindings {
    wit_bindgen::generate!({ path: "../../sdk/wit/keyvalue-0.2.0-draft2", world: "imports", generate_all });
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let answer = run(&path).unwrap_or_else(|error| format!("error {error:?}"));
    Ok(Response::new(answer.into()))
}

fn run(path: &[&str]) -> Result<String, store::Error> {
    if let ["open", name] = path {
        return store::open(name).map(|_| "opened".into());
    }
    let bucket = store::open("things")?;
    Ok(match path {
        ["get", key] => text(bucket.get(key)?),
        ["set", key, value] => format!("{:?}", bucket.set(key, value.as_bytes())?),
        ["delete", key] => format!("{:?}", bucket.delete(key)?),
        ["exists", key] => bucket.exists(key)?.to_string(),
        ["increment", key, delta] => {
            atomics::increment(&bucket, key, delta.parse().expect("a number"))?.to_string()
        }
        ["cas-increment", key] => cas_increment(&bucket, key)?,
        ["fill", prefix, count] => fill(&bucket, prefix, count.parse().expect("a number"))?,
        ["many", keys @ ..] => many(&bucket, keys)?,
        ["delete-many", keys @ ..] => {
            format!(
                "{:?}",
                batch::delete_many(&bucket, &keys.iter().map(ToString::to_string).collect::<Vec<_>>())?
            )
        }
        ["pages"] => pages(&bucket)?,
        ["set-bytes", key, bytes] => {
            format!("{:?}", bucket.set(key, &vec![b'x'; bytes.parse().expect("a number")])?)
        }
        ["hoard", bytes] => hoard(&bucket, bytes.parse().expect("a number"))?,
        ["from", cursor] => format!("{:?}", bucket.list_keys(Some(cursor))?.keys),
        other => format!("what is {other:?}?"),
    })
}

fn text(value: Option<Vec<u8>>) -> String {
    value.map_or_else(|| "nothing".into(), |value| String::from_utf8_lossy(&value).into_owned())
}

/// Adds one, however often somebody else is faster. Answers how many attempts it took.
fn cas_increment(bucket: &store::Bucket, key: &str) -> Result<String, store::Error> {
    let mut cas = atomics::Cas::new(bucket, key)?;
    for attempt in 1.. {
        let number: u64 = text(cas.current()?).parse().unwrap_or(0);
        match atomics::swap(cas, (number + 1).to_string().as_bytes()) {
            Ok(()) => return Ok(attempt.to_string()),
            Err(atomics::CasError::CasFailed(again)) => cas = again,
            Err(atomics::CasError::StoreError(error)) => return Err(error),
        }
    }
    unreachable!("it goes on until it succeeds")
}

fn fill(bucket: &store::Bucket, prefix: &str, count: usize) -> Result<String, store::Error> {
    let pairs: Vec<_> = (0..count).map(|n| (format!("{prefix}{n:05}"), n.to_string().into_bytes())).collect();
    batch::set_many(bucket, &pairs)?;
    Ok(format!("set {count}"))
}

fn many(bucket: &store::Bucket, keys: &[&str]) -> Result<String, store::Error> {
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    let found = batch::get_many(bucket, &keys)?;
    let found: Vec<_> = found.into_iter().map(|pair| text(pair.map(|(_, value)| value))).collect();
    Ok(found.join(" "))
}

/// The length of each page, and how many different keys there were.
fn pages(bucket: &store::Bucket) -> Result<String, store::Error> {
    let (mut lengths, mut keys, mut cursor) = (Vec::new(), std::collections::BTreeSet::new(), None);
    loop {
        let page = bucket.list_keys(cursor.as_deref())?;
        lengths.push(page.keys.len().to_string());
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(format!("{} keys in pages of {}", keys.len(), lengths.join(" ")));
        }
    }
}

/// Sets one key after the other until it is refused, and says how many it has set and why no more.
fn hoard(bucket: &store::Bucket, bytes: usize) -> Result<String, store::Error> {
    let value = vec![b'x'; bytes];
    for n in 0.. {
        if let Err(error) = bucket.set(&format!("hoard{n:07}"), &value) {
            return Ok(format!("{n} {error:?}"));
        }
    }
    unreachable!("it goes on until it is refused")
}
