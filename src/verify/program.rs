//! The rule about the program that a container starts with.

use crate::layer::EntryKind;

use super::Rule;
use super::context::Context;
use super::finding::{Finding, Findings};

pub(super) const PROGRAM: Rule = Rule {
    name: "program",
    summary: "The program of `Entrypoint` or `Cmd` is in one of the layers",
    source: "hcsshim: hcs::System::CreateProcess: the system cannot find the file specified (0x2)",
    check: program,
};

fn program(context: &Context, found: &mut Findings) {
    let stack = context.subject.stack;
    let names = stack.names();
    let kinds = |name: &str| names.get(name).iter().map(|&id| stack.entry(id).kind);
    let is_file = |name: &str| kinds(name).any(|kind| kind != EntryKind::Directory);
    // What lies behind a link of a directory is not looked for.
    let may_be = |name: &str| {
        is_file(name)
            || name.rmatch_indices('/').any(|(end, _)| {
                kinds(&name[..end]).any(|kind| matches!(kind, EntryKind::Symlink | EntryKind::Junction))
            })
    };
    // What a shell is given may be a command of its own.
    for program in context.subject.image.start.programs().iter().filter(|program| !program.by_shell) {
        if !program.candidates.is_empty() && !program.candidates.iter().any(|name| may_be(name)) {
            let message = format!("no layer has `{}`, the program of {}", program.text, program.setting);
            found.push(Finding::warning(message).host("The system cannot find the file specified. (0x2)"));
        }
    }
}
