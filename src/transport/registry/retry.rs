//! How often and after how long a failed request is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::options::Limits;
use super::problem::Problem;

/// So many new bytes are progress, after which a download that breaks begins to count its tries anew. Servers that cut
/// off slow readers do so after megabytes (microsoft/containerregistry#196).
pub(super) const PROGRESS: u64 = 256 << 10;

/// Tries after the first one.
const RETRIES: usize = 4;

/// Tries after the first one where another server can be asked instead.
const RETRIES_OF_MIRRORS: usize = 1;

/// A pause that people should know of.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between the tries of one piece of work.
pub(super) struct Retries {
    limits: Limits,
    retries: usize,
    pauses: ExponentialBackoff,
    attempt: usize,
}

impl Retries {
    /// For the only server that has something.
    pub fn new(limits: Limits) -> Retries {
        Retries::begin(limits, RETRIES, 1)
    }

    /// For a server that others stand behind.
    pub fn of_mirror(limits: Limits) -> Retries {
        Retries::begin(limits, RETRIES_OF_MIRRORS, 1)
    }

    fn begin(limits: Limits, retries: usize, attempt: usize) -> Retries {
        let policy = ExponentialBuilder::default()
            .with_factor(2.0)
            .with_min_delay(limits.first_pause)
            .with_max_delay(limits.longest_pause)
            .with_max_times(retries)
            .with_jitter();
        Retries { limits, retries, pauses: policy.build(), attempt }
    }

    /// The number of the present try, from 1.
    pub fn attempt(&self) -> usize {
        self.attempt
    }

    /// Begins the count anew, after some progress was made: a download of gigabytes may break often.
    pub fn restart(&mut self) {
        *self = Retries::begin(self.limits, self.retries, self.attempt);
    }

    /// Waits before the next try, or gives the problem back when there should be none.
    pub async fn pause(&mut self, problem: Problem) -> Result<(), Problem> {
        match self.next_pause(&problem) {
            Some(pause) => {
                let (reason, attempt) = (problem.describe(), self.attempt);
                match problem.retry_after().filter(|_| pause >= LONG_PAUSE) {
                    Some(wanted) => tracing::warn!(
                        reason,
                        attempt,
                        asked_seconds = wanted.as_secs(),
                        waiting_seconds = pause.as_secs(),
                        "the registry asks to wait"
                    ),
                    None => tracing::info!(reason, attempt, ?pause, "trying again"),
                }
                self.attempt += 1;
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(problem),
        }
    }

    fn next_pause(&mut self, problem: &Problem) -> Option<Duration> {
        if !problem.is_transient() {
            return None;
        }
        let pause = self.pauses.next()?;
        Some(problem.retry_after().unwrap_or_default().min(self.limits.longest_pause).max(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Answer;
    use super::*;

    const LIMITS: fn() -> Limits = Limits::default;

    fn busy(retry_after: Option<u64>) -> Problem {
        Problem::Answer(Answer { status: 429, retry_after: retry_after.map(Duration::from_secs), ..Answer::default() })
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut retries = Retries::new(LIMITS());
        let pauses: Vec<Duration> = std::iter::from_fn(|| retries.next_pause(&busy(None))).collect();
        assert_eq!(pauses.len(), RETRIES);
        let first = LIMITS().first_pause;
        assert!(pauses[0] >= first && pauses[3] >= 8 * first && pauses[3] < LIMITS().longest_pause);
        retries.restart();
        assert!(retries.next_pause(&busy(None)).is_some());
        let mut retries = Retries::of_mirror(LIMITS());
        assert_eq!(std::iter::from_fn(|| retries.next_pause(&busy(None))).count(), RETRIES_OF_MIRRORS);
    }

    #[test]
    fn the_registry_may_ask_for_a_longer_pause_but_not_for_any() {
        let next = |problem: &Problem| Retries::new(LIMITS()).next_pause(problem);
        assert_eq!(next(&busy(Some(20))), Some(Duration::from_secs(20)));
        assert_eq!(next(&busy(Some(86_400))), Some(LIMITS().longest_pause));
        assert_eq!(next(&Problem::TooLarge { limit: 1 }), None);
    }
}
