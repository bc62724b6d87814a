// Numbers of elements, of NaN, and of elements that are not zero.

struct State {
    elements: u32,
    nan: u32,
    nonzero: u32,
    blocks: u32,
}

fn identity() -> State {
    return State(0u, 0u, 0u, 0u);
}

fn lift(state: ptr<function, State>, bits: vec2<u32>, number: u32) {
    (*state).elements += 1u;
    (*state).nan += select(0u, 1u, is_nan(bits));
    (*state).nonzero += select(1u, 0u, is_zero(bits));
}

fn merge(state: ptr<function, State>, other: State) {
    (*state).elements += other.elements;
    (*state).nan += other.nan;
    (*state).nonzero += other.nonzero;
    (*state).blocks += other.blocks;
}
