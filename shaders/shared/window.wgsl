// The run of elements that one dispatch sums, and how a thread reads it.
//
// A window is seen as vectors of four words. Nothing here knows what the words
// mean, and no shader ever binds data as floats: WGSL lets an implementation
// flush subnormals and assume that there is no NaN.

struct Params {
    // Bytes of the run, a whole number of elements, at most 1 GiB. What the
    // buffer holds beyond them is left over from an earlier run.
    bytes: u32,
    // Blocks of the run, the last one perhaps in part.
    blocks: u32,
    // Workgroups of this dispatch.
    workgroups: u32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

// Four vectors are read together before the first is used, so that a thread
// has four loads in flight.
const BATCH_VECTORS: u32 = 4u;
const BLOCK_VECTORS: u32 = THREADS * BATCHES * BATCH_VECTORS;
const VECTOR_BYTES: u32 = 16u;

// The vector at `index`, with zeros for all bytes past the end of the run.
// Zero is the identity of every sum here.
fn load(index: u32) -> vec4<u32> {
    let first = index * VECTOR_BYTES;
    if (first + VECTOR_BYTES <= params.bytes) {
        return data[index];
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
    return select(data[index] & mask, vec4<u32>(0u), missing == vec4<u32>(4u));
}
