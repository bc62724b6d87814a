// The smallest and the largest element by their keys, and where they are first
// if INDEXED. NaN is counted apart.

struct State {
    // The smallest key and its lowest place, then of the largest.
    min_key: vec2<u32>,
    min_index: vec2<u32>,
    max_key: vec2<u32>,
    max_index: vec2<u32>,
    // The lowest place of a NaN.
    nan_index: vec2<u32>,
    elements: u32,
    nan: u32,
    blocks: u32,
    // Makes the size a multiple of eight bytes, which it has to be.
    padding: u32,
}

const ALL_ONES: vec2<u32> = vec2<u32>(0xffffffffu, 0xffffffffu);

// Keys that any element replaces, or equals at a lower place.
fn identity() -> State {
    let zeros = vec2<u32>(0u);
    return State(ALL_ONES, ALL_ONES, zeros, ALL_ONES, ALL_ONES, 0u, 0u, 0u, 0u);
}

fn lift(state: ptr<function, State>, bits: vec2<u32>, number: u32) {
    (*state).elements += 1u;
    if (is_nan(bits)) {
        (*state).nan += 1u;
        lower_nan(state, place_if_kept(number));
        return;
    }
    let found = key(bits);
    // Most elements lie between the extremes, and their places need not be known.
    if (less((*state).min_key, found) && less(found, (*state).max_key)) {
        return;
    }
    let index = place_if_kept(number);
    lower_min(state, found, index);
    raise_max(state, found, index);
}

fn place_if_kept(number: u32) -> vec2<u32> {
    if (INDEXED) {
        return place(number);
    }
    return vec2<u32>(0u);
}

fn merge(state: ptr<function, State>, other: State) {
    lower_min(state, other.min_key, other.min_index);
    raise_max(state, other.max_key, other.max_index);
    lower_nan(state, other.nan_index);
    (*state).elements += other.elements;
    (*state).nan += other.nan;
    (*state).blocks += other.blocks;
}

fn lower_min(state: ptr<function, State>, found: vec2<u32>, index: vec2<u32>) {
    let same = all(found == (*state).min_key);
    if (less(found, (*state).min_key) || (same && less(index, (*state).min_index))) {
        (*state).min_key = found;
        (*state).min_index = index;
    }
}

fn raise_max(state: ptr<function, State>, found: vec2<u32>, index: vec2<u32>) {
    let same = all(found == (*state).max_key);
    if (less((*state).max_key, found) || (same && less(index, (*state).max_index))) {
        (*state).max_key = found;
        (*state).max_index = index;
    }
}

fn lower_nan(state: ptr<function, State>, index: vec2<u32>) {
    if (less(index, (*state).nan_index)) {
        (*state).nan_index = index;
    }
}
