//! Apps for a test: one guest as a whole app with a few settings, or a complete `rimward.toml`. Components are named like
//! guests. What the node does with the bundle is the node's business.

use crate::harness::component::component;
use crate::harness::fake::Fake;
use bytes::Bytes;
use rimward_bundle::{Bundle, Component};
use rimward_manifest::{Bind, Name, UpstreamBinding};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// An app that a test installs.
#[derive(Clone)]
pub struct App {
    text: Text,
    pub(crate) tenant: Name,
    pub(crate) bind: Bind,
    /// Names, and the lines of their tables.
    upstreams: Vec<(String, String)>,
    components: BTreeMap<String, Bytes>,
}

#[derive(Clone)]
enum Text {
    /// A whole `rimward.toml`.
    Declared(String),
    OneFunction(OneFunction),
}

#[derive(Clone)]
struct OneFunction {
    name: String,
    guest: String,
    routes: Vec<String>,
    host: Option<String>,
    limits: Option<String>,
    keys: Vec<String>,
    tables: Vec<String>,
}

/// An app of one function, both named like the guest, which answers every request.
pub fn app(guest: &str) -> App {
    let function = OneFunction {
        name: guest.to_owned(),
        guest: guest.to_owned(),
        routes: Vec::new(),
        host: None,
        limits: None,
        keys: Vec::new(),
        tables: Vec::new(),
    };
    App::of(Text::OneFunction(function))
}

/// An app as its `rimward.toml` declares it; `component` names a guest.
pub fn declared(text: &str) -> App {
    App::of(Text::Declared(text.to_owned()))
}

impl From<&str> for App {
    fn from(guest: &str) -> Self {
        app(guest)
    }
}

impl App {
    fn of(text: Text) -> Self {
        Self {
            text,
            tenant: name("default"),
            bind: Bind::default(),
            upstreams: Vec::new(),
            components: BTreeMap::new(),
        }
    }

    /// Its name, and its function's.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.function().name = name.to_owned();
        self
    }

    /// A route instead of every path; may be given several times.
    #[must_use]
    pub fn route(mut self, route: &str) -> Self {
        self.function().routes.push(route.to_owned());
        self
    }

    /// The host of its routes.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.function().host = Some(host.to_owned());
        self
    }

    /// The content of the function's `limits = { .. }`.
    #[must_use]
    pub fn limits(mut self, limits: &str) -> Self {
        self.function().limits = Some(limits.to_owned());
        self
    }

    /// A further line of the function's table.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.function().keys.push(line.to_owned());
        self
    }

    /// Further tables of the `rimward.toml`.
    #[must_use]
    pub fn and(mut self, tables: &str) -> Self {
        self.function().tables.push(tables.to_owned());
        self
    }

    /// Whose it is.
    #[must_use]
    pub fn of_tenant(mut self, tenant: &str) -> Self {
        self.tenant = name(tenant);
        self
    }

    /// An upstream of that name, where `fake` is; the node allows its address. A declared app grants it itself.
    #[must_use]
    pub fn upstream(self, upstream: &str, fake: &Fake) -> Self {
        self.upstream_at(upstream, &fake.url(), "")
    }

    /// The same at an origin of loopback, with further lines for its table.
    #[must_use]
    pub fn upstream_at(mut self, upstream: &str, url: &str, more: &str) -> Self {
        let (_, port) = url.rsplit_once(':').expect("the origins of tests have a port");
        let allow = format!("127.0.0.1/32:{port}").parse().expect("it is a network");
        let binding = UpstreamBinding { allow: vec![allow], ..UpstreamBinding::default() };
        self.bind.upstreams.insert(name(upstream), binding);
        self.upstreams.push((upstream.to_owned(), format!("url = {url:?}\n{more}")));
        self
    }

    /// What the names in it mean on the node.
    #[must_use]
    pub fn bound(mut self, change: impl FnOnce(&mut Bind)) -> Self {
        change(&mut self.bind);
        self
    }

    /// These bytes in place of the guest that the app names `guest`.
    #[must_use]
    pub fn component(mut self, guest: &str, bytes: impl Into<Bytes>) -> Self {
        self.components.insert(guest.to_owned(), bytes.into());
        self
    }

    /// The bundle; a panic where the text is not right.
    pub fn bundle(&self) -> Bundle {
        let text = self.text();
        let app = rimward_manifest::App::parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let components = app.functions.iter().map(|(name, function)| {
            let guest = function.component.to_str().expect("guests have plain names");
            let bytes = self.components.get(guest).cloned().unwrap_or_else(|| component(guest));
            (name.clone(), Component::new(bytes).unwrap_or_else(|error| panic!("`{guest}`: {error}")))
        });
        let components = components.collect();
        let file = |path: &rimward_manifest::AppPath| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(path.as_str());
            let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
            (path.clone(), Bytes::from(bytes))
        };
        let files = app.files().into_iter().map(file).collect();
        Bundle::new(app, components, files)
    }

    /// Its `rimward.toml`.
    pub fn text(&self) -> String {
        let mut text = match &self.text {
            Text::Declared(text) => text.clone(),
            Text::OneFunction(function) => function.text(&self.upstreams),
        };
        for (name, lines) in &self.upstreams {
            write!(text, "\n[upstream.{name}]\n{lines}\n").expect("a string takes everything");
        }
        text
    }

    fn function(&mut self) -> &mut OneFunction {
        match &mut self.text {
            Text::OneFunction(function) => function,
            Text::Declared(_) => panic!("a declared app says everything in its text"),
        }
    }
}

impl OneFunction {
    fn text(&self, upstreams: &[(String, String)]) -> String {
        let Self { name, guest, .. } = self;
        let mut lines = vec![format!("[app]\nname = {name:?}\n\n[function.{name}]\ncomponent = {guest:?}")];
        lines.extend(self.limits.iter().map(|limits| format!("limits = {{ {limits} }}")));
        lines.extend(self.keys.iter().cloned());
        if !upstreams.is_empty() {
            let names: Vec<_> = upstreams.iter().map(|(name, _)| name).collect();
            lines.push(format!("upstreams = {names:?}"));
        }
        let everything = ["/*rest".to_owned()];
        let routes = if self.routes.is_empty() { &everything[..] } else { &self.routes };
        for route in routes {
            lines.push(format!("\n[[trigger.http]]\nroute = {route:?}\nfunction = {name:?}"));
            lines.extend(self.host.iter().map(|host| format!("host = {host:?}")));
        }
        lines.extend(self.tables.iter().cloned());
        lines.join("\n") + "\n"
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}
