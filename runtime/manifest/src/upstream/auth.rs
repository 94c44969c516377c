//! How the node proves to an upstream who calls, where a header or a certificate does not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::document::Table;
use crate::header::{HeaderKey, HeaderTemplate};
use crate::name::Name;
use crate::scalar::{Scalar, Trouble, choice};
use crate::url::BaseUrl;

/// One way to prove who calls. Functions never see what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Auth {
    /// A bearer token of an authorization server, by client credentials (OAuth 2).
    pub oauth: Option<OAuth>,
    /// A signature of each request with keys of AWS (Signature Version 4).
    pub aws: Option<Aws>,
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OAuth {
    /// The token endpoint.
    pub token_url: BaseUrl,
    /// The client's name there.
    pub client_id: String,
    /// The name of the secret that is its password.
    pub client_secret: Name,
    /// What is asked for, separated by spaces.
    pub scope: Option<String>,
    /// For whom the token is.
    pub audience: Option<String>,
    /// How the client says who it is [default: basic].
    pub client_auth: Option<ClientAuth>,
}

/// How the client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// With HTTP's basic authentication.
    Basic,
    /// In the body.
    Post,
}

/// Whose signature, for which service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Aws {
    /// The region.
    pub region: String,
    /// The service's name in signatures.
    pub service: String,
    /// The name of the secret that is the access key's id.
    pub access_key: Name,
    /// The name of the secret that is the secret access key.
    pub secret_key: Name,
    /// The name of the secret that is the token of temporary keys.
    pub session_token: Option<Name>,
}

/// What an AWS signature consists of, and so cannot be set beside it.
const OF_AWS: [&str; 3] = ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];

impl Auth {
    /// What proves who calls is either computed or a fixed header, not both.
    pub(crate) fn check_headers(&self, headers: &BTreeMap<HeaderKey, HeaderTemplate>, table: &mut Table<'_>) {
        let is_own = |name: &str| name == "authorization" || self.aws.is_some() && OF_AWS.contains(&name);
        for name in headers.keys().map(HeaderKey::as_str).filter(|name| is_own(name)) {
            let message = format!("`{name}` would take the place of what `auth` writes there");
            table.problem_at("headers", message, "leave one of them out");
        }
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let (has_oauth, has_aws) = (table.has("oauth"), table.has("aws"));
        let auth = Self { oauth: table.table("oauth", OAuth::read), aws: table.table("aws", Aws::read) };
        if has_oauth == has_aws {
            let message = if has_oauth {
                "there are two ways to prove who calls"
            } else {
                "there is no way to prove who calls"
            };
            table.problem_at(
                "oauth",
                message.into(),
                "write `oauth = { ... }` or `aws = { ... }`, one of them",
            );
        }
        Some(auth)
    }

    /// The secrets that it needs.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Name> {
        let oauth = self.oauth.iter().map(|oauth| &oauth.client_secret);
        let aws = self
            .aws
            .iter()
            .flat_map(|aws| [Some(&aws.access_key), Some(&aws.secret_key), aws.session_token.as_ref()]);
        oauth.chain(aws.flatten())
    }
}

impl OAuth {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let (token_url, client_id, client_secret) =
            (table.required("token-url"), table.required("client-id"), table.required("client-secret"));
        Some(Self {
            scope: table.optional("scope"),
            audience: table.optional("audience"),
            client_auth: table.optional("client-auth"),
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?,
        })
    }
}

impl Aws {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let (region, service) = (table.required::<Label>("region"), table.required::<Label>("service"));
        let (access_key, secret_key) = (table.required("access-key"), table.required("secret-key"));
        Some(Self {
            session_token: table.optional("session-token"),
            region: region?.0,
            service: service?.0,
            access_key: access_key?,
            secret_key: secret_key?,
        })
    }
}

/// Part of what is signed: a slash in it would make it another part.
struct Label(String);

impl Scalar for Label {
    const HINT: &'static str = "letters, digits and `-`, as in `eu-central-1` or `sagemaker`";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let text = String::scalar(value)?;
        let is_good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if is_good { Ok(Self(text)) } else { Err(Trouble::new(format!("`{text}` is not a name of AWS"))) }
    }
}

impl Scalar for ClientAuth {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("basic", Self::Basic), ("post", Self::Post)])
    }
}
