//! Lets speech pass and nothing else: `POST /audio/STREAM` with a piece of a recording as WAV, 16 kHz, one channel, 16 bits.
//!
//! A model hears each 32 ms of it, on the node. What is speech goes to the upstream `transcriber` as WAV, the pieces of one
//! stream in order, also when the link is away for a while. What the model remembers of a stream is in the store `streams`,
//! so that a word may lie across two pieces. A body that is no such recording is answered with 422.

mod gate;
mod limits;
mod wave;

use rimward_sdk::keyvalue::Store;
use rimward_sdk::model::{Tensor, model};
use rimward_sdk::{Error, Json, OrStatus, Request, call};
use serde::{Deserialize, Serialize};

use crate::gate::{Gate, Run, WINDOW};
use crate::limits::STREAM_BYTES_MAX;
use crate::wave::RATE;

/// Samples of the window before that the model hears again.
const CONTEXT: usize = 64;
/// Numbers that the model remembers of a stream.
const STATE: [usize; 3] = [2, 1, 128];

/// What is known of a stream between two pieces.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Stream {
    state: Vec<f32>,
    context: Vec<f32>,
    /// Samples that do not make a window yet.
    rest: Vec<i16>,
    gate: Gate,
    /// Windows heard so far.
    windows: u64,
}

impl Default for Stream {
    fn default() -> Self {
        let state = vec![0.0; STATE.iter().product()];
        Self { state, context: vec![0.0; CONTEXT], rest: Vec::new(), gate: Gate::default(), windows: 0 }
    }
}

/// What was heard in a piece.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Heard {
    speech: Vec<Speech>,
    bytes_in: usize,
    bytes_forwarded: usize,
}

/// A part of a stream in which somebody speaks, in milliseconds since its beginning.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Speech {
    from: u64,
    to: u64,
}

#[rimward_sdk::function]
async fn gate(request: Request) -> Result<Json<Heard>, Error> {
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix("/audio/").or_status(404, "there is /audio/STREAM")?;
    if name.is_empty()
        || name.len() > STREAM_BYTES_MAX
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(Error::status(
            400,
            format!("a stream's name is letters, digits and `-`, at most {STREAM_BYTES_MAX}"),
        ));
    }
    let body = request.into_body().bytes().await?;
    let samples = wave::read(&body).map_err(|wrong| Error::status(422, wrong.to_string()))?;
    let streams = Store::open("streams")?;
    let mut stream: Stream = streams.get_json(name)?.unwrap_or_default();
    let mut heard = Heard { speech: Vec::new(), bytes_in: body.len(), bytes_forwarded: 0 };
    for run in listen(&mut stream, samples).await? {
        let speech =
            Speech { from: ms(run.window), to: ms(run.window + (run.samples.len() / WINDOW) as u64) };
        let piece = wave::write(&run.samples)?;
        heard.bytes_forwarded += piece.len();
        // The same piece of a stream has the same key, should the caller send it again.
        let key = format!("{name}-{}", run.window);
        let call = call::upstream("transcriber").post(&format!("/speech/{name}?from={}", speech.from));
        let call = call.header("content-type", "audio/wav").body(piece).idempotency_key(&key);
        call.deferred().ordering_key(name).send().await?;
        heard.speech.push(speech);
    }
    streams.set_json(name, &stream)?;
    Ok(Json(heard))
}

fn ms(windows: u64) -> u64 {
    windows * WINDOW as u64 * 1000 / u64::from(RATE)
}

/// Has the model hear what is new, and gives what is speech.
async fn listen(stream: &mut Stream, samples: Vec<i16>) -> Result<Vec<Run>, Error> {
    let mut audio = std::mem::take(&mut stream.rest);
    audio.extend(samples);
    let (windows, rest) = audio.as_chunks::<WINDOW>();
    let mut likely = Vec::with_capacity(windows.len());
    for window in windows {
        likely.push(hear(stream, window).await?);
    }
    stream.rest = rest.to_vec();
    let first = stream.windows;
    stream.windows += windows.len() as u64;
    Ok(stream.gate.runs(first, windows, &likely))
}

/// How likely it is that somebody speaks in a window.
async fn hear(stream: &mut Stream, window: &[i16; WINDOW]) -> Result<f32, Error> {
    let samples = window.iter().map(|sample| f32::from(*sample) / 32768.0);
    let input: Vec<f32> = stream.context.iter().copied().chain(samples).collect();
    stream.context = input[input.len() - CONTEXT..].to_vec();
    let input = Tensor::<f32>::from_shape([1, CONTEXT + WINDOW], input)?;
    let state = Tensor::<f32>::from_shape(STATE, std::mem::take(&mut stream.state))?;
    let rate = Tensor::<i64>::from_shape(Vec::new(), vec![i64::from(RATE)])?;
    let answer = model("voice").run([input.named("input"), state.named("state"), rate.named("sr")]).await?;
    stream.state = answer.tensor::<f32>("stateN")?.into_values();
    let likely = answer.tensor::<f32>("output")?;
    Ok(*likely.values().first().or_status(502, "the model did not say how likely it is")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::model::{ModelError, NamedTensor};
    use rimward_sdk::test::{Host, post};

    /// Hears speech where it is loud, and remembers how many windows it heard.
    fn loudness(inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> {
        let [input, state, rate] = inputs else { panic!("{inputs:?}") };
        assert_eq!((input.shape(), rate.tensor::<i64>().unwrap().values()), (&[1, 576][..], &[16_000][..]));
        let loud = input.tensor::<f32>().unwrap().values()[CONTEXT..].iter().any(|sample| sample.abs() > 0.5);
        let mut state = state.tensor::<f32>().unwrap().into_values();
        state[0] += 1.0;
        Ok(vec![
            Tensor::from_shape([1, 1], vec![if loud { 0.9_f32 } else { 0.01 }]).unwrap().named("output"),
            Tensor::from_shape(STATE, state).unwrap().named("stateN"),
        ])
    }

    fn host() -> Host {
        Host::new()
            .model("voice", loudness)
            .store("streams")
            .upstream("transcriber", async || ())
            .outbox("transcriber")
    }

    /// So many windows, loud ones where it is said.
    fn recording(windows: usize, is_loud: impl Fn(usize) -> bool) -> Vec<i16> {
        (0..windows * WINDOW).map(|at| if is_loud(at / WINDOW) { 30_000 } else { 10 }).collect()
    }

    fn send(host: &Host, samples: &[i16]) -> Heard {
        host.run(gate, post("/audio/mic-1", wave::write(samples).unwrap())).json()
    }

    #[test]
    fn speech_is_forwarded_and_silence_is_not() {
        let host = host();
        let heard = send(&host, &recording(100, |window| (40..60).contains(&window)));
        let [Speech { from, to }] = heard.speech[..] else { panic!("{heard:?}") };
        assert!(from <= ms(40) && from >= ms(35) && to >= ms(60) && to <= ms(75), "{heard:?}");
        assert!(heard.bytes_forwarded * 2 < heard.bytes_in);
        let waiting = host.waiting("transcriber");
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].uri().path(), "/speech/mic-1");
        assert_eq!(wave::read(waiting[0].body()).unwrap().len() as u64, (to - from) * 16);
        assert_eq!(send(&host, &recording(50, |_| false)).speech, []);
        assert_eq!(host.waiting("transcriber").len(), 1);
    }

    #[test]
    fn a_stream_in_pieces_is_heard_as_one_whatever_the_pieces_are() {
        let whole = recording(120, |window| (30..70).contains(&window));
        let windows_forwarded = |pieces: usize| {
            let host = host();
            whole.chunks(pieces).for_each(|piece| drop(send(&host, piece)));
            let store = || Store::open("streams").unwrap().get_json::<Stream>("mic-1").unwrap().unwrap();
            let stream = host.within(store);
            assert_eq!((stream.windows, stream.state[0]), (120, 120.0));
            let waiting = host.waiting("transcriber");
            waiting.iter().map(|call| wave::read(call.body()).unwrap().len() / WINDOW).sum::<usize>()
        };
        let once = windows_forwarded(whole.len());
        for pieces in [700, 5_000, 16_000] {
            // What comes before speech cannot be called back once its piece is over.
            assert!((once - 2..=once).contains(&windows_forwarded(pieces)), "{pieces}: {once}");
        }
    }

    #[test]
    fn what_is_no_recording_or_no_stream_is_the_callers_mistake() {
        let check = |path: &str, body: Vec<u8>, status: u16| {
            assert_eq!(host().run(gate, post(path, body)).status(), status, "{path}");
        };
        let good = || wave::write(&[0; 600]).unwrap();
        check("/audio/mic-1", good(), 200);
        check("/audio/mic-1", b"RIFF".to_vec(), 422);
        check("/audio/", good(), 400);
        check("/audio/a/b", good(), 400);
        check(&format!("/audio/{}", "m".repeat(STREAM_BYTES_MAX)), good(), 200);
        check(&format!("/audio/{}", "m".repeat(STREAM_BYTES_MAX + 1)), good(), 400);
        check("/video", good(), 404);
    }

    #[test]
    fn a_piece_that_could_not_be_heard_is_not_forgotten_by_the_stream() {
        let fails = |_: &[NamedTensor]| Err(ModelError::Late("nobody answered".into()));
        let host = host().model("voice", fails);
        let reply = host.run(gate, post("/audio/mic-1", wave::write(&[0; 600]).unwrap()));
        assert_eq!(reply.status(), 504);
        assert_eq!(host.within(|| Store::open("streams").unwrap().get("mic-1").unwrap()), None);
    }
}
