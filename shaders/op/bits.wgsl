// Bitwise and, or, exclusive or.

struct State {
    // Above the bits of an element, all ones while there are no elements.
    conjunction: vec2<u32>,
    disjunction: vec2<u32>,
    difference: vec2<u32>,
    elements: u32,
    blocks: u32,
}

fn identity() -> State {
    let ones = vec2<u32>(0xffffffffu, 0xffffffffu);
    return State(ones, vec2<u32>(0u), vec2<u32>(0u), 0u, 0u);
}

fn lift(state: ptr<function, State>, bits: vec2<u32>, number: u32) {
    let x = select(bits, vec2<u32>(min(bits.x, 1u), 0u), vec2<bool>(BOOLEAN));
    (*state).conjunction &= x;
    (*state).disjunction |= x;
    (*state).difference ^= x;
    (*state).elements += 1u;
}

fn merge(state: ptr<function, State>, other: State) {
    (*state).conjunction &= other.conjunction;
    (*state).disjunction |= other.disjunction;
    (*state).difference ^= other.difference;
    (*state).elements += other.elements;
    (*state).blocks += other.blocks;
}
