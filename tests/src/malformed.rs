//! Artifacts that nobody's compiler makes: cut, random, too large, too deep, too dear to compile.

const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

/// Bytes without sense that begin as a component does. The same ones each time.
pub fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    COMPONENT.into_iter().chain((0..10_000).map(|_| byte())).collect()
}

/// A good core module, which is no component.
pub fn core_module() -> Vec<u8> {
    MODULE.to_vec()
}

/// It wants a function that no host offers.
pub fn unknown_import() -> Vec<u8> {
    // A type: a function without parameters and results; an instance type that exports it; the import of such an instance.
    let instance = [&[1, 0x42, 2, 0x01, 0x40, 0, 1, 0, 0x04][..], &name("launch"), &[0x01, 0]].concat();
    let import = [&[1][..], &name("acme:rockets/pad@1.0.0"), &[0x05, 0]].concat();
    [&COMPONENT[..], &section(7, &instance), &section(10, &import)].concat()
}

/// A module inside says that it has four billion types.
pub fn huge_count() -> Vec<u8> {
    within_component(&section(1, &[0xff, 0xff, 0xff, 0xff, 0x0f]))
}

/// A module inside begins with four gigabytes of memory.
pub fn huge_memory() -> Vec<u8> {
    within_component(&section(5, &[&[1, 0][..], &number(65_536)].concat()))
}

/// Two instances of a module inside, each with a memory of its own, as a component has only by intent.
pub fn two_memories() -> Vec<u8> {
    let module = [&MODULE[..], &section(5, &[1, 0, 0])].concat();
    [&COMPONENT[..], &section(1, &module), &section(2, &[2, 0, 0, 0, 0, 0, 0])].concat()
}

/// A module inside begins with a table of ten million elements.
pub fn huge_table() -> Vec<u8> {
    within_component(&section(4, &[&[1, 0x70, 0][..], &number(10_000_000)].concat()))
}

/// The component with one more module, which takes all elements for a table that it can get whenever it gets an instance.
pub fn with_growing_table(component: &[u8]) -> Vec<u8> {
    /// The guest itself, and two with which wit-component links it.
    const MODULES: u8 = 3;
    // `table.grow` by 1,000, until it answers -1.
    let body = [0, 0x03, 0x40, 0xd0, 0x70, 0x41, 0xe8, 0x07, 0xfc, 0x0f, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b, 0x0b];
    let sections = [
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[1, 0]),
        section(4, &[1, 0x70, 0, 0]),
        section(8, &[0]),
        section(10, &[&[1, body.len() as u8][..], &body].concat()),
    ];
    let module = [&MODULE[..], &sections.concat()].concat();
    [component, &section(1, &module), &section(2, &[1, 0, MODULES, 0])].concat()
}

/// Types within types, a hundred thousand deep.
pub fn deep_types() -> Vec<u8> {
    const DEEP: usize = 100_000;
    let mut types = vec![1];
    types.extend([0x42, 1, 1].repeat(DEEP));
    types.extend([0x42, 0]);
    [&COMPONENT[..], &section(7, &types)].concat()
}

/// Functions as large as they may be: gigabytes and minutes for a compiler that optimizes.
pub fn compile_bomb() -> Vec<u8> {
    const FUNCTIONS: u32 = 2;
    // 1,000 locals that are all mixed with each other, over and over, in nested loops.
    let mut body = [&number(1)[..], &number(1_000), &[0x7e]].concat();
    for round in 0..400_u32 {
        body.extend([0x03, 0x40]);
        for local in 0..1_000_u32 {
            body.extend([0x20].into_iter().chain(number(local)));
            body.extend([0x20].into_iter().chain(number((local * 7 + round) % 1_000)));
            body.extend([0x7e, 0x21].into_iter().chain(number((local + round) % 1_000)));
        }
        body.extend([0x20, 0, 0xa7, 0x0d, 0]);
    }
    body.extend([0x0b].repeat(401));
    let code = [number(body.len() as u32), body].concat();
    let functions = [number(FUNCTIONS), vec![0; FUNCTIONS as usize]].concat();
    let codes = [number(FUNCTIONS), code.repeat(FUNCTIONS as usize)].concat();
    within_component(&[section(1, &[1, 0x60, 0, 0]), section(3, &functions), section(10, &codes)].concat())
}

fn within_component(sections: &[u8]) -> Vec<u8> {
    let module = [&MODULE[..], sections].concat();
    // The module, and an instance of it.
    [&COMPONENT[..], &section(1, &module), &section(2, &[1, 0, 0, 0])].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len() as u32), content].concat()
}

fn name(text: &str) -> Vec<u8> {
    [&[0][..], &number(text.len() as u32), text.as_bytes()].concat()
}

/// LEB128.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
