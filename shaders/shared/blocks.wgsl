// The entry point: workgroups stride over the blocks of a window.
//
// The file of an operation comes before this one and gives
//   State                          what one thread knows of one block
//   exponent(vector) -> u32        the largest exponent of finite elements
//   identity(exponent) -> State    the state of no elements
//   lift(state, x0, .., x3, copy)  adds four vectors
//   merge(state, copy)             adds the state to the workgroup's digits
// An operation that needs no exponent ignores it.

// The largest exponent among a sample of the block. It decides which elements
// take the fast path, and nothing else.
var<workgroup> sampled_exponent: atomic<u32>;

const SAMPLING_THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = group_id.x;
    let copy = thread & (COPIES - 1u);
    for (var block = group; block < params.blocks; block += params.workgroups) {
        let first = block * BLOCK_VECTORS + thread;
        if (thread < SAMPLING_THREADS) {
            atomicMax(&sampled_exponent, exponent(load(first)));
        }
        workgroupBarrier();
        var state = identity(atomicLoad(&sampled_exponent));
        let whole = (block + 1u) * (BLOCK_VECTORS * VECTOR_BYTES) <= params.bytes;
        for (var batch = 0u; batch < BATCHES; batch += 1u) {
            let i = first + batch * (BATCH_VECTORS * THREADS);
            if (whole) {
                let x0 = data[i];
                let x1 = data[i + THREADS];
                let x2 = data[i + 2u * THREADS];
                let x3 = data[i + 3u * THREADS];
                lift(&state, x0, x1, x2, x3, copy);
            } else {
                let x0 = load(i);
                let x1 = load(i + THREADS);
                let x2 = load(i + 2u * THREADS);
                let x3 = load(i + 3u * THREADS);
                lift(&state, x0, x1, x2, x3, copy);
            }
        }
        merge(&state, copy);
        workgroupBarrier();
        drain(group, thread);
        if (thread == 0u) {
            atomicStore(&sampled_exponent, 0u);
        }
        workgroupBarrier();
    }
}
