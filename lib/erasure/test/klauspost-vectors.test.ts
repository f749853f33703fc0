import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { bytesToPlainHex } from '@cumulus/bytes'
import { ErasureCode, generatorMatrix, referenceEncode } from '../src/index.ts'
import { ByteStream } from './arbitraries.ts'

interface Vector {
  k: number
  m: number
  shardBytes: number
  seed: number
  parityHex?: string[]
  paritySha256: string[]
}

const { cases }: { cases: Vector[] } = JSON.parse(
  readFileSync(new URL('./vectors/reed-solomon-klauspost.json', import.meta.url), 'utf8'),
)

function checkParity(parity: readonly Uint8Array[], { parityHex, paritySha256 }: Vector): void {
  parity.forEach((fragment, i) => {
    if (parityHex) assert.equal(bytesToPlainHex(fragment), parityHex[i])
    assert.equal(createHash('sha256').update(fragment).digest('hex'), paritySha256[i])
  })
}

describe('codec 1 against klauspost/reedsolomon 1.9.13', () => {
  for (const vector of cases) {
    const { k, m, shardBytes, seed } = vector
    it(`gives the same parity for ${k}+${m}, ${shardBytes} bytes`, () => {
      const data = new ByteStream(seed).fragments(k, shardBytes)
      for (const kernelBuild of ['simd', 'relaxed'] as const) {
        const code = ErasureCode.create({ dataCount: k, parityCount: m, kernelBuild })
        const parity = Array.from({ length: m }, () => new Uint8Array(shardBytes))
        code.encode(data, parity)
        checkParity(parity, vector)
      }
    })
  }

  it('is what the reference computes too', () => {
    for (const vector of cases.filter(({ shardBytes }) => shardBytes < 1000)) {
      const { k, m, shardBytes, seed } = vector
      const data = new ByteStream(seed).fragments(k, shardBytes)
      checkParity(referenceEncode(generatorMatrix({ dataCount: k, parityCount: m }), data), vector)
    }
  })
})
