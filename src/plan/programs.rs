//! The program that a container starts with, where a rule removes it.

use super::{Action, Cause, Plan};
use crate::layer::{EntryId, EntryKind, FoldedPath, LayerStack, NameId};
use crate::profile::RuleSet;
use crate::windows::program::{Program, Start};

/// What people should know of the program of the image's `Entrypoint` or `Cmd`: that a rule removes it.
///
/// What profiles set, and what they add, is considered.
pub fn lost_programs(stack: &LayerStack, rules: &RuleSet, plan: &Plan, start: &Start) -> Vec<String> {
    let start = with_settings(start, rules);
    start.programs().iter().filter_map(|program| lost(stack, rules, plan, program)).collect()
}

fn with_settings(start: &Start, rules: &RuleSet) -> Start {
    let mut start = start.clone();
    let image = &rules.image;
    if let Some(entrypoint) = &image.entrypoint {
        start.entrypoint.clone_from(entrypoint);
        start.cmd.clear();
    }
    if let Some(cmd) = &image.cmd {
        start.cmd.clone_from(cmd);
    }
    if let Some(directory) = &image.workdir {
        start.working_directory.clone_from(directory);
    }
    start.env.extend(image.env.iter().map(|(name, value)| format!("{name}={value}")));
    start
}

fn lost(stack: &LayerStack, rules: &RuleSet, plan: &Plan, program: &Program) -> Option<String> {
    let names = stack.names();
    let files = |name: &&String| names.find(name).into_iter().flat_map(|name| names.entries(name)).copied();
    let is_file = |id: &EntryId| stack.entry(*id).kind != EntryKind::Directory;
    let cause = |id: EntryId| match plan.layers[id.layer].actions[id.entry] {
        Action::Remove(cause) => Some(cause),
        _ => None,
    };
    let found: Vec<EntryId> = program.candidates.iter().flat_map(|name| files(&name).rfind(is_file)).collect();
    let first = *found.first()?;
    let Some(Cause::Rule(rule)) = cause(first) else { return None };
    let stays = found.iter().any(|&id| cause(id).is_none());
    let behind_link = program.candidates.iter().any(|name| leads_through_a_link(stack, name));
    if stays || behind_link || program.candidates.iter().any(|name| is_added(rules, name)) {
        return None;
    }
    Some(format!(
        "rule `{}` removes `{}`, the program of the image's own {}: containers start only with another one",
        rules.removes[rule].full_id(),
        stack.entry(first).path.to_windows(),
        program.setting,
    ))
}

fn is_added(rules: &RuleSet, folded: &str) -> bool {
    rules.adds.iter().any(|add| {
        let target = FoldedPath::new(add.target.as_str());
        let below = folded.strip_prefix(target.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether a directory above a name is a link, behind which it may well be.
fn leads_through_a_link(stack: &LayerStack, folded: &str) -> bool {
    let names = stack.names();
    let is_link = |name: NameId| {
        names.entries(name).iter().any(|&id| matches!(stack.entry(id).kind, EntryKind::Symlink | EntryKind::Junction))
    };
    folded.rmatch_indices('/').any(|(end, _)| names.find(&folded[..end]).is_some_and(is_link))
}
