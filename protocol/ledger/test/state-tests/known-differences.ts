import type { StateTestCase, StateTestPost } from './state-test.ts'

interface Difference {
  readonly reason: string
  /** Which cases it is about. */
  applies(name: string, test: StateTestCase, post: StateTestPost): boolean
}

/** What is meant to be otherwise here than on Ethereum's main net, or cannot come up. Everything else must agree. */
const differences: readonly Difference[] = [
  {
    reason: 'transactions with blobs (EIP-4844) are not taken here',
    applies: (_, { transaction }, { txbytes }) =>
      txbytes.startsWith('0x03') || transaction['blobVersionedHashes'] !== undefined,
  },
  {
    reason: 'there is no market for blobs: BLOBBASEFEE is always 1',
    applies: (_, { env, pre }) =>
      blobBaseFee(BigInt(env['currentExcessBlobGas'] ?? '0x0')) > 1n && hasOpcode(pre, 0x4a),
  },
  {
    reason: 'precompile 0x0a, point evaluation, always fails here, so that no library decides what a block means',
    applies: (name) => /(?:^|[/:])(?:test_)?point_evaluation_precompile/.test(name),
  },
  {
    reason: 'an account with storage but no nonce, balance or code cannot come up on a chain that began after EIP-161',
    applies: (_, { pre }) =>
      Object.values(pre).some(
        ({ balance, nonce, code, storage }) =>
          BigInt(balance) === 0n && BigInt(nonce) === 0n && code.length <= 2 && Object.keys(storage).length > 0,
      ),
  },
  {
    reason: 'a gas limit above 2^24, which Osaka refuses (EIP-7825), in a case for an older fork',
    applies: (name, { transaction }, { indexes }) =>
      !/ Osaka /.test(name) && BigInt((transaction['gasLimit'] as string[])[indexes.gas]!) > 1n << 24n,
  },
  {
    reason: 'MODEXP is priced otherwise since Osaka (EIP-7883, EIP-7823), in a case for an older fork',
    applies: (name) => !/ Osaka /.test(name) && /(?:^|[/:])(?:test_)?modexp/i.test(name),
  },
]

/** EIP-4844 with the fraction of Prague and Osaka (EIP-7691): e^(excess / fraction), in whole wei, by its series. */
function blobBaseFee(excessBlobGas: bigint): bigint {
  const fraction = 5_007_716n
  let sum = 0n
  for (let i = 1n, term = fraction; term > 0n; i++) {
    sum += term
    term = (term * excessBlobGas) / (fraction * i)
  }
  return sum / fraction
}

/** Whether some code could execute it: bytes behind a PUSH are data. */
function hasOpcode(pre: StateTestCase['pre'], wanted: number): boolean {
  return Object.values(pre).some(({ code }) => {
    const bytes = Uint8Array.fromHex(code.slice(2))
    for (let at = 0; at < bytes.length; at++) {
      const opcode = bytes[at]!
      if (opcode === wanted) return true
      if (opcode >= 0x60 && opcode <= 0x7f) at += opcode - 0x5f
    }
    return false
  })
}

/** Why a case does not apply here, or undefined. */
export function knownDifference(name: string, test: StateTestCase, post: StateTestPost): string | undefined {
  return differences.find((difference) => difference.applies(name, test, post))?.reason
}
