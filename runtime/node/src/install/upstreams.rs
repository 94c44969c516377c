//! The upstreams of an app, as its manifest declares them and the node binds them.

mod policy;

use super::{Install, InstallError};
use crate::node::Profile;
use crate::upstreams::UpstreamId;
use rimward_manifest::{AllowNet, FileAt, Name, Port};
use rimward_upstream::fallback;
use rimward_upstream::{Allowed, Identity, Reach, Secret, Timeouts, Upstream, UpstreamConfig};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

impl Install<'_> {
    pub(super) fn upstreams(&mut self) -> Result<BTreeMap<Name, Arc<Upstream>>, InstallError> {
        let app = &self.bundle.app;
        if let Some(upstream) =
            self.placement.bind.upstreams.keys().find(|name| !app.upstreams.contains_key(*name))
        {
            return Err(InstallError::Binding { app: app.name.clone(), upstream: upstream.clone() });
        }
        let mut upstreams = BTreeMap::new();
        for (name, declared) in &app.upstreams {
            let config = self.upstream_config(name, declared)?;
            let id = UpstreamId {
                tenant: self.placement.tenant.clone(),
                app: app.name.clone(),
                upstream: name.clone(),
            };
            let state = self.node.upstreams.open(&id, config.policy.clone());
            let upstream = Upstream::new(config, &self.node.client_config.roots)
                .map_err(|source| InstallError::Upstream { name: name.clone(), source })?;
            upstreams.insert(name.clone(), Arc::new(upstream.with_state(state)));
        }
        Ok(upstreams)
    }

    fn upstream_config(
        &mut self,
        name: &Name,
        declared: &rimward_manifest::Upstream,
    ) -> Result<UpstreamConfig, InstallError> {
        let binding = self.placement.bind.upstreams.get(name).cloned().unwrap_or_default();
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
        for (key, template) in &bound.headers {
            let value = template.fill(|secret| self.secrets.get(secret).map(String::as_str));
            let value = value.map_err(|name| InstallError::NoSecret { name: name.clone() })?;
            config.headers.push((key.as_str().to_owned(), Secret::new(value)));
        }
        config.ca_pem = bound.ca.as_ref().map(|file| self.file(file)).transpose()?;
        if let Some(certificate) = &bound.client_certificate {
            let key = self.secrets.get(&certificate.key);
            let key = key.ok_or_else(|| InstallError::NoSecret { name: certificate.key.clone() })?;
            config.identity = Some(Identity {
                certificates_pem: self.file(&certificate.cert)?,
                key_pem: Secret::new(&**key),
            });
        }
        config.allowed = binding.allow.iter().map(allowed).collect();
        if self.node.profile == Profile::Dev {
            self.allow_private_origin(bound.url.get(), &mut config);
            for endpoint in &bound.endpoints {
                self.allow_private_origin(endpoint.url.get(), &mut config);
            }
        }
        Ok(config)
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
        fallback::Policy { function: declared.function.as_ref().map(|name| name.as_str().into()), reply }
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

    fn file(&self, file: &FileAt) -> Result<Vec<u8>, InstallError> {
        match file {
            FileAt::App(path) => {
                Ok(self.bundle.files.get(path).expect("a bundle has every file that its app names").to_vec())
            }
            FileAt::Node(path) => {
                std::fs::read(path).map_err(|source| InstallError::File { path: path.clone(), source })
            }
        }
    }
}

fn allowed(net: &AllowNet) -> Allowed {
    match net.port {
        Port::Any => Allowed::new(net.net, None),
        Port::Is(port) => Allowed::new(net.net, Some(port)),
    }
}
