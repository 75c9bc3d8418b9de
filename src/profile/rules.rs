//! Profiles with all their includes, flattened into one list of rules.

use std::fmt;
use std::path::PathBuf;

use super::model::{Risk, Shadowed};
use super::number::{KeepNumber, RuleNumber};
use super::pattern::PatternSet;
use crate::image::Digest;
use crate::image::edit::ImageSettings;
use crate::layer::LayerPath;
use crate::numbered::NumberedVec;

/// Everything that the profiles of one run say, in the order in which it counts: included profiles before the ones that
/// include them.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The profiles themselves.
    pub profiles: Vec<ProfileInfo>,
    /// What is removed.
    pub removes: NumberedVec<RuleNumber, RemoveRule>,
    /// What is kept, whatever any rule removes.
    pub keeps: NumberedVec<KeepNumber, KeepRule>,
    /// What is added.
    pub adds: Vec<AddRule>,
    /// Settings of the image's config; of two profiles that set the same, the later one won.
    pub image: ImageSettings,
    /// What happens to files that a layer above replaces: what the last profile that mentions it says.
    pub shadowed: Shadowed,
}

/// One profile that took part.
#[derive(Debug, Clone)]
pub struct ProfileInfo {
    /// Its name.
    pub name: String,
    /// One sentence on what it does.
    pub summary: String,
    /// How much it risks.
    pub risk: Risk,
    /// The image families that it is meant for; none means any.
    pub bases: Vec<String>,
    /// The Windows builds that it is meant for; none means any.
    pub builds: Vec<u32>,
    /// The digest of its TOML text.
    pub digest: Digest,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is part of winslim.
    BuiltIn,
    /// It was read from this file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built-in"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What one `[[remove]]` says.
#[derive(Debug, Clone)]
pub struct RemoveRule {
    /// The name of its profile.
    pub profile: String,
    /// Its own name, unique within the profile.
    pub id: String,
    /// What goes. A directory goes with all below it.
    pub paths: PatternSet,
    /// What the rule leaves in place. A directory stays with all below it.
    pub except: PatternSet,
    /// Why it can go.
    pub reason: String,
    /// What no longer works without it.
    pub price: Option<String>,
    /// Whether matching nothing is an error.
    pub required: bool,
}

impl RemoveRule {
    /// The name under which reports show the rule: `profile/id`.
    pub fn full_id(&self) -> String {
        format!("{}/{}", self.profile, self.id)
    }
}

/// What one `[[keep]]` says.
#[derive(Debug, Clone)]
pub struct KeepRule {
    /// The name of its profile.
    pub profile: String,
    /// What stays. A directory stays with all below it.
    pub paths: PatternSet,
    /// Why it must stay.
    pub reason: Option<String>,
    /// Whether matching nothing is an error.
    pub required: bool,
}

/// What one `[[add]]` says.
#[derive(Debug, Clone)]
pub struct AddRule {
    /// The name of its profile.
    pub profile: String,
    /// The file or directory; it existed when the profile was loaded.
    pub source: PathBuf,
    /// What the file or directory becomes, as an in-tar name such as `Files/app`, or `Files` for a directory whose
    /// content goes to the root.
    pub target: LayerPath,
}

/// Takes over what a later profile sets.
pub(super) fn update(settings: &mut ImageSettings, later: ImageSettings) {
    for (name, value) in later.env {
        // Windows compares the names of variables without regard to case.
        settings.env.retain(|known, _| known.to_lowercase() != name.to_lowercase());
        settings.env.insert(name, value);
    }
    settings.labels.extend(later.labels);
    settings.exposed_ports.extend(later.exposed_ports);
    replace(&mut settings.cmd, later.cmd);
    replace(&mut settings.entrypoint, later.entrypoint);
    replace(&mut settings.user, later.user);
    replace(&mut settings.workdir, later.workdir);
    replace(&mut settings.stop_signal, later.stop_signal);
}

fn replace<T>(setting: &mut Option<T>, later: Option<T>) {
    if later.is_some() {
        *setting = later;
    }
}

impl RuleSet {
    /// One digest over the digests of all profiles, in their order. Files that profiles add are not part of it.
    pub fn digest(&self) -> Digest {
        let digests: Vec<String> = self.profiles.iter().map(|profile| profile.digest.to_string()).collect();
        Digest::of(digests.join("\n").as_bytes())
    }
}
