//! One metric of a node, as its text format shows it: the sum over all samples with the given labels.

use crate::harness::eventually;
use crate::harness::node::TestNode;

/// A metric that a test looks at.
pub struct Metric<'n> {
    node: &'n TestNode,
    name: String,
    labels: Vec<String>,
}

impl<'n> Metric<'n> {
    pub(crate) fn new(node: &'n TestNode, name: &str, labels: &str) -> Self {
        let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (key, value) = label.split_once('=').expect("labels are `key=value`");
            format!("{key}={value:?}")
        });
        Self { node, name: name.to_owned(), labels: labels.collect() }
    }

    /// Its value now; zero where there is no such sample.
    pub fn value(&self) -> f64 {
        self.node.node().metrics().lines().filter_map(|line| self.sample(line)).sum()
    }

    /// Waits until it has that value: a request is counted when its reply has been sent, which its client may see first.
    pub async fn is(&self, value: f64) {
        let what = format!("`{}` {:?} = {value}, it is {}", self.name, self.labels, self.value());
        eventually(&what, || ((self.value() - value).abs() < f64::EPSILON).then_some(())).await;
    }

    fn sample(&self, line: &str) -> Option<f64> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
        let wanted = name == self.name && self.labels.iter().all(|label| labels.contains(&label.as_str()));
        wanted.then(|| value.parse().expect("a sample is a number"))
    }
}
