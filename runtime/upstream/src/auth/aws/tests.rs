//! Signatures as AWS's own programs make them: `get-vanilla` and the two others of the published test suite, the rest from botocore
//! 1.44 for the same requests, keys and time.

use super::*;
use crate::UpstreamConfig;

const DATE_SIGNED: &str = "20150830T123600Z";

fn signer(service: &str, session_token: Option<&str>) -> Signer {
    Signer::new(Config {
        region: "us-east-1".into(),
        service: service.into(),
        access_key: Secret::new("AKIDEXAMPLE"),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: session_token.map(Secret::new),
    })
}

/// The signature of a request with these headers.
fn signature(service: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> String {
    let uri: http::Uri = url.parse().unwrap();
    let mut all = HeaderMap::new();
    all.insert(X_AMZ_DATE, HeaderValue::from_static(DATE_SIGNED));
    for (name, value) in headers {
        all.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let hash = sha256(body.as_bytes());
    let signed = Signed { method, path: uri.path(), query: uri.query(), host: uri.host().unwrap() };
    let text = signer(service, None).authorization(&signed, &all, DATE_SIGNED, &hash);
    text.rsplit_once("Signature=").unwrap().1.to_owned()
}

#[test]
fn signatures_are_those_of_the_published_suite() {
    let check =
        |method, url, expected: &str| assert_eq!(signature("service", method, url, &[], ""), expected);
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    check("GET", "https://example.amazonaws.com/", vanilla);
    let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    check("POST", "https://example.amazonaws.com/", post);
    let sorted = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    check("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", sorted);
}

#[test]
fn signatures_are_those_of_botocore() {
    let check =
        |service: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &str, expected: &str| {
            let hash = sha256(body.as_bytes());
            let headers = [headers, &[("x-amz-content-sha256", &*hash)]].concat();
            assert_eq!(signature(service, method, url, &headers, body), expected, "{url}");
        };
    check(
        "sagemaker",
        "POST",
        "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/vision/invocations",
        &[
            ("content-type", "application/json"),
            ("x-amz-target", "a  b"),
            ("x-amz-security-token", "session/token=="),
        ],
        "{\"x\":1}",
        "cb131f0cd9f98e3b31dc9a91879854d0e8c4b92f62c68c7f72126b864dc60529",
    );
    check(
        "execute-api",
        "GET",
        "https://example.amazonaws.com/a%20b/c:d?b=2&a=%C3%A9&a=1&c",
        &[],
        "",
        "c257a885da1b047ad80ca6aab167259b8527afedeb98839adac5f8f8e5f011f1",
    );
    check(
        "s3",
        "PUT",
        "https://bucket.s3.amazonaws.com/a%20b/c%3Ad?x-id=PutObject",
        &[("content-type", "image/jpeg")],
        "abc",
        "2783d6d8ce76f2282cd59c3d3d25a2a7c29a81124dc32ea5f9e371da727ea3b9",
    );
}

#[test]
fn a_time_is_written_as_aws_reads_it() {
    let check =
        |seconds, expected| assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    check(1_440_938_160, DATE_SIGNED);
    check(0, "19700101T000000Z");
    check(951_782_399, "20000228T235959Z");
    check(951_782_400, "20000229T000000Z");
}

fn body(parts: usize, bytes: usize) -> Body {
    let parts = (0..parts).map(move |_| Ok(http_body::Frame::data(Bytes::from(vec![b'x'; bytes]))));
    BodyExt::boxed_unsync(http_body_util::StreamBody::new(futures_util::stream::iter(parts)))
}

async fn authorized(signer: &Signer, url: &str, body: Body) -> Result<Request<Body>, Error> {
    let upstream = Upstream::new(UpstreamConfig::new(url), &crate::Roots::none()).unwrap();
    let mut request = Request::post("http://cloud.upstream.internal/x").body(body).unwrap();
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("the function's own"));
    headers.insert(X_AMZ_SECURITY_TOKEN, HeaderValue::from_static("the function's own"));
    signer.authorize(&upstream, 0, request).await
}

#[tokio::test]
async fn what_is_added_to_every_call_is_signed_as_it_is_sent() {
    let added = HeaderName::from_static("x-amz-target");
    let mut config = UpstreamConfig::new("https://lambda.example.com");
    config.headers.push((added.to_string(), Secret::new("the upstream's")));
    let upstream = Upstream::new(config, &crate::Roots::none()).unwrap();
    let request = Request::get("http://cloud.upstream.internal/x").header(&added, "the function's own");
    let request = request.body(body(0, 0)).unwrap();
    let request = signer("lambda", None).authorize(&upstream, 0, request).await.unwrap();
    assert_eq!(request.headers()[&added], "the upstream's");
    let proof = request.headers()[AUTHORIZATION].to_str().unwrap();
    assert!(proof.contains("SignedHeaders=") && proof.contains(";x-amz-target,"), "{proof}");
}

#[tokio::test]
async fn a_function_cannot_bring_its_own_proof_and_secrets_do_not_print() {
    let signer = signer("lambda", Some("token"));
    let request = authorized(&signer, "https://lambda.example.com/v1", body(3, 5)).await.unwrap();
    let header = |name: HeaderName| {
        let values: Vec<_> = request.headers().get_all(name).iter().collect();
        assert_eq!(values.len(), 1);
        assert!(values[0].is_sensitive());
        values[0].to_str().unwrap().to_owned()
    };
    assert!(header(AUTHORIZATION).starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert_eq!(header(X_AMZ_SECURITY_TOKEN), "token");
    assert_eq!(header(X_AMZ_CONTENT_SHA256), sha256(&[b'x'; 15]));
    let shown = format!("{signer:?} {request:?}");
    assert!(!shown.contains("wJalr") && !shown.contains("AKID"), "{shown}");
    let whole = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole, vec![b'x'; 15]);
}

#[tokio::test]
async fn a_body_is_signed_up_to_its_bound_and_only_s3_takes_a_larger_one() {
    let at = |service: &str, url: &'static str, more: usize| {
        let signer = signer(service, None);
        async move {
            let body = body(8, limits::SIGNED_BODY_BYTES_MAX / 8).into_data_stream();
            let rest = futures_util::stream::iter((0..more).map(|_| Ok(Bytes::from_static(b"y"))));
            let all = futures_util::StreamExt::chain(body, rest);
            let all = futures_util::StreamExt::map(all, |part| part.map(http_body::Frame::data));
            let request =
                authorized(&signer, url, BodyExt::boxed_unsync(http_body_util::StreamBody::new(all))).await?;
            let hash = request.headers()[X_AMZ_CONTENT_SHA256].to_str().unwrap().to_owned();
            let bytes = request.into_body().collect().await?.to_bytes().len();
            Ok::<_, Error>((hash == UNSIGNED, bytes))
        }
    };
    let most = limits::SIGNED_BODY_BYTES_MAX;
    assert_eq!(at("lambda", "https://l.example", 0).await.unwrap(), (false, most));
    assert!(matches!(at("lambda", "https://l.example", 1).await, Err(Error::RequestBodyTooLarge)));
    assert_eq!(at("s3", "https://s.example", 1).await.unwrap(), (true, most + 1));
    assert!(matches!(at("s3", "http://s.example", 1).await, Err(Error::RequestBodyTooLarge)));
}

#[test]
fn a_clock_that_differs_is_made_good() {
    let signer = signer("lambda", None);
    let with_date = |time: SystemTime| {
        HeaderMap::from_iter([(DATE, HeaderValue::try_from(httpdate::fmt_http_date(time)).unwrap())])
    };
    let near = |a: SystemTime, b: SystemTime| {
        a.duration_since(b).or_else(|_| b.duration_since(a)).unwrap() < Duration::from_secs(5)
    };
    assert!(!signer.learn_skew(&HeaderMap::new()));
    assert!(!signer.learn_skew(&with_date(SystemTime::now() + Duration::from_secs(30))));
    let theirs = SystemTime::now() - Duration::from_secs(3600);
    assert!(signer.learn_skew(&with_date(theirs)));
    assert!(near(signer.now(), theirs));
    assert!(!signer.learn_skew(&with_date(theirs)), "now they agree, and a refusal has another reason");
}
