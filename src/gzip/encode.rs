//! A gzip encoder that compresses pieces side by side, as pigz does, and takes whole blocks over from another stream.
//!
//! What is written is cut every [`PIECE`] bytes, and where blocks are taken over. Each piece is compressed on its own, with
//! the 32 KiB before it as dictionary, and ended with a sync flush, so that the pieces stand behind each other in one
//! deflate stream. Where the cuts are depends neither on the number of threads nor on the sizes of the writes, and so
//! neither does the output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use flate2::{Compress, Compression, FlushCompress, Status};

use super::bits::BitOutput;
use super::blocks::Run;
use super::{WINDOW, member};
use crate::error::{IoContext, PathError};

/// How many bytes are compressed as one piece.
pub const PIECE: usize = 256 << 10;

/// More threads than this gain nothing that a disk could keep up with, and each needs memory.
const MOST_THREADS: usize = 16;

/// A writer that turns data into one gzip member.
///
/// Finish it with [`GzipWriter::finish`]; dropping it leaves the output without an end.
pub struct GzipWriter<W: Write + Send + 'static> {
    /// What was written last, as far as the next piece may refer to it, and what is still to be compressed.
    pending: Vec<u8>,
    /// Where in `pending` that begins.
    start: usize,
    /// The blocks that take the place of what is written next.
    awaited: Option<Awaited>,
    checksum: crc32fast::Hasher,
    length: u64,
    work: SyncSender<Job>,
    order: SyncSender<Part>,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<io::Result<W>>>,
}

/// A blob that blocks are copied from.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
}

impl Source {
    /// Opens a blob.
    pub fn open(path: impl Into<PathBuf>) -> Result<Source, PathError> {
        let path = path.into();
        let file = File::open(&path).context_path("open", &path)?;
        Ok(Source { file, path })
    }
}

impl Source {
    /// The failure names the source, because whoever writes would take it for one of the output.
    fn name_it<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| io::Error::new(error.kind(), PathError::new("read", &self.path, error)))
    }
}

impl Read for &Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.name_it((&self.file).read(bytes))
    }
}

impl Seek for &Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.name_it((&self.file).seek(to))
    }
}

/// A part of a source's data that is being written.
struct Awaited {
    source: Arc<Source>,
    /// The blocks that are copied, in order; the first one may be under way.
    runs: VecDeque<Run>,
    /// Where in the source's data the next byte is.
    position: u64,
}

impl Awaited {
    fn is_in_run(&self) -> bool {
        self.runs.front().is_some_and(|run| run.raw.start < self.position)
    }
}

/// The parts of the output, in order.
enum Part {
    Piece(Receiver<io::Result<Vec<u8>>>),
    Blocks { source: Arc<Source>, bits: Range<u64> },
    End { checksum: u32, length: u64 },
}

struct Job {
    bytes: Vec<u8>,
    /// What stands before this in `bytes` is the dictionary.
    start: usize,
    result: Sender<io::Result<Vec<u8>>>,
}

impl<W: Write + Send + 'static> GzipWriter<W> {
    /// Begins a member on `output`, at a level from 0 (stored) to 9 (smallest), with so many threads that compress.
    pub fn new(output: W, level: u32, threads: usize) -> GzipWriter<W> {
        let threads = threads.clamp(1, MOST_THREADS);
        let level = Compression::new(level.min(9));
        let (work, jobs) = mpsc::sync_channel::<Job>(threads);
        let jobs = Arc::new(Mutex::new(jobs));
        let workers = (0..threads)
            .map(|_| {
                let jobs = Arc::clone(&jobs);
                thread::spawn(move || work_off(&jobs, level))
            })
            .collect();
        // As many parts may wait for an earlier one as there are threads, and no more, so that memory is bounded.
        let (order, parts) = mpsc::sync_channel(threads * 2);
        let writer = Some(thread::spawn(move || write_member(output, &parts)));
        GzipWriter {
            pending: Vec::with_capacity(WINDOW + PIECE),
            start: 0,
            awaited: None,
            checksum: crc32fast::Hasher::new(),
            length: 0,
            work,
            order,
            workers,
            writer,
        }
    }

    /// Announces that what is written next is the source's data from this position on, as far as these runs of blocks
    /// reach, so that they can be copied ([`BlockMap::copyable`](super::BlockMap::copyable) finds them).
    ///
    /// # Errors
    /// If what was announced before ends within a run.
    pub fn expect(&mut self, source: &Arc<Source>, position: u64, runs: Vec<Run>) -> io::Result<()> {
        self.check_whole()?;
        self.awaited = Some(Awaited { source: Arc::clone(source), runs: runs.into(), position });
        Ok(())
    }

    /// Compresses what is pending, writes the end of the member and gives the output back.
    ///
    /// # Errors
    /// If the output cannot be written, or what was announced ends within a run.
    pub fn finish(mut self) -> io::Result<W> {
        self.check_whole()?;
        let (checksum, length) = (self.checksum.clone().finalize(), self.length);
        let sent = self.send_pending().and_then(|()| self.send(Part::End { checksum, length }));
        drop(self.work);
        drop(self.order);
        for worker in self.workers {
            join(worker);
        }
        // The writer's own failure is the cause of a failed sending, and says more.
        let output = match self.writer {
            Some(writer) => join(writer)?,
            None => return Err(gone()),
        };
        sent.map(|()| output)
    }

    /// Why the output could not be written, once a write has failed with [`io::ErrorKind::BrokenPipe`].
    pub fn failure(&mut self) -> Option<io::Error> {
        // Sending to the writer fails only when it has ended, so this does not wait.
        join(self.writer.take()?).err()
    }

    /// Writes data that is compressed, and returns how much of it.
    fn compress(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - (self.pending.len() - self.start));
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() - self.start == PIECE {
            self.send_pending()?;
        }
        Ok(taken)
    }

    /// Passes over data whose blocks are copied; `left` bytes of it follow. Only the last of it can be referred to.
    fn pass_over(&mut self, bytes: &[u8], left: u64) {
        let before = usize::try_from(left).map_or(WINDOW, |left| left.min(WINDOW));
        let near = bytes.len().min(WINDOW - before);
        self.pending.extend_from_slice(&bytes[bytes.len() - near..]);
        if self.pending.len() > PIECE {
            self.forget();
        }
        self.start = self.pending.len();
    }

    /// Drops what nothing can refer to any more.
    fn forget(&mut self) {
        self.pending.drain(..self.pending.len().saturating_sub(WINDOW));
    }

    fn send_pending(&mut self) -> io::Result<()> {
        if self.pending.len() == self.start {
            return Ok(());
        }
        let mut next = Vec::with_capacity(WINDOW + PIECE);
        next.extend_from_slice(&self.pending[self.pending.len().saturating_sub(WINDOW)..]);
        let start = std::mem::replace(&mut self.start, next.len());
        let bytes = std::mem::replace(&mut self.pending, next);
        let (result, receive) = mpsc::channel();
        self.send(Part::Piece(receive))?;
        self.work.send(Job { bytes, start, result }).map_err(|_| gone())
    }

    fn send(&self, part: Part) -> io::Result<()> {
        self.order.send(part).map_err(|_| gone())
    }

    fn check_whole(&self) -> io::Result<()> {
        match &self.awaited {
            Some(awaited) if awaited.is_in_run() => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the data of copied blocks was not written to their end",
            )),
            _ => Ok(()),
        }
    }
}

impl<W: Write + Send + 'static> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let next_run = self.awaited.as_ref().and_then(|awaited| awaited.runs.front().cloned().zip(Some(awaited)));
        let taken = match next_run {
            None => self.compress(bytes)?,
            Some((run, awaited)) => {
                let position = awaited.position;
                let until = if position < run.raw.start { run.raw.start } else { run.raw.end };
                let part = usize::try_from(until - position).map_or(bytes, |left| &bytes[..left.min(bytes.len())]);
                if position < run.raw.start {
                    self.compress(part)?
                } else {
                    if position == run.raw.start {
                        let source = Arc::clone(&awaited.source);
                        self.send_pending()?;
                        self.send(Part::Blocks { source, bits: run.bits })?;
                    }
                    self.pass_over(part, until - position - part.len() as u64);
                    part.len()
                }
            }
        };
        if let Some(awaited) = &mut self.awaited {
            awaited.position += taken as u64;
            if awaited.runs.front().is_some_and(|run| run.raw.end == awaited.position) {
                awaited.runs.pop_front();
            }
            if awaited.runs.is_empty() {
                self.awaited = None;
            }
        }
        self.checksum.update(&bytes[..taken]);
        self.length += taken as u64;
        Ok(taken)
    }

    /// Does nothing: where the cuts are must depend on the bytes alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn work_off(jobs: &Mutex<Receiver<Job>>, level: Compression) {
    loop {
        // A poisoned lock means that another worker panicked; its panic is passed on when it is joined.
        let Ok(job) = jobs.lock().map(|jobs| jobs.recv()) else { return };
        let Ok(job) = job else { return };
        let (dictionary, bytes) = job.bytes.split_at(job.start);
        // Nobody waits for the result when the writing failed.
        let _ = job.result.send(compress(level, bytes, &dictionary[dictionary.len().saturating_sub(WINDOW)..]));
    }
}

fn compress(level: Compression, bytes: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    // A compressor that is used again finds other matches behind a dictionary: it hashes the bytes that it held there before.
    let mut deflate = Compress::new(level, false);
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let mut output = Vec::with_capacity(bytes.len() / 2 + 1024);
    loop {
        let taken = deflate.total_in() as usize;
        let status =
            deflate.compress_vec(&bytes[taken..], &mut output, FlushCompress::Sync).map_err(io::Error::other)?;
        // A sync flush is complete when it leaves room in the output.
        if deflate.total_in() as usize == bytes.len() && output.len() < output.capacity() && status != Status::StreamEnd
        {
            return Ok(output);
        }
        output.reserve(64 << 10);
    }
}

fn write_member<W: Write>(mut output: W, parts: &Receiver<Part>) -> io::Result<W> {
    member::write_header(&mut output)?;
    let mut bits = BitOutput::new(output);
    for part in parts {
        match part {
            // The worker is gone only if it panicked, which is passed on when it is joined.
            Part::Piece(result) => bits.write_aligned(&result.recv().map_err(|_| gone())??)?,
            Part::Blocks { source, bits: range } => bits.copy_blocks(&mut &*source, &range)?,
            Part::End { checksum, length } => {
                let mut output = bits.finish()?;
                member::write_trailer(&mut output, checksum, length)?;
                return Ok(output);
            }
        }
    }
    // The other side gave up, and says why itself.
    Err(gone())
}

#[cfg(test)]
mod tests;
