//! How long each side of a model takes, and what would be decided from that: for whoever sets one up.

use super::{Model, bytes};
use crate::limits::{CALL_BYTES_MAX, CALL_TIME, MEASURE_TIME};
use crate::oip::InferRequest;
use crate::place::{Decision, Ended, Judge, Outlook, Side};
use crate::remote::Server;
use crate::{Error, Kind, Port, Signature, Tensor};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What came of calls of one side, one after the other.
#[derive(Debug)]
pub struct Measured {
    /// How long the calls took that were answered, the quickest first.
    pub took: Vec<Duration>,
    /// Calls that were not, and why the last one was not.
    pub failed: u32,
    /// That reason.
    pub error: Option<Error>,
}

/// Both sides.
#[derive(Debug)]
pub struct Comparison {
    /// The model on the node, if there is one.
    pub local: Option<Measured>,
    /// The model in the cloud, if there is one.
    pub remote: Option<Measured>,
    /// What would be done with the next call, where both sides are there.
    pub decision: Option<Decision>,
    /// Bytes of the inputs of a call.
    pub bytes: u64,
    /// How long a call may take.
    pub deadline: Duration,
}

impl Measured {
    /// How long that share (0 to 1) of the answered calls took; `None` where none was.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = (self.took.len() as f64 * share).ceil() as usize;
        self.took.get(rank.max(1) - 1).copied()
    }
}

impl Model {
    /// Has each side answer `calls` calls of zeros, after one that does not count. Neither its tally nor its judge hears of
    /// it; the upstream's policy does. Dimensions that may have any size have one element.
    ///
    /// # Errors
    /// What the model takes is not known.
    pub async fn compare(&self, server: Option<&dyn Server>, calls: u32) -> Result<Comparison, Error> {
        let deadline = self.deadline.unwrap_or(CALL_TIME);
        let signature = self.signature(server, Instant::now() + deadline).await?;
        let inputs = zeros(&signature)?;
        let bytes = bytes(&inputs);
        let mut judge = Judge::default();
        let request = InferRequest { inputs, ..InferRequest::default() };
        let local = match self.has_local() {
            true => Some(self.measure(Side::Local, &request, server, deadline, calls).await),
            false => None,
        };
        let remote = match (&self.remote, server) {
            (Some(_), Some(server)) => {
                Some(self.measure(Side::Remote, &request, Some(server), deadline, calls).await)
            }
            _ => None,
        };
        let now = Instant::now();
        local.iter().flat_map(|side| &side.took).for_each(|took| judge.local_ended(now, *took, bytes));
        if let Some(side) = &remote {
            let answered = side.took.iter().map(|took| (*took, Ended::Answered));
            let failed = (0..side.failed).map(|_| (deadline, Ended::Failed));
            answered
                .chain(failed)
                .for_each(|(took, ended)| judge.remote_ended(now, took, deadline, bytes, ended));
        }
        let outlook = |server: &dyn Server| Outlook { now, left: deadline, bytes, access: server.access() };
        let decision = match (&local, &remote, server) {
            (Some(_), Some(_), Some(server)) => Some(judge.decide(outlook(server))),
            _ => None,
        };
        Ok(Comparison { local, remote, decision, bytes, deadline })
    }

    async fn measure(
        &self,
        side: Side,
        request: &InferRequest,
        server: Option<&dyn Server>,
        deadline: Duration,
        calls: u32,
    ) -> Measured {
        let mut measured = Measured { took: Vec::new(), failed: 0, error: None };
        let begin = Instant::now();
        for call in 0..=calls {
            let start = Instant::now();
            if start - begin > MEASURE_TIME {
                break;
            }
            let end = start + deadline;
            let asked = async {
                match side {
                    Side::Local => self.ask_local(request, end).await,
                    Side::Remote => self.ask_remote(request, server, end).await,
                }
            };
            let late = || Error::new(Kind::Timeout, "it did not answer in time");
            let answered = timeout_at(end, asked).await.unwrap_or_else(|_| Err(late()));
            match answered {
                _ if call == 0 => {}
                Ok(()) => measured.took.push(start.elapsed()),
                Err(error) => {
                    measured.failed += 1;
                    measured.error = Some(error);
                }
            }
        }
        measured.took.sort_unstable();
        measured
    }

    #[cfg(feature = "local")]
    async fn ask_local(&self, request: &InferRequest, end: Instant) -> Result<(), Error> {
        let local =
            self.local.as_ref().ok_or_else(|| Error::new(Kind::Unsupported, "no model is on the node"))?;
        local.infer(request.inputs.clone(), &[], end).await.map(drop)
    }

    #[cfg(not(feature = "local"))]
    async fn ask_local(&self, _: &InferRequest, _: Instant) -> Result<(), Error> {
        Err(Error::new(Kind::Unsupported, "this node runs no models itself"))
    }

    async fn ask_remote(
        &self,
        request: &InferRequest,
        server: Option<&dyn Server>,
        end: Instant,
    ) -> Result<(), Error> {
        match (&self.remote, server) {
            (Some(remote), Some(server)) => remote.infer(server, request, end).await.map(drop),
            _ => Err(super::no_server()),
        }
    }
}

/// Inputs of zeros, or of empty texts.
fn zeros(signature: &Signature) -> Result<Vec<Tensor>, Error> {
    let zeros = |port: &Port| {
        let sizes = port.shape.iter().flatten();
        let shape: Vec<u64> = sizes.map(|size| size.unwrap_or(1)).collect();
        let elements = crate::tensor::elements(&shape)?;
        // An empty text is its length.
        let bytes = elements.saturating_mul(port.datatype.element_bytes().unwrap_or(4) as u64);
        if bytes > CALL_BYTES_MAX as u64 {
            return Err(Error::new(Kind::TooLarge, format!("the input `{}` takes {bytes} bytes", port.name)));
        }
        Tensor::new(port.name.clone(), port.datatype, shape, vec![0; bytes as usize].into())
    };
    if signature.inputs.is_empty() {
        return Err(Error::new(Kind::Unsupported, "the model does not say what it takes"));
    }
    signature.inputs.iter().map(zeros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datatype;

    fn port(datatype: Datatype, shape: Option<&[Option<u64>]>) -> Port {
        Port { name: "x".to_owned(), datatype, shape: shape.map(<[_]>::to_vec) }
    }

    fn of(port: Port) -> Result<Tensor, Error> {
        let signature = Signature { inputs: vec![port], outputs: Vec::new() };
        zeros(&signature).map(|mut inputs| inputs.remove(0))
    }

    #[test]
    fn a_dimension_that_may_have_any_size_has_one_element() {
        let tensor = of(port(Datatype::Fp32, Some(&[None, Some(3)]))).unwrap();
        assert_eq!((tensor.shape(), tensor.bytes().len()), (&[1, 3][..], 12));
        let texts = of(port(Datatype::Bytes, Some(&[Some(2)]))).unwrap();
        assert_eq!(texts.bytes().len(), 8);
        assert_eq!(of(port(Datatype::Int64, None)).unwrap().shape(), [0_u64; 0]);
    }

    #[test]
    fn inputs_that_are_unknown_or_too_large_are_told() {
        assert_eq!(zeros(&Signature::default()).unwrap_err().kind(), Kind::Unsupported);
        let most = CALL_BYTES_MAX as u64;
        assert!(of(port(Datatype::Uint8, Some(&[Some(most)]))).is_ok());
        assert_eq!(of(port(Datatype::Uint8, Some(&[Some(most + 1)]))).unwrap_err().kind(), Kind::TooLarge);
        assert!(of(port(Datatype::Fp64, Some(&[Some(u64::MAX)]))).is_err());
    }

    #[test]
    fn a_percentile_is_of_the_calls_that_were_answered() {
        let took = [1, 2, 3, 4].map(Duration::from_millis).to_vec();
        let measured = Measured { took, failed: 9, error: None };
        assert_eq!([0.0, 0.5, 0.95].map(|share| measured.percentile(share).unwrap().as_millis()), [1, 2, 4]);
        assert_eq!(Measured { took: Vec::new(), failed: 1, error: None }.percentile(0.5), None);
    }
}
