//! How often and after how long a failed request is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::problem::Problem;

/// Tries after the first one.
const RETRIES: usize = 4;

/// The pause before the second try; it doubles from try to try, and up to as much again is added at random.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// The longest pause, also when the registry asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pauses between the tries of one piece of work.
pub(super) struct Retries {
    pauses: ExponentialBackoff,
}

impl Retries {
    pub fn new() -> Retries {
        let policy = ExponentialBuilder::default()
            .with_factor(2.0)
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(RETRIES)
            .with_jitter();
        Retries { pauses: policy.build() }
    }

    /// Waits before the next try, or gives the problem back when there should be none.
    ///
    /// A problem after which some progress was made begins the count anew: a download of gigabytes may break often.
    pub async fn pause(&mut self, problem: Problem) -> Result<(), Problem> {
        if matches!(problem, Problem::Interrupted { .. }) {
            *self = Retries::new();
        }
        match self.next_pause(&problem) {
            Some(pause) => {
                tracing::debug!(reason = problem.describe(), ?pause, "trying again");
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
        Some(problem.retry_after().unwrap_or_default().min(LONGEST_PAUSE).max(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Answer;
    use super::*;

    fn busy(retry_after: Option<u64>) -> Problem {
        Problem::Answer(Answer { status: 429, retry_after: retry_after.map(Duration::from_secs), ..Answer::default() })
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut retries = Retries::new();
        let pauses: Vec<Duration> = std::iter::from_fn(|| retries.next_pause(&busy(None))).collect();
        assert_eq!(pauses.len(), RETRIES);
        assert!(pauses[0] >= FIRST_PAUSE && pauses[3] >= 8 * FIRST_PAUSE && pauses[3] < LONGEST_PAUSE);
    }

    #[test]
    fn the_registry_may_ask_for_a_longer_pause_but_not_for_any() {
        assert_eq!(Retries::new().next_pause(&busy(Some(20))), Some(Duration::from_secs(20)));
        assert_eq!(Retries::new().next_pause(&busy(Some(86_400))), Some(LONGEST_PAUSE));
        assert_eq!(Retries::new().next_pause(&Problem::TooLarge { limit: 1 }), None);
    }
}
