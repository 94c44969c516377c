//! The first function of the chain: it has another function of the app shout the name, and greets. The call stays in the
//! node's process; no socket is opened.

use rimward_sdk::{Request, RequestExt, ResponseExt, Result, call};

/// Greets the name in the query, loudly.
#[rimward_sdk::function]
async fn greet(request: Request) -> Result<String> {
    let name = request.query("name").unwrap_or("world".into());
    let answer = call::function("shout").post("/").body(name).send().await?;
    let shouted = answer.error_for_status()?.text().await?;
    Ok(format!("Hello, {shouted}!\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::StatusCode;
    use rimward_sdk::test::{Host, get};

    #[test]
    fn it_greets_with_what_the_other_function_answers() {
        let host = Host::new().function("shout", async |text: String| text.repeat(2));
        assert_eq!(host.run(greet, get("/?name=ha")).text(), "Hello, haha!\n");
    }

    #[test]
    fn a_failure_of_the_other_function_is_a_bad_gateway() {
        let host = Host::new().function("shout", async || StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(host.run(greet, get("/")).status(), 502);
    }
}
