//! Sends back what it gets, while it arrives: a body of any size passes through a few KiB of memory.

use rimward_sdk::{Request, Response, header};

/// Answers with the request's own body and content type.
#[rimward_sdk::function]
async fn echo(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body());
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::test::{post, run};

    #[test]
    fn what_goes_in_comes_out() {
        let mut request = post("/", "sound and vision");
        request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        let reply = run(echo, request);
        assert_eq!(reply.text(), "sound and vision");
        assert_eq!(reply.header("content-type"), Some("text/plain"));
    }
}
