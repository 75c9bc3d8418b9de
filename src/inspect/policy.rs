//! Conditions on the size of an image that make a run fail: `compressed > 1.6GB`, `growth > 5%`.

use std::fmt;

use super::Sizes;
use crate::bytes;

/// A condition that must not be met.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    measure: Measure,
    comparison: Comparison,
    limit: Limit,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Bytes of the compressed layers.
    Compressed,
    /// Bytes of file data.
    Unpacked,
    /// Names of files.
    Files,
    /// Bytes of file data that no container sees, or their share of all file data.
    Dead,
    /// How many compressed bytes there are more than in another image, or how many in a hundred of that one's.
    Growth,
    /// The share of the file data that containers see, from 0 to 1: `lowestEfficiency` of dive.
    Efficiency,
    /// Dead bytes as a share of the file data of the layers above the base, from 0 to 1: `highestUserWastedPercent` of
    /// dive.
    UserWasted,
}

/// Every measure, with its name.
const MEASURES: [(&str, Measure); 7] = [
    ("compressed", Measure::Compressed),
    ("unpacked", Measure::Unpacked),
    ("files", Measure::Files),
    ("dead", Measure::Dead),
    ("growth", Measure::Growth),
    ("efficiency", Measure::Efficiency),
    ("user-wasted", Measure::UserWasted),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The longer signs first: each is looked for in this order.
const COMPARISONS: [(&str, Comparison); 4] =
    [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    /// Bytes, files, or a share from 0 to 1.
    Number(f64),
    /// Parts of a hundred.
    Percent(f64),
}

/// A condition that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition `{text}` {problem}; write it as in `compressed > 1.6GB` or `dead > 5%`")]
pub struct ConditionError {
    text: String,
    problem: String,
}

/// What conditions are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The sizes of the image.
    pub totals: Sizes,
    /// Bytes of file data in the layers above the base.
    pub unpacked_above_base: u64,
    /// Compressed size of the image to compare with, if there is one.
    pub compressed_before: Option<u64>,
}

/// What became of a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it is met, so that the run fails.
    pub failed: bool,
    /// The value that was compared.
    pub value: Value,
}

/// A value with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Bytes; growth may be below zero.
    Bytes(f64),
    /// A number of things.
    Count(f64),
    /// A share, from 0 to 1.
    Share(f64),
    /// Parts of a hundred.
    Percent(f64),
}

impl Condition {
    /// Reads a condition: a measure, a comparison, and a number with a unit.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        let fail = |problem: String| ConditionError { text: text.to_owned(), problem };
        let (at, sign, comparison) = COMPARISONS
            .iter()
            .filter_map(|&(sign, comparison)| Some((text.find(sign)?, sign, comparison)))
            .min_by_key(|&(at, sign, _)| (at, std::cmp::Reverse(sign.len())))
            .ok_or_else(|| fail("has no `>`, `>=`, `<` or `<=`".to_owned()))?;
        let name = text[..at].trim();
        let measure = MEASURES.iter().find(|(known, _)| *known == name).map(|(_, measure)| *measure);
        let measure = measure.ok_or_else(|| {
            let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
            fail(format!("is not about any of {}", names.join(", ")))
        })?;
        let limit = Limit::parse(&text[at + sign.len()..], measure).map_err(fail)?;
        Ok(Condition { text: text.trim().to_owned(), measure, comparison, limit })
    }

    /// What is compared.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Looks whether the condition is met. Growth over no other image is none.
    pub fn judge(&self, facts: &Facts) -> Verdict {
        let totals = &facts.totals;
        let before = facts.compressed_before.unwrap_or(totals.compressed);
        let growth = totals.compressed as f64 - before as f64;
        let (value, whole) = match self.measure {
            Measure::Compressed => (totals.compressed as f64, totals.compressed),
            Measure::Unpacked => (totals.unpacked as f64, totals.unpacked),
            Measure::Files => (totals.files as f64, totals.files),
            Measure::Dead => (totals.dead as f64, totals.unpacked),
            Measure::Growth => (growth, before),
            Measure::Efficiency => (1.0 - share(totals.dead, totals.unpacked), 1),
            Measure::UserWasted => (share(totals.dead, facts.unpacked_above_base), 1),
        };
        let (value, limit) = match self.limit {
            Limit::Number(limit) => (value, limit),
            Limit::Percent(limit) if whole == 0 => (0.0, limit),
            Limit::Percent(limit) => (value * 100.0 / whole as f64, limit),
        };
        let failed = match self.comparison {
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
        };
        let value = match (self.limit, self.measure) {
            (Limit::Percent(_), _) => Value::Percent(value),
            (_, Measure::Files) => Value::Count(value),
            (_, Measure::Efficiency | Measure::UserWasted) => Value::Share(value),
            _ => Value::Bytes(value),
        };
        Verdict { failed, value }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        Condition::parse(text)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Limit {
    fn parse(text: &str, measure: Measure) -> Result<Limit, String> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let number: f64 = number.parse().map_err(|_| "has no number behind the comparison".to_owned())?;
        let is_bytes = matches!(measure, Measure::Compressed | Measure::Unpacked | Measure::Dead | Measure::Growth);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" => 1.0,
            "%" if matches!(measure, Measure::Dead | Measure::Growth | Measure::UserWasted | Measure::Efficiency) => {
                return Ok(Limit::Percent(number));
            }
            _ => bytes::unit(unit)
                .filter(|_| is_bytes)
                .map(|bytes| bytes as f64)
                .ok_or_else(|| format!("has the unit `{unit}`, which does not fit"))?,
        };
        Ok(Limit::Number(number * factor))
    }
}

/// Reads the rules of a `.dive-ci` file: `lowestEfficiency`, `highestWastedBytes` and `highestUserWastedPercent`
/// (<https://github.com/wagoodman/dive>, "CI Integration"). Rules that are `disabled` are left out.
///
/// What dive calls wasted are bytes of files that come again or are deleted above; here these are the dead bytes.
///
/// # Errors
/// When a rule has a name or a value that is not known.
pub fn dive_rules(text: &str) -> Result<Vec<Condition>, ConditionError> {
    let mut conditions = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((key, value)) = line.split_once(':') else { continue };
        let key = key.trim().trim_matches(['"', '\'']);
        let value = value.trim().trim_matches(['"', '\'']);
        if value.is_empty() || value == "disabled" {
            continue;
        }
        let measure = match key {
            "lowestEfficiency" => "efficiency <",
            "highestWastedBytes" => "dead >",
            "highestUserWastedPercent" => "user-wasted >",
            _ => {
                let problem = "is no rule of dive that winslim knows".to_owned();
                return Err(ConditionError { text: line.to_owned(), problem });
            }
        };
        conditions.push(Condition::parse(&format!("{measure} {value}"))?);
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let totals =
            Sizes { files: 10, unpacked: 4_000_000, compressed: 2_000_000, dead: 1_000_000, dead_compressed: 7 };
        Facts { totals, unpacked_above_base: 2_000_000, compressed_before: Some(1_600_000) }
    }

    #[test]
    fn conditions_hold_or_not() {
        use Value::{Bytes, Count, Percent, Share};
        for (text, failed, value) in [
            ("compressed > 2MB", false, Bytes(2e6)),
            ("compressed >= 2 MB", true, Bytes(2e6)),
            ("compressed>1.9mb", true, Bytes(2e6)),
            ("compressed < 2MiB", true, Bytes(2e6)),
            ("unpacked <= 4000000", true, Bytes(4e6)),
            ("files > 9", true, Count(10.0)),
            ("dead > 25%", false, Percent(25.0)),
            ("dead > 24.9 %", true, Percent(25.0)),
            ("dead > 1kB", true, Bytes(1e6)),
            ("growth > 25%", false, Percent(25.0)),
            ("growth >= 400kB", true, Bytes(4e5)),
            ("efficiency < 0.9", true, Share(0.75)),
            ("user-wasted > 0.5", false, Share(0.5)),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(condition.judge(&facts()), Verdict { failed, value }, "{text}");
        }
    }

    #[test]
    fn an_image_may_shrink_and_may_be_empty() {
        let growth = Condition::parse("growth > 0").unwrap();
        let smaller = Facts { compressed_before: Some(3_000_000), ..facts() };
        assert_eq!(growth.judge(&smaller), Verdict { failed: false, value: Value::Bytes(-1e6) });
        for (_, measure) in MEASURES {
            for limit in [Limit::Number(0.0), Limit::Percent(0.0)] {
                let condition = Condition { text: String::new(), measure, comparison: Comparison::Above, limit };
                let verdict = condition.judge(&Facts::default());
                let (Value::Bytes(value) | Value::Count(value) | Value::Share(value) | Value::Percent(value)) =
                    verdict.value;
                assert!(value.is_finite());
            }
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, problem) in [
            ("", "has no `>`"),
            ("compressed", "has no `>`"),
            ("size > 1", "is not about any of compressed, unpacked"),
            ("compressed > ", "has no number"),
            ("compressed > x", "has no number"),
            ("compressed > 1.2.3", "has no number"),
            ("compressed > -1", "has no number"),
            ("compressed > 5%", "has the unit `%`"),
            ("compressed > 5 parsecs", "has the unit `parsecs`"),
            ("files > 5kB", "has the unit `kB`"),
        ] {
            let error = Condition::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn rules_of_dive_are_read() {
        let text = "rules:\n  # comment\n  lowestEfficiency: 0.95\n  highestWastedBytes: '20MB' # more\n  \
                    highestUserWastedPercent: disabled\n";
        let conditions = dive_rules(text).unwrap();
        let texts: Vec<String> = conditions.iter().map(Condition::to_string).collect();
        assert_eq!(texts, ["efficiency < 0.95", "dead > 20MB"]);
        let error = dive_rules("rules:\n  lowestSomething: 1\n").unwrap_err().to_string();
        assert!(error.contains("no rule of dive"), "{error}");
    }
}
