// The entry point of states that fit a thread: each thread folds its elements
// into a state of its own, and the states of a workgroup merge in a tree.
//
// The file of an operation comes before this one and gives
//   State                          the state, with the count of blocks in it
//   identity() -> State            the state of no elements
//   lift(state, bits, number)      adds one element: its bits, and its number
//                                  in its output
//   merge(state, other)            adds another state
// States are merged in any order, so which thread sees which element does not
// matter.

@group(0) @binding(1) var<storage, read_write> partials: array<State>;

var<workgroup> states: array<State, THREADS>;

const BLOCK_ELEMENTS: u32 = THREADS * THREAD_ELEMENTS;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = group_id.x;
    // Workgroups share the blocks of a line, but the outputs along an axis.
    let along_axis = params.along_axis != 0u;
    let first_block = select(group, 0u, along_axis);
    let block_step = select(params.workgroups, 1u, along_axis);
    let output_step = select(1u, params.workgroups, along_axis);
    var output = select(0u, group, along_axis);
    for (; output < params.outputs; output += output_step) {
        let origin = first_of(output);
        var state = identity();
        for (var block = first_block; block < params.blocks; block += block_step) {
            let end = min((block + 1u) * BLOCK_ELEMENTS, params.reduced);
            for (var k = block * BLOCK_ELEMENTS + thread; k < end; k += THREADS) {
                lift(&state, element(origin + k * params.inner, 0u), k);
            }
            if (thread == 0u) {
                state.blocks += 1u;
            }
        }
        states[thread] = state;
        workgroupBarrier();
        for (var half = THREADS / 2u; half > 0u; half /= 2u) {
            if (thread < half) {
                merge(&state, states[thread + half]);
                states[thread] = state;
            }
            workgroupBarrier();
        }
        if (thread == 0u) {
            finish(select(group, output, along_axis), state);
        }
        workgroupBarrier();
    }
}

// Adds a workgroup's state to its partial. The host clears partials to zeros,
// which are no state: no blocks have been seen.
fn finish(slot: u32, state: State) {
    var total = state;
    if (partials[slot].blocks != 0u) {
        merge(&total, partials[slot]);
    }
    partials[slot] = total;
}
