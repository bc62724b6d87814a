//! Arrays in memory, in any layout, against loops over their indices.

use adsum::array::{ArrayError, Reduction, View, ViewError};
use adsum::finish::{Options, finish};
use adsum::{ByteOrder, DType, Layout, Op, Spec, Value};
use proptest::prelude::*;

/// A part of a whole array in C order: for each axis, in the order of the view, which
/// axis of the whole it is, where it starts, and how it steps; 0 repeats an element.
#[derive(Clone, Debug)]
struct Sample {
    whole: Vec<usize>,
    axes: Vec<(usize, usize, isize, usize)>,
    reduced: Vec<usize>,
}

impl Sample {
    fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|&(_, _, _, length)| length).collect()
    }

    /// For each place of the view in C order, the number of its element in the whole.
    fn places(&self) -> Vec<(Vec<usize>, usize)> {
        let mut places = vec![(Vec::new(), 0)];
        for &(axis, start, step, length) in &self.axes {
            let stride: usize = self.whole[axis + 1..].iter().product();
            let along = |(index, at): &(Vec<usize>, usize)| {
                let (index, at) = (index.clone(), *at);
                (0..length).map(move |number| {
                    let element = (start as isize + number as isize * step) as usize;
                    ([&index[..], &[number]].concat(), at + element * stride)
                })
            };
            places = places.iter().flat_map(along).collect();
        }
        places
    }

    fn view<'a>(&self, layout: Layout, bytes: &'a [u8]) -> View<'a> {
        let size = layout.dtype.size_bytes() as isize;
        let stride = |axis: usize| self.whole[axis + 1..].iter().product::<usize>() as isize;
        let strides: Vec<isize> =
            self.axes.iter().map(|&(axis, _, step, _)| stride(axis) * step * size).collect();
        let starts = self.axes.iter().map(|&(axis, start, _, _)| stride(axis) * start as isize);
        let offset = starts.sum::<isize>() * size;
        View::new(layout, bytes, offset as usize, &self.shape(), &strides).expect("inside")
    }

    /// The elements of each output in C order, each with its place.
    fn outputs(&self) -> Vec<Vec<usize>> {
        let shape = self.shape();
        let kept: Vec<usize> =
            (0..shape.len()).filter(|axis| !self.reduced.contains(axis)).collect();
        let count = kept.iter().map(|&axis| shape[axis]).product();
        let mut outputs = vec![Vec::new(); count];
        for (index, element) in self.places() {
            let output = kept.iter().fold(0, |number, &axis| number * shape[axis] + index[axis]);
            outputs[output].push(element);
        }
        outputs
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let axis = |length: usize| {
        (0..length, -2_isize..3).prop_flat_map(move |(start, step)| {
            let room = match step {
                0 => 3,
                step if step > 0 => (length - start).div_ceil(step as usize),
                step => start / step.unsigned_abs() + 1,
            };
            (Just((start, step)), 0..=room)
        })
    };
    prop::collection::vec(1..8_usize, 0..5).prop_flat_map(move |whole| {
        let axes: Vec<_> = whole.iter().map(|&length| axis(length)).collect();
        let order = Just((0..whole.len()).collect::<Vec<_>>()).prop_shuffle();
        let reduced = prop::collection::vec(any::<bool>(), whole.len());
        (Just(whole), axes, order, reduced).prop_map(|(whole, axes, order, reduced)| {
            let axes = order.into_iter().map(|axis| {
                let ((start, step), length) = axes[axis];
                (axis, start, step, length)
            });
            let reduced = (0..whole.len()).filter(|&axis| reduced[axis]).collect();
            Sample { axes: axes.collect(), reduced, whole }
        })
    })
}

fn bytes_of(elements: &[i32], byte_order: ByteOrder) -> Vec<u8> {
    let bytes = |element: &i32| match byte_order {
        ByteOrder::Little => element.to_le_bytes(),
        ByteOrder::Big => element.to_be_bytes(),
    };
    elements.iter().flat_map(bytes).collect()
}

fn go_on() -> bool {
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Sums, places of extremes, and sums of products, over any axes of any view,
    /// however it is cut and by however many threads.
    #[test]
    fn any_view_along_any_axes_is_what_its_indices_say(
        sample in sample(), seed in any::<u32>(), is_big in any::<bool>(),
        unit_bytes in 4..200_usize, window_bytes in 1..400_usize, threads in 1..4_usize,
    ) {
        let count: usize = sample.whole.iter().product();
        let mix = |n: usize| (n as u32 ^ seed).wrapping_mul(0x9e37_79b1).rotate_left(7) as i32;
        let elements: Vec<i32> = (0..count).map(|n| mix(n) % 5).collect();
        let byte_order = if is_big { ByteOrder::Big } else { ByteOrder::Little };
        let layout = Layout { dtype: DType::I32, byte_order };
        let bytes = bytes_of(&elements, byte_order);
        let reduce = |op: Op| {
            let spec = Spec { dtype: DType::I32, monoids: op.monoids(DType::I32) };
            let view = sample.view(layout, &bytes);
            let reduction = Reduction::new(&spec, view.clone()).along(&sample.reduced);
            let reduction = if op == Op::Dot { reduction.with(view) } else { reduction };
            let reduction = reduction.in_units(unit_bytes, window_bytes).threads(threads);
            let finish = |_, states: &[_]| {
                let output = op.natural_output(DType::I32);
                finish(op, states, Options::default(), output).ok().and_then(|one| one.value.as_i128())
            };
            reduction.each(&go_on, finish).expect("nobody stops it")
        };
        let outputs = sample.outputs();
        let each = |of: fn(&[i128]) -> Option<i128>| -> Vec<Option<i128>> {
            let values = |output: &Vec<usize>| {
                output.iter().map(|&element| i128::from(elements[element])).collect::<Vec<_>>()
            };
            outputs.iter().map(|output| of(&values(output))).collect()
        };
        prop_assert_eq!(reduce(Op::Sum), each(|values| Some(values.iter().sum())));
        prop_assert_eq!(reduce(Op::Dot), each(|values| Some(values.iter().map(|x| x * x).sum())));
        let first_largest = |values: &[i128]| {
            let largest = values.iter().max()?;
            values.iter().position(|value| value == largest).map(|place| place as i128)
        };
        prop_assert_eq!(reduce(Op::ArgMax), each(first_largest));
    }

    /// The bits of a product of floats depend on places, so those are right, too.
    #[test]
    fn a_product_does_not_see_how_its_elements_lie(
        sample in sample(), unit_bytes in 4..200_usize, threads in 1..4_usize,
    ) {
        let count: usize = sample.whole.iter().product();
        let elements: Vec<f32> = (0..count).map(|n| 1.0 + (n as f32 * 0.7).sin() / 3.0).collect();
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        let layout = Layout::little(DType::F32);
        let spec = Spec { dtype: DType::F32, monoids: Op::Prod.monoids(DType::F32) };
        let product = |reduction: Reduction<'_>| {
            let states = reduction.partial(&go_on).expect("nobody stops it");
            let one = |output| finish(Op::Prod, states.states(output), Options::default(), DType::F32);
            (0..states.outputs()).map(|output| one(output).expect("a product").value).collect()
        };
        // All axes but one of three elements, so that Fortran order is not at hand.
        let view = sample.view(layout, &bytes);
        prop_assume!(sample.reduced.len() < view.shape().len());
        let lying: Vec<Value> = product(
            Reduction::new(&spec, view).along(&sample.reduced).in_units(unit_bytes, 1000).threads(threads),
        );
        let alone = sample.outputs().into_iter().map(|output| {
            let bytes: Vec<u8> = output.iter().flat_map(|&n| elements[n].to_le_bytes()).collect();
            let view = View::contiguous(layout, &bytes, &[output.len()]).expect("whole elements");
            product(Reduction::new(&spec, view))
        });
        prop_assert_eq!(lying, alone.collect::<Vec<Vec<Value>>>().concat());
    }
}

#[test]
fn parts_of_an_array_make_the_whole() {
    let elements: Vec<u8> = (0..200).map(|n: u32| (n * 37 % 251) as u8).collect();
    let spec = Spec { dtype: DType::U8, monoids: Op::ArgMax.monoids(DType::U8) };
    let partial = |range: std::ops::Range<usize>| {
        let view =
            View::contiguous(Layout::little(DType::U8), &elements[range.clone()], &[range.len()]);
        let reduction = Reduction::new(&spec, view.expect("bytes")).from_index(range.start as u64);
        reduction.partial(&go_on).expect("nobody stops it")
    };
    let mut merged = partial(90..200);
    merged.merge(&partial(0..90)).expect("of one reduction");
    assert_eq!(merged, partial(0..200));
}

#[test]
fn a_view_must_lie_within_its_bytes() {
    let bytes = [0; 24];
    let view = |offset, shape: &[usize], strides: &[isize]| {
        View::new(Layout::little(DType::I32), &bytes, offset, shape, strides).map(|_| ())
    };
    assert_eq!(view(0, &[6], &[4]), Ok(()));
    assert_eq!(view(20, &[6], &[-4]), Ok(()));
    assert_eq!(view(20, &[1000], &[0]), Ok(()));
    assert_eq!(view(99, &[5, 0], &[isize::MAX, 4]), Ok(()));
    assert_eq!(view(0, &[7], &[4]), Err(ViewError::Extent { low: 0, high: 28, bytes: 24 }));
    assert_eq!(view(16, &[6], &[-4]), Err(ViewError::Extent { low: -4, high: 20, bytes: 24 }));
    assert_eq!(view(0, &[6], &[]), Err(ViewError::Strides { axes: 1, strides: 0 }));
    assert!(view(0, &[usize::MAX, usize::MAX], &[isize::MAX, isize::MAX]).is_err());
}

#[test]
fn work_stops_when_it_is_told_to() {
    let bytes = vec![1; 1000];
    let view = View::contiguous(Layout::little(DType::U8), &bytes, &[1000]).expect("bytes");
    let reduction = Reduction::new(&Spec::sum(DType::U8), view).in_units(10, 100).threads(2);
    let stop = std::cell::Cell::new(0);
    let ended = reduction.partial(&|| {
        stop.set(stop.get() + 1);
        true
    });
    // The other thread may have been faster.
    assert!(stop.get() <= 1 && (stop.get() == 0) == ended.is_ok());
    assert!(ended.is_ok() || ended == Err(ArrayError::Stopped));
}
