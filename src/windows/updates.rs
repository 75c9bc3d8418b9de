//! Updates of Windows: which knowledge base article brought a revision, and when.

use jiff::civil::{Weekday, date};

/// An update that raised the revision of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// The build.
    pub build: u32,
    /// The revision that a build has with it.
    pub revision: u32,
    /// Microsoft's article about it, such as `KB5078752`.
    pub article: &'static str,
    year: i16,
    month: i8,
    release: Release,
}

/// Why an update came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// Every month, on the second Tuesday.
    Monthly,
    /// In between.
    OutOfBand,
}

use Release::{Monthly, OutOfBand};

/// The known updates of build 17763, the oldest first: Microsoft, "Windows 10 and Windows Server 2019 update history"
/// (<https://support.microsoft.com/help/4464619>).
static UPDATES: &[Update] = &[
    update(17763, 5936, "KB5039217", 2024, 6, Monthly),
    update(17763, 6054, "KB5040430", 2024, 7, Monthly),
    update(17763, 6189, "KB5041578", 2024, 8, Monthly),
    update(17763, 6293, "KB5043050", 2024, 9, Monthly),
    update(17763, 6414, "KB5044277", 2024, 10, Monthly),
    update(17763, 6532, "KB5046615", 2024, 11, Monthly),
    update(17763, 6659, "KB5048661", 2024, 12, Monthly),
    update(17763, 6775, "KB5050008", 2025, 1, Monthly),
    update(17763, 6893, "KB5052000", 2025, 2, Monthly),
    update(17763, 7009, "KB5053596", 2025, 3, Monthly),
    update(17763, 7136, "KB5055519", 2025, 4, Monthly),
    update(17763, 7240, "KB5058922", 2025, 4, OutOfBand),
    update(17763, 7249, "KB5059091", 2025, 4, OutOfBand),
    update(17763, 7314, "KB5058392", 2025, 5, Monthly),
    update(17763, 7322, "KB5061978", 2025, 5, OutOfBand),
    update(17763, 7434, "KB5060531", 2025, 6, Monthly),
    update(17763, 7558, "KB5062557", 2025, 7, Monthly),
    update(17763, 7678, "KB5063877", 2025, 8, Monthly),
    update(17763, 7683, "KB5066187", 2025, 8, OutOfBand),
    update(17763, 7792, "KB5065428", 2025, 9, Monthly),
    update(17763, 7919, "KB5066586", 2025, 10, Monthly),
    update(17763, 7922, "KB5070883", 2025, 10, OutOfBand),
    update(17763, 8027, "KB5068791", 2025, 11, Monthly),
    update(17763, 8146, "KB5071544", 2025, 12, Monthly),
    update(17763, 8148, "KB5074975", 2025, 12, OutOfBand),
    update(17763, 8276, "KB5073723", 2026, 1, Monthly),
    update(17763, 8280, "KB5077795", 2026, 1, OutOfBand),
    update(17763, 8281, "KB5078131", 2026, 1, OutOfBand),
    update(17763, 8389, "KB5075904", 2026, 2, Monthly),
    update(17763, 8511, "KB5078752", 2026, 3, Monthly),
];

const fn update(build: u32, revision: u32, article: &'static str, year: i16, month: i8, release: Release) -> Update {
    Update { build, revision, article, year, month, release }
}

/// The update that brought a revision, if it is known.
pub fn find(build: u32, revision: u32) -> Option<&'static Update> {
    UPDATES.iter().find(|update| (update.build, update.revision) == (build, revision))
}

impl Update {
    /// When it came: `2026-03-10` for a monthly one, which comes on the second Tuesday, and `2025-10` for another one, whose day
    /// is not known here.
    pub fn released(&self) -> String {
        let month = format!("{}-{:02}", self.year, self.month);
        let tuesday = date(self.year, self.month, 1).nth_weekday_of_month(2, Weekday::Tuesday);
        match (self.release, tuesday) {
            (Monthly, Ok(day)) => day.to_string(),
            _ => month,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_listed_once_and_in_order() {
        let key = |update: &Update| (update.build, update.revision);
        assert!(UPDATES.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
        assert!(UPDATES.windows(2).all(|pair| (pair[0].year, pair[0].month) <= (pair[1].year, pair[1].month)));
    }

    #[test]
    fn an_update_is_found_with_its_day_or_month() {
        for (revision, article, released) in
            [(7919, "KB5066586", "2025-10-14"), (7922, "KB5070883", "2025-10"), (8511, "KB5078752", "2026-03-10")]
        {
            let update = find(17763, revision).unwrap();
            assert_eq!((update.article, update.released().as_str()), (article, released));
        }
        assert_eq!(find(17763, 1), None);
        assert_eq!(find(20348, 7919), None);
    }
}
