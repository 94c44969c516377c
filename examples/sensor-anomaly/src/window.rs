//! The last readings of one sensor, as the model knows them. `models/train.py` makes windows in the same way.

use serde::{Deserialize, Serialize};

/// Readings of a window: half a year of weekly ones.
pub(crate) const READINGS: usize = 26;
/// What one is of the model's numbers, in parts per million.
const UNIT: f32 = 3.0;

/// The last readings, oldest first, and the number of the last one.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Window {
    last: Option<u64>,
    readings: Vec<f32>,
}

impl Window {
    /// Adds a reading. One that was added before changes nothing; after a gap the window begins anew.
    pub(crate) fn add(&mut self, number: u64, reading: f32) {
        match self.last {
            Some(last) if number <= last => return,
            Some(last) if number > last + 1 => self.readings.clear(),
            _ => {}
        }
        if self.readings.len() == READINGS {
            self.readings.remove(0);
        }
        self.readings.push(reading);
        self.last = Some(number);
    }

    pub(crate) fn readings(&self) -> &[f32] {
        &self.readings
    }

    /// The numbers for the model, once there are enough.
    pub(crate) fn full(&self) -> Option<Vec<f32>> {
        let mean = self.readings.iter().sum::<f32>() / READINGS as f32;
        let numbers = || self.readings.iter().map(|reading| (reading - mean) / UNIT).collect();
        (self.readings.len() == READINGS).then(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(numbers: impl IntoIterator<Item = u64>) -> Window {
        let mut window = Window::default();
        numbers.into_iter().for_each(|number| window.add(number, 300.0 + number as f32));
        window
    }

    #[test]
    fn a_window_is_the_last_readings_about_their_mean() {
        assert_eq!(window(0..25).full(), None);
        let numbers = window(0..40).full().unwrap();
        assert_eq!((numbers.len(), numbers[0], numbers[25]), (26, -12.5 / 3.0, 12.5 / 3.0));
    }

    #[test]
    fn a_reading_that_comes_again_changes_nothing_and_a_gap_begins_anew() {
        assert_eq!(window((0..30).chain([29, 7])), window(0..30));
        assert_eq!(window((0..30).chain([31])).readings(), [331.0]);
    }
}
