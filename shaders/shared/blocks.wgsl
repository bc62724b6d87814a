// The entry point of sums: workgroups stride over the blocks of a window.
//
// The file of an operation comes before this one and gives
//   State                          what one thread knows of one block
//   exponent(terms) -> u32         that of the first normal one, if any
//   identity(window_end) -> State  the state of no terms
//   lift(state, x0, .., x3, copy)  adds four vectors of terms
//   merge(state, copy)             adds the state to the workgroup's digits
// An operation without a window has WINDOWED false. Between them stands how
// terms are made of elements (shaders/terms), or else the operation does it:
//   sample(x, y) -> u32            the exponent of a term of a vector, or zero
//   take(state, x, y, copy)        lifts the terms of a batch
// where y is x but for products of two data sets.

const SAMPLING_THREADS: u32 = 64u;

// Four vectors are read together before the first is used, so that a thread
// has four loads in flight.
const BATCH_VECTORS: u32 = 4u;
const BLOCK_VECTORS: u32 = THREADS * BATCHES * BATCH_VECTORS;
const VECTOR_ELEMENTS: u32 = VECTOR_BYTES / (ELEMENT_BITS / 8u);

struct Batch {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = group_id.x;
    let copy = thread & (COPIES - 1u);
    // Workgroups share the blocks of a line, but the outputs along an axis.
    let along_axis = params.along_axis != 0u;
    let first_block = select(group, 0u, along_axis);
    let block_step = select(params.workgroups, 1u, along_axis);
    let output_step = select(1u, params.workgroups, along_axis);
    var output = select(0u, group, along_axis);
    for (; output < params.outputs; output += output_step) {
        let origin = first_of(output);
        let slot = select(group, output, along_axis);
        for (var block = first_block; block < params.blocks; block += block_step) {
            let first = block * BLOCK_VECTORS + thread;
            if (WINDOWED) {
                if (thread < SAMPLING_THREADS) {
                    let x = load(origin, first, 0u);
                    var y = x;
                    if (PAIRED) {
                        y = load(origin, first, params.second);
                    }
                    observe(sample(x, y));
                }
                workgroupBarrier();
                choose(thread);
                workgroupBarrier();
            }
            var state = identity(window_end());
            let whole = !along_axis
                && (block + 1u) * (BLOCK_VECTORS * VECTOR_BYTES) <= params.bytes;
            for (var i = 0u; i < BATCHES; i += 1u) {
                let index = first + i * (BATCH_VECTORS * THREADS);
                let x = batch(origin, index, 0u, whole);
                var y = x;
                if (PAIRED) {
                    y = batch(origin, index, params.second, whole);
                }
                take(&state, x, y, copy);
            }
            merge(&state, copy);
            workgroupBarrier();
            finish(slot, thread);
            forget(thread);
            workgroupBarrier();
        }
    }
}

// Four vectors of an output, THREADS apart, in the run that starts with the
// vector `start`. `whole` says that they lie in a line and before its end.
fn batch(origin: u32, index: u32, start: u32, whole: bool) -> Batch {
    if (whole) {
        let i = start + index;
        return Batch(data[i], data[i + THREADS], data[i + 2u * THREADS], data[i + 3u * THREADS]);
    }
    return Batch(
        load(origin, index, start),
        load(origin, index + THREADS, start),
        load(origin, index + 2u * THREADS, start),
        load(origin, index + 3u * THREADS, start),
    );
}

// A vector of an output, with zeros for all elements past its end. Zero is the
// identity of every sum here.
fn load(origin: u32, index: u32, start: u32) -> vec4<u32> {
    if (params.along_axis != 0u) {
        return gather(origin, index, start);
    }
    let first = index * VECTOR_BYTES;
    if (first + VECTOR_BYTES <= params.bytes) {
        return data[start + index];
    }
    if (first >= params.bytes) {
        return vec4<u32>(0u);
    }
    let word_starts = vec4<u32>(0u, 4u, 8u, 12u);
    let left = max(vec4<u32>(params.bytes - first), word_starts) - word_starts;
    let missing = vec4<u32>(4u) - min(left, vec4<u32>(4u));
    // A shift by 32 bits is not defined, so a word that misses all four bytes
    // is shifted by 24 and then dropped.
    let mask = vec4<u32>(0xffffffffu) >> (min(missing, vec4<u32>(3u)) * 8u);
    return select(data[start + index] & mask, vec4<u32>(0u), missing == vec4<u32>(4u));
}

// A vector of elements that do not lie side by side.
fn gather(origin: u32, index: u32, start: u32) -> vec4<u32> {
    var words = vec4<u32>(0u);
    let first = index * VECTOR_ELEMENTS;
    let end = min(first + VECTOR_ELEMENTS, params.reduced);
    for (var k = first; k < end; k += 1u) {
        let bits = element(origin + k * params.inner, start);
        let at = k - first;
        if (ELEMENT_BITS == 64u) {
            words[2u * at] = bits.x;
            words[2u * at + 1u] = bits.y;
        } else {
            words[at / WORD_ELEMENTS] |= bits.x << ((at % WORD_ELEMENTS) * FIELD_BITS);
        }
    }
    return words;
}
