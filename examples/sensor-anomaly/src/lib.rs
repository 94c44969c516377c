//! Watches sensors where they are: `POST /readings` with one reading. A model on the node says how unusual the last half year
//! of the sensor's weekly readings is; what is an anomaly goes to the upstream `cloud` with its window, also when the link is
//! away for a while, and everything else goes nowhere.

mod window;

use rimward_sdk::keyvalue::Store;
use rimward_sdk::model::{Tensor, model};
use rimward_sdk::{Error, Json, OrStatus, call};
use serde::{Deserialize, Serialize};

use crate::window::{READINGS, Window};

/// What the model calls unusual from here on: it is half as much again as the most unusual of a hundred good windows
/// (`models/train.py`).
const ANOMALY: f32 = 0.08;

/// What a sensor sends. It counts its readings, and sends one again that it had no answer to.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Reading {
    sensor: String,
    number: u64,
    /// CO2 in air, parts per million.
    ppm: f32,
}

/// What came of a reading.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Watched {
    /// How unusual it is with those before it; nothing while there are too few of them.
    unusual: Option<f32>,
    is_anomaly: bool,
}

/// What the cloud is told.
#[derive(Debug, Deserialize, Serialize)]
struct Anomaly {
    reading: Reading,
    unusual: f32,
    window: Vec<f32>,
}

#[rimward_sdk::function]
async fn watch(Json(reading): Json<Reading>) -> Result<Json<Watched>, Error> {
    if reading.sensor.is_empty() || !reading.ppm.is_finite() {
        return Err(Error::status(422, "a reading has a sensor, and a number that is finite"));
    }
    let windows = Store::open("windows")?;
    let mut window: Window = windows.get_json(&reading.sensor)?.unwrap_or_default();
    window.add(reading.number, reading.ppm);
    let watched = match window.full() {
        None => Watched { unusual: None, is_anomaly: false },
        Some(numbers) => {
            let unusual = unusual(numbers).await?;
            Watched { unusual: Some(unusual), is_anomaly: unusual > ANOMALY }
        }
    };
    if let Some(unusual) = watched.unusual.filter(|_| watched.is_anomaly) {
        defer(&Anomaly { reading: reading.clone(), unusual, window: window.readings().to_vec() }).await?;
    }
    // Last: a reading that comes again because something failed is looked at again.
    windows.set_json(&reading.sensor, &window)?;
    Ok(Json(watched))
}

/// Asks the model.
async fn unusual(numbers: Vec<f32>) -> Result<f32, Error> {
    let window = Tensor::<f32>::from_shape([1, READINGS], numbers)?;
    let answer = model("usual").run([window.named("window")]).await?;
    let unusual = answer.tensor::<f32>("unusual")?;
    Ok(*unusual.values().first().or_status(502, "the model did not say how unusual it is")?)
}

/// When this returns, the anomaly is on disk. One reading is one anomaly, however often the sensor sends it.
async fn defer(anomaly: &Anomaly) -> Result<(), Error> {
    let Reading { sensor, number, .. } = &anomaly.reading;
    let call = call::upstream("cloud").post("/anomalies").json(anomaly);
    let call = call.deferred().ordering_key(sensor).idempotency_key(&format!("{sensor}-{number}"));
    call.send().await?.deferred()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::model::{ModelError, NamedTensor};
    use rimward_sdk::test::{Host, Reply, post};

    /// The largest number of the window.
    fn largest(inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> {
        let window = inputs[0].tensor::<f32>().unwrap();
        assert_eq!(window.shape(), [1, READINGS]);
        let largest = window.values().iter().copied().fold(0.0, f32::max);
        Ok(vec![Tensor::from_shape([1, 1], vec![largest]).unwrap().named("unusual")])
    }

    fn host() -> Host {
        let cloud = async || ();
        Host::new().model("usual", largest).store("windows").upstream("cloud", cloud).outbox("cloud")
    }

    fn send(host: &Host, number: u64, ppm: f32) -> Reply {
        host.run(watch, post("/readings", format!(r#"{{"sensor":"roof","number":{number},"ppm":{ppm}}}"#)))
    }

    #[test]
    fn only_anomalies_go_to_the_cloud_with_what_was_before_them() {
        let host = host();
        for number in 0..READINGS as u64 - 1 {
            assert_eq!(send(&host, number, 340.0).json::<Watched>().unusual, None);
        }
        let usual = send(&host, READINGS as u64 - 1, 340.0).json::<Watched>();
        assert_eq!(usual, Watched { unusual: Some(0.0), is_anomaly: false });
        assert!(host.waiting("cloud").is_empty());
        let spike = send(&host, READINGS as u64, 346.0).json::<Watched>();
        assert!(spike.is_anomaly && spike.unusual.unwrap() > 1.0, "{spike:?}");
        let waiting = host.waiting("cloud");
        let told: Anomaly = serde_json_from(waiting[0].body());
        assert_eq!((waiting.len(), told.window.len(), told.reading.ppm), (1, READINGS, 346.0));
    }

    fn serde_json_from(body: &[u8]) -> Anomaly {
        Host::new().run(async |Json(anomaly): Json<Anomaly>| Json(anomaly), post("/", body.to_vec())).json()
    }

    #[test]
    fn a_reading_that_comes_again_is_looked_at_again_and_counted_once() {
        let host = host();
        (0..READINGS as u64).for_each(|number| drop(send(&host, number, 340.0)));
        let first = send(&host, READINGS as u64, 346.0).json::<Watched>();
        assert_eq!(send(&host, READINGS as u64, 346.0).json::<Watched>(), first);
        assert_eq!(host.waiting("cloud").len(), 1);
    }

    #[test]
    fn a_reading_that_could_not_be_looked_at_is_not_kept() {
        let host = host();
        (0..READINGS as u64).for_each(|number| drop(send(&host, number, 340.0)));
        let host = host.model("usual", |_| Err(ModelError::Late("nobody answered".into())));
        assert_eq!(send(&host, READINGS as u64, 346.0).status(), 504);
        let host = host.model("usual", largest);
        assert!(send(&host, READINGS as u64, 346.0).json::<Watched>().is_anomaly);
    }

    #[test]
    fn what_is_no_reading_is_the_callers_mistake() {
        let check = |body: &'static str, status: u16| {
            assert_eq!(host().run(watch, post("/readings", body)).status(), status, "{body}");
        };
        check("340.5", 400);
        check(r#"{"sensor":"","number":1,"ppm":340}"#, 422);
        check(r#"{"sensor":"roof","number":1,"ppm":1e39}"#, 422);
        check(r#"{"sensor":"roof","number":1,"ppm":340}"#, 200);
    }
}
