// Numbers of elements in intervals of keys, counted in storage by all
// workgroups together. The host reads and clears the counts before there can be
// 2^32 elements.

struct Partial {
    nan: atomic<u32>,
    below: atomic<u32>,
    above: atomic<u32>,
    // Blocks counted: the host's evidence that every dispatch ran.
    blocks: atomic<u32>,
    counts: array<atomic<u32>>,
}

@group(0) @binding(1) var<storage, read_write> partial: Partial;

// The smallest key of each interval, never falling, then the largest key of the
// last; each as low and high words.
@group(0) @binding(3) var<storage, read> boundaries: array<vec2<u32>>;

const BLOCK_ELEMENTS: u32 = THREADS * THREAD_ELEMENTS;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var block = group_id.x; block < params.blocks; block += params.workgroups) {
        let end = min((block + 1u) * BLOCK_ELEMENTS, params.reduced);
        for (var k = block * BLOCK_ELEMENTS + thread; k < end; k += THREADS) {
            lift(element(k, 0u));
        }
        if (thread == 0u) {
            atomicAdd(&partial.blocks, 1u);
        }
    }
}

fn lift(bits: vec2<u32>) {
    if (is_nan(bits)) {
        atomicAdd(&partial.nan, 1u);
        return;
    }
    let found = key(bits);
    // The number of intervals that start at this key or below it.
    var least = 0u;
    var most = params.bins;
    while (least < most) {
        let middle = (least + most) / 2u;
        if (less(found, boundaries[middle])) {
            most = middle;
        } else {
            least = middle + 1u;
        }
    }
    if (least == 0u) {
        atomicAdd(&partial.below, 1u);
    } else if (least == params.bins && less(boundaries[params.bins], found)) {
        atomicAdd(&partial.above, 1u);
    } else {
        atomicAdd(&partial.counts[least - 1u], 1u);
    }
}
