// The inner loops of erasure coding, compiled by AssemblyScript to WebAssembly SIMD.
//
// The memory is imported and belongs to the caller; nothing here allocates or keeps state. All addresses and lengths
// are in bytes. Fragment lengths are multiples of 64 (the caller pads its slots), so no loop here has a tail.
//
// A byte x times a constant c is two look-ups in 16-entry tables, one for each half of x: c·x = LOW[x & 15] ^ HIGH[x >> 4].
// A table pair is 32 bytes, LOW then HIGH; one swizzle looks up sixteen bytes at once (Plank, Greenan, Miller, FAST 2013).

/**
 * Where the caller keeps sixteen bytes 0x0f. The mask is loaded, not written as a constant: V8 builds a v128 constant anew
 * at each of its uses (three instructions instead of none), which cost a quarter of the speed.
 */
const NIBBLE_MASK_ADDRESS: usize = 0

/** Our indices are 0..15, where the relaxed swizzle is deterministic; the plain one costs x86 an extra saturating add. */
// @ts-ignore: decorator
@inline
function lookUp(table: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, indices)
  return i8x16.swizzle(table, indices)
}

// @ts-ignore: decorator
@inline
function lowHalves(bytes: v128, mask: v128): v128 {
  return v128.and(bytes, mask)
}

/** Shifts 16-bit lanes and masks, since x86 has no shift of bytes. */
// @ts-ignore: decorator
@inline
function highHalves(bytes: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), mask)
}

// @ts-ignore: decorator
@inline
function xor(a: v128, b: v128): v128 {
  return v128.xor(a, b)
}

/** sum ^ c·x, where x comes split in halves and c as its two tables. */
// @ts-ignore: decorator
@inline
function mulAdd(sum: v128, low: v128, high: v128, lowTable: v128, highTable: v128): v128 {
  return xor(sum, xor(lookUp(lowTable, low), lookUp(highTable, high)))
}

/** sum ^ c·x. */
// @ts-ignore: decorator
@inline
function mulAddWhole(sum: v128, x: v128, mask: v128, lowTable: v128, highTable: v128): v128 {
  return mulAdd(sum, lowHalves(x, mask), highHalves(x, mask), lowTable, highTable)
}

/** The index-th address of a list of 32-bit addresses. */
// @ts-ignore: decorator
@inline
function addressAt(list: usize, index: usize): usize {
  return load<u32>(list + (index << 2))
}

/** Four outputs, 32 bytes a step: eight sums and four halves just fit the sixteen registers of x86 before AVX-512. */
function multiplyFour(tables: usize, inputs: usize, inputCount: usize, outputs: usize, start: usize, end: usize): void {
  const mask = v128.load(NIBBLE_MASK_ADDRESS)
  const inputsEnd = inputs + (inputCount << 2)
  const output0 = addressAt(outputs, 0)
  const output1 = addressAt(outputs, 1)
  const output2 = addressAt(outputs, 2)
  const output3 = addressAt(outputs, 3)
  for (let offset = start; offset < end; offset += 32) {
    let sum0 = i64x2.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0
    let next0 = sum0, next1 = sum0, next2 = sum0, next3 = sum0
    let table = tables
    for (let input = inputs; input < inputsEnd; input += 4) {
      const source = (load<u32>(input) as usize) + offset
      const x = v128.load(source), y = v128.load(source, 16)
      const xLow = lowHalves(x, mask), xHigh = highHalves(x, mask)
      const yLow = lowHalves(y, mask), yHigh = highHalves(y, mask)
      let low = v128.load(table), high = v128.load(table, 16)
      sum0 = mulAdd(sum0, xLow, xHigh, low, high)
      next0 = mulAdd(next0, yLow, yHigh, low, high)
      low = v128.load(table, 32), high = v128.load(table, 48)
      sum1 = mulAdd(sum1, xLow, xHigh, low, high)
      next1 = mulAdd(next1, yLow, yHigh, low, high)
      low = v128.load(table, 64), high = v128.load(table, 80)
      sum2 = mulAdd(sum2, xLow, xHigh, low, high)
      next2 = mulAdd(next2, yLow, yHigh, low, high)
      low = v128.load(table, 96), high = v128.load(table, 112)
      sum3 = mulAdd(sum3, xLow, xHigh, low, high)
      next3 = mulAdd(next3, yLow, yHigh, low, high)
      table += 128
    }
    v128.store(output0 + offset, sum0)
    v128.store(output0 + offset, next0, 16)
    v128.store(output1 + offset, sum1)
    v128.store(output1 + offset, next1, 16)
    v128.store(output2 + offset, sum2)
    v128.store(output2 + offset, next2, 16)
    v128.store(output3 + offset, sum3)
    v128.store(output3 + offset, next3, 16)
  }
}

/** Three outputs, 32 bytes a step. Reading four of twelve fragments at random mostly lacks three of the four data. */
function multiplyThree(tables: usize, inputs: usize, inputCount: usize, outputs: usize, start: usize, end: usize): void {
  const mask = v128.load(NIBBLE_MASK_ADDRESS)
  const inputsEnd = inputs + (inputCount << 2)
  const output0 = addressAt(outputs, 0)
  const output1 = addressAt(outputs, 1)
  const output2 = addressAt(outputs, 2)
  for (let offset = start; offset < end; offset += 32) {
    let sum0 = i64x2.splat(0), sum1 = sum0, sum2 = sum0, next0 = sum0, next1 = sum0, next2 = sum0
    let table = tables
    for (let input = inputs; input < inputsEnd; input += 4) {
      const source = (load<u32>(input) as usize) + offset
      const x = v128.load(source), y = v128.load(source, 16)
      const xLow = lowHalves(x, mask), xHigh = highHalves(x, mask)
      const yLow = lowHalves(y, mask), yHigh = highHalves(y, mask)
      let low = v128.load(table), high = v128.load(table, 16)
      sum0 = mulAdd(sum0, xLow, xHigh, low, high)
      next0 = mulAdd(next0, yLow, yHigh, low, high)
      low = v128.load(table, 32), high = v128.load(table, 48)
      sum1 = mulAdd(sum1, xLow, xHigh, low, high)
      next1 = mulAdd(next1, yLow, yHigh, low, high)
      low = v128.load(table, 64), high = v128.load(table, 80)
      sum2 = mulAdd(sum2, xLow, xHigh, low, high)
      next2 = mulAdd(next2, yLow, yHigh, low, high)
      table += 96
    }
    v128.store(output0 + offset, sum0)
    v128.store(output0 + offset, next0, 16)
    v128.store(output1 + offset, sum1)
    v128.store(output1 + offset, next1, 16)
    v128.store(output2 + offset, sum2)
    v128.store(output2 + offset, next2, 16)
  }
}

/** Two outputs, 32 bytes a step. */
function multiplyTwo(tables: usize, inputs: usize, inputCount: usize, outputs: usize, start: usize, end: usize): void {
  const mask = v128.load(NIBBLE_MASK_ADDRESS)
  const inputsEnd = inputs + (inputCount << 2)
  const output0 = addressAt(outputs, 0)
  const output1 = addressAt(outputs, 1)
  for (let offset = start; offset < end; offset += 32) {
    let sum0 = i64x2.splat(0), sum1 = sum0, next0 = sum0, next1 = sum0
    let table = tables
    for (let input = inputs; input < inputsEnd; input += 4) {
      const source = (load<u32>(input) as usize) + offset
      const x = v128.load(source), y = v128.load(source, 16)
      const xLow = lowHalves(x, mask), xHigh = highHalves(x, mask)
      const yLow = lowHalves(y, mask), yHigh = highHalves(y, mask)
      let low = v128.load(table), high = v128.load(table, 16)
      sum0 = mulAdd(sum0, xLow, xHigh, low, high)
      next0 = mulAdd(next0, yLow, yHigh, low, high)
      low = v128.load(table, 32), high = v128.load(table, 48)
      sum1 = mulAdd(sum1, xLow, xHigh, low, high)
      next1 = mulAdd(next1, yLow, yHigh, low, high)
      table += 64
    }
    v128.store(output0 + offset, sum0)
    v128.store(output0 + offset, next0, 16)
    v128.store(output1 + offset, sum1)
    v128.store(output1 + offset, next1, 16)
  }
}

/** One output, 64 bytes a step: the table loads are shared by four vectors. */
function multiplyOne(tables: usize, inputs: usize, inputCount: usize, outputs: usize, start: usize, end: usize): void {
  const mask = v128.load(NIBBLE_MASK_ADDRESS)
  const inputsEnd = inputs + (inputCount << 2)
  const output = addressAt(outputs, 0)
  for (let offset = start; offset < end; offset += 64) {
    let sum0 = i64x2.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0
    let table = tables
    for (let input = inputs; input < inputsEnd; input += 4) {
      const source = (load<u32>(input) as usize) + offset
      const low = v128.load(table), high = v128.load(table, 16)
      sum0 = mulAddWhole(sum0, v128.load(source), mask, low, high)
      sum1 = mulAddWhole(sum1, v128.load(source, 16), mask, low, high)
      sum2 = mulAddWhole(sum2, v128.load(source, 32), mask, low, high)
      sum3 = mulAddWhole(sum3, v128.load(source, 48), mask, low, high)
      table += 32
    }
    v128.store(output + offset, sum0)
    v128.store(output + offset, sum1, 16)
    v128.store(output + offset, sum2, 32)
    v128.store(output + offset, sum3, 48)
  }
}

/**
 * outputs = matrix × inputs, for fragments of `fragmentBytes` (a multiple of 64).
 *
 * The outputs are taken in groups of four, then what is left in one. Tables lie in the order of reading: for each group, for
 * each input, for each output of the group, one table pair of 32 bytes.
 *
 * @param inputs,outputs lists of 32-bit addresses; no output overlaps an input
 * @param tileBytes bytes of each fragment all groups pass over before the next tile, so that inputs are read from memory once
 */
export function multiply(
  tables: usize,
  inputs: usize,
  inputCount: usize,
  outputs: usize,
  outputCount: usize,
  fragmentBytes: usize,
  tileBytes: usize,
): void {
  const bytesPerOutput = inputCount << 5
  for (let start: usize = 0; start < fragmentBytes; start += tileBytes) {
    const end = min(start + tileBytes, fragmentBytes)
    let table = tables
    let output = outputs
    let left = outputCount
    while (left >= 4) {
      multiplyFour(table, inputs, inputCount, output, start, end)
      table += bytesPerOutput << 2
      output += 16
      left -= 4
    }
    if (left == 3) multiplyThree(table, inputs, inputCount, output, start, end)
    else if (left == 2) multiplyTwo(table, inputs, inputCount, output, start, end)
    else if (left == 1) multiplyOne(table, inputs, inputCount, output, start, end)
  }
}

/**
 * Values of the cubic through the four data points at the four points y, y+1, y+2, y+3 of one coset.
 *
 * The names are those of src/additive-fft.ts, where the same column is computed byte by byte. The inverse transform
 * (one multiplication) is repeated in each coset: keeping its result would cost more loads and stores than it saves.
 *
 * @param cosetTables table pairs of s, y and y+2
 */
function evaluateCoset(
  inverseTables: usize,
  cosetTables: usize,
  inputs: usize,
  outputs: usize,
  start: usize,
  end: usize,
): void {
  const mask = v128.load(NIBBLE_MASK_ADDRESS)
  const inverseLow = v128.load(inverseTables), inverseHigh = v128.load(inverseTables, 16)
  const sLow = v128.load(cosetTables), sHigh = v128.load(cosetTables, 16)
  const yLow = v128.load(cosetTables, 32), yHigh = v128.load(cosetTables, 48)
  const y2Low = v128.load(cosetTables, 64), y2High = v128.load(cosetTables, 80)
  const input0 = addressAt(inputs, 0), input1 = addressAt(inputs, 1)
  const input2 = addressAt(inputs, 2), input3 = addressAt(inputs, 3)
  const output0 = addressAt(outputs, 0), output1 = addressAt(outputs, 1)
  const output2 = addressAt(outputs, 2), output3 = addressAt(outputs, 3)
  for (let offset = start; offset < end; offset += 16) {
    const a0 = v128.load(input0 + offset), d1 = v128.load(input1 + offset)
    const d2 = v128.load(input2 + offset), d3 = v128.load(input3 + offset)
    const a1 = xor(a0, d1)
    const b = xor(d2, d3)
    const a2 = mulAddWhole(xor(a0, d2), b, mask, inverseLow, inverseHigh)
    const a3 = xor(a1, b)

    const c0 = mulAddWhole(a0, a2, mask, sLow, sHigh)
    const c1 = mulAddWhole(a1, a3, mask, sLow, sHigh)
    const f0 = mulAddWhole(c0, c1, mask, yLow, yHigh)
    v128.store(output0 + offset, f0)
    v128.store(output1 + offset, xor(f0, c1))
    const e1 = xor(c1, a3)
    const f2 = mulAddWhole(xor(c0, a2), e1, mask, y2Low, y2High)
    v128.store(output2 + offset, f2)
    v128.store(output3 + offset, xor(f2, e1))
  }
}

/**
 * The eight parity fragments of four data fragments by the additive FFT: ten multiplications a column instead of 32.
 *
 * One coset after the other within a tile, not both at once: twelve streams 8 MiB apart fall into the same set of an
 * 8-way cache and push each other out, eight do not (6.4 GB/s against 4.7 on Zen 4).
 *
 * @param tables table pairs: v; s, y, y+2 of the first coset; s, y, y+2 of the second
 */
export function encodeFft(tables: usize, inputs: usize, outputs: usize, fragmentBytes: usize, tileBytes: usize): void {
  for (let start: usize = 0; start < fragmentBytes; start += tileBytes) {
    const end = min(start + tileBytes, fragmentBytes)
    evaluateCoset(tables, tables + 32, inputs, outputs, start, end)
    evaluateCoset(tables, tables + 128, inputs, outputs + 16, start, end)
  }
}
