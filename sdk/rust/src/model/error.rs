//! Why a model did not answer. Which reply an error becomes is decided in `error::blame`.

use http::StatusCode;
use serde::Deserialize;
use thiserror::Error;

use crate::BodyError;
use crate::call::CallError;

/// Why a model did not answer. As an error of a function, [`ModelError::Late`] becomes a 504 reply, [`ModelError::Busy`]
/// 503, a model that failed or answered something else 502, and what was wrong with the call 500: where a caller's
/// input is to blame for that, say so with [`or_status`](crate::OrStatus).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The node was not reached: the model was not granted, or something went wrong on the way.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer broke off, or is larger than [`limits::ANSWER_BYTES_MAX`](crate::limits::ANSWER_BYTES_MAX).
    #[error("the answer could not be read")]
    Body(#[from] BodyError),
    /// A name, type, shape, size or value is wrong. The text says which, and what the model takes.
    #[error("the model refused the call: {0}")]
    Refused(String),
    /// Too many calls wait for the model, its bytes are all in use, or its server cannot be reached.
    #[error("the model takes no calls: {0}")]
    Busy(String),
    /// No side answered in time.
    #[error("the model did not answer in time: {0}")]
    Late(String),
    /// The model failed, or its server answered what it should not.
    #[error("the model failed: {0}")]
    Failed(String),
    /// The answer has no such output, or it is of another type.
    #[error("the answer is not what was expected: {0}")]
    Answer(String),
}

/// The protocol's error object.
#[derive(Deserialize)]
struct Told {
    error: String,
}

impl ModelError {
    /// What a status other than 200 means.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        let told = serde_json::from_slice(body).map(|told: Told| told.error);
        let told = told.unwrap_or_else(|_| format!("the status is {status}"));
        match status {
            StatusCode::BAD_GATEWAY => Self::Failed(told),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Self::Busy(told),
            StatusCode::GATEWAY_TIMEOUT => Self::Late(told),
            status if status.is_client_error() => Self::Refused(told),
            _ => Self::Failed(told),
        }
    }

    /// The status by which a node would say it, if it is one that a node says.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn into_status(self) -> Result<(StatusCode, String), CallError> {
        match self {
            Self::Call(error) => Err(error),
            Self::Refused(told) => Ok((StatusCode::BAD_REQUEST, told)),
            Self::Busy(told) => Ok((StatusCode::SERVICE_UNAVAILABLE, told)),
            Self::Late(told) => Ok((StatusCode::GATEWAY_TIMEOUT, told)),
            Self::Failed(told) | Self::Answer(told) => Ok((StatusCode::BAD_GATEWAY, told)),
            Self::Body(error) => Ok((StatusCode::BAD_GATEWAY, error.to_string())),
        }
    }
}
