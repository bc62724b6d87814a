// The elements that one dispatch reduces, and how a thread reads them.
//
// A window is seen as vectors of four words, each word four bytes with the
// least significant first. No shader ever binds data as floats: WGSL lets an
// implementation flush subnormals and assume that there is no NaN.

struct Params {
    // Bytes of the run, a whole number of elements; with its second run, if
    // there is one, at most 1 GiB. What the buffer holds beyond them is left
    // over from an earlier run.
    bytes: u32,
    // Blocks of each output, the last one perhaps in part.
    blocks: u32,
    // Workgroups of this dispatch.
    workgroups: u32,
    // Whether the run is a block of many outputs. Else all of it is one line,
    // with one output.
    along_axis: u32,
    // Outputs of this dispatch, and where in the run's block they start.
    outputs: u32,
    first_output: u32,
    // Elements of each output, and elements from one of them to the next.
    reduced: u32,
    inner: u32,
    // As low and high words, the place of the element whose digits are all zero
    // (see `place.wgsl`): of an output's first one, if there are no axes.
    first_index: vec2<u32>,
    // The vector that the second run starts with.
    second: u32,
    // Intervals that elements are counted in.
    bins: u32,
    // How far apart the places are of elements that differ by one in what the
    // axes leave of their numbers: 1, if there are none.
    stride: vec2<u32>,
    axes: u32,
    padding: u32,
    // Of each axis its length, the digit of the run's first element, and how
    // far apart neighbours' places are.
    axis: array<vec4<u32>, AXES_MAX>,
}

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

const VECTOR_BYTES: u32 = 16u;
// Bits of an element in a word, and elements that a word holds.
const FIELD_BITS: u32 = min(ELEMENT_BITS, 32u);
const WORD_ELEMENTS: u32 = 32u / FIELD_BITS;

// The position in the run of an output's first element. The run is a block of
// shape (outer, reduced, inner), the last axis fastest.
fn first_of(output: u32) -> u32 {
    let number = params.first_output + output;
    let outer = number / params.inner;
    return outer * (params.reduced * params.inner) + (number - outer * params.inner);
}

// The bits of the element at a position of the run that starts with a vector.
fn element(position: u32, start: u32) -> vec2<u32> {
    if (ELEMENT_BITS == 64u) {
        let x = data[start + (position >> 1u)];
        return select(x.xy, x.zw, (position & 1u) != 0u);
    }
    let word = position / WORD_ELEMENTS;
    let bit = (position % WORD_ELEMENTS) * FIELD_BITS;
    return vec2<u32>(extractBits(data[start + (word >> 2u)][word & 3u], bit, FIELD_BITS), 0u);
}
