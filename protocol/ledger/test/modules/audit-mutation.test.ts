import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { registerHooks, stripTypeScriptTypes } from 'node:module'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Address } from '@cumulus/types'
import * as real from '../../src/modules/index.ts'
import { challengeState, minerState, storage, teeWorkers } from '../../src/modules/index.ts'
import { Reverted } from '../framework/test-chain.ts'
import { AuditNetwork, otherWorker, small, TestWorker, worker } from './audit-network.ts'
import { account, owner } from './test-network.ts'

// Controls: the modules with one part of a check left out, in memory, must do at least one thing below otherwise. So every
// part is needed, and the attacks here are able to fail.

type Modules = Pick<typeof import('../../src/modules/index.ts'), 'modulesFor'>

const folder = new URL('../../src/modules/', import.meta.url).href
const mutations = new Map<string, { file: string; replace: string; by: string }>()

// Every mutant gets its own copies of all modules: `?mutant=n` is handed on from one to the files it imports.
const hooks = registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    const mutant = context.parentURL === undefined ? null : new URL(context.parentURL).searchParams.get('mutant')
    if (mutant === null || !resolved.url.startsWith(folder)) return resolved
    return { ...resolved, url: `${resolved.url}?mutant=${mutant}` }
  },
  load(url, context, next) {
    const { searchParams } = new URL(url)
    const mutant = searchParams.get('mutant')
    if (mutant === null) return next(url, context)
    let text = readFileSync(fileURLToPath(url.split('?')[0]!), 'utf8')
    const mutation = mutations.get(mutant)
    if (mutation && url.startsWith(`${folder}${mutation.file}.ts`)) {
      assert.equal(text.split(mutation.replace).length, 2, `"${mutation.replace}" stands once in ${mutation.file}.ts`)
      text = text.replace(mutation.replace, () => mutation.by)
    }
    return { format: 'module', source: stripTypeScriptTypes(text), shortCircuit: true }
  },
})

interface Scene {
  readonly network: AuditNetwork
  readonly group: number
  readonly stripes: readonly number[]
  readonly one: Address
  readonly two: Address
  readonly all: readonly Address[]
}

function scene({ modulesFor }: Modules, { params = small, stripes = 4 } = {}): Scene {
  const network = new AuditNetwork({ params, minerCount: 4, modules: modulesFor(params) })
  network.registerWorker()
  const stored = network.store(stripes)
  network.confirmAll(stored)
  network.tick()
  network.tick()
  const all = network.members(stored.group)
  return { network, ...stored, one: all[1]!, two: all[2]!, all }
}

function refuses(call: () => unknown): boolean {
  try {
    call()
    return false
  } catch (error) {
    if (error instanceof Reverted) return true
    throw error
  }
}

const stateAfter = ({ network }: Scene, miner: Address) => {
  network.tick()
  return network.challengeOf(miner).state
}

/** A mutant may wait for ever for what does not come. */
function until(network: AuditNetwork, isDone: () => boolean): void {
  for (let ticks = 0; !isDone(); ticks++) {
    assert.ok(ticks < 60)
    network.tick()
  }
}

/** Facts that hold for the modules as they are. */
const facts = {
  /** A right proof passes and earns. */
  passes: (modules: Modules) => {
    const at = scene(modules)
    at.network.answer(at.one)
    return stateAfter(at, at.one) === challengeState.passed && at.network.record(at.one).passed === 1
  },
  /** A stranger's proof fails. */
  stranger: (modules: Modules) => {
    const at = scene(modules)
    at.network.submit(at.one, at.network.prove(at.network.asked(at.two)))
    return stateAfter(at, at.one) === challengeState.failed
  },
  /** Only its own, open challenge can be answered. */
  own: (modules: Modules) => {
    const { network, one, two } = scene(modules)
    const { entries } = network.announced.get(two)!
    const proof = network.prove(network.asked(one))
    const others = refuses(() => network.submit(one, proof, { entries }))
    const shorter = refuses(() => network.submit(one, proof, { entries: `${entries}00` }))
    const unasked = refuses(() =>
      network.submit(account(300), proof, { entries, seed: network.announced.get(two)!.seed }),
    )
    network.submit(one, proof)
    const twice = refuses(() => network.submit(one, proof))
    return others && shorter && unasked && twice
  },
  /** An answer to the last question is not taken for one to the next about the same blocks. */
  repeated: (modules: Modules) => {
    const { network, one } = scene(modules, { stripes: 2 })
    const { seed, entries } = network.announced.get(one)!
    const proof = network.prove(network.asked(one))
    until(network, () => network.announced.get(one)!.seed !== seed)
    const isSame = network.announced.get(one)!.entries === entries
    return isSame && refuses(() => network.submit(one, proof, { seed, entries }))
  },
  /** Entries cannot be chosen. */
  entries: (modules: Modules) => {
    const at = scene(modules)
    const { network, one } = at
    // The same length, all of one stripe that it still has.
    const { entries } = network.announced.get(one)!
    const chosen: `0x${string}` = `0x${entries.slice(2, -24)}${entries.slice(2, 26)}`
    return refuses(() => network.submit(one, network.prove(network.asked(one)), { entries: chosen }))
  },
  /** A late proof is refused, one in the last second is not. */
  late: (modules: Modules) => {
    const { network, one, two } = scene(modules)
    const { deadlineMs } = network.challengeOf(one)
    const proofs = [one, two].map((miner) => network.prove(network.asked(miner)))
    network.block = { ...network.block, number: 50n, timestamp: deadlineMs / 1000n + 5n }
    const late = refuses(() => network.submit(one, proofs[0]!))
    network.block = { ...network.block, timestamp: network.challengeOf(two).deadlineMs / 1000n }
    return late && !refuses(() => network.submit(two, proofs[1]!))
  },
  /** Nobody is late while the chain stands still. */
  still: (modules: Modules) => {
    const { network, one } = scene(modules)
    const { issuedAtBlock, seed } = network.challengeOf(one)
    network.block = { ...network.block, number: issuedAtBlock + 1n, timestamp: network.block.timestamp + 9_999n }
    network.block = { ...network.block, epoch: network.block.epoch + 2_499 }
    network.endBlock()
    if (network.challengeOf(one).seed !== seed) return false
    return !refuses(() => network.answer(one))
  },
  /** Nothing live is left out, and nothing beyond the entries. */
  dropped: (modules: Modules) => {
    const { network, one } = scene(modules)
    const asked = network.asked(one)
    const proof = network.prove({ ...asked, entries: asked.entries.slice(1) })
    const beyond = network.prove(asked)
    return (
      refuses(() => network.submit(one, proof, { dropped: 1n })) &&
      refuses(() => network.submit(one, new Uint8Array(), { dropped: (1n << BigInt(asked.entries.length)) - 1n })) &&
      refuses(() => network.submit(one, beyond, { dropped: 1n << BigInt(asked.entries.length) }))
    )
  },
  /** What is released is left out, with its coefficient. */
  released: (modules: Modules) => {
    const at = scene(modules)
    const { network, one, group } = at
    const asked = network.asked(one)
    const gone = asked.entries[0]!.stripe
    network.call(storage, 'release', [group, [gone]], { from: owner })
    const dropped = asked.entries.reduce(
      (bits, { stripe }, i) => (stripe === gone ? bits | (1n << BigInt(i)) : bits),
      0n,
    )
    const proof = network.prove({ ...asked, entries: asked.entries.filter(({ stripe }) => stripe !== gone) })
    network.submit(one, proof, { dropped })
    return stateAfter(at, one) === challengeState.passed
  },
  /** Malformed proofs are refused, not judged. */
  malformed: (modules: Modules) => {
    const { network, one } = scene(modules)
    const proof = network.prove(network.asked(one))
    return [proof.subarray(1), new Uint8Array(128), proof.slice().fill(0xff, 48, 80)].every((bytes) =>
      refuses(() => network.submit(one, bytes)),
    )
  },
  /** Who does not answer is missed once, and who answers is not. */
  missed: (modules: Modules) => {
    const { network, one, two } = scene(modules)
    network.answer(one)
    for (let i = 0; i < 4; i++) network.tick()
    return network.record(one).missed === 0 && network.record(two).missed === 1
  },
  /** Rows of misses cost 5, then 15 percent each, then everything ends. */
  missRow: (modules: Modules) => {
    const { network, one } = scene(modules)
    const { collateralLimit: limit } = network.minerOf(one)
    const lost: number[] = []
    for (let missed = 1; missed <= 5; missed++) {
      until(network, () => network.record(one).missed >= missed)
      lost.push(Number(((limit - network.minerOf(one).stake) * 100n) / limit))
    }
    const dead = network.minerOf(one).state === minerState.dead
    network.toEpoch(network.block.epoch + 3)
    return `${lost}` === '0,5,20,35,50' && dead && network.record(one).missed === 5
  },
  /** The first failed proof is free, the second costs 5 percent, a right one ends the row; a miss does not. */
  failRow: (modules: Modules) => {
    const { network, one, two } = scene(modules)
    const { collateralLimit: limit } = network.minerOf(one)
    const spent: string[] = []
    for (const outcome of ['f', 'p', 'f', 'm', 'f'] as const) {
      const { passed, failed, missed } = network.record(one)
      if (outcome === 'f') network.submit(one, network.prove(network.asked(two)))
      if (outcome === 'p') network.answer(one)
      const done = () => {
        const now = network.record(one)
        return now.passed + now.failed + now.missed > passed + failed + missed
      }
      until(network, done)
      spent.push(`${((limit - network.minerOf(one).stake) * 100n) / limit}`)
      if (outcome !== 'f' || spent.length < 5)
        until(network, () => network.challengeOf(one).state === challengeState.open)
    }
    return `${spent}` === '0,0,0,0,5'
  },
  /** A miner without tags is not asked, and is asked for nothing but its own tagged stripes. */
  asked: (modules: Modules) => {
    const network = new AuditNetwork({ params: small, minerCount: 4, modules: modules.modulesFor(small) })
    network.registerWorker()
    const { group } = network.store(6)
    const [one, two] = network.members(group) as [Address, Address]
    network.confirm(one, group, [1, 4])
    for (let i = 0; i < 3; i++) network.tick()
    const asked = network.announced.has(one) ? network.asked(one).entries : []
    return (
      !network.announced.has(two) && asked.length === 6 && asked.every(({ stripe }) => stripe === 1 || stripe === 4)
    )
  },
  /** Each miner is asked once an epoch. */
  once: (modules: Modules) => {
    const { network, all } = scene(modules)
    for (const miner of all) network.answer(miner)
    network.toEpoch(1)
    const asked: Address[] = []
    while (network.block.epoch === 1) {
      for (const { name, args } of network.tick()) {
        if (name !== 'Challenged') continue
        asked.push(args['miner'] as Address)
        network.answer(args['miner'] as Address)
      }
    }
    return `${[...asked].sort()}` === `${[...all].sort()}`
  },
  /** Only committed stripes that are live and its own can be confirmed, under the worker of now. */
  confirmed: (modules: Modules) => {
    const network = new AuditNetwork({ params: small, minerCount: 5, modules: modules.modulesFor(small) })
    network.registerWorker()
    const land = network.mint()
    const { group, stripes } = network.store(3, land)
    network.reserve(land, 2)
    network.call(storage, 'release', [group, [stripes[1]!]], { from: owner })
    const members = network.members(group)
    const outside = [1, 2, 3, 4, 5].map(account).find((one) => !members.includes(one))!
    network.confirm(members[0]!, group, [0, 1, 2, 3, 4, 9])
    network.confirm(members[0]!, group, [0, 1, 2])
    return (
      network.minerOf(members[0]!).taggedUnits === 2 &&
      refuses(() => network.confirm(outside, group, [0])) &&
      refuses(() => network.confirm(members[1]!, group, [0], otherWorker.account))
    )
  },
  /** What is released or reported is out of the count and of the challenges. */
  untagged: (modules: Modules) => {
    const { network, group, one, two } = scene(modules)
    network.call(storage, 'release', [group, [0]], { from: owner })
    network.confirm(one, group, [0])
    return network.minerOf(one).taggedUnits === 3 && network.minerOf(two).taggedUnits === 3
  },
  /** A proof by the key of a worker that came later is judged by no key. */
  rekeyed: (modules: Modules) => {
    const at = scene(modules)
    const { network, one } = at
    network.answer(one)
    const { epoch } = network.block
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.block = { ...network.block, epoch: epoch + small.epochsPerEra }
    const registered = modules.modulesFor(small).filter(({ name }) => name === 'TeeWorkers' || name === 'Storage')
    network.endHooks(registered)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.registerWorker(lateWorker)
    network.block = { ...network.block, epoch }
    return stateAfter(at, one) === challengeState.void
  },
  /** A frozen miner earns nothing. */
  frozen: (modules: Modules) => {
    const { network, one } = scene(modules)
    const fresh = () => network.challengeOf(one).state === challengeState.open
    for (const right of [false, false, true]) {
      until(network, fresh)
      network.submit(
        one,
        right ? network.prove(network.asked(one)) : network.prove(network.asked(one), { by: otherWorker }),
      )
      until(network, () => network.challengeOf(one).state !== challengeState.answered)
    }
    const frozen = network.minerOf(one).state === minerState.frozen
    network.toEpoch(13)
    return frozen && network.record(one).passed === 1 && network.rewards(one).claimable === 0n
  },
}

const lateWorker = new TestWorker(500, 'another secret')

function holds(fact: keyof typeof facts, modules: Modules): boolean {
  try {
    return facts[fact](modules)
  } catch (error) {
    if (error instanceof Error) return false
    throw error
  }
}

async function mutate(file: string, replace: string, by: string): Promise<Modules> {
  const id = `${mutations.size}`
  mutations.set(id, { file, replace, by })
  return import(`${folder}index.ts?mutant=${id}`)
}

/** What is left out, in which file, its text, what stands there instead, and the fact that no longer holds. */
const mutants: [string, string, string, string, keyof typeof facts][] = [
  ['the seed that is answered', 'audit', 'if (seed !== current) throw', 'if (false) throw', 'repeated'],
  [
    'the state of the challenge',
    'audit',
    'if (state !== challengeState.open) throw',
    'if (state === challengeState.none) throw',
    'own',
  ],
  ['the deadline', 'audit', 'if (isOver(c, { issuedAtBlock, deadlineMs })) throw', 'if (false) throw', 'late'],
  ['the digest of the entries', 'audit', '!== entriesDigest) throw', '!== entriesDigest && false) throw', 'entries'],
  [
    'the number of entries left out',
    'audit',
    'require(dropped >> BigInt(entryCount) === 0n',
    'require(dropped >= 0n',
    'dropped',
  ],
  [
    'whether what is left out was released',
    'audit',
    'if (dropped > 0n) requireDroppable',
    'if (dropped < 0n) requireDroppable',
    'dropped',
  ],
  ['released stripes', 'audit', 'if (c.ask(storage).isReleased(group, stripe)) return', '', 'released'],
  [
    'the worker of groups left out',
    'audit',
    'taggerOf(group) !== worker) return',
    'taggerOf(group) !== group) return',
    'dropped',
  ],
  ['the points of a proof', 'audit', 'decodeProof(proof)\n', '\n', 'malformed'],
  ['verdicts', 'audits', 'else if (verdict.ok) pass', 'else if (true) pass', 'stranger'],
  [
    'the coefficients of what is left',
    'audits',
    'withoutEntries(challengeOver(hexToBytes(seed), places, podrParams(c)), dropped)',
    'challengeOver(hexToBytes(seed), withoutEntries({ entries: places }, dropped).entries, podrParams(c))',
    'released',
  ],
  ['what was left out', 'audits', ', podrParams(c)), dropped)', ', podrParams(c)), 0n)', 'released'],
  ['the seed', 'audits', 'challengeOver(hexToBytes(seed)', 'challengeOver(new Uint8Array(32)', 'passes'],
  ['seats', 'audits', 'seat: seatNumber(seat) })\n  }', 'seat: seatNumber(0) })\n  }', 'passes'],
  [
    'since when a worker has its key',
    'audits',
    'known === undefined || known.sinceBlock > issuedAtBlock',
    'known === undefined',
    'rekeyed',
  ],
  ['time in the deadline', 'audits', 'c.block.timestamp * 1000n > deadlineMs && ', '', 'late'],
  ['blocks in the deadline', 'audits', ' && c.block.number > issuedAtBlock + BigInt(blocks)', '', 'still'],
  ['the last second', 'audits', '* 1000n > deadlineMs', '* 1000n >= deadlineMs', 'late'],
  [
    'whether a challenge is open when its time is over',
    'audits',
    'if (isThis && challenge.state === challengeState.open)',
    'if (isThis)',
    'missed',
  ],
  ['misses', 'audits', 'if (isAudited(c.ask(miners).stateOf(miner))) miss', 'if (false) miss', 'missed'],
  ['the second miss', 'audits', 'missedInRow === 2 ? missPenalty : laterMissPenalty', 'missPenalty', 'missRow'],
  ['the third miss', 'audits', 'missedInRow === 2 ? missPenalty : laterMissPenalty', 'laterMissPenalty', 'missRow'],
  ['that the first miss is free', 'audits', 'if (missedInRow < 2) return', '', 'missRow'],
  ['the end', 'audits', 'if (missedInRow < missesToDeath) return', 'return', 'missRow'],
  ['that the first failure is free', 'audits', 'if (failedInRow + 1 >= 2) penalise', 'if (true) penalise', 'failRow'],
  ['the penalty of failures', 'audits', 'if (failedInRow + 1 >= 2) penalise', 'if (false) penalise', 'failRow'],
  ['the end of a row', 'audits', 'failedInRow: 0, missedInRow: 0, ', '', 'failRow'],
  [
    'open challenges when new ones are issued',
    'audits',
    'state === challengeState.open || state === challengeState.answered) return',
    'false) return',
    'still',
  ],
  ['the turn that was had', 'audits', 'if (done > turn.done) c.s.rotation.update({ done })', '', 'passes'],
  [
    'the dead',
    'audits',
    'state !== minerState.none && state !== minerState.dead',
    'state !== minerState.none',
    'missRow',
  ],
  ['the bitmap', 'audits', 'c.ask(storage).nthTagged(group, seat, stripe)', 'stripe', 'asked'],
  ['committed stripes', 'tagging', 'bits & c.s.committed.at(group).get(word) & ~', 'bits & ~', 'confirmed'],
  ['tombstones', 'tagging', ' & ~c.s.tombstones.at(group).get(word)', '', 'confirmed'],
  [
    'the worker of the group',
    'tagging',
    'current !== ZERO_ADDRESS && current === tagger',
    'current !== ZERO_ADDRESS',
    'confirmed',
  ],
  [
    'the seat',
    'tagging',
    'require(seat !== undefined, ',
    'if (seat === undefined) return 0; require(true, ',
    'confirmed',
  ],
  [
    'what is tagged already',
    'tagging',
    'const change = bitCount(after) - bitCount(before)',
    'const change = bitCount(after)',
    'untagged',
  ],
  ['what was released', 'storage', 'untagReleased(c, group, word, bits)', '0', 'untagged'],
  ['that the frozen earn nothing', 'miners', 'return earns ? powerOf', 'return true ? powerOf', 'frozen'],
  ['collateral', 'miners', 'debt > 0n || stake < collateralLimit', 'debt > 0n && stake < collateralLimit', 'frozen'],
  ['stakes', 'miners', 'miner.update({ stake: stake - taken, debt:', 'miner.update({ debt:', 'missRow'],
]

describe('audits', () => {
  after(() => hooks.deregister())

  for (const [name, fact] of Object.entries(facts)) {
    it(`keep what is said of "${name}"`, () => assert.ok(fact(real)))
  }

  it('are themselves when loaded as the mutants are', async () => {
    const unchanged = 'return earns ? powerOf'
    assert.ok(facts.frozen(await mutate('miners', unchanged, unchanged)))
  })

  for (const [part, file, replace, by, fact] of mutants) {
    it(`are caught without ${part}`, async () => {
      assert.equal(holds(fact, await mutate(file, replace, by)), false)
    })
  }
})
