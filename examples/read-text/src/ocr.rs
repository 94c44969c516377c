//! The call to the cloud: a strip of lines goes to the model `ocr` of the upstream `ocr`, readings come back. The
//! model's list of characters is large and changes only with the model: it is fetched once per model version, along
//! with the first answer, and kept in the store `alphabets`. The upstream's timeouts and its address are
//! rimward.toml's.

use rimward_sdk::keyvalue::Store;
use rimward_sdk::{Error, OrStatus, Response, ResponseExt, call};
use serde::{Deserialize, Serialize};

use crate::limits::ANSWER_BYTES_MAX;
use crate::oip::{self, Answer, AnswerError, HEAD_BYTES, Input};
use crate::reading::Reading;
use crate::strip::{HEIGHT, Strip};

/// The characters of a model's classes, and the version of the model that has them.
#[derive(Serialize, Deserialize)]
struct Alphabet {
    version: String,
    characters: Vec<String>,
}

/// What one use of the model said and cost. The bytes are those of bodies.
#[derive(Default)]
pub(crate) struct Recognised {
    pub(crate) readings: Vec<Reading>,
    pub(crate) bytes_sent: usize,
    pub(crate) bytes_received: usize,
}

/// Reads every line of a strip, in order. An empty strip costs no call.
pub(crate) async fn recognise(strip: &Strip) -> Result<Recognised, Error> {
    let mut recognised = Recognised::default();
    if strip.widths.is_empty() {
        return Ok(recognised);
    }
    let store = Store::open("alphabets")?;
    let mut alphabet: Option<Alphabet> = store.get_json("ocr")?;
    let mut answer = ask(strip, alphabet.is_none(), &mut recognised).await?;
    if alphabet.as_ref().is_some_and(|known| known.version != answer.model_version) {
        // The model was replaced since its characters were stored.
        alphabet = None;
        answer = ask(strip, true, &mut recognised).await?;
    }
    let alphabet = match alphabet {
        Some(known) => known,
        None => learn(&answer, &store)?,
    };
    recognised.readings = read(&answer, strip, &alphabet)?;
    Ok(recognised)
}

async fn ask(strip: &Strip, with_characters: bool, cost: &mut Recognised) -> Result<Answer, Error> {
    let outputs: &[&str] =
        if with_characters { &["classes", "scores", "characters"] } else { &["classes", "scores"] };
    let (head_bytes, body) = oip::request(&inputs(strip), outputs);
    cost.bytes_sent += body.len();
    let answer = call::upstream("ocr")
        .post("/v2/models/ocr/infer")
        .header("content-type", "application/octet-stream")
        .header(HEAD_BYTES, head_bytes)
        .body(body)
        .send()
        .await?
        .error_for_status()?;
    let head_bytes = head_bytes_of(&answer);
    let body = answer.into_body().bytes_up_to(ANSWER_BYTES_MAX).await?;
    cost.bytes_received += body.len();
    Answer::parse(head_bytes, body).or_status(502, NOT_UNDERSTOOD)
}

const NOT_UNDERSTOOD: &str = "the model server's answer was not understood";

fn inputs(strip: &Strip) -> [Input; 2] {
    let widths = strip.widths.iter().flat_map(|&width| (width as i32).to_le_bytes()).collect();
    [
        Input {
            name: "strip",
            datatype: "UINT8",
            shape: vec![HEIGHT, strip.width()],
            bytes: strip.pixels.clone(),
        },
        Input { name: "widths", datatype: "INT32", shape: vec![strip.widths.len()], bytes: widths },
    ]
}

fn head_bytes_of(answer: &Response) -> Option<usize> {
    answer.headers().get(HEAD_BYTES)?.to_str().ok()?.parse().ok()
}

/// Keeps the characters that came with an answer.
fn learn(answer: &Answer, store: &Store) -> Result<Alphabet, Error> {
    let characters = answer.texts("characters").or_status(502, NOT_UNDERSTOOD)?;
    let alphabet = Alphabet { version: answer.model_version.clone(), characters };
    store.set_json("ocr", &alphabet)?;
    Ok(alphabet)
}

fn read(answer: &Answer, strip: &Strip, alphabet: &Alphabet) -> Result<Vec<Reading>, Error> {
    let rows = |answer: &Answer| -> Result<_, AnswerError> {
        Ok((answer.int32_rows("classes")?, answer.fp32_rows("scores")?))
    };
    let (classes, scores) = rows(answer).or_status(502, NOT_UNDERSTOOD)?;
    if classes.len() != strip.widths.len() || scores.len() != classes.len() {
        return Err(Error::status(502, "the model server did not answer for every line"));
    }
    let lines = classes.iter().zip(&scores);
    let readings = lines.map(|(classes, scores)| Reading::of(classes, scores, &alphabet.characters));
    readings.collect::<Result<_, _>>().or_status(502, NOT_UNDERSTOOD)
}
