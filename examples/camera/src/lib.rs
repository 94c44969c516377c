//! Reads what somebody wrote into the boxes of a form: `POST /read?boxes=5` with a photo or scan of the boxes, side by side.
//!
//! In the sandbox: decode the picture, find the digit in each box, bring it to the size that the models know. A model answers
//! for each digit by itself, on the node where the small one is sure, in the cloud where it is not: rimward.toml says so, and
//! nothing of it is here. Bounds are in [`limits`]. A body that is no picture is answered with 422.

mod digit;
mod form;
mod limits;

use futures_util::future::try_join_all;
use rimward_sdk::model::{Side, Tensor, model};
use rimward_sdk::{Bytes, Error, Json, OrStatus, Request, RequestExt};
use serde::{Deserialize, Serialize};

use crate::digit::{CELLS, Digit};
use crate::form::Form;
use crate::limits::BOXES_MAX;

/// A digit whose model is less sure than this is to be looked at by a person.
const SURE_MIN: f64 = 0.8;

/// What is in the boxes.
#[derive(Debug, Deserialize, Serialize)]
struct Answer {
    /// The digits, with a space for an empty box.
    text: String,
    /// Whether every digit is sure.
    sure: bool,
    boxes: Vec<Read>,
}

/// What is in one box. An empty one has no digit.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Read {
    #[serde(skip_serializing_if = "Option::is_none")]
    digit: Option<u8>,
    confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Edge,
    Cloud,
}

#[rimward_sdk::function]
async fn look(request: Request) -> Result<Json<Answer>, Error> {
    let boxes = request.query("boxes").unwrap_or("5".into());
    let boxes: usize = boxes.parse().or_status(400, "`boxes` says how many boxes are in the picture")?;
    if !(1..=BOXES_MAX).contains(&boxes) {
        return Err(Error::status(400, format!("`boxes` is 1 to {BOXES_MAX}")));
    }
    let photo: Bytes = request.into_body().bytes().await?;
    let form = Form::decode(&photo, boxes).map_err(|wrong| Error::status(422, wrong.to_string()))?;
    let read = try_join_all((0..boxes).map(|place| read(form.digit(place)))).await?;
    let digit = |read: &Read| read.digit.map_or(' ', |digit| char::from(b'0' + digit));
    Ok(Json(Answer {
        text: read.iter().map(digit).collect(),
        sure: read.iter().all(|read| read.digit.is_none() || read.confidence >= SURE_MIN),
        boxes: read,
    }))
}

/// Asks the model which digit it is.
async fn read(digit: Option<Digit>) -> Result<Read, Error> {
    let Some(digit) = digit else { return Ok(Read::default()) };
    let pixels = Tensor::<f32>::from_shape([1, CELLS], digit.into())?;
    let answer = model("digit").run([pixels.named("pixels")]).await?;
    let probabilities = answer.tensor::<f32>("probabilities")?;
    let class = probabilities.largest().filter(|class| *class < 10);
    let class = class.or_status(502, "the model did not say which digit it is")?;
    let by = if answer.side() == Side::Local { By::Edge } else { By::Cloud };
    let confidence = f64::from(probabilities.values()[class]);
    Ok(Read { digit: u8::try_from(class).ok(), confidence, by: Some(by) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::tests::{BOX, draw, png};
    use rimward_sdk::model::{ModelError, NamedTensor};
    use rimward_sdk::test::{Host, post};

    /// Says how much ink it sees in tenths, and is as sure as it is told.
    fn counts(sure: f32) -> impl Fn(&[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> {
        move |inputs| {
            let ink: f32 = inputs[0].tensor::<f32>().unwrap().values().iter().sum();
            let mut probabilities = vec![(1.0 - sure) / 9.0; 10];
            probabilities[((ink / CELLS as f32 * 10.0) as usize).min(9)] = sure;
            Ok(vec![Tensor::from_shape([1, 10], probabilities).unwrap().named("probabilities")])
        }
    }

    #[test]
    fn every_box_is_read_and_an_empty_one_is_a_space() {
        // A third of the cells of a bar that is as high as it is wide by three, and all of those of a square.
        let photo = png(3 * BOX, BOX, &[draw(0, 8, 16, 48), draw(2, 8, 48, 48)]);
        let host = Host::new().model("digit", counts(0.99));
        let answer = host.run(look, post("/read?boxes=3", photo)).json::<Answer>();
        assert_eq!((&*answer.text, answer.sure), ("3 9", true));
        assert_eq!(answer.boxes[0].by, Some(By::Edge));
        assert_eq!((answer.boxes[1].by, answer.boxes[1].digit), (None, None));
    }

    #[test]
    fn the_answer_says_who_read_and_whether_a_person_should_look() {
        let photo = png(BOX, BOX, &[draw(0, 8, 48, 48)]);
        let host = Host::new().model_of("digit", Side::Remote, counts(0.6));
        let answer = host.run(look, post("/read?boxes=1", photo)).json::<Answer>();
        assert_eq!((answer.boxes[0].by, answer.sure), (Some(By::Cloud), false));
    }

    #[test]
    fn what_is_no_picture_or_no_number_of_boxes_is_the_callers_mistake() {
        let host = Host::new().model("digit", counts(0.99));
        let check = |path: &str, body: Vec<u8>, status: u16| {
            assert_eq!(host.run(look, post(path, body)).status(), status, "{path}");
        };
        check("/read", b"no picture".to_vec(), 422);
        check("/read?boxes=many", png(BOX, BOX, &[]), 400);
        check("/read?boxes=0", png(BOX, BOX, &[]), 400);
        check(&format!("/read?boxes={BOXES_MAX}"), png(16 * BOX, BOX, &[]), 200);
        check(&format!("/read?boxes={}", BOXES_MAX + 1), png(17 * BOX, BOX, &[]), 400);
    }

    #[test]
    fn a_model_that_does_not_answer_is_told() {
        let photo = png(BOX, BOX, &[draw(0, 8, 48, 48)]);
        let late = Host::new().model("digit", |_| Err(ModelError::Late("nobody answered".into())));
        assert_eq!(late.run(look, post("/read?boxes=1", photo.clone())).status(), 504);
        let odd = |_: &[NamedTensor]| {
            Ok(vec![Tensor::from_shape([0], Vec::<f32>::new()).unwrap().named("probabilities")])
        };
        assert_eq!(Host::new().model("digit", odd).run(look, post("/read?boxes=1", photo)).status(), 502);
    }
}
