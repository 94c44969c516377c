//! The second function of the chain: it shouts what it is given. It has no route, so only its own app can call it.

/// Answers with the body in capitals.
#[rimward_sdk::function]
async fn shout(text: String) -> String {
    text.to_uppercase()
}

#[cfg(test)]
mod tests {
    use rimward_sdk::test::{post, run};

    #[test]
    fn it_shouts() {
        assert_eq!(run(super::shout, post("/", "ada")).text(), "ADA");
    }
}
