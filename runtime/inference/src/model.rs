//! A named model: what it is answered by, and the race between both sides.
//!
//! [`Model::infer`] is called for each call of a function. What it does stands in [`place`](crate::place); here it is done.
//! Dropping the future gives up the remote call; a local one goes on to its end and its answer is dropped.

mod measure;

use crate::confidence::Rule;
use crate::limits::CALL_TIME;
#[cfg(feature = "local")]
use crate::local::LocalModel;
use crate::oip::{InferRequest, InferResponse};
use crate::place::{Decision, Ended, Judge, Outlook, Reason, Side};
use crate::remote::{Access, Probed, RemoteModel, Server};
use crate::tally::Tally;
use crate::{Error, Kind, Signature, Tensor};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub use measure::{Comparison, Measured};

/// What both sides of a model are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The cloud, and the node so that the deadline holds.
    #[default]
    Hedge,
    /// The cloud, and the node where it fails.
    Fallback,
    /// The node, and the cloud where it is not sure.
    Escalate,
}

/// How sure an answer of the node has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Confidence {
    /// By which rule.
    pub rule: Rule,
    /// Of which output; of the first one where none is named.
    pub output: Option<String>,
    /// Below this it is escalated, from 0 to 1.
    pub least: f64,
}

/// What a model is made of. At least one of the sides is there.
#[derive(Debug)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// How long a call may take, where whoever calls allows more.
    pub deadline: Option<Duration>,
    /// What the two sides are for, where it has both.
    pub mode: Mode,
    /// For [`Mode::Escalate`], and told with answers of the node.
    pub confidence: Option<Confidence>,
    /// Whether inputs may be infinite or no numbers.
    pub allows_non_finite: bool,
    /// The model on the node.
    #[cfg(feature = "local")]
    pub local: Option<LocalModel>,
    /// The model in the cloud.
    pub remote: Option<RemoteModel>,
    /// What is known of the sides.
    pub judge: Mutex<Judge>,
    /// How its calls went.
    pub tally: Arc<Tally>,
}

/// An answer, and how it came about.
#[derive(Debug)]
pub struct Answer {
    /// The outputs.
    pub response: InferResponse,
    /// Who answered.
    pub side: Side,
    /// Why that side was asked first; nothing where there is one side only, or where the mode says so.
    pub reason: Option<Reason>,
    /// How sure the node's model is, if that was asked.
    pub confidence: Option<f64>,
    /// Why the other side, which was asked first, did not answer.
    pub instead_of: Option<Error>,
}

impl Model {
    /// Asks it. `server` is the way to the remote side.
    ///
    /// # Errors
    /// Neither side answered; it is the error of the side that would have counted.
    pub async fn infer(
        &self,
        request: &InferRequest,
        server: Option<&dyn Server>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let answered = self.ask(request, server, deadline).await;
        self.tally.count(&answered);
        answered
    }

    /// How long a side took lately, in that share of its calls; `None` where too little is known.
    pub fn latency(&self, side: Side, share: f64, now: Instant) -> Option<Duration> {
        self.judge().latency(side, share, now)
    }

    /// The side that is asked first as things are.
    pub fn chosen(&self) -> Side {
        self.judge().chosen()
    }

    /// What the node's own model takes and gives, if there is one.
    #[must_use]
    pub fn local_signature(&self) -> Option<&Signature> {
        #[cfg(feature = "local")]
        return self.local.as_ref().map(LocalModel::signature);
        #[cfg(not(feature = "local"))]
        None
    }

    async fn ask(
        &self,
        request: &InferRequest,
        server: Option<&dyn Server>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let now = Instant::now();
        let deadline = [deadline, self.deadline.map(|own| now + own)].into_iter().flatten().min();
        let deadline = deadline.unwrap_or(now + CALL_TIME);
        let call = Call { model: self, request, server, deadline };
        if !self.has_local() {
            return call.remote_checked().await;
        }
        self.check_finite(request)?;
        // What the node's model would refuse is refused, whoever would be asked.
        #[cfg(feature = "local")]
        if let Some(local) = &self.local {
            local.signature().check_inputs(&request.inputs)?;
        }
        match self.mode {
            _ if self.remote.is_none() => call.local().await,
            Mode::Hedge => call.hedged().await,
            Mode::Fallback => call.fallen_back().await,
            Mode::Escalate => call.escalated().await,
        }
    }

    fn check_finite(&self, request: &InferRequest) -> Result<(), Error> {
        if self.allows_non_finite {
            return Ok(());
        }
        match request.inputs.iter().find(|input| !input.is_finite()) {
            Some(input) => {
                Err(Error::invalid(format!("a number in the input `{}` is not finite", input.name())))
            }
            None => Ok(()),
        }
    }

    #[cfg(feature = "local")]
    pub(crate) fn has_local(&self) -> bool {
        self.local.is_some()
    }

    #[cfg(not(feature = "local"))]
    pub(crate) fn has_local(&self) -> bool {
        false
    }

    /// What it takes and gives: what the node's model says, or the server.
    ///
    /// # Errors
    /// The server did not say.
    pub async fn signature(
        &self,
        server: Option<&dyn Server>,
        deadline: Instant,
    ) -> Result<Signature, Error> {
        #[cfg(feature = "local")]
        if let Some(local) = &self.local {
            return Ok(local.signature().clone());
        }
        match (&self.remote, server) {
            (Some(remote), Some(server)) => remote.signature(server, deadline).await,
            _ => Err(no_server()),
        }
    }

    /// In what the server's model takes or gives something else than the node's. What the server says is kept, and its
    /// answers are held to it.
    ///
    /// # Errors
    /// The server did not say.
    pub async fn differences(&self, server: &dyn Server, deadline: Instant) -> Result<Vec<String>, Error> {
        let Some(remote) = &self.remote else { return Ok(Vec::new()) };
        let theirs = remote.signature(server, deadline).await?;
        Ok(self.local_signature().map(|ours| ours.differences(&theirs)).unwrap_or_default())
    }

    /// Whether it would answer.
    pub async fn is_ready(&self, server: Option<&dyn Server>, deadline: Instant) -> bool {
        match (&self.remote, server) {
            _ if self.has_local() => true,
            (Some(remote), Some(server)) => remote.is_ready(server, deadline).await.unwrap_or(false),
            _ => false,
        }
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call under way.
struct Call<'a> {
    model: &'a Model,
    request: &'a InferRequest,
    server: Option<&'a dyn Server>,
    deadline: Instant,
}

impl Call<'_> {
    /// The cloud, or the node where that would be late; and the node too, so that the deadline holds.
    async fn hedged(&self) -> Result<Answer, Error> {
        let Decision { first, other_after, reason } = self.model.judge().decide(self.outlook());
        let told = |answer: Answer| Answer { reason: Some(reason), ..answer };
        if first == Side::Local {
            return self.local().await.map(told);
        }
        let start = Instant::now();
        let mut remote = pin!(self.remote_for(reason, self.deadline));
        let until = start + other_after.unwrap_or(Duration::MAX).min(self.deadline - start);
        let failed = match timeout_at(until, &mut remote).await {
            Ok(Ok(answer)) => return Ok(told(answer)),
            // The caller is wrong, whoever is asked.
            Ok(Err(error)) if error.kind() == Kind::InvalidArgument => return Err(error),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let local = pin!(self.local());
        let (answer, instead_of) = match failed {
            Some(error) => (local.await, error),
            None => match either(remote, local).await {
                Raced::First(answer) => return Ok(told(answer)),
                Raced::Second(answer, first) => {
                    if first.is_none() {
                        self.gave_up(start);
                    }
                    (
                        answer,
                        first.unwrap_or_else(|| {
                            Error::new(Kind::Timeout, "the server did not answer in time")
                        }),
                    )
                }
            },
        };
        // Where both fail, the node's reason is the later one.
        answer.map(|answer| told(Answer { instead_of: Some(instead_of), ..answer }))
    }

    /// The cloud, with all of the time but what the node needs.
    async fn fallen_back(&self) -> Result<Answer, Error> {
        let Decision { first, other_after, reason } = self.model.judge().decide(self.outlook());
        let told = |answer: Answer| Answer { reason: Some(reason), ..answer };
        if first == Side::Local {
            return self.local().await.map(told);
        }
        let start = Instant::now();
        let until = start + other_after.unwrap_or(Duration::MAX).min(self.deadline - start);
        match self.remote_for(reason, until).await {
            Ok(answer) => Ok(told(answer)),
            Err(error) if error.kind() == Kind::InvalidArgument => Err(error),
            Err(error) => self.local().await.map(|answer| told(Answer { instead_of: Some(error), ..answer })),
        }
    }

    /// The node; and the cloud, where the node is not sure and the cloud may be in time.
    async fn escalated(&self) -> Result<Answer, Error> {
        let mut answer = match self.local().await {
            Ok(answer) => answer,
            Err(error) if error.kind() == Kind::InvalidArgument => return Err(error),
            Err(error) => {
                let answer = self.remote(self.deadline).await?;
                return Ok(Answer { instead_of: Some(error), ..answer });
            }
        };
        let least = self.model.confidence.as_ref().map_or(0.0, |confidence| confidence.least);
        if answer.confidence.is_some_and(|confidence| confidence >= least) {
            return Ok(answer);
        }
        let Decision { first, reason, .. } = self.model.judge().decide(self.outlook());
        answer.reason = Some(reason);
        if first == Side::Local {
            return Ok(answer);
        }
        let start = Instant::now();
        let escalated = timeout_at(self.deadline, self.remote_for(reason, self.deadline)).await;
        match escalated {
            Ok(Ok(remote)) => Ok(Answer { reason: Some(reason), confidence: answer.confidence, ..remote }),
            Ok(Err(error)) => Ok(Answer { instead_of: Some(error), ..answer }),
            Err(_) => {
                self.gave_up(start);
                Ok(Answer {
                    instead_of: Some(Error::new(Kind::Timeout, "the server did not answer in time")),
                    ..answer
                })
            }
        }
    }

    fn outlook(&self) -> Outlook {
        let now = Instant::now();
        Outlook {
            now,
            left: self.deadline.saturating_duration_since(now),
            bytes: bytes(&self.request.inputs),
            access: self.server.map_or(Access::Barred, Server::access),
        }
    }

    #[cfg(feature = "local")]
    async fn local(&self) -> Result<Answer, Error> {
        let start = Instant::now();
        let model = self.model;
        let local =
            model.local.as_ref().ok_or_else(|| Error::new(Kind::Unsupported, "no model is on the node"))?;
        let mut wanted: Vec<&str> = self.request.outputs.iter().map(|wanted| &*wanted.name).collect();
        let judged = model.confidence.as_ref().map(|confidence| {
            let first = || local.signature().outputs.first().map(|output| &*output.name);
            (confidence.rule, confidence.output.as_deref().or_else(first).unwrap_or_default())
        });
        // What the rule is for is computed too, and not given out.
        let extra =
            judged.map(|(_, output)| output).filter(|output| !wanted.is_empty() && !wanted.contains(output));
        wanted.extend(extra);
        let answer = local.infer(self.request.inputs.clone(), &wanted, self.deadline).await?;
        let mut outputs = answer.outputs;
        model.judge().local_ended(Instant::now(), start.elapsed(), bytes(&self.request.inputs));
        let confidence = judged.map(|(rule, name)| {
            let output = outputs.iter().find(|output| output.name() == name);
            let output =
                output.ok_or_else(|| Error::new(Kind::Failed, format!("the model has no output `{name}`")));
            output.and_then(|output| rule.of(output))
        });
        outputs.retain(|output| Some(output.name()) != extra);
        Ok(Answer {
            response: self.response(outputs),
            side: Side::Local,
            reason: None,
            confidence: confidence.transpose()?,
            instead_of: None,
        })
    }

    #[cfg(not(feature = "local"))]
    async fn local(&self) -> Result<Answer, Error> {
        Err(Error::new(Kind::Unsupported, "this node runs no models itself"))
    }

    async fn remote(&self, deadline: Instant) -> Result<Answer, Error> {
        self.remote_of(self.server, deadline).await
    }

    /// With the node's model behind it. A probe goes out while calls rest, too.
    async fn remote_for(&self, reason: Reason, deadline: Instant) -> Result<Answer, Error> {
        match self.server.filter(|_| reason == Reason::Probe).map(Probed) {
            Some(probed) => self.remote_of(Some(&probed), deadline).await,
            None => self.remote(deadline).await,
        }
    }

    async fn remote_of(&self, server: Option<&dyn Server>, deadline: Instant) -> Result<Answer, Error> {
        let (Some(remote), Some(server)) = (&self.model.remote, server) else { return Err(no_server()) };
        let start = Instant::now();
        let result = remote.infer(server, self.request, deadline).await;
        let ended = match &result {
            Ok(_) => Some(Ended::Answered),
            // The caller's own fault, or the model's, says nothing of the way there.
            Err(error)
                if matches!(error.kind(), Kind::InvalidArgument | Kind::TooLarge | Kind::Unsupported) =>
            {
                None
            }
            Err(error) if error.is_held_back() => None,
            Err(error) if error.kind() == Kind::Timeout => Some(Ended::GivenUp),
            Err(_) => Some(Ended::Failed),
        };
        if let Some(ended) = ended {
            self.ended(start, ended);
        }
        let response = result?;
        Ok(Answer {
            response: InferResponse { version: response.version.clone(), ..self.response(response.outputs) },
            side: Side::Remote,
            reason: None,
            confidence: None,
            instead_of: None,
        })
    }

    /// The cloud, for a model that is there only. The numbers are looked at while they are on their way: where one is not
    /// finite, the call is given up.
    async fn remote_checked(&self) -> Result<Answer, Error> {
        let mut remote = pin!(self.remote(self.deadline));
        let on_its_way = tokio::select! {
            biased;
            answer = &mut remote => Some(answer),
            () = tokio::task::yield_now() => None,
        };
        self.model.check_finite(self.request)?;
        match on_its_way {
            Some(answer) => answer,
            None => remote.await,
        }
    }

    fn gave_up(&self, start: Instant) {
        self.ended(start, Ended::GivenUp);
    }

    fn ended(&self, start: Instant, ended: Ended) {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(start);
        self.model.judge().remote_ended(now, now - start, left, bytes(&self.request.inputs), ended);
    }

    fn response(&self, outputs: Vec<Tensor>) -> InferResponse {
        InferResponse { model: self.model.name.clone(), version: None, id: self.request.id.clone(), outputs }
    }
}

enum Raced {
    /// The first one answered.
    First(Answer),
    /// The second one ended, and the error of the first one if it had failed before.
    Second(Result<Answer, Error>, Option<Error>),
}

/// The first of both that answers; where the first one fails, the second one whatever it says.
async fn either(
    mut first: impl Future<Output = Result<Answer, Error>> + Unpin,
    mut second: impl Future<Output = Result<Answer, Error>> + Unpin,
) -> Raced {
    tokio::select! {
        biased;
        answer = &mut first => match answer {
            Ok(answer) => Raced::First(answer),
            Err(error) => Raced::Second(second.await, Some(error)),
        },
        answer = &mut second => match answer {
            Ok(answer) => Raced::Second(Ok(answer), None),
            // The first one may still come.
            Err(error) => match first.await {
                Ok(answer) => Raced::First(answer),
                Err(first) => Raced::Second(Err(error), Some(first)),
            },
        },
    }
}

fn bytes(tensors: &[Tensor]) -> u64 {
    tensors.iter().map(|tensor| tensor.bytes().len() as u64).sum()
}

fn no_server() -> Error {
    Error::new(Kind::Unavailable, "there is no way to the model's server")
}

#[cfg(all(test, feature = "local"))]
mod tests;
