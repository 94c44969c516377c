//! `wasi:keyvalue@0.2.0-draft`, as wasmCloud's guests import it. The path says what to do with the store.

use bindings::wasi::keyvalue::{atomics, batch, store};
use wstd::http::{Body, Error, Request, Response};

mod bindings {
    wit_bindgen::generate!({ path: "../../sdk/wit/keyvalue-0.2.0-draft", world: "imports", generate_all });
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let answer = run(&path).unwrap_or_else(|error| format!("error {error:?}"));
    Ok(Response::new(answer.into()))
}

fn run(path: &[&str]) -> Result<String, store::Error> {
    // The name that guests use who know only one store.
    let bucket = store::open("default")?;
    Ok(match path {
        ["get", key] => {
            bucket.get(key)?.map_or("nothing".into(), |value| String::from_utf8_lossy(&value).into())
        }
        ["set", key, value] => format!("{:?}", bucket.set(key, value.as_bytes())?),
        ["increment", key, delta] => {
            atomics::increment(&bucket, key, delta.parse().expect("a number"))?.to_string()
        }
        ["fill", prefix, count] => fill(&bucket, prefix, count.parse().expect("a number"))?,
        ["pages"] => pages(&bucket)?,
        ["cursor", cursor] => {
            format!("{:?}", bucket.list_keys(Some(cursor.parse().expect("a number")))?.keys.len())
        }
        other => format!("what is {other:?}?"),
    })
}

fn fill(bucket: &store::Bucket, prefix: &str, count: usize) -> Result<String, store::Error> {
    let pairs: Vec<_> = (0..count).map(|n| (format!("{prefix}{n:05}"), n.to_string().into_bytes())).collect();
    batch::set_many(bucket, &pairs)?;
    Ok(format!("set {count}"))
}

fn pages(bucket: &store::Bucket) -> Result<String, store::Error> {
    let (mut lengths, mut keys, mut cursor) = (Vec::new(), std::collections::BTreeSet::new(), None);
    loop {
        let page = bucket.list_keys(cursor)?;
        lengths.push(page.keys.len().to_string());
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(format!("{} keys in pages of {}", keys.len(), lengths.join(" ")));
        }
    }
}
