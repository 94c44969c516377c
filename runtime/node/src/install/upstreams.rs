//! The upstreams of an app, as its manifest declares them and the node binds them.

mod policy;

use super::{Install, InstallError};
use crate::credentials::{self, Followed, Made};
use crate::node::Profile;
use crate::upstreams::UpstreamId;
use rimward_manifest::{AllowNet, Name, Port};
use rimward_upstream::fallback;
use rimward_upstream::{Allowed, Reach, Timeouts, Upstream, UpstreamConfig};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

impl Install<'_> {
    pub(super) fn upstreams(&mut self) -> Result<Made, InstallError> {
        let app = &self.bundle.app;
        if let Some(upstream) =
            self.placement.bind.upstreams.keys().find(|name| !app.upstreams.contains_key(*name))
        {
            return Err(InstallError::Binding { app: app.name.clone(), upstream: upstream.clone() });
        }
        let (mut upstreams, mut all_followed) = (BTreeMap::new(), Vec::new());
        for (name, declared) in &app.upstreams {
            let id = UpstreamId {
                tenant: self.placement.tenant.clone(),
                app: app.name.clone(),
                upstream: name.clone(),
            };
            let mut followed = self.upstream(id, declared)?;
            let config = followed.config.clone();
            let state = self.node.upstreams.open(&followed.id, config.policy.clone());
            let upstream = Upstream::new(config, &self.node.client_config.roots)
                .map_err(|source| InstallError::Upstream { name: name.clone(), source })?;
            let upstream = Arc::new(upstream.with_state(state));
            followed.upstream = Arc::downgrade(&upstream);
            upstreams.insert(name.clone(), upstream);
            all_followed.extend(Some(followed).filter(Followed::has_files));
        }
        Ok((upstreams, all_followed))
    }

    fn upstream(
        &mut self,
        id: UpstreamId,
        declared: &rimward_manifest::Upstream,
    ) -> Result<Followed, InstallError> {
        let binding = self.placement.bind.upstreams.get(&id.upstream).cloned().unwrap_or_default();
        let bound = declared.clone().bind(&binding);
        let mut config = UpstreamConfig::new(bound.url.get().as_str());
        let timeouts = bound.timeout.resolve();
        config.timeouts = Timeouts {
            connect: timeouts.connect,
            first_byte: timeouts.first_byte,
            between_bytes: timeouts.between_bytes,
            total: timeouts.total,
        };
        config.policy = policy::policy(&bound);
        config.policy.endpoints.zone = self.settings.file.node.zone.as_ref().map(|zone| zone.as_str().into());
        config.policy.fallback = declared.fallback.as_ref().map(|fallback| self.fallback(fallback));
        let of_node =
            credentials::node_files(&bound).map_err(|(path, source)| InstallError::File { path, source })?;
        let of_app = bound.app_files().map(|path| {
            let file = self.bundle.files.get(path).expect("a bundle has every file that its app names");
            (path.clone(), file.to_vec())
        });
        let of_app = of_app.collect();
        credentials::put(&mut config, &bound, &self.secrets, &of_app, &of_node)
            .map_err(|name| InstallError::NoSecret { name })?;
        config.allowed = binding.allow.iter().map(allowed).collect();
        if self.node.profile == Profile::Dev {
            self.allow_private_origin(bound.url.get(), &mut config);
            for endpoint in &bound.endpoints {
                self.allow_private_origin(endpoint.url.get(), &mut config);
            }
            if let Some(oauth) = bound.auth.as_ref().and_then(|auth| auth.oauth.as_ref()) {
                self.allow_private_origin(oauth.token_url.get(), &mut config);
            }
        }
        let file = &self.settings.file;
        let source = |name: &Name| Some((name.clone(), file.secret(&self.placement.tenant, name)?.clone()));
        Ok(Followed {
            id,
            upstream: Weak::new(),
            sources: bound.secrets().into_iter().filter_map(source).collect(),
            secrets: credentials::carried(&bound, &self.secrets),
            config,
            roots: self.node.client_config.roots.clone(),
            of_app,
            of_node,
            declared: bound,
            problem: None,
        })
    }

    fn fallback(&self, declared: &rimward_manifest::Fallback) -> fallback::Policy {
        let reply = declared.status.map(|status| {
            let of_file = declared.file.as_ref().map(|path| {
                self.bundle.files.get(path).expect("a bundle has every file that its app names").clone()
            });
            let body = of_file.or_else(|| declared.body.clone().map(Into::into));
            let headers = declared.headers.iter().map(|(key, value)| {
                let name: http::HeaderName = key.as_str().parse().expect("the manifest has checked it");
                (name, http::HeaderValue::from_str(value).expect("the manifest has checked it"))
            });
            fallback::Reply {
                status: http::StatusCode::from_u16(status.get()).expect("the manifest has checked it"),
                headers: headers.collect(),
                body: body.unwrap_or_default(),
            }
        });
        let cached = declared.cached.map(rimward_manifest::Duration::get);
        fallback::Policy {
            cached,
            function: declared.function.as_ref().map(|name| name.as_str().into()),
            reply,
        }
    }

    /// On a developer's machine an upstream may be at the very loopback or private address that it is declared with.
    fn allow_private_origin(&mut self, url: &url::Url, config: &mut UpstreamConfig) {
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses: Vec<IpAddr> = match url.host() {
            Some(url::Host::Ipv4(ip)) => vec![ip.into()],
            Some(url::Host::Ipv6(ip)) => vec![ip.into()],
            Some(url::Host::Domain("localhost")) => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            _ => return,
        };
        if addresses.iter().any(|ip| rimward_upstream::reach(*ip) != Reach::Public) {
            self.private_origins.insert(format!("{}:{port}", url.host_str().unwrap_or_default()));
        }
        config.allowed.extend(addresses.into_iter().map(|ip| Allowed::from(SocketAddr::new(ip, port))));
    }
}

fn allowed(net: &AllowNet) -> Allowed {
    match net.port {
        Port::Any => Allowed::new(net.net, None),
        Port::Is(port) => Allowed::new(net.net, Some(port)),
    }
}
