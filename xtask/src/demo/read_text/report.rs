//! What came of the demo: the text, whether it is right, how long each stage took, and what went over the link. Pure,
//! but for the one exchange with the node.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::super::http;

/// Letters and digits that must be right for the answer to count as right, in percent. The cover has words in a
/// script that is drawn, not set; another processor's rounding may tip one of their letters.
const RIGHT_PERCENT_MIN: usize = 95;

/// A photo sent to the node, and what came back.
#[derive(Debug)]
pub(super) struct Exchange {
    answer: Answer,
    took: Duration,
}

/// What the function answers: examples/read-text/README.md describes it.
#[derive(Debug, Deserialize)]
struct Answer {
    lines: Vec<Line>,
    unread: usize,
    stages: Stages,
    link: Link,
}

#[derive(Debug, Deserialize)]
struct Line {
    text: String,
    confidence: f32,
}

#[derive(Debug, Deserialize)]
struct Stages {
    decode: f64,
    find: f64,
    cut: f64,
    cloud: f64,
}

#[derive(Debug, Deserialize)]
struct Link {
    bytes_in: i64,
    bytes_sent: i64,
    bytes_received: i64,
}

impl Exchange {
    pub(super) fn send(node: u16, photo: &[u8]) -> Result<Self> {
        let started = Instant::now();
        let reply = http::post(node, "/read", photo).context("the node did not answer")?;
        let took = started.elapsed();
        if reply.status != 200 {
            bail!("the node answered with status {}: {}", reply.status, reply.body);
        }
        let answer =
            serde_json::from_str(&reply.body).context("the function's answer is not what it promises")?;
        println!(
            "    POST http://127.0.0.1:{node}/read, {} bytes: answered in {} ms",
            photo.len(),
            took.as_millis()
        );
        Ok(Self { answer, took })
    }
}

/// The first and the second exchange, and the lines that the photo really has, where that is known.
pub(super) struct Report<'a> {
    exchanges: [Exchange; 2],
    truth: Option<&'a [&'a str]>,
}

impl<'a> Report<'a> {
    pub(super) fn new(exchanges: [Exchange; 2], truth: Option<&'a [&'a str]>) -> Self {
        Self { exchanges, truth }
    }

    /// An error if the answer is known to be wrong.
    pub(super) fn verdict(&self) -> Result<()> {
        match self.score() {
            Some(score) if !score.is_right() => bail!("the answer is wrong: {score}"),
            _ => Ok(()),
        }
    }

    /// The worse of the two answers.
    fn score(&self) -> Option<Score> {
        let truth = self.truth?;
        let texts = |exchange: &Exchange| {
            exchange.answer.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>()
        };
        let scores = self.exchanges.iter().map(|exchange| Score::of(&texts(exchange), truth));
        scores.max_by_key(|score| score.wrong)
    }

    /// A row of the tables: one number for each exchange.
    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, cell: impl Fn(&Exchange) -> String) -> fmt::Result {
        let [first, second] = self.exchanges.each_ref().map(cell);
        writeln!(f, "    {name:<32}{first:>20}{second:>20}")
    }

    fn stage(&self, f: &mut fmt::Formatter<'_>, name: &str, stage: fn(&Exchange) -> f64) -> fmt::Result {
        self.row(f, name, |exchange| format!("{:.1} ms", stage(exchange)))
    }

    fn bytes(&self, f: &mut fmt::Formatter<'_>, name: &str, bytes: fn(&Link) -> i64) -> fmt::Result {
        self.row(f, name, |exchange| grouped(bytes(&exchange.answer.link)))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = &self.exchanges[0].answer;
        writeln!(f, "The answer, and how sure the model is of each line")?;
        for Line { text, confidence } in &answer.lines {
            writeln!(f, "    {:3.0} %  {text}", confidence * 100.0)?;
        }
        writeln!(f, "    ({} more places looked like text and could not be read)", answer.unread)?;
        match self.score() {
            Some(score) => writeln!(f, "\n{}: {score}", if score.is_right() { "Right" } else { "WRONG" })?,
            None => writeln!(f, "\nNot checked: nobody told the demo what the photo says")?,
        }
        let heads = format!("{:>20}{:>20}", "first request", "second request");
        writeln!(f, "\n{:<36}{heads}", "Time")?;
        self.stage(f, "edge: decode the photo", |exchange| exchange.answer.stages.decode)?;
        self.stage(f, "edge: find the lines of text", |exchange| exchange.answer.stages.find)?;
        self.stage(f, "edge: cut them out", |exchange| exchange.answer.stages.cut)?;
        self.stage(f, "cloud: read them, there and back", |exchange| exchange.answer.stages.cloud)?;
        self.stage(f, "all, as the client sees it", |exchange| exchange.took.as_secs_f64() * 1000.0)?;
        writeln!(f, "\n{:<36}{heads}", "Link, in bytes of bodies")?;
        self.bytes(f, "arrived at the edge", |link| link.bytes_in)?;
        self.bytes(f, "sent to the cloud", |link| link.bytes_sent)?;
        self.bytes(f, "received from the cloud", |link| link.bytes_received)?;
        self.row(f, "saved, against sending the photo", |exchange| saved(&exchange.answer.link))?;
        writeln!(
            f,
            "\nThe first request also fetched the model's list of characters, which the function keeps."
        )
    }
}

/// What the link did not have to carry: the photo, less all that went both ways instead. Negative where that was more.
fn saved(link: &Link) -> String {
    let saved = link.bytes_in - link.bytes_sent - link.bytes_received;
    format!("{} ({} %)", grouped(saved), saved * 100 / link.bytes_in.max(1))
}

/// A number with commas.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    format!("{}{}", if number < 0 { "-" } else { "" }, grouped.collect::<Vec<_>>().join(","))
}

/// How many letters and digits of a text were read wrongly. Capitals, spaces and punctuation are not compared: the
/// model's spaces are a guess, and it has no capitals of its own in a script.
#[derive(Debug, PartialEq)]
struct Score {
    wrong: usize,
    of: usize,
}

impl Score {
    fn of(read: &[impl AsRef<str>], truth: &[&str]) -> Self {
        let truth = letters(truth);
        Self { wrong: distance(&letters(read), &truth), of: truth.len() }
    }

    fn is_right(&self) -> bool {
        self.wrong * 100 <= (100 - RIGHT_PERCENT_MIN) * self.of
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wrong, of } = self;
        write!(
            f,
            "{wrong} of {of} letters and digits differ from what the photo says (capitals and spaces aside)"
        )
    }
}

fn letters(lines: &[impl AsRef<str>]) -> Vec<char> {
    let lines = lines.iter().flat_map(|line| line.as_ref().chars());
    lines.filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The edit distance of Levenshtein: letters to change, add or leave out.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_compared_without_capitals_spaces_and_punctuation() {
        let check = |read: &[&str], wrong: usize| {
            assert_eq!(Score::of(read, &["Ada, Countess", "1815"]), Score { wrong, of: 15 }, "{read:?}");
        };
        check(&["ADACOUNTESS", "1815."], 0);
        check(&["Ada Countess 1815"], 0);
        check(&["Ado, Countess", "1815"], 1);
        check(&["Countess", "1815"], 3);
        check(&["Ada, Countess", "fish", "1815"], 4);
        check(&[], 15);
    }

    #[test]
    fn an_answer_is_right_up_to_the_limit() {
        let check = |wrong, right| assert_eq!(Score { wrong, of: 100 }.is_right(), right, "{wrong}");
        check(0, true);
        check(100 - RIGHT_PERCENT_MIN, true);
        check(101 - RIGHT_PERCENT_MIN, false);
    }

    #[test]
    fn a_photo_that_saves_nothing_is_reported_as_such() {
        let check = |bytes_sent, text| {
            assert_eq!(saved(&Link { bytes_in: 10_000, bytes_sent, bytes_received: 1000 }), text);
        };
        check(3000, "6,000 (60 %)");
        check(9000, "0 (0 %)");
        check(1_239_000, "-1,230,000 (-12300 %)");
    }

    #[test]
    fn the_worse_of_two_answers_decides() {
        let exchange = |text: &str| {
            let answer = format!(
                r#"{{"lines": [{{"text": "{text}", "confidence": 0.9, "box": [0, 0, 1, 1]}}], "unread": 0,
                    "stages": {{"decode": 1, "find": 1, "cut": 1, "cloud": 1}},
                    "link": {{"bytes_in": 1, "bytes_sent": 1, "bytes_received": 1}}}}"#
            );
            Exchange { answer: serde_json::from_str(&answer).unwrap(), took: Duration::ZERO }
        };
        let verdict =
            |first, second| Report::new([exchange(first), exchange(second)], Some(&["right"])).verdict();
        assert!(verdict("right", "RIGHT").is_ok());
        assert!(verdict("right", "left").is_err());
        assert!(Report::new([exchange("x"), exchange("y")], None).verdict().is_ok());
    }
}
