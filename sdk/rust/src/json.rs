//! JSON in and out: as a function's argument it reads the request's body, as its result it is the reply.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Body, Error, FromRequest, HeaderValue, IntoResponse, Request, Response, header};

/// A value that arrives or leaves as JSON.
///
/// As an argument it is parsed from the body; a body that does not fit is answered with 400 and a message that says
/// where. As a result it is a reply of type `application/json`.
///
/// ```
/// use rimward_sdk::Json;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Order { item: String, count: u32 }
///
/// #[derive(Serialize)]
/// struct Receipt { text: String }
///
/// async fn order(Json(order): Json<Order>) -> Json<Receipt> {
///     Json(Receipt { text: format!("{} x {}", order.count, order.item) })
/// }
///
/// use rimward_sdk::test::{post, run};
/// let reply = run(order, post("/", r#"{"item": "tea", "count": 2}"#));
/// assert_eq!(reply.text(), r#"{"text":"2 x tea"}"#);
/// assert_eq!(run(order, post("/", r#"{"item": "tea"}"#)).status(), 400);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    async fn from_request(request: Request) -> Result<Self, Error> {
        Ok(Self(request.into_body().read_json().await?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match Body::json(&self.0) {
            Ok(body) => with_type(body, "application/json"),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

pub(crate) fn with_type(body: Body, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{get, run};
    use std::collections::BTreeMap;

    #[test]
    fn json_leaves_with_its_content_type() {
        let reply = run(async || Json([1, 2]), get("/"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.text(), "[1,2]");
    }

    #[test]
    fn a_value_that_json_cannot_hold_is_the_functions_own_fault() {
        let reply = run(async || Json(BTreeMap::from([([1u8], 2)])), get("/"));
        assert_eq!(reply.status(), 500);
    }
}
