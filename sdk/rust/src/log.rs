//! `tracing` events as lines of the function's log. One subscriber per instance, installed before the first request: it
//! formats an event as `message key=value`, after the names of the spans that it is in, and hands it to the host with its
//! level and target. The host decides what is kept; nothing is filtered or held here.

use std::fmt::{self, Write};
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::host;

/// Sends events to the host from now on, unless the function has installed a subscriber of its own.
#[cfg(target_family = "wasm")]
pub(crate) fn install() {
    if !tracing::dispatcher::has_been_set() {
        let _ = tracing::subscriber::set_global_default(Log::default());
    }
}

/// Formats events. One thread runs a function, so that the lock is never waited for.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Spans>);

#[derive(Debug, Default)]
struct Spans {
    /// By id minus one. A closed span leaves a gap for the next one.
    open: Vec<Option<Span>>,
    entered: Vec<u64>,
}

#[derive(Debug)]
struct Span {
    text: String,
    handles: usize,
}

impl Log {
    fn with<T>(&self, work: impl FnOnce(&mut Spans) -> T) -> T {
        work(&mut self.0.lock().expect("no code of others runs under the lock"))
    }
}

impl Subscriber for Log {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        Id::from_u64(self.with(|spans| spans.open(text.0)))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut text = Line(String::new());
        values.record(&mut text);
        self.with(|spans| spans.get(id).text.push_str(&text.0));
    }

    fn record_follows_from(&self, _id: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(self.with(|spans| spans.path()));
        event.record(&mut line);
        let metadata = event.metadata();
        host::log(*metadata.level(), metadata.target(), line.0.trim_start());
    }

    fn enter(&self, id: &Id) {
        self.with(|spans| spans.entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        self.with(|spans| spans.leave(id));
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.with(|spans| spans.get(id).handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.with(|spans| spans.close(&id))
    }
}

impl Spans {
    fn open(&mut self, text: String) -> u64 {
        let span = Some(Span { text, handles: 1 });
        let index = match self.open.iter().position(Option::is_none) {
            Some(gap) => gap,
            None => {
                self.open.push(None);
                self.open.len() - 1
            }
        };
        self.open[index] = span;
        index as u64 + 1
    }

    fn get(&mut self, id: &Id) -> &mut Span {
        self.open[index(id)].as_mut().expect("a span is open while it has an id")
    }

    fn leave(&mut self, id: &Id) {
        if let Some(last) = self.entered.iter().rposition(|entered| *entered == id.into_u64()) {
            self.entered.remove(last);
        }
    }

    fn close(&mut self, id: &Id) -> bool {
        let span = self.get(id);
        span.handles -= 1;
        let is_closed = span.handles == 0;
        if is_closed {
            self.open[index(id)] = None;
        }
        is_closed
    }

    /// The spans that are entered, outermost first, each followed by a colon.
    fn path(&self) -> String {
        let mut path = String::new();
        for id in &self.entered {
            if let Some(span) = self.open.get(*id as usize - 1).and_then(Option::as_ref) {
                path.push(' ');
                path.push_str(&span.text);
                path.push(':');
            }
        }
        path
    }
}

fn index(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

/// The fields of an event or of a span, as text.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string fails only if the value's own formatting does, and then its text ends there.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::test::{Host, get};
    use tracing::{Instrument, info, info_span, warn};

    #[test]
    fn an_event_is_a_line_with_its_fields_and_spans() {
        let host = Host::new();
        let logs = async || {
            info!(items = 3, name = "Ada", "an order");
            async {
                warn!("low on {}", "tea");
            }
            .instrument(info_span!("stock", shelf = 7))
            .await;
            info!("done");
        };
        host.run(logs, get("/"));
        let lines = [r#"INFO an order items=3 name="Ada""#, "WARN stock shelf=7: low on tea", "INFO done"];
        assert_eq!(host.log(), lines);
    }

    #[test]
    fn a_closed_span_leaves_nothing_behind() {
        let host = Host::new();
        host.within(|| {
            for _ in 0..3 {
                let outer = info_span!("outer", id = tracing::field::Empty).entered();
                outer.record("id", 5);
                let _inner = info_span!("inner").entered();
                info!("deep");
            }
        });
        assert_eq!(host.log(), ["INFO outer id=5: inner: deep"; 3]);
    }
}
