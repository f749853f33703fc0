// Speed of groups, pairing, sums and hashes beside what they replace, interleaved: every round runs every contender once, so
// that a noisy neighbour slows all alike.
//
//     node --conditions=@cumulus/source lib/bls/bench/groups.ts [points] [names] [rounds]
//
// Times are of the processor, not of the clock, in ms; ratios are to the contender named last in a group, the median over rounds.

import {
  FixedBase,
  G1,
  G1Vector,
  G2,
  packScalars,
  pairingProductIsOne,
  sumOfHashes,
  sumOfMultiples,
  sumOfPackedMultiples,
} from '../src/index.ts'
import { MCL_G1_BYTES, mcl, mclMemory, placeScalar } from '../src/mcl.ts'

/** One line of the table. */
export interface BenchResult {
  name: string
  msBest: number
  msMedian: number
  /** Time of the last contender of the group over ours, median of the rounds. */
  ratio: number
  /** The result, so that contenders of a group can be seen to agree. */
  checksum: string
}

interface Contender {
  name: string
  /** Returns what it computed. */
  run(): string
}

/** Operations done once are too quick for a clock of the processor. */
const REPEATS = 20

function repeat(run: () => string): () => string {
  return () => {
    let result = ''
    for (let i = 0; i < REPEATS; i++) result = run()
    return result
  }
}

/** Scalars of `bits` bits, the same in every run. */
function scalarsOf(count: number, bits: number): bigint[] {
  let state = 12345n
  return Array.from({ length: count }, () => {
    state =
      (state * 0x5851f42d4c957f2d14057b7ef767814f5851f42d4c957f2d14057b7ef767814fn + 1442695040888963407n) %
      (1n << 256n)
    return state >> BigInt(256 - bits)
  })
}

/** mcl's own sum of multiples, the points and scalars in its memory. It takes some thousand points at a time. */
function mclSum(points: readonly G1[], scalars: readonly bigint[]): () => string {
  const pieces: { points: number; scalars: number; count: number }[] = []
  const size = Math.min(points.length, 4096)
  for (let first = 0; first < points.length; first += size) {
    const count = Math.min(size, points.length - first)
    const piece = { points: mcl._malloc(count * MCL_G1_BYTES), scalars: mcl._malloc(count * 32), count }
    for (let i = 0; i < count; i++) {
      const scalar = placeScalar(scalars[first + i]!)
      const memory = mclMemory()
      memory.set(G1.mclCoordinates(points[first + i]!), piece.points + i * MCL_G1_BYTES)
      memory.copyWithin(piece.scalars + i * 32, scalar, scalar + 32)
    }
    pieces.push(piece)
  }
  const out = mcl._malloc(MCL_G1_BYTES)
  return () => {
    let total = G1.zero
    for (const piece of pieces) {
      mcl._mclBnG1_mulVec(out, piece.points, piece.scalars, piece.count)
      total = total.add(G1.takeFromMcl(out))
    }
    return hex(total)
  }
}

function hex(point: G1 | G2): string {
  return point.toBytes().toHex().slice(0, 12)
}

function groupsOf(pointCount: number, nameCount: number): Contender[][] {
  const points: G1[] = [G1.generator.multiply(3n)]
  while (points.length < pointCount) points.push(points.at(-1)!.add(G1.generator))
  const vector = G1Vector.of(points)
  const scalars = scalarsOf(pointCount, 254)
  const packed = packScalars(scalars)
  const few = points.slice(0, nameCount)
  const short = scalarsOf(few.length, 128)
  const dst = new TextEncoder().encode('benchmark')
  const names = Array.from({ length: nameCount }, (_, i) => new TextEncoder().encode(`name ${i}`))
  const [scalar] = scalarsOf(1, 254) as [bigint]
  const point = points[0]!
  const base = new FixedBase(point)
  const encoded = point.toBytes()
  const encodedG2 = G2.generator.toBytes()
  const pairs = (count: number) => Array.from({ length: count }, () => [point, G2.generator] as const)
  return [
    [
      { name: `sum of ${pointCount} multiples, 254 bits`, run: () => hex(sumOfPackedMultiples(vector, packed)) },
      { name: `  by mcl's mulVec, 4,096 at a time`, run: mclSum(points, scalars) },
    ],
    [
      { name: `sum of ${nameCount} multiples, 128 bits`, run: () => hex(sumOfMultiples(few, short)) },
      { name: `  by mcl's mulVec`, run: mclSum(few, short) },
    ],
    [
      { name: `sum of ${nameCount} hashes, 128 bits`, run: () => hex(sumOfHashes(names, dst, short)) },
      {
        name: '  hash by hash',
        run: () =>
          hex(
            sumOfMultiples(
              names.map((name) => G1.hash(name, dst)),
              short,
            ),
          ),
      },
    ],
    [
      { name: `${REPEATS} multiples by table`, run: repeat(() => hex(base.multiply(scalar))) },
      { name: `${REPEATS} multiples in constant time`, run: repeat(() => hex(point.multiplySecret(scalar))) },
      { name: `${REPEATS} multiples`, run: repeat(() => hex(point.multiply(scalar))) },
    ],
    [
      { name: `${REPEATS} decoded, unchecked`, run: repeat(() => hex(G1.trustedFromBytes(encoded))) },
      { name: `${REPEATS} decoded`, run: repeat(() => hex(G1.fromBytes(encoded))) },
    ],
    [{ name: `${REPEATS} hashes to G1`, run: repeat(() => hex(G1.hash(names[0]!, dst))) }],
    [{ name: `${REPEATS} multiples in G2`, run: repeat(() => hex(G2.generator.multiply(scalar))) }],
    [{ name: `${REPEATS} of G2 decoded`, run: repeat(() => hex(G2.fromBytes(encodedG2))) }],
    [{ name: `${REPEATS} products of 3 pairings`, run: repeat(() => String(pairingProductIsOne(pairs(3)))) }],
    [{ name: `${REPEATS} products of 1 pairing`, run: repeat(() => String(pairingProductIsOne(pairs(1)))) }],
  ]
}

function processorMs(action: () => void): number {
  const start = process.cpuUsage()
  action()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Runs all contenders in turns; groups of lines that do the same. */
export function benchGroups(pointCount: number, nameCount: number, roundCount: number): BenchResult[][] {
  const groups = groupsOf(pointCount, nameCount)
  const samples = groups.map((group) => group.map(() => ({ ms: [] as number[], checksum: '' })))
  for (let round = 0; round < roundCount + 1; round++) {
    groups.forEach((group, g) => {
      group.forEach(({ run }, i) => {
        const sample = samples[g]![i]!
        const ms = processorMs(() => {
          sample.checksum = run()
        })
        if (round > 0) sample.ms.push(ms) // the first round warms up
      })
    })
  }
  return groups.map((group, g) =>
    group.map(({ name }, i) => {
      const { ms, checksum } = samples[g]![i]!
      const last = samples[g]!.at(-1)!.ms
      return {
        name,
        msBest: Math.min(...ms),
        msMedian: median(ms),
        ratio: median(ms.map((own, round) => last[round]! / own)),
        checksum,
      }
    }),
  )
}

if (import.meta.main) {
  const [points, names, rounds] = [2, 3, 4].map((i) => process.argv[i]) as (string | undefined)[]
  process.stdout.write(`${'ms of one core'.padEnd(44)}    best  median   ratio  checksum\n`)
  for (const group of benchGroups(Number(points ?? 32_767), Number(names ?? 100), Number(rounds ?? 5))) {
    for (const { name, msBest, msMedian, ratio, checksum } of group) {
      const numbers = [msBest.toFixed(1), msMedian.toFixed(1), ratio.toFixed(2)].map((text) => text.padStart(8))
      process.stdout.write(`${name.padEnd(44)}${numbers.join('')}  ${checksum}\n`)
    }
  }
}
