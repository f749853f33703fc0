import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { FrameOp } from '@cumulus/network'
import type { PodrParams } from '@cumulus/podr2'
import { ProofNetwork, WORKER, type WrittenStripe } from '../src/proof-network.ts'
import { type Loot, type Misdeed, RogueMiner } from '../src/rogue-miner.ts'

/** Twelve miners, forty stripes: every miner sits in both groups, so all have the same power. */
const MINERS = 12
const STRIPES = 40
const ROGUES: Record<number, Misdeed | 'off'> = { 7: 'drops', 8: 'borrows', 9: 'replays', 10: 'late', 11: 'off' }
const HONEST = [0, 1, 2, 3, 4, 5, 6]

type AuditEvent = 'passed' | 'failed' | 'missed'

describe('a network whose miners prove what they store', { timeout: 300_000 }, () => {
  let network: ProofNetwork
  let written: WrittenStripe[]
  /** In this one, some audits may have come while not all stripes were tagged. */
  let firstEra: bigint
  const stop = new AbortController()
  const rogues: Promise<void>[] = []
  const started = new Map<number, RogueMiner>()

  before(async () => {
    network = await ProofNetwork.start(MINERS)
  })

  after(async () => {
    stop.abort(new Error('the test is over'))
    await Promise.allSettled(rogues)
    await network.close()
  })

  /** Everything the chain has said of a miner's audits, in order. */
  async function history(index: number): Promise<{ events: AuditEvent[]; penalties: bigint[] }> {
    const { account } = network.miners[index]!
    const head = await network.observer.blockNumber()
    const events: AuditEvent[] = []
    const penalties: bigint[] = []
    const stopping = new AbortController()
    const names = ['ProofPassed', 'ProofFailed', 'ProofMissed', 'Penalised'] as const
    const init = {
      fromBlock: 1n,
      signal: stopping.signal,
      onProgress: (block: bigint) => {
        if (block >= head) stopping.abort()
      },
    }
    try {
      for await (const { name, args } of network.observer.events('Audit', names, init)) {
        if (args.miner.toLowerCase() !== account.toLowerCase()) continue
        if (name === 'ProofPassed') events.push('passed')
        else if (name === 'ProofFailed') events.push('failed')
        else if (name === 'ProofMissed') events.push('missed')
        else penalties.push((args as { amount: bigint }).amount)
      }
    } catch (error) {
      if (!stopping.signal.aborted) throw error
    }
    return { events, penalties }
  }

  /** What the rules take for such a history, of the collateral limit: written down here once more, and not taken from the chain. */
  function expectedPenalties(events: readonly AuditEvent[], limit: bigint): bigint[] {
    const penalties: bigint[] = []
    let failed = 0
    let missed = 0
    for (const event of events) {
      if (event === 'passed') failed = missed = 0
      else if (event === 'failed') {
        if (++failed >= 2) penalties.push((limit * 5n) / 100n)
      } else if (++missed >= 2) penalties.push((limit * (missed === 2 ? 5n : 15n)) / 100n)
    }
    return penalties
  }

  it('tags what was written, and every miner passes epoch after epoch', async () => {
    await network.startWorker()
    written = [...(await network.write(16)), ...(await network.write(16)), ...(await network.write(8))]
    assert.equal(written.length, STRIPES)
    await network.until('all is tagged', () => network.areTagged(written), 60)
    firstEra = network.era
    await network.until(
      'all passed twice',
      async () => {
        const records = await Promise.all(network.miners.map(({ account }) => network.record(account)))
        return records.every(({ passed }) => passed >= 2)
      },
      60,
    )
    // A machine that is busy with other things may make a miner late once: that costs nothing. Wrong is never right.
    for (const [index, { account }] of network.miners.entries()) {
      assert.equal((await network.record(account)).failed, 0)
      assert.deepEqual((await history(index)).penalties, [])
    }
  })

  it('pays them by what they proved: the pot of an era, divided by points', async () => {
    const { observer, params } = network
    const { account } = network.miners[0]!
    const areAllPaid = async () => {
      const rewards = await Promise.all(
        network.miners.map(({ account: miner }) => observer.read('Audit', 'rewardsOf', [miner])),
      )
      return rewards.every(([claimable, locked]) => claimable > 0n && locked > 0n)
    }
    await network.until('rewards came', areAllPaid, 90)
    await network.until('a whole era with everything tagged is over', () => network.era >= firstEra + 2n, 90)
    // They are written down at the next audit that passes.
    const before = await Promise.all(network.miners.map(({ account: miner }) => network.record(miner)))
    await network.until(
      'all passed once more',
      async () => {
        const now = await Promise.all(network.miners.map(({ account: miner }) => network.record(miner)))
        return now.every(({ passed }, i) => passed > before[i]!.passed)
      },
      60,
    )
    const power = BigInt(params.audit.servicePower * STRIPES)
    const stopping = new AbortController()
    const head = await observer.blockNumber()
    let count = 0
    let compared = 0
    const paid = new Map<bigint, bigint>()
    const init = {
      fromBlock: 1n,
      signal: stopping.signal,
      onProgress: (block: bigint) => {
        if (block >= head) stopping.abort()
      },
    }
    try {
      for await (const { args } of observer.events('Audit', 'Rewarded', init)) {
        const { era, nowAmount, lockedAmount } = args
        const [pot, points] = await Promise.all([
          observer.read('Treasury', 'eraPotOf', [1, era]),
          observer.read('Audit', 'eraPointsOf', [era]),
        ])
        // Half of a share is locked; what is free at once holds the other half, and what the proofs have cost.
        const share = 2n * lockedAmount
        assert.ok(
          nowAmount >= lockedAmount - 1n && nowAmount - lockedAmount < pot / 100n,
          'half at once, half over time',
        )
        paid.set(era, (paid.get(era) ?? 0n) + nowAmount + lockedAmount)
        assert.ok(paid.get(era)! <= pot, `era ${era} pays more than its pot`)
        if (era > firstEra) {
          compared++
          const audits = (share * points + (pot * power) / 2n) / (pot * power)
          assert.ok(audits >= 1n && audits <= BigInt(params.epochsPerEra + 1), `${audits} audits in an era`)
          // All costs together come off the pot first: far below a hundredth.
          const full = (pot * audits * power) / points
          assert.ok(share <= full && full - share < full / 100n, `${share} for ${audits} audits of ${full}`)
        }
        count++
      }
    } catch (error) {
      if (!stopping.signal.aborted) throw error
    }
    assert.ok(count >= MINERS && compared > 0, `${count} rewards, ${compared} of whole eras`)
    const balance = await observer.balanceOf(account)
    const { events } = await network.miners[0]!.chain.send('Audit', 'claim', [])
    const claimed = events.find(({ name }) => name === 'RewardClaimed')!.args as { amount: bigint }
    const gained = (await observer.balanceOf(account)) - balance
    // What confirming, proving and claiming cost meanwhile is far below what was earned.
    assert.ok(claimed.amount > 0n && gained > 0n && gained <= claimed.amount)
  })

  it('punishes each that cheats by what it did, and nobody else', async () => {
    const { observer } = network
    const [kind, group] = [network.params.classes.standard, written[0]!.group]
    const { members, peerKeys } = await observer.read('Storage', 'groupOf', [group])
    assert.equal(members.length, MINERS)
    const tags = new Map<string, Uint8Array>()
    for (const { group: id, stripe } of written) {
      const reply = await network.session(peerKeys[0]!).request(FrameOp.getTags, {
        group: id,
        stripe,
        seat: await seatOf(network, id, peerKeys[0]!),
      })
      tags.set(`${id}/${stripe}`, reply.body)
    }
    const { sectorCount, challengedCount } = network.params.audit
    const podr: PodrParams = { chainId: network.params.chainId, sectorCount, challengedCount }
    const powers = new Uint8Array(await readFile(join(network.folder, `tee-worker-${WORKER}`, 'powers'))).subarray(32)
    const { seatCount, fragmentBytes } = kind
    const loot: Loot = { stripes: written, tags, powers, podr, seatCount, fragmentBytes }

    for (const [index, misdeed] of Object.entries(ROGUES)) {
      const { chain } = network.miners[Number(index)]!
      await network.stopMiner(Number(index))
      if (misdeed === 'off') continue
      // One in twenty of what it holds.
      const rogue = new RogueMiner(chain, loot, misdeed, misdeed === 'drops' ? written.slice(0, STRIPES / 20) : [])
      started.set(Number(index), rogue)
      rogues.push(rogue.run(stop.signal))
    }
    const stateOf = async (index: number) => {
      const miner = await observer.read('Miners', 'minerOf', [network.miners[index]!.account])
      return { state: miner.state, stake: miner.stake, debt: miner.debt, limit: miner.collateralLimit }
    }
    const recordOf = (index: number) => network.record(network.miners[index]!.account)
    const DEAD = 5
    await network.until(
      'who does not answer is put out, and who answers wrongly has failed again and again',
      async () => {
        const [dropper, borrower, replayer] = await Promise.all([7, 8, 9].map(recordOf))
        const [late, off] = await Promise.all([10, 11].map(stateOf))
        const failed = dropper!.failed >= 1 && borrower!.failed >= 3 && replayer!.failed >= 3
        return failed && late!.state === DEAD && off!.state === DEAD
      },
      120,
    )

    for (const index of Object.keys(ROGUES).map(Number)) {
      // Audits go on: history and stake are of one moment if the history has not changed meanwhile.
      let told = await history(index)
      let state = await stateOf(index)
      for (let again = await history(index); again.events.length > told.events.length; again = await history(index)) {
        told = again
        state = await stateOf(index)
      }
      const { events, penalties } = told
      const { limit, stake, debt } = state
      assert.deepEqual(penalties, expectedPenalties(events, limit), `miner ${index}: ${events}`)
      const taken = penalties.reduce((sum, amount) => sum + amount, 0n)
      assert.equal(stake - debt, limit - taken, `miner ${index}: stake ${stake}, debt ${debt}`)
    }
    // One in twenty is found out of eight blocks with a third an epoch, and goes on passing in between.
    assert.ok((await history(7)).events.includes('failed'))
    assert.deepEqual(new Set((await history(8)).events.slice(-3)), new Set(['failed']))
    assert.deepEqual(new Set((await history(9)).events.slice(-3)), new Set(['failed']))
    for (const index of [10, 11]) {
      const { events, penalties } = await history(index)
      assert.deepEqual(events.slice(-5), Array(5).fill('missed'))
      const { limit } = await stateOf(index)
      assert.deepEqual(
        penalties,
        [5n, 15n, 15n, 15n].map((percent) => (limit * percent) / 100n),
      )
    }
    assert.ok(started.get(10)!.refusals.some((name) => name === 'TooLate' || name === 'NotChallenged'))

    for (const index of HONEST) {
      const { failed } = await recordOf(index)
      const { stake, debt, limit } = await stateOf(index)
      assert.equal(failed, 0, `miner ${index}`)
      assert.deepEqual({ stake, debt }, { stake: limit, debt: 0n }, network.linesOf(index))
      assert.deepEqual((await history(index)).penalties, [])
    }
  })

  it('goes on when its TEE worker is gone: what is tagged is proven, what is new waits, and nobody is punished', async () => {
    await network.stopWorker()
    const before = await Promise.all(HONEST.map((index) => network.record(network.miners[index]!.account)))
    await network.until(
      'all honest ones pass twice more',
      async () => {
        const now = await Promise.all(HONEST.map((index) => network.record(network.miners[index]!.account)))
        return now.every(({ passed }, i) => passed >= before[i]!.passed + 2)
      },
      60,
    )
    for (const index of HONEST) {
      assert.equal((await network.record(network.miners[index]!.account)).failed, 0)
      assert.deepEqual((await history(index)).penalties, [])
    }
  })
})

async function seatOf(network: ProofNetwork, group: number, peerKey: string): Promise<number> {
  const { peerKeys } = await network.observer.read('Storage', 'groupOf', [group])
  return peerKeys.indexOf(peerKey as `0x${string}`)
}
