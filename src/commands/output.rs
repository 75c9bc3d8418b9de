//! Where reports and files go.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;

use crate::cli::{Format, Output, PageFormat, PageOutput};
use crate::durable::directory_of;
use crate::error::{IoContext, PathError};
use crate::printer::Printer;
use crate::report::Report;
use crate::temporary::TemporaryFile;
use crate::text::Shown;

/// Writes a report to where it was asked for.
pub(super) fn deliver(output: &Output, printer: &Printer, report: &impl Report) -> Result<()> {
    let text = match output.format {
        Format::Text if output.output.is_none() => return print_parts(printer, report),
        Format::Text => report.to_text(),
        Format::Markdown => report.to_markdown(),
        Format::Json => report.to_json(),
    };
    deliver_text(output.output.as_deref(), printer, &text)
}

/// Writes a report that can be a page for a browser to where it was asked for; `page` makes the page.
pub(super) fn deliver_page(
    output: &PageOutput,
    printer: &Printer,
    report: &impl Report,
    page: impl FnOnce() -> Shown,
) -> Result<()> {
    let text = match output.format {
        PageFormat::Text if output.output.is_none() => return print_parts(printer, report),
        PageFormat::Text => report.to_text(),
        PageFormat::Markdown => report.to_markdown(),
        PageFormat::Json => report.to_json(),
        PageFormat::Html => page(),
    };
    deliver_text(output.output.as_deref(), printer, &text)
}

fn print_parts(printer: &Printer, report: &impl Report) -> Result<()> {
    for part in report.text_parts() {
        printer.result(&part)?;
    }
    Ok(())
}

/// Writes the text of a report to where it was asked for.
fn deliver_text(file: Option<&Path>, printer: &Printer, text: &Shown) -> Result<()> {
    match file {
        Some(file) => write_file(file, text),
        None => Ok(printer.result(text)?),
    }
}

/// Writes a file as a whole: what was there before stays until the new content is complete and on the disk. A device or a pipe is
/// written to.
pub(super) fn write_file(path: &Path, text: &Shown) -> Result<()> {
    let text = text.without_styles();
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(std::fs::write(path, text.as_bytes()).context_path("write to", path)?);
    }
    let mut file = temporary_beside(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).context_path("write to", path)?;
    Ok(file.publish_durably(path).context_path("create", path)?)
}

/// Finds out, before there is anything to write, whether [`write_file`] could; what is there stays.
pub(super) fn check_file(path: &Path) -> Result<(), PathError> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(PathError::new("write to", path, ErrorKind::IsADirectory.into())),
        Ok(metadata) if !metadata.is_file() => Ok(()),
        _ => temporary_beside(path).map(drop),
    }
}

fn temporary_beside(path: &Path) -> Result<TemporaryFile, PathError> {
    let directory = directory_of(path);
    TemporaryFile::public_in(directory, ".winslim-").context_path("create a file in", directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report");
        write_file(&file, &Shown::line("one")).unwrap();
        write_file(&file, &Shown::line("two")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two\n");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        let error = write_file(&directory.path().join("no/report"), &Shown::line("x")).unwrap_err();
        assert!(error.to_string().contains("no such file or directory"), "{error}");
        assert!(write_file(directory.path(), &Shown::line("x")).is_err(), "a directory is no file");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_stays_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        write_file(&pipe, &Shown::line("report")).unwrap();
        assert_eq!(reader.join().unwrap(), "report\n");
    }
}
