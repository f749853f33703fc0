import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import {
  type BlockPlace,
  blockCount,
  chal,
  challengeOver,
  challengeSeed,
  decodeEntries,
  drawTagger,
  encodeEntries,
  type PodrParams,
  type ProofClaim,
  verifyBatch,
  withoutEntries,
} from '@cumulus/podr2'
import { type Address, groupId, seat as seatNumber, stripeNumber } from '@cumulus/types'
import { type C, challengeState, penaltyCause, proofFailure } from './audit-state.ts'
import { minerState, miners } from './miners.ts'
import { earn } from './rewards.ts'
import { ZERO_ADDRESS } from './rules.ts'
import { storage } from './storage.ts'
import { teeWorkers } from './tee-workers.ts'

/** The life of a challenge after and before the miner's own call: what the block hook of the Audit module does. */

/** For data proven, by their bytes: CESS gives 12 points for a GiB (pallet scheduler-credit). */
const PROOF_POINTS = 12n
const PROOF_POINTS_BYTES = 2n ** 30n

/**
 * A challenge stays open for at least a third as many chain blocks as it has slots: while the chain stands still, nobody
 * is late.
 */
const BLOCKS_PER_SLOT_DIVISOR = 3

function podrParams(c: C): PodrParams {
  const { sectorCount, challengedCount } = c.params.audit
  return { chainId: c.block.chainId, sectorCount, challengedCount }
}

/** Whether it is too late to answer, and early enough to say that nobody has. */
export function isOver(c: C, { issuedAtBlock, deadlineMs }: { issuedAtBlock: bigint; deadlineMs: bigint }): boolean {
  const blocks = Math.ceil(c.params.audit.windowSlots / BLOCKS_PER_SLOT_DIVISOR)
  return c.block.timestamp * 1000n > deadlineMs && c.block.number > issuedAtBlock + BigInt(blocks)
}

/** Verifies the proofs that wait, together, and carries out what follows from them. */
export function verifyAnswers(c: C): void {
  const from = c.s.answersFrom.get()
  const to = c.s.answersTo.get()
  const end =
    to - from < BigInt(c.params.audit.proofsPerBlockMax) ? to : from + BigInt(c.params.audit.proofsPerBlockMax)
  if (end === from) return
  const claims: { miner: Address; cost: bigint; claim: ProofClaim | undefined }[] = []
  const keys = new Map<Address, ReturnType<typeof keyFor>>()
  for (let i = from; i < end; i++) {
    const miner = c.s.answers.get(i)
    c.s.answers.set(i, ZERO_ADDRESS)
    const answer = c.s.answerOf.at(miner)
    claims.push({ miner, cost: answer.field('cost').get(), claim: claimOf(c, miner, keys) })
    answer.clear()
  }
  c.s.answersFrom.set(end)
  const judged = claims.flatMap(({ claim }) => (claim === undefined ? [] : [claim]))
  const verdicts = new Map(verifyBatch(judged).map((verdict, i) => [judged[i]!, verdict]))
  for (const { miner, cost, claim } of claims) {
    const verdict = claim === undefined ? undefined : verdicts.get(claim)!
    if (verdict === undefined) voidChallenge(c, miner)
    else if (verdict.ok) pass(c, miner, cost)
    else fail(c, miner, verdict.code === 'WRONG' ? proofFailure.wrong : proofFailure.malformed)
  }
}

function keyFor(c: C, worker: Address) {
  return c.ask(teeWorkers).keyOf(worker)
}

/** What a miner has answered, as a claim to be judged; undefined if there is nothing to judge it by. */
function claimOf(c: C, miner: Address, keys: Map<Address, ReturnType<typeof keyFor>>): ProofClaim | undefined {
  const { worker, issuedAtBlock, seed } = c.s.challenges.at(miner).get()
  if (!keys.has(worker)) keys.set(worker, keyFor(c, worker))
  const known = keys.get(worker)
  // A worker that has left, and maybe come back with another key, after the challenge.
  if (known === undefined || known.sinceBlock > issuedAtBlock) return undefined
  const { dropped, entries, proof } = c.s.answerOf.at(miner).get()
  const places: BlockPlace[] = []
  for (const place of decodeEntries(entries)) {
    const seat = c.ask(storage).seatOf(place.group, miner)
    // Somebody else sits there now.
    if (seat === undefined) return undefined
    places.push({ ...place, seat: seatNumber(seat) })
  }
  const challenge = withoutEntries(challengeOver(hexToBytes(seed), places, podrParams(c)), dropped)
  return { proof, challenge, key: known.key }
}

function voidChallenge(c: C, miner: Address): void {
  const challenge = c.s.challenges.at(miner)
  challenge.update({ state: challengeState.void })
  c.emit.ChallengeVoided(miner, challenge.field('epoch').get())
}

function pass(c: C, miner: Address, cost: bigint): void {
  const challenge = c.s.challenges.at(miner)
  const { worker, epoch } = challenge.get()
  challenge.update({ state: challengeState.passed })
  const record = c.s.records.at(miner)
  const passed = record.field('passed').get() + 1
  record.update({ passed, failedInRow: 0, missedInRow: 0, lastPassedEpoch: epoch })
  c.emit.ProofPassed(miner, epoch)
  c.ask(miners).setOffline(miner, false)
  earn(c, miner, c.ask(miners).earningPowerOf(miner), cost)
  c.ask(teeWorkers).credit(worker, proofPoints(c, miner))
}

function proofPoints(c: C, miner: Address): bigint {
  const bytes = BigInt(c.ask(miners).taggedUnitsOf(miner)) * BigInt(c.params.unitBytes)
  return (bytes * PROOF_POINTS) / PROOF_POINTS_BYTES
}

/** A row of failures or misses ends with a proof that passes, and with nothing else: they cannot be taken in turns. */
function fail(c: C, miner: Address, code: number): void {
  const challenge = c.s.challenges.at(miner)
  const epoch = challenge.field('epoch').get()
  challenge.update({ state: challengeState.failed })
  const record = c.s.records.at(miner)
  const { failed, failedInRow } = record.get()
  record.update({ failed: failed + 1, failedInRow: failedInRow + 1 })
  c.emit.ProofFailed(miner, epoch, code)
  if (failedInRow + 1 >= 2) penalise(c, miner, epoch, c.params.audit.failurePenalty, penaltyCause.failed)
}

function miss(c: C, miner: Address): void {
  const challenge = c.s.challenges.at(miner)
  const epoch = challenge.field('epoch').get()
  challenge.update({ state: challengeState.missed })
  const record = c.s.records.at(miner)
  const values = record.get()
  const missedInRow = values.missedInRow + 1
  record.update({ missed: values.missed + 1, missedInRow })
  c.emit.ProofMissed(miner, epoch)
  if (missedInRow < 2) return
  const { missPenalty, laterMissPenalty, missesToDeath } = c.params.audit
  penalise(c, miner, epoch, missedInRow === 2 ? missPenalty : laterMissPenalty, penaltyCause.missed)
  c.ask(miners).setOffline(miner, true)
  if (missedInRow < missesToDeath) return
  c.ask(miners).putOut(miner)
  c.ask(storage).putOut(miner)
}

function penalise(c: C, miner: Address, epoch: bigint, basisPoints: number, cause: number): void {
  c.emit.Penalised(miner, epoch, c.ask(miners).penalise(miner, basisPoints), cause)
}

function isAudited(state: number): boolean {
  return state !== minerState.none && state !== minerState.dead
}

/** Challenges whose time is over without an answer. All last equally long, so they end in the order of their issue. */
export function closeMissed(c: C): void {
  const from = c.s.deadlinesFrom.get()
  const to = c.s.deadlinesTo.get()
  let next = from
  for (let i = 0; i < c.params.audit.deadlinesPerBlockMax && next < to; i++, next++) {
    const entry = c.s.deadlines.at(next)
    const { miner, issuedAtBlock } = entry.get()
    const challenge = c.s.challenges.at(miner).get()
    const isThis = challenge.issuedAtBlock === issuedAtBlock
    if (isThis && challenge.state === challengeState.open) {
      if (!isOver(c, challenge)) break
      // One that has left meanwhile, its data released, has nothing to answer for.
      if (isAudited(c.ask(miners).stateOf(miner))) miss(c, miner)
      else voidChallenge(c, miner)
    }
    entry.clear()
  }
  if (next > from) c.s.deadlinesFrom.set(next)
}

/**
 * Gives miners their turn: each once an epoch, in an order drawn by the beacon, evenly over the epoch but for the last
 * window. After a standstill the miners that the epoch has no time for are not audited in it.
 */
export function issueChallenges(c: C): void {
  const { windowSlots, challengesPerBlockMax } = c.params.audit
  const { slotMs, slotsPerEpoch } = c.params
  const turn = beginEpoch(c)
  const elapsedMs = (c.block.timestamp - c.s.genesisTime.get()) * 1000n - BigInt(c.block.epoch * slotsPerEpoch * slotMs)
  const spanMs = (slotsPerEpoch - windowSlots) * slotMs
  const reached = Math.floor((turn.count * Math.max(0, Number(elapsedMs))) / spanMs) + 1
  const due = Math.min(turn.count, reached, turn.done + challengesPerBlockMax)
  let { done } = turn
  for (; done < due; done++) {
    const index = (turn.first + done * turn.step) % turn.count
    const miner = c.ask(miners).accountAt(index)
    if (miner !== undefined) issueChallenge(c, miner)
  }
  if (done > turn.done) c.s.rotation.update({ done })
}

/** The order of this epoch's turns: every step-th of the list, from a drawn place on. */
function beginEpoch(c: C): { count: number; first: number; step: number; done: number } {
  const epoch = BigInt(c.block.epoch) + 1n
  const { epoch: known, ...turn } = c.s.rotation.get()
  if (known === epoch) return turn
  const count = c.ask(miners).count()
  const beacon = BigInt(bytesToHex(c.block.prevRandao))
  const size = BigInt(Math.max(1, count))
  let step = Number((beacon >> 128n) % size)
  while (greatestCommonDivisor(step, count) > 1) step++
  const fresh = { count, first: Number(beacon % size), step, done: 0 }
  c.s.rotation.set({ epoch, ...fresh })
  return fresh
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

/** Challenges a miner over what it has proven to be able to prove, unless it still has to answer another challenge. */
function issueChallenge(c: C, miner: Address): void {
  const { state } = c.s.challenges.at(miner).get()
  if (state === challengeState.open || state === challengeState.answered) return
  if (!isAudited(c.ask(miners).stateOf(miner))) return
  const seed = challengeSeed(c.block.chainId, c.block.prevRandao, hexToBytes(miner))
  const drawn = drawEntries(c, miner, seed)
  if (drawn === undefined) return
  const { worker, entries } = drawn
  const epoch = BigInt(c.block.epoch)
  const { windowSlots } = c.params.audit
  const deadlineMs = c.block.timestamp * 1000n + BigInt(windowSlots * c.params.slotMs)
  const issuedAtBlock = c.block.number
  const announced = encodeEntries(entries)
  c.s.challenges.at(miner).set({
    worker,
    state: challengeState.open,
    entryCount: entries.length,
    issuedAtBlock,
    deadlineMs,
    epoch,
    seed: bytesToHex(seed),
    entriesDigest: bytesToHex(keccak256(announced)),
  })
  const to = c.s.deadlinesTo.get()
  c.s.deadlines.at(to).set({ miner, issuedAtBlock })
  c.s.deadlinesTo.set(to + 1n)
  c.emit.Challenged(miner, worker, epoch, bytesToHex(seed), bytesToHex(announced), deadlineMs)
}

/**
 * Which blocks a miner is asked for: one tagger of its seats, drawn by its tagged stripes, and of these blocks as many as
 * the rules say, all alike likely. A range of `chal` counts the tagged stripes of a seat one by one; the bitmap says which
 * they are.
 */
function drawEntries(c: C, miner: Address, seed: Uint8Array) {
  const seats = c.ask(storage).taggedSeats(miner, BigInt(bytesToHex(seed)))
  const byTagger = Map.groupBy(seats, ({ tagger }) => tagger)
  const taggers = [...byTagger.keys()]
  const weights = taggers.map((tagger) => byTagger.get(tagger)!.reduce((sum, { stripeCount }) => sum + stripeCount, 0))
  const index = drawTagger(seed, weights)
  if (index === undefined) return undefined
  const worker = taggers[index]!
  const params = podrParams(c)
  const ranges = byTagger.get(worker)!.map(({ group, seat, stripeCount, fragmentBytes }) => ({
    group: groupId(group),
    seat: seatNumber(seat),
    firstStripe: stripeNumber(0),
    stripeCount,
    blockCount: blockCount(fragmentBytes, params),
  }))
  const counted = chal(seed, ranges, params)
  if (counted === undefined) return undefined
  const entries = counted.entries.map(({ group, seat, stripe, block }) => ({
    group,
    stripe: stripeNumber(c.ask(storage).nthTagged(group, seat, stripe)),
    block,
  }))
  return { worker, entries }
}
