//! What stands in the file of a ledger, as it is written: counters in frames.
//!
//! It must not know when that happens, nor what is left when the disk fails. Entry points: [`make`], [`make_anew`],
//! [`append`].

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use durable::{AppendFile, Disk, Pen};

use crate::journal::{Frame, head};
use crate::{Bounds, Counter, Counters};

/// Makes a file with all counters, in the place of what has its name.
pub(super) fn make(disk: Disk, path: PathBuf, counters: &Counters) -> io::Result<AppendFile> {
    AppendFile::make(disk, path, |end| head(end).to_vec(), |pen| fill(pen, counters))
}

/// The same, for one that there is. If it fails, that one stays as it is, or is not sound any more.
pub(super) fn make_anew(file: &mut AppendFile, counters: &Counters) -> io::Result<()> {
    file.make_anew(|end| head(end).to_vec(), |pen| fill(pen, counters))
}

/// Adds counters. If it fails, the file is as it was, or not sound any more.
pub(super) fn append(file: &mut AppendFile, counters: &[Arc<Counter>]) -> io::Result<()> {
    if counters.is_empty() {
        return Ok(());
    }
    file.append(|pen| {
        let mut frame = Frame::default();
        for counter in counters {
            frame.add(counter.quota(), counter.key(), counter.usage());
            if frame.is_full() {
                write(pen, &mut frame)?;
            }
        }
        write(pen, &mut frame)
    })
}

fn fill(pen: &mut Pen<'_>, counters: &Counters) -> io::Result<()> {
    let (mut frame, mut written) = (Frame::default(), Ok(()));
    // What has used up nothing in no period needs no record.
    counters.each(|counter| {
        let usage = counter.usage();
        if written.is_err() || usage.period == Bounds::default() {
            return;
        }
        frame.add(counter.quota(), counter.key(), usage);
        if frame.is_full() {
            written = write(pen, &mut frame);
        }
    });
    written?;
    write(pen, &mut frame)
}

/// Writes a frame, unless it is empty, and makes it empty.
fn write(pen: &mut Pen<'_>, frame: &mut Frame) -> io::Result<()> {
    let bytes = frame.close(pen.place());
    if !bytes.is_empty() {
        pen.write(bytes)?;
    }
    frame.clear();
    Ok(())
}
