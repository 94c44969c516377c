//! A whole node in this process: on loopback ports of its own, with a state folder that goes with it, a few permits on
//! two cores, and a compile cache that all tests of this build share.

use crate::harness::app::App;
use crate::harness::call::{Call, Over, Target};
use crate::harness::connection::Connection;
use crate::harness::fake::{Behaviour, Fake, fake};
use crate::harness::heard::Heard;
use crate::harness::metric::Metric;
use crate::harness::raw::Raw;
use crate::harness::raw::http2::RawHttp2;
use crate::harness::within;
use rimward_engine::Compiler;
use rimward_manifest::{NodeFile, Secret};
use rimward_node::{
    Drained, Installed, MemorySource, Node, Options, Placement, Profile, StartError, StateChoice,
};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Invocations at once, where a test says nothing: enough for what tests do, and quick to start.
const CONCURRENCY: u32 = 8;

/// Cores, where a test says nothing: one more than one.
const CORES: u32 = 2;

/// The key of the compile cache that tests share. Loading an entry takes the key that it was written with.
const CACHE_KEY: [u8; 32] = *b"the key of the tests' own cache.";

/// A node that was not started yet.
pub struct NodeBuilder {
    file: NodeFile,
    profile: Profile,
    state: StateChoice,
    compiler: Option<Compiler>,
    folder: Arc<TempDir>,
    apps: Vec<App>,
    fakes: BTreeMap<String, Fake>,
    secrets: Vec<String>,
    memory: MemorySource,
}

/// A running node. Dropping it ends it.
pub struct TestNode {
    node: Option<Node>,
    heard: Arc<Heard>,
    secrets: Arc<[String]>,
    fakes: BTreeMap<String, Fake>,
    folder: Arc<TempDir>,
}

/// A node with every default, which runs for its operator and keeps its stores in memory.
pub fn node() -> NodeBuilder {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    NodeBuilder::in_folder(Arc::new(folder))
}

impl NodeBuilder {
    fn in_folder(folder: Arc<TempDir>) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut file = NodeFile::default();
        file.node.listen = vec![loopback];
        file.ops.listen = Some(loopback);
        file.node.state = folder.path().join("state");
        file.node.cache = shared_cache();
        file.node.cores = NonZeroU32::new(CORES);
        // Clients of tests that close are gone.
        file.limits.half_closed = "50ms".parse().expect("it is a duration");
        file.limits.concurrency = NonZeroU32::new(CONCURRENCY).expect("it is not zero");
        write_cache_key(&file.node.state);
        Self {
            file,
            profile: Profile::Serve,
            state: StateChoice::Memory,
            compiler: Some(Compiler::here()),
            folder,
            apps: Vec::new(),
            fakes: BTreeMap::new(),
            secrets: Vec::new(),
            memory: Arc::new(|| None),
        }
    }

    /// With this app from the start.
    #[must_use]
    pub fn app(mut self, app: impl Into<App>) -> Self {
        self.apps.push(app.into());
        self
    }

    /// With an upstream of that name for the app that was named last.
    #[must_use]
    pub fn upstream(mut self, name: &str, behaviour: Behaviour) -> Self {
        let fake = fake(behaviour);
        let app = self.apps.pop().expect("an upstream belongs to an app").upstream(name, &fake);
        self.apps.push(app);
        self.fakes.insert(name.to_owned(), fake);
        self
    }

    /// On a machine that has so much memory left.
    #[must_use]
    pub fn memory(mut self, source: MemorySource) -> Self {
        self.memory = source;
        self
    }

    /// With a `node.toml` changed like this.
    #[must_use]
    pub fn file(mut self, change: impl FnOnce(&mut NodeFile)) -> Self {
        change(&mut self.file);
        self
    }

    /// With what these tables of a `node.toml` say about tenants.
    #[must_use]
    pub fn tenants(mut self, tables: &str) -> Self {
        let file = NodeFile::parse(tables).unwrap_or_else(|problems| panic!("{problems}"));
        self.file.tenants = file.tenants;
        self
    }

    /// With a listener for the models of the tenant `default`, for callers with that secret if there is one.
    #[must_use]
    pub fn offers_models(self, token: Option<&str>) -> Self {
        self.file(|file| {
            let text = "[trigger.inference]\nlisten = ['127.0.0.1:0']";
            let offered = NodeFile::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
            file.trigger = offered.trigger;
            if let (Some(inference), Some(token)) = (&mut file.trigger.inference, token) {
                inference.token = Some(token.parse().expect("it is a name"));
            }
        })
    }

    /// With so many permits and places in the queue.
    #[must_use]
    pub fn room(mut self, permits: u32, queue: u32) -> Self {
        self.file.limits.concurrency = NonZeroU32::new(permits).expect("a node has a permit");
        self.file.limits.queue = queue;
        self
    }

    /// With a secret; no reply may ever show it.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        let file = self.folder.path().join(format!("secret-{name}"));
        std::fs::write(&file, value).expect("the folder can be written to");
        let name = name.parse().expect("tests use valid names");
        self.file.secrets.insert(name, Secret::File(file));
        self.secrets.push(value.to_owned());
        self
    }

    /// For a developer.
    #[must_use]
    pub fn dev(mut self) -> Self {
        self.profile = Profile::Dev;
        self
    }

    /// With stores on disk.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.state = StateChoice::Durable;
        self
    }

    /// With another compiler.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// With no compiler, and nothing in its cache.
    #[must_use]
    pub fn without_compiler(mut self) -> Self {
        self.compiler = None;
        self.own_cache()
    }

    /// With a compile cache of its own, empty.
    #[must_use]
    pub fn own_cache(mut self) -> Self {
        self.file.node.cache = self.folder.path().join("cache");
        self
    }

    /// Starts it and installs its apps.
    pub async fn start(self) -> TestNode {
        self.try_start().await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// The same, or why the node does not start.
    pub async fn try_start(self) -> Result<TestNode, StartError> {
        let heard = Arc::<Heard>::default();
        let options = Options {
            file: self.file,
            profile: self.profile,
            state: self.state,
            compiler: self.compiler,
            model_launcher: None,
            observer: heard.clone(),
            memory: self.memory,
            given: Vec::new(),
        };
        let started = tokio::task::spawn_blocking(move || Node::start(options)).await;
        let node = started.expect("starting does not panic")?;
        let (folder, fakes) = (self.folder, self.fakes);
        let node = TestNode { node: Some(node), heard, secrets: self.secrets.into(), fakes, folder };
        for app in &self.apps {
            node.install(app.clone()).await;
        }
        if !self.apps.is_empty() {
            node.node().loaded();
        }
        Ok(node)
    }
}

impl TestNode {
    /// The node itself.
    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("it runs until it is stopped")
    }

    /// What it told its observer.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The fake upstream of that name.
    pub fn upstream(&self, name: &str) -> &Fake {
        self.fakes.get(name).unwrap_or_else(|| panic!("this node has no fake upstream `{name}`"))
    }

    /// Where it takes requests in the clear.
    pub fn address(&self) -> SocketAddr {
        self.node().addresses().http[0]
    }

    /// Where it offers models.
    pub fn models(&self) -> SocketAddr {
        *self.node().addresses().models.first().expect("the node was told to offer them")
    }

    /// A call to its listener for models.
    pub fn ask(&self, over: Over, method: &str, path: &str) -> Call {
        self.call_at(self.models(), over, method, path)
    }

    /// Its folder; `state` is in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Installs an app; a panic where it is refused.
    pub async fn install(&self, app: impl Into<App>) -> Installed {
        self.try_install(app).await.unwrap_or_else(|why| panic!("the app is refused: {why}"))
    }

    /// Installs an app that must be refused, and says why it was, down to the last cause.
    pub async fn refuses(&self, app: impl Into<App>) -> String {
        match self.try_install(app).await {
            Ok(installed) => panic!("it was installed: {installed:?}"),
            Err(why) => why,
        }
    }

    /// Installs an app, or says why it is refused.
    pub async fn try_install(&self, app: impl Into<App>) -> Result<Installed, String> {
        let app = app.into();
        let placement = Placement { tenant: app.tenant.clone(), bind: app.bind.clone() };
        self.node().install(app.bundle(), placement).await.map_err(|error| chain(&error))
    }

    /// A call, over HTTP/1.1 and a connection of its own unless it is told otherwise.
    pub fn call(&self, method: &str, path: &str) -> Call {
        self.call_at(self.address(), Over::Http1, method, path)
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A GET over TLS.
    pub fn get_over_tls(&self, over: Over, path: &str) -> Call {
        self.call_at(self.tls_address(), over, "GET", path)
    }

    fn call_at(&self, address: SocketAddr, over: Over, method: &str, path: &str) -> Call {
        Call::new(Target::New { address, over, secrets: self.secrets.clone() }, method, path)
    }

    fn tls_address(&self) -> SocketAddr {
        self.node().addresses().https[0]
    }

    /// A connection that stays open for several calls.
    pub async fn connect(&self, over: Over) -> Connection {
        let address = match over {
            Over::Tls { .. } => self.tls_address(),
            Over::Http1 | Over::Http2 => self.address(),
        };
        let connected = within("a connection", Connection::open(address, &over, self.secrets.clone())).await;
        connected.unwrap_or_else(|error| panic!("no connection: {error}"))
    }

    /// A connection for bytes.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address()).await
    }

    /// A connection for HTTP/2 frames, which has said nothing but its preface.
    pub async fn raw_http2(&self) -> RawHttp2 {
        RawHttp2::connect(self.address()).await
    }

    /// Status and text of a page of the ops listener.
    pub async fn ops(&self, path: &str) -> (u16, String) {
        let mut raw = Raw::connect(self.node().addresses().ops.expect("tests have an ops listener")).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n")).await;
        let reply = raw.reply().await;
        (reply.status(), String::from_utf8(reply.body).expect("ops pages are text"))
    }

    /// A metric: the sum of all its samples with these labels, written `key=value, key=value`.
    pub fn metric(&self, name: &str, labels: &str) -> Metric<'_> {
        Metric::new(self, name, labels)
    }

    /// Drains it.
    pub async fn drain(&self, within: Duration) -> Drained {
        self.node().drain(within).await
    }

    /// Waits until nothing runs and nothing waits.
    pub async fn is_idle(&self) {
        crate::eventually("no permit taken", || {
            let status = self.node().status();
            (status.running == 0 && status.waiting == 0).then_some(())
        })
        .await;
    }

    /// Ends it, and gives what starts another one on the same state.
    pub fn stop(mut self) -> NodeBuilder {
        self.node = None;
        NodeBuilder::in_folder(self.folder.clone())
    }
}

/// An error and all that lies under it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Beside the test programs: `target/PROFILE/guest-code`.
fn shared_cache() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it is");
    let folder = program.ancestors().nth(2).expect("test programs are in `target/PROFILE/deps`");
    folder.join("guest-code")
}

fn write_cache_key(state: &Path) {
    let keys = state.join("keys");
    DirBuilder::new().recursive(true).mode(0o700).create(&keys).expect("the folder can be written to");
    let mut writing = std::fs::OpenOptions::new();
    writing.write(true).create(true).truncate(true).mode(0o600);
    let opened = writing.open(keys.join("cache.key"));
    opened.and_then(|mut file| file.write_all(&CACHE_KEY)).expect("the folder can be written to");
}
