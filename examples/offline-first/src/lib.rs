//! A gateway for sensors that goes on without its link. Each reading is written to the outbox of the upstream `cloud` and
//! acknowledged; the node delivers it when the cloud can be reached, the readings of one sensor in order. The latest
//! reading of each sensor is kept in a store, so that what runs here has it without the cloud.

use rimward_sdk::call::{self, Deferred};
use rimward_sdk::keyvalue::Store;
use rimward_sdk::{Error, IntoResponse, Json, Method, OrStatus, Request, Response, Result, StatusCode};
use serde::{Deserialize, Serialize};

/// What a sensor sends. It counts its readings, and sends one again that it had no answer to.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Reading {
    sensor: String,
    number: u64,
    /// Seconds since 1970.
    at: u64,
    celsius: f64,
}

/// That a reading is on disk, and what to ask for it by.
#[derive(Debug, Deserialize, Serialize)]
struct Receipt {
    id: String,
}

/// Takes readings, and says what became of one and which was the last.
#[rimward_sdk::function]
async fn gateway(request: Request) -> Result<Response> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.split('/').collect::<Vec<_>>().as_slice()) {
        (&Method::POST, ["", "readings"]) => {
            let reading = request.into_body().read_json().await?;
            Ok((StatusCode::ACCEPTED, Json(take(&reading).await?)).into_response())
        }
        (&Method::GET, ["", "readings", id]) => Ok(state(id).await?.into_response()),
        (&Method::GET, ["", "latest", sensor]) => Ok(Json(latest(sensor)?).into_response()),
        _ => Err(Error::status(404, "there are /readings, /readings/ID and /latest/SENSOR")),
    }
}

/// When this returns, the reading is on disk. One that the sensor sends twice is kept once: it has the same key.
async fn take(reading: &Reading) -> Result<Receipt> {
    let key = format!("{}-{}", reading.sensor, reading.number);
    let call = call::upstream("cloud").post("/readings").json(reading);
    let call = call.deferred().ordering_key(&reading.sensor).idempotency_key(&key);
    let deferred = call.send().await?.deferred()?;
    let latest = Store::open("latest")?;
    // A reading that comes late does not take the place of a newer one.
    if latest.get_json::<Reading>(&reading.sensor)?.is_none_or(|known| known.number <= reading.number) {
        latest.set_json(&reading.sensor, reading)?;
    }
    Ok(Receipt { id: deferred.id().to_owned() })
}

async fn state(id: &str) -> Result<String> {
    let status = Deferred::from_id(id).status().await?.or_status(404, "no such reading, or not any more")?;
    Ok(format!("{:?}\n", status.state).to_lowercase())
}

fn latest(sensor: &str) -> Result<Reading> {
    Store::open("latest")?.get_json(sensor)?.or_status(404, "nothing of this sensor yet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_sdk::test::{Host, get, post};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    const SENSORS: [&str; 3] = ["roof", "cellar", "yard"];
    /// An hour of readings, one every ten seconds.
    const HOUR: u64 = 360;

    fn reading(sensor: &str, number: u64) -> Reading {
        Reading { sensor: sensor.into(), number, at: 1_790_000_000 + 10 * number, celsius: 21.5 }
    }

    fn json(reading: &Reading) -> String {
        let Reading { sensor, number, at, celsius } = reading;
        format!(r#"{{"sensor": "{sensor}", "number": {number}, "at": {at}, "celsius": {celsius}}}"#)
    }

    fn send(host: &Host, reading: &Reading) -> String {
        let reply = host.run(gateway, post("/readings", json(reading)));
        assert_eq!(reply.status(), 202, "{}", reply.text());
        reply.json::<Receipt>().id
    }

    #[derive(Default)]
    struct Cloud {
        is_there: Cell<bool>,
        got: RefCell<Vec<Reading>>,
    }

    /// A gateway, and its cloud, which is not there yet.
    fn gateway_and_cloud() -> (Host, Rc<Cloud>) {
        let cloud = Rc::<Cloud>::default();
        let far = cloud.clone();
        let answers = move |Json(reading): Json<Reading>| {
            let far = far.clone();
            async move {
                if !far.is_there.get() {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                far.got.borrow_mut().push(reading);
                StatusCode::CREATED
            }
        };
        (Host::new().store("latest").upstream("cloud", answers).outbox("cloud"), cloud)
    }

    #[test]
    fn an_hour_without_link_is_delivered_whole_once_and_in_order() {
        let (host, cloud) = gateway_and_cloud();
        let mut ids = Vec::new();
        for number in 0..HOUR {
            for sensor in SENSORS {
                ids.push(send(&host, &reading(sensor, number)));
            }
            assert_eq!(host.deliver(), 0, "the link is down");
        }
        assert_eq!(host.run(gateway, get(&format!("/readings/{}", ids[0]))).text(), "waiting\n");
        assert_eq!(host.run(gateway, get("/latest/roof")).json::<Reading>(), reading("roof", HOUR - 1));
        cloud.is_there.set(true);
        assert_eq!(host.deliver(), ids.len());
        for sensor in SENSORS {
            let numbers: Vec<u64> = cloud
                .got
                .borrow()
                .iter()
                .filter(|reading| reading.sensor == sensor)
                .map(|it| it.number)
                .collect();
            assert_eq!(numbers, (0..HOUR).collect::<Vec<_>>(), "{sensor}");
        }
        assert_eq!(host.run(gateway, get(&format!("/readings/{}", ids[0]))).text(), "delivered\n");
        assert_eq!(host.deliver(), 0, "nothing is left");
    }

    #[test]
    fn a_reading_that_a_sensor_sends_twice_is_delivered_once() {
        let (host, cloud) = gateway_and_cloud();
        assert_eq!(send(&host, &reading("roof", 7)), send(&host, &reading("roof", 7)));
        cloud.is_there.set(true);
        assert_eq!(host.deliver(), 1);
        assert_eq!(cloud.got.borrow().len(), 1);
    }

    #[test]
    fn a_reading_that_comes_late_does_not_take_the_place_of_a_newer_one() {
        let (host, _) = gateway_and_cloud();
        send(&host, &reading("roof", 2));
        send(&host, &reading("roof", 1));
        assert_eq!(host.run(gateway, get("/latest/roof")).json::<Reading>().number, 2);
    }

    #[test]
    fn what_is_no_reading_is_the_callers_mistake() {
        let (host, _) = gateway_and_cloud();
        assert_eq!(host.run(gateway, post("/readings", "21.5")).status(), 400);
        assert_eq!(host.run(gateway, get("/latest/attic")).status(), 404);
        assert_eq!(host.run(gateway, get("/readings/00000000-9")).status(), 404);
        assert_eq!(host.run(gateway, get("/else")).status(), 404);
        assert!(host.waiting("cloud").is_empty());
    }

    #[test]
    fn a_reading_that_cannot_be_written_down_is_not_acknowledged() {
        let full = || call::CallError::NotAccepted("the outbox is full".into());
        let host = Host::new().store("latest").failing_upstream("cloud", full);
        assert_eq!(host.run(gateway, post("/readings", json(&reading("roof", 1)))).status(), 503);
        assert_eq!(host.run(gateway, get("/latest/roof")).status(), 404);
    }
}
