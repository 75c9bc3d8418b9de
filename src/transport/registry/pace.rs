//! How fast the bytes of a transfer have to come. A connection that only drips is as good as broken, and the next one may be
//! better.

use std::time::{Duration, Instant};

use super::options::Limits;
use super::problem::Problem;

/// Watches the rate of a transfer: each window has to bring its share.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    /// Bytes in a second.
    least: u64,
    begun: Instant,
    /// What came in this window.
    bytes: u64,
}

impl Pace {
    /// Begins at this time.
    pub fn new(limits: &Limits, now: Instant) -> Pace {
        Pace { window: limits.slow, least: limits.least_rate, begun: now, bytes: 0 }
    }

    /// When the rate is judged next.
    pub fn deadline(&self) -> Instant {
        self.begun + self.window
    }

    /// Counts bytes that came at this time. Fails if a window is over that brought too few.
    pub fn count(&mut self, bytes: u64, now: Instant) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes);
        if now < self.deadline() {
            return Ok(());
        }
        // At least the window, and longer if nobody has looked since.
        let milliseconds = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        let share = self.least.saturating_mul(milliseconds) / 1000;
        if self.bytes < share {
            let (bytes, seconds) = (self.bytes, now.duration_since(self.begun).as_secs_f32());
            let reason = format!("only {bytes} bytes passed in {seconds:.1} seconds");
            return Err(Problem::Network { reason, transient: true });
        }
        (self.begun, self.bytes) = (now, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_has_to_bring_its_share() {
        let limits = Limits { slow: Duration::from_secs(60), least_rate: 1000, ..Limits::default() };
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        // When so many bytes come, and whether that is the end.
        let cases: [(&[(u64, u64)], bool); 8] = [
            (&[(59, 0)], true),
            (&[(60, 0)], false),
            (&[(10, 59_999), (60, 0)], false),
            (&[(10, 60_000), (60, 0)], true),
            (&[(60, 60_000)], true),
            (&[(30, 1_000_000), (60, 0), (119, 0)], true),
            // What came in one window is not saved for the next.
            (&[(30, 1_000_000), (60, 0), (120, 59_999)], false),
            // Nobody has looked for a long time.
            (&[(600, 60_000)], false),
        ];
        for (events, fine) in cases {
            let mut pace = Pace::new(&limits, begin);
            let results: Vec<bool> =
                events.iter().map(|(second, bytes)| pace.count(*bytes, at(*second)).is_ok()).collect();
            assert!(results[..results.len() - 1].iter().all(|result| *result), "{events:?}");
            assert_eq!(*results.last().unwrap(), fine, "{events:?}");
        }
    }
}
