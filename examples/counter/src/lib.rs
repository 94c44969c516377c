//! Counts visits per path in a key-value store. The count is one atomic step, so that no visit is lost when many come
//! at once.

use rimward_sdk::keyvalue::Store;
use rimward_sdk::{Request, Result};

/// Counts this visit and says how many there were.
#[rimward_sdk::function]
async fn counter(request: Request) -> Result<String> {
    let path = request.uri().path();
    let visits = Store::open("visits")?.increment(path, 1)?;
    Ok(format!("{path} was visited {visits} times\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::test::{Host, get};

    #[test]
    fn each_path_has_its_own_count() {
        let host = Host::new().store("visits");
        let check = |path, text| assert_eq!(host.run(counter, get(path)).text(), text);
        check("/a", "/a was visited 1 times\n");
        check("/a", "/a was visited 2 times\n");
        check("/b", "/b was visited 1 times\n");
    }
}
