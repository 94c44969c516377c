//! Reads the text in a photo: `POST /read` with a JPEG or PNG.
//!
//! At the edge: decode the photo, find the lines of text, cut them out. In the cloud: a model reads them. At the edge
//! again: turn the model's answer into text. Only the lines leave the edge, as grey pixels. What has no text costs no
//! call. Bounds are in [`limits`]; a body that is no picture is answered with 422, a model server that fails with 502
//! or 504.

mod ink;
mod letters;
mod limits;
mod lines;
mod ocr;
mod oip;
mod picture;
mod reading;
mod strip;

use std::time::Instant;

use rimward_sdk::{Bytes, Error, Json, OrStatus};
use serde::Serialize;

use crate::lines::Line;
use crate::ocr::Recognised;
use crate::picture::Picture;
use crate::reading::Reading;
use crate::strip::Strip;

/// The confidence of a line, at least. What the model makes of drawings stays below.
const CONFIDENCE_MIN: f32 = 0.7;

/// What a photo says, and what it took to know.
#[derive(Debug, Serialize)]
struct Answer {
    lines: Vec<Text>,
    /// What looked like a line but could not be read.
    unread: usize,
    stages: Stages,
    link: Link,
}

#[derive(Debug, Serialize)]
struct Text {
    text: String,
    confidence: f32,
    /// Left, top, width, height, in pixels of the photo.
    #[serde(rename = "box")]
    bounds: [i32; 4],
}

/// Milliseconds of each stage, by the clock.
#[derive(Debug, Serialize)]
struct Stages {
    decode: f64,
    find: f64,
    cut: f64,
    cloud: f64,
}

/// Bytes of the bodies that came in, went to the cloud, and came back from there.
#[derive(Debug, Serialize)]
struct Link {
    bytes_in: usize,
    bytes_sent: usize,
    bytes_received: usize,
}

/// Answers one photo.
#[rimward_sdk::function]
async fn read(photo: Bytes) -> Result<Json<Answer>, Error> {
    let mut clock = Clock::start();
    let picture = Picture::decode(&photo).or_status(422, "the body is no JPEG or PNG that can be read")?;
    let decode = clock.lap();
    let letters =
        letters::letters(&picture, window(&picture)).or_status(422, "the picture is too noisy to be read")?;
    let lines = lines::lines(&letters);
    let find = clock.lap();
    let strip = Strip::cut(&picture, &lines);
    let cut = clock.lap();
    let recognised = ocr::recognise(&strip).await?;
    let stages = Stages { decode, find, cut, cloud: clock.lap() };
    Ok(Json(answer(photo.len(), &lines, recognised, stages)))
}

/// The radius in which a pixel is compared with what is around it: larger than the strokes of a title that fills the
/// page.
fn window(picture: &Picture) -> usize {
    (picture.width().min(picture.height()) / 30).max(8)
}

fn answer(bytes_in: usize, lines: &[Line], recognised: Recognised, stages: Stages) -> Answer {
    let Recognised { readings, bytes_sent, bytes_received } = recognised;
    let is_text = |reading: &Reading| !reading.text.is_empty() && reading.confidence >= CONFIDENCE_MIN;
    let unread = readings.iter().filter(|reading| !is_text(reading)).count();
    let texts = readings.into_iter().zip(lines).filter(|(reading, _)| is_text(reading));
    let lines = texts.map(|(Reading { text, confidence }, line)| Text {
        text,
        confidence,
        bounds: line.bounds().map(|length| length.round() as i32),
    });
    Answer { lines: lines.collect(), unread, stages, link: Link { bytes_in, bytes_sent, bytes_received } }
}

/// Measures one stage after the other.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the last lap.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.0, now);
        took.as_secs_f64() * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Cursor;
    use std::rc::Rc;

    use image::{GrayImage, ImageFormat, Luma};
    use rimward_sdk::test::{Host, post};
    use rimward_sdk::{Request, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::limits::ANSWER_BYTES_MAX;
    use crate::oip::HEAD_BYTES;

    /// A photo with lines of black boxes for letters.
    fn photo(lines: u32) -> Vec<u8> {
        let is_ink = |x: u32, y: u32| {
            y % 100 >= 40 && y % 100 < 60 && y / 100 < lines && x % 20 < 15 && (100..200).contains(&x)
        };
        let image = GrayImage::from_fn(400, 300, |x, y| Luma([if is_ink(x, y) { 10 } else { 230 }]));
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    /// A model server with three classes that reads the first line as `ab` and every other badly, and keeps the heads
    /// of what it was asked.
    #[derive(Clone, Default)]
    struct Server {
        version: Rc<RefCell<&'static str>>,
        asked: Rc<RefCell<Vec<Value>>>,
    }

    impl Server {
        async fn infer(&self, request: Request) -> Response {
            assert_eq!(request.uri().path(), "/v2/models/ocr/infer");
            let head_bytes: usize = request.headers()[HEAD_BYTES].to_str().unwrap().parse().unwrap();
            let body = request.into_body().bytes().await.unwrap();
            let head: Value = serde_json::from_slice(&body[..head_bytes]).unwrap();
            let lines = head["inputs"][1]["shape"][0].as_u64().unwrap() as usize;
            let answer = self.answer(lines, head["outputs"].as_array().unwrap().len() == 3);
            self.asked.borrow_mut().push(head);
            answer
        }

        fn answer(&self, lines: usize, with_characters: bool) -> Response {
            let classes: Vec<u8> = [1, 0, 2].repeat(lines).into_iter().flat_map(i32::to_le_bytes).collect();
            let score = |line| if line == 0 { 0.9f32 } else { 0.3 };
            let scores: Vec<u8> =
                (0..lines).flat_map(|line| [score(line); 3]).flat_map(f32::to_le_bytes).collect();
            let characters = b"\0\0\0\0\x01\0\0\0a\x01\0\0\0b".to_vec();
            let output = |name, datatype, shape: &[usize], bytes: &[u8]| {
                let parameters = json!({"binary_data_size": bytes.len()});
                json!({"name": name, "datatype": datatype, "shape": shape, "parameters": parameters})
            };
            let mut outputs = vec![
                output("classes", "INT32", &[lines, 3], &classes),
                output("scores", "FP32", &[lines, 3], &scores),
            ];
            let mut tensors = [classes, scores].concat();
            if with_characters {
                outputs.push(output("characters", "BYTES", &[3], &characters));
                tensors.extend(characters);
            }
            let head =
                json!({"model_name": "ocr", "model_version": *self.version.borrow(), "outputs": outputs})
                    .to_string();
            let body = [head.as_bytes(), &tensors].concat();
            Response::builder().header(HEAD_BYTES, head.len()).body(body.into()).unwrap()
        }

        fn host(&self) -> Host {
            let server = self.clone();
            let infer = move |request: Request| {
                let server = server.clone();
                async move { server.infer(request).await }
            };
            Host::new().store("alphabets").upstream("ocr", infer)
        }

        /// Which outputs each call asked for, by their first letters.
        fn asked(&self) -> Vec<String> {
            let first = |output: &Value| output["name"].as_str().unwrap()[..2].to_owned();
            let outputs =
                |head: &Value| head["outputs"].as_array().unwrap().iter().map(first).collect::<Vec<_>>();
            self.asked.borrow().iter().map(|head| outputs(head).join(" ")).collect()
        }
    }

    #[test]
    fn a_photo_is_read_and_only_its_lines_are_sent() {
        let server = Server::default();
        let answer: Value = server.host().run(read, post("/read", photo(2))).json();
        assert_eq!(answer["lines"][0]["text"], "ab");
        assert_eq!(answer["lines"][0]["box"], json!([95, 35, 105, 30]));
        assert_eq!(answer["lines"].as_array().unwrap().len(), 1);
        assert_eq!(answer["unread"], 1);
        // Twice 105 pixels, at 32 instead of 30 pixels high.
        assert_eq!(server.asked.borrow()[0]["inputs"][0]["shape"], json!([32, 224]));
        assert_eq!(answer["link"]["bytes_in"], photo(2).len());
        assert!(answer["link"]["bytes_sent"].as_u64().unwrap() > 32 * 224);
    }

    #[test]
    fn the_characters_are_fetched_once_for_each_version_of_the_model() {
        let server = Server::default();
        let host = server.host();
        let reads =
            || assert_eq!(host.run(read, post("/read", photo(1))).json::<Value>()["lines"][0]["text"], "ab");
        reads();
        reads();
        assert_eq!(server.asked(), ["cl sc ch", "cl sc"]);
        *server.version.borrow_mut() = "2";
        reads();
        reads();
        assert_eq!(server.asked()[2..], ["cl sc", "cl sc ch", "cl sc"]);
    }

    #[test]
    fn a_photo_without_text_costs_no_call() {
        let server = Server::default();
        let answer: Value = server.host().run(read, post("/read", photo(0))).json();
        assert_eq!(answer["lines"], json!([]));
        assert_eq!(answer["link"]["bytes_sent"], 0);
        assert!(server.asked().is_empty());
    }

    #[test]
    fn what_is_no_picture_is_the_callers_fault_and_what_the_server_says_its_own() {
        let check = |host: Host, body: Vec<u8>, status: u16| {
            assert_eq!(host.run(read, post("/read", body)).status(), status);
        };
        check(Host::new(), b"no picture".to_vec(), 422);
        check(Host::new().store("alphabets").upstream("ocr", async || "not the protocol"), photo(1), 502);
        let too_few = async || Server::default().answer(1, true);
        check(Host::new().store("alphabets").upstream("ocr", too_few), photo(2), 502);
    }
    #[test]
    fn an_answer_is_read_up_to_the_limit() {
        let log = |bytes: usize| {
            let endless = move || async move { vec![b'x'; bytes] };
            let host = Host::new().store("alphabets").upstream("ocr", endless);
            assert_eq!(host.run(read, post("/read", photo(1))).status(), 502);
            host.log().concat()
        };
        assert!(log(ANSWER_BYTES_MAX).contains("no binary tensors"));
        assert!(log(ANSWER_BYTES_MAX + 1).contains("the body is too large"));
    }
}
