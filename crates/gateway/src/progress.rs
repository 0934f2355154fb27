//! How far a request has come: what may be said of a refusal depends on it.

use std::sync::atomic::{AtomicU8, Ordering};

/// A step of a request. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing was sent to anybody.
    Before,
    /// The decision is recorded and it is sent on: it may have an effect.
    Begun,
    /// The client has heard something.
    Spoken,
}

/// The step that a request has reached.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    /// It has come so far.
    pub(crate) fn reach(&self, stage: Stage) {
        self.0.fetch_max(number(stage), Ordering::Relaxed);
    }

    /// How far it has come.
    pub(crate) fn stage(&self) -> Stage {
        let reached = self.0.load(Ordering::Relaxed);
        let stages = [Stage::Spoken, Stage::Begun];
        stages.into_iter().find(|stage| number(*stage) <= reached).unwrap_or(Stage::Before)
    }
}

fn number(stage: Stage) -> u8 {
    match stage {
        Stage::Before => 0,
        Stage::Begun => 1,
        Stage::Spoken => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_on_and_never_back() {
        let progress = Progress::default();
        assert_eq!(progress.stage(), Stage::Before);
        for (reached, expected) in [
            (Stage::Begun, Stage::Begun),
            (Stage::Before, Stage::Begun),
            (Stage::Spoken, Stage::Spoken),
            (Stage::Begun, Stage::Spoken),
        ] {
            progress.reach(reached);
            assert_eq!(progress.stage(), expected);
        }
    }
}
