import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { decodeEntries, decodeProof, ENTRY_BYTES, PodrError } from '@cumulus/podr2'
import type { Address } from '@cumulus/types'
import { gasPrices, require } from '../framework/index.ts'
import { type C, challengeState, definition } from './audit-state.ts'
import { closeMissed, isOver, issueChallenges, verifyAnswers } from './audits.ts'
import { minerState, miners } from './miners.ts'
import { claim, rewardsOf } from './rewards.ts'
import { ZERO_ADDRESS } from './rules.ts'
import { storage } from './storage.ts'

export { challengeState, penaltyCause, proofFailure } from './audit-state.ts'

/** Decoding two points with their subgroup checks takes 0.6 ms; a recovery of 3,000 gas 66 µs. */
const DECODE_GAS = 27_000
/** What the block hook will do for a proof: a name hashed to the curve 0.18 ms each, the rest of the equation 1 ms. */
const NAME_GAS = 8_000
const EQUATION_GAS = 45_000

/** A transaction, its bytes (EIP-2028), and writing down what it cost: all that is not seen as gas of the call before that. */
const TRANSACTION_GAS = 21_000
const ZERO_BYTE_GAS = 4
const BYTE_GAS = 16
const COST_GAS = gasPrices.coldLoad + gasPrices.storeNew

function challengeOf(c: C, miner: Address) {
  const { worker, seed, entriesDigest, entryCount, issuedAtBlock, deadlineMs, epoch, state } = c.s.challenges
    .at(miner)
    .get()
  return {
    miner: state === challengeState.none ? ZERO_ADDRESS : miner,
    worker,
    seed,
    entriesDigest,
    entryCount,
    issuedAtBlock,
    deadlineMs,
    epoch,
    state,
  }
}

/** Refuses entries left out that the miner still has to answer for. */
function requireDroppable(c: C, worker: Address, entries: Uint8Array, dropped: bigint): void {
  decodeEntries(entries).forEach(({ group, stripe }, i) => {
    if (((dropped >> BigInt(i)) & 1n) === 0n) return
    if (c.ask(storage).isReleased(group, stripe)) return
    // Another worker has taken the group: the old tags need not be kept.
    if (c.ask(storage).taggerOf(group) !== worker) return
    throw c.error.NotReleased(i)
  })
}

/** Refuses what is no proof at all, so that a mangled transaction does not count as a failed one. */
function requireProof(c: C, proof: Uint8Array): void {
  c.charge(DECODE_GAS)
  try {
    decodeProof(proof)
  } catch (error) {
    if (error instanceof PodrError) throw c.error.BadProof(proof.length)
    throw error
  }
}

/** What a submission costs its sender in base fees: given back if the proof passes, once for a challenge. */
function costOf(c: C, ...parts: Uint8Array[]): bigint {
  const { baseFee } = c.block
  if (baseFee === undefined) return 0n
  let gas = TRANSACTION_GAS + c.gasUsed() + COST_GAS
  for (const bytes of parts) for (const byte of bytes) gas += byte === 0 ? ZERO_BYTE_GAS : BYTE_GAS
  return BigInt(gas) * baseFee
}

/**
 * Audits: who has to prove what, whether it did, and what it gets or loses for it. A miner that keeps its data and answers
 * in time is never punished, whatever workers, other miners and owners of data do.
 */
export const audit = definition
  .genesis((c) => c.s.genesisTime.set(c.block.timestamp))
  .onBlock((c) => {
    verifyAnswers(c)
    closeMissed(c)
    issueChallenges(c)
  })
  .fn(
    'function confirmTags(uint32 group, uint32 firstStripe, uint256 stripes, address tagger)',
    0,
    (c, group, firstStripe, stripes, tagger) => {
      require(c.ask(miners).stateOf(c.caller) !== minerState.dead, 'the miner was put out')
      const { seat, count } = c.ask(storage).confirmTags(c.caller, { group, firstStripe, stripes, tagger })
      if (count > 0) c.emit.TagsConfirmed(group, seat, c.caller, count)
    },
  )
  .fn('function reportLoss(uint32 group, uint32 firstStripe, uint256 stripes)', 0, (c, group, firstStripe, stripes) => {
    const { seat, lost } = c.ask(storage).reportLoss(c.caller, { group, firstStripe, stripes })
    if (lost > 0n) c.emit.LossReported(group, seat, c.caller, firstStripe, lost)
  })
  .fn(
    'function submitProof(bytes32 seed, bytes entries, uint256 dropped, bytes proof)',
    0,
    (c, seed, entries, dropped, proof) => {
      const challenge = c.s.challenges.at(c.caller)
      const {
        state,
        seed: current,
        worker,
        entryCount,
        issuedAtBlock,
        deadlineMs,
        epoch,
        entriesDigest,
      } = challenge.get()
      if (state !== challengeState.open) throw c.error.NotChallenged(state)
      // Two challenges may ask for the same blocks: an honest answer that comes late is not a wrong one to the next.
      if (seed !== current) throw c.error.OtherChallenge(current)
      if (isOver(c, { issuedAtBlock, deadlineMs })) throw c.error.TooLate(deadlineMs)
      const entryBytes = hexToBytes(entries)
      if (entryBytes.length !== ENTRY_BYTES * entryCount) throw c.error.WrongEntries(entriesDigest)
      c.charge(gasPrices.hash + gasPrices.word * 2 * Math.ceil(entryBytes.length / 32))
      if (bytesToHex(keccak256(entryBytes)) !== entriesDigest) throw c.error.WrongEntries(entriesDigest)
      require(dropped >> BigInt(entryCount) === 0n, `the challenge has ${entryCount} entries`)
      if (dropped > 0n) requireDroppable(c, worker, entryBytes, dropped)
      if (dropped === (1n << BigInt(entryCount)) - 1n) {
        require(proof === '0x', 'there is nothing left to prove')
        challenge.update({ state: challengeState.void })
        c.emit.ChallengeVoided(c.caller, epoch)
        return
      }
      const proofBytes = hexToBytes(proof)
      requireProof(c, proofBytes)
      c.charge(NAME_GAS * entryCount + EQUATION_GAS)
      challenge.update({ state: challengeState.answered })
      const answer = c.s.answerOf.at(c.caller)
      answer.update({ dropped, entries: entryBytes, proof: proofBytes })
      const to = c.s.answersTo.get()
      c.s.answers.set(to, c.caller)
      c.s.answersTo.set(to + 1n)
      answer.field('cost').set(costOf(c, hexToBytes(seed), entryBytes, proofBytes))
    },
  )
  .fn('function claim() returns (uint256 amount)', 0, (c) => claim(c, c.caller))
  .view('function challengeOf(address miner) view returns (Challenge)', (c, miner) => challengeOf(c, miner))
  .view(
    'function taggedOf(uint32 group, uint8 seat, uint32 firstStripe) view returns (uint256)',
    (c, group, seat, firstStripe) => {
      require(firstStripe % 256 === 0, 'first stripe is no multiple of 256')
      return c.ask(storage).taggedOf(group, seat, firstStripe >>> 8)
    },
  )
  .view(
    'function recordOf(address miner) view returns (uint32 failedInRow, uint32 missedInRow, uint32 passed, uint32 failed, uint32 missed, uint64 lastPassedEpoch)',
    (c, miner) => {
      const { failedInRow, missedInRow, passed, failed, missed, lastPassedEpoch } = c.s.records.at(miner).get()
      return [failedInRow, missedInRow, passed, failed, missed, lastPassedEpoch] as const
    },
  )
  .view(
    'function rewardsOf(address miner) view returns (uint256 claimable, uint256 locked, uint256 paid)',
    (c, miner) => {
      const { claimable, locked, paid } = rewardsOf(c, miner)
      return [claimable, locked, paid] as const
    },
  )
  .view('function powerOf(address miner) view returns (uint256)', (c, miner) => c.ask(miners).earningPowerOf(miner))
  .view('function eraPointsOf(uint64 era) view returns (uint256)', (c, era) => c.s.eraPoints.get(era))
