//! `winslim init`: a build file to begin with.

use std::fs::File;
use std::io::{self, Write};

use anyhow::Result;

use super::failure::Usage;
use crate::build_file::STARTER;
use crate::cli::Init;
use crate::error::{ExitStatus, IoContext, PathError};
use crate::printer::Printer;

pub(super) fn run(arguments: &Init, printer: &Printer) -> Result<ExitStatus> {
    let path = &arguments.file;
    let mut file = match File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text =
                format!("`{}` is there already and stays as it is; name another file with --file", path.display());
            return Err(Usage(text).into());
        }
        Err(error) => return Err(PathError::new("create", path, error).into()),
    };
    file.write_all(STARTER.as_bytes()).context_path("write to", path)?;
    printer.say(&format!("wrote `{}`; set its target and its bases, and run `winslim build`", path.display()));
    Ok(ExitStatus::Done)
}
