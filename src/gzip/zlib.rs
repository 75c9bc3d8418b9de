//! zlib's inflate, stopping at the end of each block and beginning at any: the one place where winslim uses unsafe code.
//!
//! The safe interfaces of zlib-rs do not say where in the bits of its input a block ends; the interface that zlib has in C
//! does. The alternative without unsafe code, miniz_oxide, takes a third longer, which is a tenth of the time in which a layer
//! is indexed.
#![expect(unsafe_code, reason = "the interface of zlib consists of pointers")]

use std::io;
use std::mem::size_of;

use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_OK, Z_STREAM_END, inflate, inflateEnd, inflateGetDictionary, inflateInit2_, inflatePrime,
    inflateReset, inflateSetDictionary, z_stream, zlibVersion,
};

use super::{WINDOW, member};

/// Decompresses deflate data (RFC 1951) block by block.
pub(super) struct Inflate {
    /// In a place that does not change, to which the state behind it may point back.
    stream: Box<z_stream>,
}

/// How far a step of [`Inflate::step`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// How many bytes of the input were used.
    pub(super) used: usize,
    /// How many bytes of data were written.
    pub(super) made: usize,
    /// What ended there.
    pub(super) end: End,
}

/// What ended with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The input or the room for data.
    Buffer,
    /// A block that is not the last one, so many bits (0 to 7) before the end of the input that was used.
    Block(u64),
    /// The last block. The stream ends with the next step, without more input.
    LastBlock,
    /// The stream.
    Stream,
}

/// Deflate data alone, without a zlib or gzip header, and the largest window.
const RAW: i32 = -15;

/// What is set in `data_type` behind a block, behind the last block too, and where its count of unused bits is (zlib.h).
const AT_END_OF_BLOCK: i32 = 128;
const IN_LAST_BLOCK: i32 = 64;
const UNUSED_BITS: i32 = 7;

impl Inflate {
    /// A decoder at the beginning of a stream.
    pub(super) fn new() -> io::Result<Inflate> {
        let mut stream = Box::<z_stream>::default();
        // SAFETY: the pointer is to a stream in its initial state, and the version and size are those of this very library.
        let status = unsafe { inflateInit2_(&raw mut *stream, RAW, zlibVersion(), size_of::<z_stream>() as i32) };
        match status {
            Z_OK => Ok(Inflate { stream }),
            _ => Err(io::Error::from(io::ErrorKind::OutOfMemory)),
        }
    }

    /// Goes back to the beginning of a stream.
    pub(super) fn reset(&mut self) {
        // SAFETY: the stream was initialized in `new`. This fails for streams only that were not.
        unsafe { inflateReset(&raw mut *self.stream) };
    }

    /// Goes to the beginning of a block in the midst of a stream: `window` is the data before it, and so many bits of the
    /// last byte before the input, up to 7 and the higher ones, belong to the block.
    pub(super) fn resume(&mut self, window: &[u8; WINDOW], bits: u32, byte: u8) -> io::Result<()> {
        self.reset();
        let value = i32::from(byte) >> (8 - bits);
        // SAFETY: the stream was initialized in `new`, and the pointer is valid for the length beside it; zlib copies from there.
        let statuses = unsafe {
            [
                inflatePrime(&raw mut *self.stream, bits as i32, value),
                inflateSetDictionary(&raw mut *self.stream, window.as_ptr(), WINDOW as u32),
            ]
        };
        if statuses == [Z_OK, Z_OK] { Ok(()) } else { Err(member::invalid("decompressing cannot begin here")) }
    }

    /// The last 32 KiB of data, unless there is less than that before this place.
    pub(super) fn window(&self) -> Option<Box<[u8; WINDOW]>> {
        let mut window = Box::new([0; WINDOW]);
        let mut length = 0;
        // SAFETY: the stream was initialized in `new`, and what zlib writes is at most as long as the window.
        let status = unsafe { inflateGetDictionary(&raw const *self.stream, window.as_mut_ptr(), &raw mut length) };
        (status == Z_OK && length as usize == WINDOW).then_some(window)
    }

    /// Decompresses until a block ends, or the input, or the room in the output.
    ///
    /// # Errors
    /// If the data is damaged.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        // What does not fit in the type of the lengths is for the next step.
        let (given, room) =
            (u32::try_from(input.len()).unwrap_or(u32::MAX), u32::try_from(output.len()).unwrap_or(u32::MAX));
        let stream = &mut *self.stream;
        (stream.next_in, stream.avail_in) = (input.as_ptr(), given);
        (stream.next_out, stream.avail_out) = (output.as_mut_ptr(), room);
        // SAFETY: the stream was initialized in `new`, and its pointers are valid for the lengths beside them: they come from
        // slices that live until the end of this method, and zlib keeps neither of them.
        let status = unsafe { inflate(&raw mut *stream, Z_BLOCK) };
        let (used, made) = ((given - stream.avail_in) as usize, (room - stream.avail_out) as usize);
        let end = match status {
            Z_STREAM_END => End::Stream,
            // `Z_BUF_ERROR`: nothing was used or made. What ends the block may have been used with the step before.
            Z_OK | Z_BUF_ERROR => match stream.data_type & (AT_END_OF_BLOCK | IN_LAST_BLOCK) {
                AT_END_OF_BLOCK => End::Block((stream.data_type & UNUSED_BITS) as u64),
                0 | IN_LAST_BLOCK => End::Buffer,
                _ => End::LastBlock,
            },
            _ => return Err(member::invalid("the compressed data is damaged")),
        };
        Ok(Step { used, made, end })
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: the stream was initialized in `new`, and nothing uses it any more.
        unsafe { inflateEnd(&raw mut *self.stream) };
    }
}
