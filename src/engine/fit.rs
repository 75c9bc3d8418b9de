//! Whether profiles fit an image.

use crate::layer::LayerStack;
use crate::plan::{Plan, lost_programs};
use crate::profile::RuleSet;
use crate::transport::Image;
use crate::windows::program::Start;

/// The families of Microsoft's base images, by the names of their repositories.
const FAMILIES: [&str; 4] = ["nanoserver", "servercore", "server", "windows"];

/// Returns what profiles are meant for and this image is not, and what of the image the result will not repeat, as sentences.
pub fn fit_warnings(rules: &RuleSet, image: &Image, stack: &LayerStack, plan: &Plan) -> Vec<String> {
    let mut warnings = lost_programs(stack, rules, plan, &Start::of(&image.config));
    let (steps, layers) = (&image.config.history, image.manifest.layers.len());
    let told = steps.iter().filter(|step| !step.empty_layer).count();
    if !steps.is_empty() && told != layers {
        warnings.push(format!(
            "the history of the image tells of {told} layers, and there are {layers}: the history of the result is made to fit"
        ));
    }
    let build = image.config.platform().version().map(|version| version.build());
    // A repository of another name may hold anything; only Microsoft's names tell the family.
    let family = image.reference.short_name().filter(|name| FAMILIES.contains(name));
    for profile in &rules.profiles {
        if let Some(build) = build
            && !profile.builds.is_empty()
            && !profile.builds.contains(&build)
        {
            let builds: Vec<String> = profile.builds.iter().map(u32::to_string).collect();
            let name = &profile.name;
            warnings.push(format!(
                "profile `{name}` is meant for Windows build {}, and this is {build}",
                builds.join(", ")
            ));
        }
        if let Some(family) = family
            && !profile.bases.is_empty()
            && !profile.bases.iter().any(|base| base == family)
        {
            warnings.push(format!(
                "profile `{}` is meant for {}, and this is {family}",
                profile.name,
                profile.bases.join(", ")
            ));
        }
    }
    warnings
}
