//! Profiles as text for people: the list of built-in ones, and all rules of a set.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::Shadowed;
use super::builtin;
use super::fault::{Faults, ProfileError};
use super::parse::parse;
use super::pattern::PatternSet;
use super::rules::RuleSet;
use crate::fault::Source;
use crate::image::edit::ImageSettings;
use crate::text::{Shown, escape};

/// The built-in profiles as a table: name, risk, and what each does.
pub fn list() -> Result<String, ProfileError> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "RISK", "SUMMARY"]);
    for known in builtin::ALL {
        let mut faults = Vec::new();
        let Some(profile) = parse(Source { name: known.name, text: known.text }, &mut faults) else {
            return Err(ProfileError::Faults(Faults::new(faults)));
        };
        table.add_row([known.name, profile.risk.as_str(), &profile.summary]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    Ok(lines.join("\n") + "\n")
}

/// All profiles and rules of a set, after includes.
pub fn rules(rules: &RuleSet) -> Shown {
    let mut text = String::from("Profiles, in the order in which they count:\n");
    for profile in &rules.profiles {
        let (name, risk) = (&profile.name, profile.risk.as_str());
        let (origin, summary) = (escape(&profile.origin.to_string()).into_owned(), escape(&profile.summary));
        text += &format!("  {} ({origin}, risk {risk}): {summary}\n", escape(name));
    }
    for rule in &rules.removes {
        text += &format!("\nremove {}{}\n", escape(&rule.full_id()), if rule.required { " (must match)" } else { "" });
        text += &patterns("path", &rule.paths);
        text += &patterns("except", &rule.except);
        text += &line("reason", &rule.reason);
        text += &rule.price.iter().map(|price| line("price", price)).collect::<String>();
    }
    for rule in &rules.keeps {
        let must = if rule.required { " (must match)" } else { "" };
        text += &format!("\nkeep, by {}{must}\n", escape(&rule.profile));
        text += &patterns("path", &rule.paths);
        text += &rule.reason.iter().map(|reason| line("reason", reason)).collect::<String>();
    }
    for rule in &rules.adds {
        text += &format!("\nadd, by {}\n", escape(&rule.profile));
        text += &line("source", &rule.source.display().to_string());
        text += &line("target", &format!("C:\\{}", rule.target.to_windows().trim_start_matches('\\')));
    }
    if rules.image != ImageSettings::default() {
        text += &format!("\nimage\n{}", image(&rules.image));
    }
    if rules.shadowed == Shadowed::Drop {
        text += "\nlayers\n";
        text += &line("shadowed", "drop");
    }
    Shown::of_escaped(text)
}

/// One sentence for a profile without fault: how many rules it has, includes counted.
pub fn summary(rules: &RuleSet) -> String {
    let number = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}: {} to remove, {} to keep, {}",
        number(rules.profiles.len(), "profile"),
        number(rules.removes.len(), "rule"),
        number(rules.keeps.len(), "rule"),
        number(rules.adds.len(), "addition"),
    )
}

fn line(key: &str, value: &str) -> String {
    format!("  {key:<8} {}\n", escape(value))
}

fn patterns(key: &str, set: &PatternSet) -> String {
    set.patterns().iter().map(|pattern| line(key, pattern.as_str())).collect()
}

fn image(settings: &ImageSettings) -> String {
    let list = |key: &str, values: &Option<Vec<String>>| {
        values.iter().map(|values| line(key, &format!("{values:?}"))).collect::<String>()
    };
    let single = |key: &str, value: &Option<String>| value.iter().map(|value| line(key, value)).collect::<String>();
    let mut text = String::new();
    text += &settings.env.iter().map(|(name, value)| line("env", &format!("{name}={value}"))).collect::<String>();
    text += &list("cmd", &settings.cmd);
    text += &list("entrypoint", &settings.entrypoint);
    text += &single("user", &settings.user);
    text += &single("workdir", &settings.workdir);
    text += &settings.exposed_ports.iter().map(|port| line("port", port)).collect::<String>();
    text += &single("stop-signal", &settings.stop_signal);
    text += &settings.labels.iter().map(|(name, value)| line("label", &format!("{name}={value}"))).collect::<String>();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load;

    #[test]
    fn the_list_shows_every_built_in_profile_on_one_line() {
        let list = list().unwrap();
        assert_eq!(list.lines().count(), builtin::ALL.len() + 1);
        assert!(list.lines().all(|line| line.chars().count() <= 120), "{list}");
        insta::assert_snapshot!(list.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
        NAME                RISK    SUMMARY
        safe                low     Remove caches, logs, temporary files and leftovers of updates
        native-images       low     Remove precompiled .NET Framework code
        ");
    }

    #[test]
    fn a_rule_is_shown_with_all_it_says() {
        let text = rules(&load(&["no-utilityvm"]).unwrap());
        insta::assert_snapshot!(&*text, @r"
        Profiles, in the order in which they count:
          no-utilityvm (built-in, risk medium): Remove the virtual machine for Hyper-V isolation

        remove no-utilityvm/utility-vm
          path     UtilityVM:\
          reason   containers with process isolation run on the kernel of the host and never start it
          price    `--isolation=hyperv` fails, which is the default on Windows 10 and 11, and so do Kubernetes runtime classes for Hyper-V
        ");
        let text = rules(&load(&["balanced"]).unwrap());
        assert!(text.contains("\nlayers\n  shadowed drop\n") && text.contains("\nremove drivers/driver-store\n"));
    }

    #[test]
    fn the_summary_counts() {
        assert_eq!(
            summary(&load(&["no-utilityvm"]).unwrap()),
            "1 profile: 1 rule to remove, 0 rules to keep, 0 additions"
        );
    }
}
