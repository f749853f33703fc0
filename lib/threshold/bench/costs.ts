import { parseArgs } from 'node:util'
import { utf8Encode } from '@cumulus/bytes'
import {
  aggregateSignatures,
  BlsKey,
  checkSignature,
  combine,
  deal,
  fastAggregateVerify,
  verifyBls,
  verifyShare,
} from '../src/index.ts'

/** Prints what each operation costs: median ms of processor time. `node --conditions=@cumulus/source lib/threshold/bench/costs.ts` */
export function measureCosts(rounds: number): Record<string, number> {
  const message = utf8Encode('cumulus/bench')
  const keys = Array.from({ length: 11 }, (_, index) => BlsKey.fromSeed(new Uint8Array(32).fill(index + 1)))
  const signatures = keys.map((key) => key.sign(message))
  const publicKeys = keys.map(({ publicKey }) => publicKey)
  const [key, signature] = [keys[0]!, signatures[0]!]
  const sum8 = aggregateSignatures(signatures.slice(0, 8))
  const coins = new Map(
    [
      [4, 3],
      [11, 7],
      [31, 21],
    ].map(([n, t]) => {
      const coin = deal({ n: n!, t: t!, randomness: new Uint8Array(32).fill(n!) })
      const shares = coin.shares.map((share, index) => ({ index, signature: BlsKey.fromSecret(share).sign(message) }))
      return [n!, { coin, shares: shares.slice(n! - t!) }]
    }),
  )
  const combineOf = (n: number) => () => combine(coins.get(n)!.coin, message, coins.get(n)!.shares)
  const works: Record<string, () => unknown> = {
    sign: () => key.sign(message),
    verify: () => verifyBls(signature, message, key.publicKey),
    'decode and check a signature': () => checkSignature(signature),
    'aggregate 8': () => aggregateSignatures(signatures.slice(0, 8)),
    'verify an aggregate of 8': () => fastAggregateVerify(sum8, message, publicKeys.slice(0, 8)),
    'verify a share': () => verifyShare(coins.get(11)!.coin, message, coins.get(11)!.shares[0]!),
    'combine 3 of 4': combineOf(4),
    'combine 7 of 11': combineOf(11),
    'combine 21 of 31': combineOf(31),
  }
  return Object.fromEntries(Object.entries(works).map(([name, work]) => [name, medianMs(work, rounds)]))
}

/** Clocks of processor time tick in ms here and there: one sample is several runs. */
const RUNS_PER_SAMPLE = 20

function medianMs(work: () => unknown, rounds: number): number {
  const times = Array.from({ length: rounds }, () => {
    const start = process.threadCpuUsage()
    for (let run = 0; run < RUNS_PER_SAMPLE; run++) work()
    const { user, system } = process.threadCpuUsage(start)
    return (user + system) / 1000 / RUNS_PER_SAMPLE
  })
  return times.sort((a, b) => a - b)[rounds >> 1]!
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '21' } } })
  for (const [name, ms] of Object.entries(measureCosts(Number(values.rounds)))) {
    process.stdout.write(`${name.padEnd(32)} ${ms.toFixed(3)} ms\n`)
  }
}
