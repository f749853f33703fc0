import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { LocalNetwork } from '../src/local-network.ts'
import { seededBytes } from '../src/seeded-bytes.ts'

interface Order {
  readonly seat: number
  readonly committeeSize: number
  readonly certifiedHeight: string
}

describe('a network of eleven validators', { concurrency: false }, () => {
  let network: LocalNetwork
  before(async () => {
    const size = ['--validators', '11', '--miners', '3', '--space', '256MiB']
    network = await LocalNetwork.start({ args: [...size, '--timeout', '280'] })
  })
  after(() => network?.remove())

  it('stores and gives back, and tells how its members order', async () => {
    const source = join(network.dir, 'source.bin')
    const target = join(network.dir, 'target.bin')
    await writeFile(source, seededBytes('eleven', 3_000_000))
    await network.cumulus('put', source, 'box/')
    await network.cumulus('get', 'box/source.bin', target)
    assert.deepEqual(await readFile(target), await readFile(source))

    const before = (await network.status()).committee!
    assert.deepEqual([before.size, before.traitors], [11, []])
    await network.until('rounds pass, and all certify what came since', 120, async () => {
      // It fails where one is not well for a moment.
      const status = await network.status().catch(() => undefined)
      if (!status) return false
      const orders = status.processes.filter(({ role }) => role === 'validator').map((entry) => entry.status['orderer'])
      for (const [seat, order] of (orders as Order[]).entries()) {
        assert.deepEqual([order.seat, order.committeeSize], [seat, 11])
      }
      assert.equal(orders.length, 11)
      const { round, lagging } = status.committee!
      const certified = (orders as Order[]).map(({ certifiedHeight }) => Number(certifiedHeight))
      return round >= before.round + 10 && lagging.length === 0 && Math.min(...certified) > before.certifiedHeight
    })
  })
})
