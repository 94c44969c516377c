//! What a function's argument may be, and what can be asked of a request besides `http`'s own methods.

use std::future::Future;

use crate::{Body, Bytes, Error, Request};

/// What a function may take: the whole [`Request`], its [`Body`], or its body as [`Bytes`], `String` or
/// [`Json`](crate::Json).
///
/// ```
/// use rimward_sdk::{Error, FromRequest, Request, OrStatus};
///
/// struct Token(String);
///
/// impl FromRequest for Token {
///     async fn from_request(request: Request) -> Result<Self, Error> {
///         let token = request.headers().get("x-token").or_status(401, "a token is missing")?;
///         Ok(Self(String::from_utf8_lossy(token.as_bytes()).into_owned()))
///     }
/// }
///
/// async fn whoami(Token(token): Token) -> String { token }
/// # use rimward_sdk::test::{get, run};
/// # assert_eq!(run(whoami, get("/")).status(), 401);
/// ```
#[diagnostic::on_unimplemented(
    message = "a function cannot take `{Self}`",
    note = "it takes `Request`, `Body`, `Bytes`, `String`, `Json<T>` or a type of yours that is `FromRequest`"
)]
pub trait FromRequest: Sized {
    /// Makes the argument. An error is answered without calling the function.
    fn from_request(request: Request) -> impl Future<Output = Result<Self, Error>>;
}

impl FromRequest for Request {
    async fn from_request(request: Request) -> Result<Self, Error> {
        Ok(request)
    }
}

impl FromRequest for Body {
    async fn from_request(request: Request) -> Result<Self, Error> {
        Ok(request.into_body())
    }
}

impl FromRequest for Bytes {
    async fn from_request(request: Request) -> Result<Self, Error> {
        Ok(request.into_body().bytes().await?)
    }
}

impl FromRequest for String {
    async fn from_request(request: Request) -> Result<Self, Error> {
        Ok(request.into_body().text().await?)
    }
}

/// More to ask of a request.
pub trait RequestExt {
    /// The first value of a name in the query, decoded as forms are (`+` is a space); none if the name is absent.
    fn query(&self, name: &str) -> Option<String>;
}

impl<B> RequestExt for Request<B> {
    fn query(&self, name: &str) -> Option<String> {
        let query = self.uri().query()?.as_bytes();
        form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{get, post, run};

    #[test]
    fn the_first_value_of_a_query_name_is_decoded() {
        let check = |uri: &'static str, value: Option<&str>| {
            assert_eq!(get(uri).query("name").as_deref(), value, "{uri}");
        };
        check("/?name=Ada+L%C3%B6we&name=other", Some("Ada Löwe"));
        check("/?name=", Some(""));
        check("/?names=x", None);
        check("/", None);
    }

    #[test]
    fn a_body_may_be_taken_as_bytes_text_or_stream() {
        let bytes = async |bytes: Bytes| bytes.len().to_string();
        assert_eq!(run(bytes, post("/", "four")).text(), "4");
        let text = async |text: String| text.to_uppercase();
        assert_eq!(run(text, post("/", "four")).text(), "FOUR");
        let stream = async |body: Body| body;
        assert_eq!(run(stream, post("/", "four")).text(), "four");
        let text = async |text: String| text;
        assert_eq!(run(text, post("/", vec![0xff])).status(), 400);
    }
}
