import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { coinMessage } from '@cumulus/certificate'
import { deal, verifyBls } from '@cumulus/threshold'
import { ThresholdCoin } from '../src/consensus/threshold-coin.ts'

const { shares, ...key } = deal({ n: 4, t: 3, randomness: new Uint8Array(32).fill(7) })
const place = { chainId: 27_103, era: 0 }

describe('the threshold coin', () => {
  const open: ThresholdCoin[] = []
  const coinOf = (seat: number, share: Uint8Array | null = shares[seat]!) => {
    const coin = new ThresholdCoin({ ...place, key, share, origin: 'test' })
    open.push(coin)
    return coin
  }
  afterEach(async () => {
    for (const coin of open.splice(0)) await coin.close()
  })
  const sharesOf = (round: number, ...seats: number[]) =>
    Promise.all(seats.map(async (author) => ({ author, share: (await coinOf(author).share(round))! })))

  it('is the same from whichever t shares, another in each round, and every share has the right form', async () => {
    const coin = coinOf(0)
    const all = await sharesOf(5, 0, 1, 2, 3)
    const sumOf = async (...seats: number[]) => {
      const sum = await coin.combine(
        5,
        seats.map((seat) => all[seat]!),
      )
      return 'value' in sum ? sum.value.toHex() : assert.fail('no value')
    }
    const value = await sumOf(0, 1, 2)
    assert.equal(await sumOf(3, 1, 0), value)
    assert.equal(await sumOf(1, 2, 3), value)
    const { rule } = coin
    for (const { author, share } of all) {
      assert.ok(rule.mode === 'threshold' && rule.wellFormed(share))
      assert.ok(verifyBls(share, coinMessage({ ...place, round: 5 }), key.shareKeys[author]!))
    }
    const other = await coin.combine(6, await sharesOf(6, 0, 1, 2))
    assert.ok('value' in other && other.value.toHex() !== value)
  })

  it('names whose shares are wrong, of another round or of nobody, and no others', async () => {
    const coin = coinOf(0)
    const [zero, one, two] = await sharesOf(8, 0, 1, 2)
    const [late] = await sharesOf(7, 1)
    assert.deepEqual(await coin.combine(8, [zero!, { ...late!, author: 1 }, two!]), { badShares: [1] })
    assert.deepEqual(await coin.combine(8, [zero!, one!, { ...zero!, author: 3 }]), { badShares: [3] })
    assert.ok('value' in (await coin.combine(8, [zero!, one!, two!])))
  })

  it('makes the share of the next round ahead, asks once for each, and forgets old ones', async () => {
    const coin = coinOf(2)
    const first = await coin.share(1)
    assert.deepEqual(await coin.share(1), first)
    const rounds = [2, 3, 900, 901, 4]
    for (const round of rounds) {
      const share = await coin.share(round)
      assert.ok(verifyBls(share!, coinMessage({ ...place, round }), key.shareKeys[2]!))
    }
  })

  it('is combined by a member that holds no share', async () => {
    const coin = coinOf(3, null)
    assert.equal(await coin.share(1), null)
    assert.ok('value' in (await coin.combine(1, await sharesOf(1, 0, 1, 2))))
  })

  it('is known by sight: its value, and nothing else, verifies', async () => {
    const coin = coinOf(3, null)
    const shares = await sharesOf(9, 0, 1, 2)
    const sum = await coin.combine(9, shares)
    const value = 'value' in sum ? sum.value : assert.fail('no value')
    assert.equal(await coin.verify(9, value), true)
    assert.equal(await coin.verify(10, value), false, 'of another round')
    const other = value.with(95, value[95]! ^ 1)
    for (const wrong of [other, shares[0]!.share, new Uint8Array(96), value.subarray(1), new Uint8Array(0)]) {
      assert.equal(await coin.verify(9, wrong), false)
    }
  })

  it('fails for whoever waits, and from then on, when its thread ends', async () => {
    const coin = coinOf(0)
    await coin.share(1)
    const waiting = coin.share(500)
    waiting.catch(() => {})
    await coin.close()
    await assert.rejects(coin.combine(1, []), /ended/)
    await assert.rejects(coin.share(600), /ended/)
  })
})
