import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nextBaseFee } from '../../src/index.ts'

const GWEI = 10n ** 9n
const params = { gasPerSecond: 5_000_000n }
/** EIP-1559 as it is written there, with a target of half of 60 million gas. */
function ethereum(baseFee: bigint, gasUsed: bigint): bigint {
  const target = 30_000_000n
  if (gasUsed === target) return baseFee
  if (gasUsed < target) return baseFee - (baseFee * (target - gasUsed)) / target / 8n
  const rise = (baseFee * (gasUsed - target)) / target / 8n
  return baseFee + (rise > 1n ? rise : 1n)
}

describe('the base fee', () => {
  it('is that of EIP-1559 where blocks are six seconds apart, up to one wei of rounding', () => {
    const anyFee = fc.bigInt(1n, 10n ** 15n)
    fc.assert(
      fc.property(
        anyFee,
        fc.bigInt(0n, 60_000_000n),
        fc.integer({ min: 6_000, max: 60_000 }),
        (baseFee, gasUsed, ms) => {
          const difference = nextBaseFee({ baseFee, gasUsed }, ms, params) - ethereum(baseFee, gasUsed)
          assert.ok(difference >= -1n && difference <= 1n, `${difference}`)
        },
      ),
    )
  })

  it('depends on the gas used in a time, hardly on the number of blocks it came in', () => {
    const after = (blocks: number, gas: bigint) => {
      let baseFee = 100n * GWEI
      for (let i = 0; i < blocks; i++) {
        baseFee = nextBaseFee({ baseFee, gasUsed: gas / BigInt(blocks) }, 6_000 / blocks, params)
      }
      return Number(baseFee) / Number(100n * GWEI)
    }
    for (const gas of [0n, 15_000_000n, 30_000_000n, 60_000_000n]) {
      const [few, many] = [after(1, gas), after(60, gas)]
      assert.ok(Math.abs(few - many) < 0.01, `${gas} gas: ${few} in one block, ${many} in sixty`)
    }
  })

  it('rises by at least a wei, and never falls to nothing', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 60_000_000n), fc.nat(100_000), (gasUsed, ms) => {
        const next = nextBaseFee({ baseFee: 1n, gasUsed }, ms, params)
        assert.ok(next >= 1n && next <= 2n)
      }),
    )
    let baseFee = 7n * GWEI
    for (let i = 0; i < 2_000; i++) baseFee = nextBaseFee({ baseFee, gasUsed: 0n }, 6_000, params)
    assert.equal(baseFee, 7n)
  })

  it('counts no less than 50 ms and no more than 6 s between two blocks', () => {
    const fee = (ms: number) => nextBaseFee({ baseFee: GWEI, gasUsed: 1_000_000n }, ms, params)
    assert.equal(fee(0), fee(50))
    assert.equal(fee(6_000), fee(3_600_000))
    assert.ok(fee(50) > fee(51) && fee(5_999) > fee(6_000))
  })
})
