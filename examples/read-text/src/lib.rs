//! Reads the text in a photo: `POST /read` with a JPEG or PNG.
//!
//! At the edge: decode the photo, find the lines of text, cut them out. In the cloud: a model reads them. At the edge again:
//! turn the model's answer into text. Only the lines leave the edge, as grey pixels. What has no text costs no call.
//! Bounds are in [`limits`]; a body that is no picture is answered with 422, a model server that fails with 502 or 504.

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
    let letters = letters::letters(&picture, window(&picture)).or_status(422, "the picture is too noisy to be read")?;
    let lines = lines::lines(&letters);
    let find = clock.lap();
    let strip = Strip::cut(&picture, &lines);
    let cut = clock.lap();
    let recognised = ocr::recognise(&strip).await?;
    let stages = Stages { decode, find, cut, cloud: clock.lap() };
    Ok(Json(answer(photo.len(), &lines, recognised, stages)))
}

/// The radius in which a pixel is compared with what is around it: larger than the strokes of a title that fills the page.
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
mod real {
    use super::*;
    #[test]
    fn real() {
        use rimward_sdk::test::{Host, post};
        use std::io::{Read, Write};
        async fn forward(r: rimward_sdk::Request) -> rimward_sdk::Response {
            let h = r.headers()["inference-header-content-length"].to_str().unwrap().to_owned();
            let b = r.into_body().bytes().await.unwrap();
            let mut s = std::net::TcpStream::connect("127.0.0.1:18931").unwrap();
            write!(s, "POST /v2/models/ocr/infer HTTP/1.0\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\ninference-header-content-length: {h}\r\n\r\n", b.len()).unwrap();
            s.write_all(&b).unwrap();
            let mut a = Vec::new();
            s.read_to_end(&mut a).unwrap();
            let end = a.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
            let head = String::from_utf8_lossy(&a[..end]).to_lowercase();
            let mut body = Vec::new();
            let mut rest = &a[end + 4..];
            loop {
                let e = rest.windows(2).position(|w| w == b"\r\n").unwrap();
                let n = usize::from_str_radix(std::str::from_utf8(&rest[..e]).unwrap(), 16).unwrap();
                if n == 0 { break }
                body.extend_from_slice(&rest[e + 2..e + 2 + n]);
                rest = &rest[e + 4 + n..];
            }
            let n = head.lines().find_map(|l| l.strip_prefix("inference-header-content-length: ")).unwrap_or("").to_owned();
            rimward_sdk::Response::builder().header("inference-header-content-length", n).body(body.into()).unwrap()
        }
        let host = Host::new().store("alphabets").upstream("ocr", forward);
        for f in std::env::var("PHOTOS").unwrap_or_default().split_whitespace() {
            let photo = std::fs::read(f).unwrap();
            for _ in 0..2 {
                let r = host.run(read, post("/read", photo.clone()));
                println!("{f} {}", r.status());
                let v: serde_json::Value = r.json();
                for l in v["lines"].as_array().into_iter().flatten() { println!("  {l}"); }
                println!("  {} {} {}", v["unread"], v["stages"], v["link"]);
            }
            println!("{:?}", host.log());
            let p = Picture::decode(&photo).unwrap();
            let l = letters::letters(&p, window(&p)).unwrap();
            let ls = lines::lines(&l);
            let s = Strip::cut(&p, &ls);
            image::GrayImage::from_raw(s.width() as u32, strip::HEIGHT as u32, s.pixels.clone()).unwrap().save("/tmp/demo/strip.png").unwrap();
            for l in &ls { println!("  L {:?}", l.bounds()); } println!("{} letters {} lines", l.len(), ls.len());
        }
    }
}
