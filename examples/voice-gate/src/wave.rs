//! Recordings as WAV: 16 kHz, one channel, 16 bits, as the model hears them. Others are refused and not converted.

use std::io::Cursor;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

/// Samples of a second.
pub(crate) const RATE: u32 = 16_000;
const SPEC: WavSpec =
    WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };

/// Why a recording cannot be heard.
#[derive(Debug, Error)]
pub(crate) enum WaveError {
    #[error("this is no WAV: {0}")]
    Wave(#[from] hound::Error),
    #[error("it has {0} channels of {1} bits at {2} Hz, and one of 16 bits at {RATE} Hz is heard")]
    Kind(u16, u16, u32),
}

/// The samples of a WAV file.
pub(crate) fn read(file: &[u8]) -> Result<Vec<i16>, WaveError> {
    let reader = WavReader::new(file)?;
    let spec = reader.spec();
    if spec != SPEC {
        return Err(WaveError::Kind(spec.channels, spec.bits_per_sample, spec.sample_rate));
    }
    Ok(reader.into_samples().collect::<Result<_, _>>()?)
}

/// A WAV file of these samples.
pub(crate) fn write(samples: &[i16]) -> Result<Vec<u8>, WaveError> {
    let mut file = Cursor::new(Vec::with_capacity(samples.len() * 2 + 44));
    let mut writer = WavWriter::new(&mut file, SPEC)?;
    for sample in samples {
        writer.write_sample(*sample)?;
    }
    writer.finalize()?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        assert_eq!(read(&write(&samples).unwrap()).unwrap(), samples);
        assert!(read(&write(&[]).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn another_kind_of_recording_is_named() {
        let mut file = Cursor::new(Vec::new());
        let spec = WavSpec { channels: 2, sample_rate: 44_100, ..SPEC };
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        (0..4).for_each(|_| writer.write_sample(0_i16).unwrap());
        writer.finalize().unwrap();
        let wrong = read(&file.into_inner()).unwrap_err().to_string();
        assert_eq!(
            wrong,
            "it has 2 channels of 16 bits at 44100 Hz, and one of 16 bits at 16000 Hz is heard"
        );
    }

    #[test]
    fn a_recording_that_is_cut_off_is_refused() {
        let file = write(&[7; 100]).unwrap();
        for length in [0, 3, 20, 43, file.len() - 1] {
            assert!(read(&file[..length]).is_err(), "{length}");
        }
    }
}
