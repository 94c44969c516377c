//! throwaway
use rimward_node::*;
use std::sync::Arc;
struct Print;
impl Observer for Print {
    fn request(&self, l: &RequestLine<'_>) {
        eprintln!("{l:?}");
    }
    fn log(&self, l: &LogLine<'_>) {
        eprintln!("{l:?}");
    }
}
fn main() {
    let mut a = std::env::args().skip(1);
    let bytes = std::fs::read(a.next().unwrap()).unwrap();
    let mut file = rimward_manifest::NodeFile::default();
    file.node.state = "/tmp/smoke-state".into();
    file.node.cache = "/tmp/smoke-cache".into();
    file.node.listen = vec!["127.0.0.1:3999".parse().unwrap()];
    file.ops.listen = Some("127.0.0.1:3998".parse().unwrap());
    let quiet = a.next().is_some();
    let t = std::time::Instant::now();
    let node = Node::start(Options {
        file,
        profile: Profile::Dev,
        state: StateChoice::Memory,
        compiler: rimward_engine::Compiler::here(),
        observer: if quiet { Arc::new(Silent) } else { Arc::new(Print) },
    })
    .unwrap();
    eprintln!("started in {:?}", t.elapsed());
    let b = rimward_bundle::Bundle::from_component("hello".parse().unwrap(), bytes).unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let i = rt.block_on(
        node.install(b, Placement { tenant: "default".parse().unwrap(), bind: Default::default() }),
    );
    match i {
        Ok(i) => eprintln!("{i:?}"),
        Err(e) => {
            eprintln!("{e}");
            let mut s: Option<&dyn std::error::Error> = std::error::Error::source(&e);
            while let Some(c) = s {
                eprintln!(" caused by {c}");
                s = c.source();
            }
            std::process::exit(1)
        }
    }
    std::thread::sleep(std::time::Duration::from_secs(600));
}
