//! What happens when winslim itself fails: a message without any path of the machine that built it, and exit code 1.

use std::any::Any;
use std::io::Write;
use std::panic::set_hook;

use crate::error::ExitStatus;
use crate::temporary;
use crate::text::escape;

/// Lets a panic of any thread end the process with a message.
pub(super) fn watch() {
    // The hook of the standard library prints where in the sources it happened, as a path of the machine that built winslim.
    set_hook(Box::new(|panic| {
        // Nobody is left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "{}", message(panic.payload()));
        let _held = temporary::try_delete_all();
        #[expect(clippy::exit, reason = "other threads may wait for the one that failed, and cannot be asked to stop")]
        std::process::exit(ExitStatus::Failed as i32);
    }));
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason is known");
    // The words of the standard library and of tokio.
    if text.contains("spawn thread") || text.contains("spawn worker thread") {
        return "error: the system gives no more threads to this user or container\n\
                hint: raise `ulimit -u`, or the limit of processes of the container"
            .to_owned();
    }
    format!(
        "error: winslim failed because of a mistake in it: {}\nhint: please report it, with this command",
        escape(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_to_do() {
        let threads = message(&"failed to spawn thread: Os { code: 11 }".to_owned());
        assert!(threads.starts_with("error: the system gives no more threads"), "{threads}");
        let other = message(&"index out of\u{1b}[2J bounds");
        assert!(other.contains("a mistake in it: index out of") && !other.contains('\u{1b}'), "{other}");
        assert!(message(&1).contains("no reason is known"));
    }
}
