//! A histogram as an SVG picture.
//!
//! The picture names no font file and depends on nothing but the data, so it is
//! the same text on every machine.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use ticks::{Axis, Tick};

pub mod ticks;

/// Pixels of the picture.
const SIZE: (u32, u32) = (900, 540);
const MARGIN: u32 = 14;
/// Half a label of the horizontal axis stands out there.
const RIGHT_MARGIN: u32 = 28;
/// Room for the numbers and the name of an axis.
const X_LABELS: u32 = 60;
const Y_LABELS: u32 = 86;
const TITLE_FONT: u32 = 23;
const NAME_FONT: u32 = 19;
const LABEL_FONT: u32 = 17;
/// Width of a character over the size of its font as plotters means it, with
/// some to spare in the usual fonts.
const CHARACTER_EMS: f64 = 0.54;
/// Between the labels of an axis.
const LABEL_GAP: f64 = 24.0;
/// Steps of an axis, if its labels leave room.
const X_STEPS: usize = 10;
const Y_STEPS: usize = 8;
/// From the lowest edge to the frame, in parts of the width; infinite edges lie
/// there.
const X_ROOM: f64 = 0.03;
/// Above the highest bar, in parts of its height.
const Y_ROOM: f64 = 0.05;
/// Bars that wide have a gap to their neighbour.
const GAP_BAR_MIN: i32 = 5;

/// Lines and text.
pub const INK: RGBColor = RGBColor(34, 40, 49);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(226, 229, 233);
/// The data.
pub const BAR: RGBColor = RGBColor(47, 111, 168);

/// A histogram with what is written on its picture.
#[derive(Clone, Debug)]
pub struct Plot<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// Below the horizontal axis: the name of the data and their type.
    pub data: &'a str,
    /// Edges in ascending order, one more than there are bins. They may be
    /// infinite, but not NaN.
    pub edges: &'a [f64],
    /// Elements of each bin.
    pub counts: &'a [u64],
}

impl Plot<'_> {
    /// The picture, both axes linear. Where bins are narrower than a pixel, the
    /// largest count shows.
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw(&root).expect("a picture in memory can be drawn");
        drop(root);
        svg
    }

    fn draw(&self, root: &Area) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let plot_width = f64::from(SIZE.0 - MARGIN - RIGHT_MARGIN - Y_LABELS);
        let x = Horizontal::new(self.edges);
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let y = Axis::new(0.0, most * (1.0 + Y_ROOM));

        root.fill(&WHITE)?;
        let title = shortened(self.title, TITLE_FONT, f64::from(SIZE.0 - 2 * MARGIN));
        let mut chart = ChartBuilder::on(root)
            .margin(MARGIN)
            .margin_right(RIGHT_MARGIN)
            .caption(title, ("sans-serif", TITLE_FONT).into_font().color(&INK))
            .x_label_area_size(X_LABELS)
            .y_label_area_size(Y_LABELS)
            .build_cartesian_2d(Scale(x.ticks(plot_width)), Scale(y.ticks(Y_STEPS, true)))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", LABEL_FONT).into_font().color(&INK))
            .axis_desc_style(("sans-serif", NAME_FONT).into_font().color(&INK))
            .x_desc(shortened(self.data, NAME_FONT, plot_width))
            .y_desc("count")
            .draw()?;

        let area = chart.plotting_area().strip_coord_spec();
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (width as i32, height as i32);
        for bar in self.bars(&x, width) {
            let top = height - (y.place(bar.count as f64) * f64::from(height)).round() as i32;
            let right = bar.right - i32::from(bar.right - bar.left >= GAP_BAR_MIN);
            // One pixel at least: no count but 0 is invisible.
            let corners = [(bar.left, top.min(height - 1)), (right, height)];
            area.draw(&Rectangle::new(corners, BAR.filled()))?;
        }
        root.present()
    }

    /// What to draw from left to right, without bins of no elements.
    fn bars(&self, x: &Horizontal, width: i32) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for (edges, &count) in self.edges.windows(2).zip(self.counts) {
            if count == 0 {
                continue;
            }
            let pixel = |edge: f64| (x.place(edge) * f64::from(width)).round() as i32;
            let left = pixel(edges[0]).min(width - 1);
            let bar = Bar { left, right: pixel(edges[1]).max(left + 1), count };
            match bars.last_mut() {
                Some(last) if (last.left, last.right) == (bar.left, bar.right) => {
                    last.count = last.count.max(bar.count);
                }
                _ => bars.push(bar),
            }
        }
        bars
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A bin in pixels, with its count.
struct Bar {
    left: i32,
    right: i32,
    count: u64,
}

/// The horizontal axis: the finite edges, with room at both sides.
struct Horizontal {
    axis: Axis,
}

impl Horizontal {
    fn new(edges: &[f64]) -> Horizontal {
        let finite = || edges.iter().copied().filter(|edge| edge.is_finite());
        let low = finite().next().unwrap_or(0.0);
        let high = finite().next_back().unwrap_or(low);
        Horizontal { axis: Axis::new(low, high) }
    }

    /// From 0 at the left of the frame to 1 at its right.
    fn place(&self, edge: f64) -> f64 {
        if edge.is_infinite() {
            return f64::from(edge > 0.0);
        }
        X_ROOM + self.axis.place(edge) * (1.0 - 2.0 * X_ROOM)
    }

    /// As many ticks as have room for their labels on `width` pixels.
    fn ticks(&self, width: f64) -> Vec<Tick> {
        let in_frame = |mut tick: Tick| {
            tick.place = X_ROOM + tick.place * (1.0 - 2.0 * X_ROOM);
            tick
        };
        // A label past the right of the picture would be cut off; at the left
        // there is the other axis.
        let is_whole = |tick: &Tick| {
            let right = (1.0 - tick.place) * width + f64::from(RIGHT_MARGIN);
            text_width(&tick.label, LABEL_FONT) / 2.0 <= right
        };
        let fits = |ticks: &Vec<Tick>| {
            ticks.windows(2).all(|pair| {
                let labels = pair.iter().map(|tick| text_width(&tick.label, LABEL_FONT));
                (pair[1].place - pair[0].place) * width >= labels.sum::<f64>() / 2.0 + LABEL_GAP
            })
        };
        (1..=X_STEPS)
            .rev()
            .map(|steps| self.axis.ticks(steps, false).into_iter().map(in_frame))
            .map(|ticks| ticks.filter(is_whole).collect())
            .find(fits)
            .unwrap_or_default()
    }
}

/// Places from 0 to 1 as plotters sees them, with their ticks.
struct Scale(Vec<Tick>);

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (start, end): (i32, i32)) -> i32 {
        start + (place * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.0.iter().map(|tick| tick.place).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.0.iter().find(|tick| tick.place == *place);
        tick.map_or(String::new(), |tick| tick.label.clone())
    }
}

/// Pixels that a line of text takes, about.
fn text_width(text: &str, font: u32) -> f64 {
    text.chars().count() as f64 * f64::from(font) * CHARACTER_EMS
}

/// `text` in a line of `width` pixels, its middle left out if it is longer.
/// Control characters, which names of files may have and XML may not, are
/// replaced.
fn shortened(text: &str, font: u32, width: f64) -> String {
    let most = (width / (f64::from(font) * CHARACTER_EMS)) as usize;
    let characters: Vec<char> = text
        .chars()
        .map(
            |c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c },
        )
        .collect();
    if characters.len() <= most {
        return characters.into_iter().collect();
    }
    let kept = most.saturating_sub(1);
    let (start, end) = (kept / 2, characters.len() - (kept - kept / 2));
    characters[..start].iter().chain(&['…']).chain(&characters[end..]).collect()
}

#[cfg(test)]
mod tests;
