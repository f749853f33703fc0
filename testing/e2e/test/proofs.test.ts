import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { FrameOp } from '@cumulus/network'
import type { PodrParams } from '@cumulus/podr2'
import { ProofNetwork, patiently, WORKER, type WrittenStripe } from '../src/proof-network.ts'
import { type Loot, type Misdeed, RogueMiner } from '../src/rogue-miner.ts'

/** Twelve miners, forty stripes: every miner sits in both groups, so all have the same power. */
const MINERS = 12
const STRIPES = 40
/** One in twenty of what a miner holds. */
const DROPPED = STRIPES / 20
const HONEST = [0, 1, 2, 3, 4, 5]
/** A process like the honest ones, with a disk that somebody has been at. */
const DAMAGED = 6
const ROGUES: Record<number, Misdeed | 'off'> = { 7: 'drops', 8: 'borrows', 9: 'replays', 10: 'late', 11: 'off' }
const DEAD = 5

/** In seconds. Each comes well before the suite's own end, so that what fails is named. */
const LIMITS = { start: 90, tagged: 90, passed: 60, punished: 150, paid: 90 }
const SUITE_MS = 2_000 * Object.values(LIMITS).reduce((sum, seconds) => sum + seconds, 0)

type AuditEvent = 'passed' | 'failed' | 'missed'

describe('a network whose miners prove what they store', { timeout: SUITE_MS }, () => {
  let network: ProofNetwork
  let written: WrittenStripe[]
  const stop = new AbortController()
  const rogues: Promise<void>[] = []
  const started = new Map<number, RogueMiner>()

  before(
    async () => {
      network = await ProofNetwork.start(MINERS)
    },
    { timeout: LIMITS.start * 1_000 },
  )

  after(async () => {
    stop.abort(new Error('the test is over'))
    await Promise.allSettled(rogues)
    await network?.close()
  })

  /** Everything the chain has said of a miner's audits, in order. */
  async function history(index: number): Promise<{ events: AuditEvent[]; penalties: bigint[] }> {
    const { account } = network.miners[index]!
    const events: AuditEvent[] = []
    const penalties: bigint[] = []
    const told = await network.audits('ProofPassed', 'ProofFailed', 'ProofMissed', 'Penalised')
    for (const { name, args } of told) {
      if (args.miner.toLowerCase() !== account.toLowerCase()) continue
      if (name === 'ProofPassed') events.push('passed')
      else if (name === 'ProofFailed') events.push('failed')
      else if (name === 'ProofMissed') events.push('missed')
      else penalties.push((args as { amount: bigint }).amount)
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

  async function stateOf(index: number) {
    const miner = await network.observer.read('Miners', 'minerOf', [network.miners[index]!.account])
    return { state: miner.state, stake: miner.stake, debt: miner.debt, limit: miner.collateralLimit }
  }

  const recordOf = (index: number) => network.record(network.miners[index]!.account)

  /** Until each of these has passed so many audits more. */
  async function pass(indices: readonly number[], times: number): Promise<void> {
    const earlier = await patiently(() => Promise.all(indices.map(recordOf)))
    const enough = async () => {
      const now = await Promise.all(indices.map(recordOf))
      return now.every(({ passed }, i) => passed >= earlier[i]!.passed + times)
    }
    await network.until(`${indices} passed ${times} times more`, enough, LIMITS.passed)
  }

  /**
   * A machine that is busy with other things may make a miner late once: that costs nothing. Wrong is never right, and
   * nobody loses anything.
   */
  async function areUnharmed(indices: readonly number[]): Promise<void> {
    for (const index of indices) {
      const { events, penalties } = await history(index)
      assert.ok(!events.includes('failed'), `miner ${index}: ${events}\n${network.linesOf(index)}`)
      assert.deepEqual(penalties, [], `miner ${index}: ${events}\n${network.linesOf(index)}`)
      const { stake, debt, limit } = await stateOf(index)
      assert.deepEqual({ stake, debt }, { stake: limit, debt: 0n }, `miner ${index}`)
    }
  }

  it('tags what was written, and every miner passes epoch after epoch, while its TEE worker is dead too', async () => {
    const everybody = network.miners.map((_, i) => i)
    await network.startWorker()
    written = [...(await network.write(16)), ...(await network.write(16))]
    await network.until('all is tagged', () => network.areTagged(written), LIMITS.tagged)
    await network.killWorker()
    const late = await network.write(8)
    written.push(...late)
    assert.equal(written.length, STRIPES)
    await pass(everybody, 2)
    // What is tagged is proven, what is new waits.
    const { group, stripe } = late[0]!
    for (let seat = 0; seat < MINERS; seat++) {
      const word = await network.observer.read('Audit', 'taggedOf', [group, seat, 0])
      assert.equal((word >> BigInt(stripe)) & 1n, 0n)
    }
    await areUnharmed(everybody)
    await network.startWorker()
    await network.until('what was new is tagged', () => network.areTagged(written), LIMITS.tagged)
    await areUnharmed(everybody)
  })

  it('punishes each that cheats by what it did, and nobody else', async () => {
    const kind = network.params.classes.standard
    const { sectorCount, challengedCount } = network.params.audit
    const podr: PodrParams = { chainId: network.params.chainId, sectorCount, challengedCount }
    const powers = new Uint8Array(await readFile(join(network.folder, `tee-worker-${WORKER}`, 'powers'))).subarray(32)
    const { seatCount, fragmentBytes } = kind
    const tags = await tagsOf(written)
    const loot: Loot = { stripes: written, tags, powers, podr, seatCount, fragmentBytes }

    for (const [index, misdeed] of Object.entries(ROGUES)) {
      const { chain } = network.miners[Number(index)]!
      await network.stopMiner(Number(index))
      if (misdeed === 'off') continue
      const rogue = new RogueMiner(
        chain,
        (hash) => network.whyReverted(hash),
        loot,
        misdeed,
        misdeed === 'drops' ? written.slice(0, DROPPED) : [],
      )
      started.set(Number(index), rogue)
      rogues.push(rogue.run(stop.signal))
    }
    await network.stopMiner(DAMAGED)
    await damage(DAMAGED, written.slice(0, DROPPED))
    await network.startMiner(DAMAGED)

    const isDone = async () => {
      const [dropper, borrower, replayer] = await Promise.all([7, 8, 9].map(recordOf))
      const [late, off] = await Promise.all([10, 11].map(stateOf))
      const failed = dropper!.failed >= 1 && borrower!.failed >= 3 && replayer!.failed >= 3
      const lost = await network.audits('LossReported')
      return failed && late!.state === DEAD && off!.state === DEAD && lost.length > 0
    }
    await network.until(
      'who does not answer is put out, who answers wrongly has failed again and again, who lost something has said so',
      isDone,
      LIMITS.punished,
    )

    for (const index of [DAMAGED, ...Object.keys(ROGUES).map(Number)]) {
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
    // Which of the two depends on whether the chain block that closes the window is quicker.
    const { refusals } = started.get(10)!
    const isLate = (name: string | undefined) => name === 'TooLate' || name === 'NotChallenged'
    assert.ok(refusals.every(isLate) && refusals.length >= 5, `${refusals}`)

    await areUnharmed(HONEST)
  })

  it('does not punish a miner that says first what it has lost: it proves the rest', async () => {
    const { account } = network.miners[DAMAGED]!
    const lost = new Set<string>()
    const reported = async () => {
      lost.clear()
      for (const { args } of await network.audits('LossReported')) {
        assert.equal(args.miner.toLowerCase(), account.toLowerCase(), 'nobody else has lost anything')
        for (let i = 0; i < 256; i++)
          if ((args.stripes >> BigInt(i)) & 1n) lost.add(`${args.group}/${args.firstStripe + i}`)
      }
      return lost.size >= DROPPED
    }
    await network.until('all that was damaged is reported', reported, LIMITS.punished)
    assert.deepEqual(
      [...lost].toSorted(),
      written
        .slice(0, DROPPED)
        .map(({ group, stripe }) => `${group}/${stripe}`)
        .toSorted(),
    )
    await pass([DAMAGED], 2)
    await areUnharmed([DAMAGED])
  })

  it('pays by what was proven: the pot of an era, divided by points, to the last wei', async () => {
    const { observer, params } = network
    const tagged = await patiently(() => network.era())
    await network.until('a whole era is over', async () => (await network.era()) > tagged, LIMITS.paid)
    const now = await patiently(() => network.era())
    // Rewards are written down at the next audit that passes, or when they are claimed.
    await pass([...HONEST, DAMAGED], 1)
    for (const index of Object.keys(ROGUES).map(Number)) {
      await patiently(() => network.miners[index]!.chain.send('Audit', 'claim', []))
    }

    // The same once more, from what the chain told.
    const eras = new Map<bigint, Map<string, { points: bigint; rewards: [bigint, bigint][] }>>()
    const of = (era: bigint, miner: string) => {
      const miners = eras.get(era) ?? new Map<string, { points: bigint; rewards: [bigint, bigint][] }>()
      eras.set(era, miners)
      const entry = miners.get(miner) ?? { points: 0n, rewards: [] }
      miners.set(miner, entry)
      return entry
    }
    const units = new Map<string, number>()
    const frozen = new Set<string>()
    const eraOfBlock = new Map<bigint, bigint>()
    const names = ['TagsConfirmed', 'LossReported', 'ProofPassed', 'Penalised', 'Rewarded'] as const
    for (const event of await network.audits(...names)) {
      const miner = event.args.miner.toLowerCase()
      if (event.name === 'TagsConfirmed')
        units.set(miner, (units.get(miner) ?? 0) + eventArgs<{ count: number }>(event).count)
      else if (event.name === 'LossReported') {
        const { stripes } = eventArgs<{ stripes: bigint }>(event)
        units.set(miner, units.get(miner)! - stripes.toString(2).replaceAll('0', '').length)
      } else if (event.name === 'Penalised') frozen.add(miner)
      else if (event.name === 'ProofPassed') {
        const { blockNumber } = event
        if (!eraOfBlock.has(blockNumber)) eraOfBlock.set(blockNumber, await network.era(blockNumber))
        // Whoever has paid a penalty is frozen: it proves, and earns nothing.
        const power = frozen.has(miner) ? 0 : params.audit.servicePower * units.get(miner)!
        of(eraOfBlock.get(blockNumber)!, miner).points += BigInt(power)
      } else {
        const { era, nowAmount, lockedAmount } = eventArgs<{ era: bigint; nowAmount: bigint; lockedAmount: bigint }>(
          event,
        )
        of(era, miner).rewards.push([nowAmount, lockedAmount])
      }
    }

    const whole = [...eras.keys()].filter((era) => era < now)
    assert.ok(whole.length >= 3, `eras ${whole}`)
    const counts = new Set<bigint>()
    for (const era of whole) {
      const [pot, total] = await Promise.all([
        observer.read('Treasury', 'eraPotOf', [1, era]),
        observer.read('Audit', 'eraPointsOf', [era]),
      ])
      const earners = [...eras.get(era)!.values()]
      assert.equal(
        earners.reduce((sum, { points }) => sum + points, 0n),
        total,
        `points of era ${era}`,
      )
      // What is divided is the pot less the costs of all proofs. A share's half says between which two numbers that is.
      let [least, most] = [0n, pot]
      let paid = 0n
      let costs = 0n
      for (const { points, rewards } of earners) {
        assert.equal(rewards.length, 1, `era ${era} pays everybody once`)
        const [nowAmount, locked] = rewards[0]!
        paid += nowAmount + locked
        costs += nowAmount - locked
        if (points === 0n) {
          assert.equal(locked, 0n)
          continue
        }
        counts.add(points)
        const from = ceilDiv((2n * locked - 1n) * total, points)
        const to = ceilDiv((2n * locked + 1n) * total, points) - 1n
        if (from > least) least = from
        if (to < most) most = to
      }
      assert.ok(least <= most, `era ${era}: shares are not in proportion to points`)
      const rest = pot - paid
      assert.ok(rest >= 0n && rest < BigInt(MINERS), `era ${era}: of ${pot}, ${rest} are left`)
      // Half at once and half over time; the rest of what is free at once are the costs, far below a hundredth.
      assert.ok(costs >= -BigInt(MINERS) && costs < pot / 100n, `era ${era}: costs ${costs} of ${pot}`)
      assert.ok(pot - costs >= least - BigInt(MINERS) && pot - costs <= most + BigInt(MINERS))
    }
    // Who cheats proves less often than who does not: there was something to compare.
    assert.ok(counts.size >= 2, `all have ${[...counts]} points`)

    const { account, chain } = network.miners[0]!
    const balance = await observer.balanceOf(account)
    const { events } = await patiently(() => chain.send('Audit', 'claim', []))
    const claimed = events.find(({ name }) => name === 'RewardClaimed')!.args as { amount: bigint }
    const gained = (await observer.balanceOf(account)) - balance
    // What proving and claiming cost meanwhile is far below what was earned.
    assert.ok(claimed.amount > 0n && gained > 0n && gained <= claimed.amount)
    await areUnharmed([...HONEST, DAMAGED])
  })

  /** Tags of all seats, as a member of the group has them. */
  async function tagsOf(stripes: readonly WrittenStripe[]): Promise<Map<string, Uint8Array>> {
    const tags = new Map<string, Uint8Array>()
    for (const { group, stripe } of stripes) {
      const { members, peerKeys } = await network.observer.read('Storage', 'groupOf', [group])
      const seat = members.findIndex((member) => member.toLowerCase() === network.miners[0]!.account.toLowerCase())
      const reply = await network.request(peerKeys[seat]!, FrameOp.getTags, { group, stripe, seat })
      tags.set(`${group}/${stripe}`, reply.body)
    }
    return tags
  }

  /** Turns bits of the cells that hold a miner's fragments of these stripes. */
  async function damage(index: number, stripes: readonly WrittenStripe[]): Promise<void> {
    const { account, folder } = network.miners[index]!
    const names = (await readdir(folder, { recursive: true })).filter((name) => /slab-\d+$/.test(name))
    assert.equal(names.length, 1)
    const slab = await readFile(join(folder, names[0]!))
    for (const { group, fragments } of stripes) {
      const { members } = await network.observer.read('Storage', 'groupOf', [group])
      const seat = members.findIndex((member) => member.toLowerCase() === account.toLowerCase())
      const at = slab.indexOf(fragments[seat]!)
      assert.ok(at >= 0, 'the fragment lies somewhere on the disk')
      slab[at + 100]! ^= 1
    }
    await writeFile(join(folder, names[0]!), slab)
  }
})

function eventArgs<Args>(event: { readonly args: unknown }): Args {
  return event.args as Args
}

function ceilDiv(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}
