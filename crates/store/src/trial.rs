//! A file that the engine can open without a byte of it being changed: what the engine writes stays here.

use std::io;
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;

use crate::disk::Disk;

/// Reads from the disk, and keeps the writes, which are few: those of an engine that opens a file and closes it again.
#[derive(Debug)]
pub(crate) struct Trial {
    disk: Disk,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    len: u64,
    /// How many bytes of the disk still show: fewer than it has once the file was cut here.
    of_disk: u64,
    /// In their order: a later one lies over an earlier one.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Trial {
    pub(crate) fn of(disk: &Disk) -> io::Result<Trial> {
        let len = disk.len()?;
        Ok(Trial { disk: disk.clone(), kept: Mutex::new(Kept { len, of_disk: len, writes: Vec::new() }) })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|kept| kept.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|kept| {
            if end(offset, out)? > kept.len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let shown = usize::try_from(kept.of_disk.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
            let (of_disk, grown) = out.split_at_mut(shown);
            self.disk.read(offset, of_disk)?;
            grown.fill(0);
            for (at, bytes) in &kept.writes {
                lay(bytes, *at, out, offset);
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|kept| {
            kept.len = len;
            kept.of_disk = kept.of_disk.min(len);
            for (at, bytes) in &mut kept.writes {
                bytes.truncate(usize::try_from(len.saturating_sub(*at)).unwrap_or(usize::MAX));
            }
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|kept| {
            kept.len = kept.len.max(end(offset, bytes)?);
            kept.writes.push((offset, bytes.to_vec()));
            Ok(())
        })
    }
}

fn end(offset: u64, bytes: &[u8]) -> io::Result<u64> {
    let len = u64::try_from(bytes.len()).map_err(io::Error::other)?;
    offset.checked_add(len).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Lays `bytes`, which start at `at`, over `out`, which starts at `offset`.
fn lay(bytes: &[u8], at: u64, out: &mut [u8], offset: u64) {
    // One of the two is zero: how far the one starts behind the other.
    let into = usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
    let from = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
    let over = out.get_mut(into..).unwrap_or_default();
    let under = bytes.get(from..).unwrap_or_default();
    over.iter_mut().zip(under).for_each(|(over, under)| *over = *under);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Read(u64, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_u64, prop::collection::vec(1..=255_u8, 0..12)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (0..48_u64).prop_map(Step::SetLen),
            (0..48_u64, 0..24_usize).prop_map(|(at, len)| Step::Read(at, len)),
        ]
    }

    fn index(offset: u64) -> usize {
        usize::try_from(offset).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn trial_reads_as_a_file_would_that_was_written_to(steps in prop::collection::vec(step(), 0..24)) {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("file");
            let mut model: Vec<u8> = (1..=32).collect();
            std::fs::write(&path, &model).unwrap();
            let disk = Disk::open(&path).unwrap().unwrap();
            let trial = Trial::of(&disk).unwrap();
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        trial.write(at, &bytes).unwrap();
                        let end = index(at) + bytes.len();
                        model.resize(model.len().max(end), 0);
                        model[index(at)..end].copy_from_slice(&bytes);
                    }
                    Step::SetLen(len) => {
                        trial.set_len(len).unwrap();
                        model.resize(index(len), 0);
                    }
                    Step::Read(at, len) => {
                        let mut out = vec![0xee; len];
                        let read = trial.read(at, &mut out);
                        match model.get(index(at)..index(at) + len) {
                            Some(bytes) => prop_assert!(read.is_ok() && out == bytes),
                            None => prop_assert!(read.is_err()),
                        }
                    }
                }
                prop_assert_eq!(index(trial.len().unwrap()), model.len());
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), (1..=32).collect::<Vec<u8>>());
        }
    }
}
