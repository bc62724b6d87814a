//! Rows of results, printed as they come.

use serde::Serialize;
use serde_json::json;

use super::picture;
use crate::backend::DeviceInfo;
use crate::cli::args::BenchOutputArgs;
use crate::cli::exit::{self, Blame, Failure};
use crate::cli::report::SCHEMA;
use crate::sink::NewFile;

/// What was measured of one reduction.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The operation.
    pub what: String,
    /// Type of the elements.
    pub dtype: String,
    /// How they are distributed.
    pub dist: &'static str,
    /// The device's id.
    pub device: String,
    /// Bytes of elements that were read.
    pub bytes: u64,
    /// Their rate.
    pub gb_per_s: f64,
    /// Its time in times of the naive way.
    pub vs_naive: Option<f64>,
    /// Its rate in percent of the peak.
    pub pct_peak: Option<f64>,
    /// Rounds with a wrong answer.
    pub wrong: u64,
    /// Where the time of a device goes.
    #[serde(flatten)]
    pub parts: Option<Parts>,
}

/// Seconds of a device for one reduction.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Parts {
    /// Of the kernel, by the device's own clock if it has one.
    pub kernel_s: Option<f64>,
    /// Of the upload of all elements, once.
    pub upload_s: f64,
    /// Of reading the partials back and making a state of them.
    pub readback_s: f64,
}

const COLUMNS: [(&str, usize); 9] = [
    ("what", 14),
    ("dtype", 9),
    ("dist", 8),
    ("device", 8),
    ("MiB", 6),
    ("GB/s", 8),
    ("vs naive", 9),
    ("% peak", 7),
    ("wrong", 6),
];

/// The rows of a run.
pub struct Rows<'a> {
    kind: &'static str,
    output: &'a BenchOutputArgs,
    devices: Vec<DeviceInfo>,
    plot: Option<NewFile>,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    /// No rows yet. What cannot be written is told before anything is measured.
    pub fn begin(
        kind: &'static str,
        output: &'a BenchOutputArgs,
        devices: Vec<DeviceInfo>,
    ) -> Result<Rows<'a>, Failure> {
        let plot = output.plot.as_ref().map(|path| NewFile::create(path, output.force));
        let plot = plot.transpose()?;
        Ok(Rows { kind, output, devices, plot, rows: Vec::new() })
    }

    fn print_headings(&self) -> Result<(), Failure> {
        self.print(COLUMNS.map(|(name, _)| name.to_owned()))?;
        match self.output.markdown {
            true => exit::answer(&format!("|{}", "---|".repeat(COLUMNS.len()))),
            false => Ok(()),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) -> Result<(), Failure> {
        if self.rows.is_empty() {
            self.print_headings()?;
        }
        let number = |number: Option<f64>, digits: usize| {
            number.map_or("-".to_owned(), |number| format!("{number:.digits$}"))
        };
        self.print([
            row.what.clone(),
            row.dtype.clone(),
            row.dist.to_owned(),
            row.device.clone(),
            (row.bytes >> 20).to_string(),
            format!("{:.2}", row.gb_per_s),
            number(row.vs_naive, 2),
            number(row.pct_peak, 1),
            row.wrong.to_string(),
        ])?;
        self.rows.push(row);
        Ok(())
    }

    fn print(&self, cells: [String; 9]) -> Result<(), Failure> {
        match (self.output.json, self.output.markdown) {
            (true, _) => Ok(()),
            (_, true) => exit::answer(&format!("| {} |", cells.join(" | "))),
            _ => {
                let mut line = String::new();
                for (index, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
                    line += &match index {
                        0..4 => format!("{cell:<width$}"),
                        _ => format!("{cell:>width$}"),
                    };
                }
                exit::answer(line.trim_end())
            }
        }
    }

    /// Draws the picture, prints the object, and refuses wrong answers.
    pub fn end(self) -> Result<(), Failure> {
        if self.rows.is_empty() {
            let words: Vec<String> =
                self.output.filter.iter().map(|word| format!("--filter {word:?}")).collect();
            let message =
                format!("no row has all words of {}; leave some of them out", words.join(" "));
            return Err(Failure::new(Blame::Usage, message));
        }
        if let Some(mut plot) = self.plot {
            plot.write_at(picture::draw(self.kind, &self.rows).as_bytes(), 0)?;
            plot.finish()?;
        }
        if self.output.json {
            let mut object = json!({
                "schema": SCHEMA,
                "version": env!("CARGO_PKG_VERSION"),
                "kind": self.kind,
                "rounds": self.output.rounds,
                "rows": self.rows,
            });
            if !self.devices.is_empty() {
                object["devices"] = json!(self.devices);
            }
            exit::answer(&object.to_string())?;
        }
        let wrong: u64 = self.rows.iter().map(|row| row.wrong).sum();
        match wrong {
            0 => Ok(()),
            _ => Err(Failure::new(
                Blame::Internal,
                format!("{wrong} answers differ from the reference; do not trust this build"),
            )),
        }
    }
}
