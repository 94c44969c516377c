//! The smallest function: it greets.

/// Answers every request.
#[rimward_sdk::function]
async fn hello() -> &'static str {
    "Hello from the edge!\n"
}

#[cfg(test)]
mod tests {
    use rimward_sdk::test::{get, run};

    #[test]
    fn it_greets() {
        assert_eq!(run(super::hello, get("/")).text(), "Hello from the edge!\n");
    }
}
