//! Calls the upstream `origin` with `rimward-sdk` and says what its types say. `x-timeout-ms` and `x-key` are the call's
//! timeout and idempotency key. `POST /defer` defers a call with the request's body and the order key of `x-order`;
//! `/status/ID` and `/take-back/ID` ask about one.

use rimward_sdk::call::{self, Deferred, Sent};
use rimward_sdk::{Request, ResponseExt, Result};
use std::time::Duration;

#[rimward_sdk::function]
async fn calls(request: Request) -> Result<String> {
    let path = request.uri().path().to_owned();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "defer"] => defer(request).await,
        ["", "status", id] => status(id).await,
        ["", "take-back", id] => Ok(format!("{:?}", Deferred::from_id(id).take_back().await)),
        _ => Ok(now(request).await),
    }
}

async fn now(request: Request) -> String {
    let mut call = call::upstream("origin").post(request.uri().path());
    if let Some(ms) = header(&request, "x-timeout-ms").and_then(|text| text.parse().ok()) {
        call = call.timeout(Duration::from_millis(ms));
    }
    if let Some(key) = header(&request, "x-key") {
        call = call.idempotency_key(&key);
    }
    let answer = match call.body(request.into_body()).send().await {
        Ok(answer) => answer,
        Err(error) => return format!("error {error:?}"),
    };
    let (status, tries, hedged) = (answer.status().as_u16(), answer.tries(), answer.hedged());
    let instead = answer.fallback().map(|fallback| format!("{:?} {:?}", fallback.by, fallback.reason));
    match answer.text().await {
        Ok(text) => format!("{status} `{text}` tries {tries} hedged {hedged} fallback {instead:?}"),
        Err(error) => format!("{status} and then {:?}", error.fault()),
    }
}

async fn defer(request: Request) -> Result<String> {
    let mut call = call::upstream("origin").post("/r").deferred();
    if let Some(key) = header(&request, "x-order") {
        call = call.ordering_key(&key);
    }
    let body = request.into_body().bytes().await?;
    Ok(match call.body(body).send().await {
        Ok(Sent::Deferred(deferred)) => deferred.id().to_owned(),
        Ok(Sent::Answered(answer)) => format!("answered {}", answer.status()),
        Err(error) => format!("error {error:?}"),
    })
}

async fn status(id: &str) -> Result<String> {
    let Some(status) = Deferred::from_id(id).status().await? else { return Ok("unknown".to_owned()) };
    let answer = status.answer.map(|answer| {
        let body = String::from_utf8_lossy(answer.response.body()).into_owned();
        format!("{} `{body}` whole {}", answer.response.status().as_u16(), answer.is_whole)
    });
    Ok(format!("{:?} after {} {answer:?} {:?}", status.state, status.attempts, status.reason))
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn main() {}
