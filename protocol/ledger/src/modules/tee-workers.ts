import { bytesToHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { decodeTaggerKey, PodrError, TAGGER_KEY_BYTES, type TaggerKey, trustedDecodeTaggerKey } from '@cumulus/podr2'
import type { Address } from '@cumulus/types'
import {
  address,
  array,
  bool,
  bytes,
  bytes32,
  type ContextOf,
  cell,
  dict,
  module,
  require,
  struct,
  text,
  u8,
  u32,
  u64,
  u256,
} from '../framework/index.ts'
import { r2s } from './r2s.ts'
import {
  page,
  registrationMessage,
  requireGovernance,
  requirePeerSignature,
  requireShort,
  ZERO_ADDRESS,
  ZERO_BYTES32,
} from './rules.ts'

/** Pending: its quote waits for the committee's votes. Exiting: it keeps its groups for one era, and gets no new one. */
export const workerState = { none: 0, pending: 1, active: 2, exiting: 3, expired: 4, rejected: 5 } as const

/** Where a worker's key lives. Simulated: in an ordinary process, with no protection by hardware at all. */
export const attestationKind = { none: 0, sgx: 1, tdx: 2, simulated: 3 } as const

/** What a worker does, as bits. */
export const workerMode = { marker: 1, verifier: 2 } as const

const ADDRESSES_BYTES_MAX = 1024
/** An SGX or TDX quote takes 4 to 6 kB, its collateral some 25 kB. Neither is stored. */
const QUOTE_BYTES_MAX = 16 * 2 ** 10
const COLLATERAL_BYTES_MAX = 96 * 2 ** 10
/** A quote names a chain block at most so many blocks old: it was made for this registration. */
const NONCE_BLOCKS_MAX = 3_600n

/** Decoding a key and checking its proof takes 6 ms; a recovery of 3,000 gas 66 µs. */
const KEY_PROOF_GAS = 270_000

/** Workers looked at for one draw, and by the sweep of one chain block. */
const DRAW_WINDOW_COUNT = 64
const SWEPT_PER_BLOCK = 8

const definition = module({
  name: 'TeeWorkers',
  address: '0x0000000000000000000000000000000000000c04',
  about: 'Who tags stored data, and who vouches that its key never leaves it.',
  structs: [
    'struct Worker { address account; bytes32 peerKey; string addresses; uint8 attestation; bytes32 measurement; uint8 modes; address candidate; bytes taggerKey; bytes32 powersHash; uint64 registeredAtBlock; uint64 expiresAtEpoch; uint8 state; uint32 groups; }',
    'struct Registration { bytes32 peerKey; string addresses; uint8 modes; address candidate; bytes taggerKey; bytes32 powersHash; uint8 attestation; bytes quote; bytes collateral; uint64 nonceBlock; bytes peerSignature; }',
  ],
  storage: {
    accounts: array(address),
    byPeerKey: dict(bytes32, address),
    workers: dict(
      address,
      struct({
        // Slot 0 is all that a draw reads.
        candidate: address,
        state: u8,
        modes: u8,
        attestation: u8,
        expiresAtEpoch: u64,
        // Slot 1
        registeredAtBlock: u64,
        groups: u32,
        index: u32,
        leavesAtEpoch: u64,
        /** Whether it waits in `gone`. */
        isListedGone: bool,
        peerKey: bytes32,
        measurement: bytes32,
        powersHash: bytes32,
        deposit: u256,
        addresses: text,
        taggerKey: bytes,
        /** The quote that waits for votes, if any. */
        pendingQuote: bytes32,
        pendingAttestation: u8,
        pendingSinceEpoch: u64,
      }),
    ),
    /** Whether genesis lets workers attest for themselves. */
    allowsSimulated: cell(bool),
    allowed: dict(bytes32, bool),
    /** By hash of (worker, quote, verdict): votes. By hash of (worker, quote) and member: whether it has voted. */
    tallies: dict(bytes32, u32),
    voted: dict(bytes32, dict(address, bool)),
    /** The next worker of the list that the sweep looks at. */
    sweptUpTo: cell(u32),
    /** Workers that serve no more and whose groups need another one. */
    gone: array(address),
    /** By candidate and era. */
    credit: dict(address, dict(u64, u256)),
  },
  events: {
    WorkerRegistered: 'event WorkerRegistered(address indexed account, bytes32 indexed peerKey, uint8 attestation)',
    AttestationSubmitted: 'event AttestationSubmitted(address indexed account, bytes32 quoteHash)',
    AttestationVoted:
      'event AttestationVoted(address indexed account, address indexed member, bytes32 quoteHash, bool ok)',
    WorkerStateChanged: 'event WorkerStateChanged(address indexed account, uint8 state)',
    WorkerUpdated: 'event WorkerUpdated(address indexed account)',
    MeasurementAllowed: 'event MeasurementAllowed(bytes32 indexed measurement, bool allowed)',
    Credited: 'event Credited(address indexed candidate, address indexed worker, uint256 points)',
  },
  errors: {
    BadTaggerKey: 'error BadTaggerKey(string reason)',
    BadAttestation: 'error BadAttestation(uint8 attestation)',
    SimulatedRefused: 'error SimulatedRefused()',
    StaleNonce: 'error StaleNonce(uint64 nonceBlock, uint64 block)',
    DepositTooLow: 'error DepositTooLow(uint256 needed, uint256 value)',
    GroupsLeft: 'error GroupsLeft(uint32 groups, uint64 leavesAtEpoch)',
    NothingToVote: 'error NothingToVote(bytes32 quoteHash)',
  },
})

type C = ContextOf<typeof definition>
type Hex = `0x${string}`

function registered(c: C) {
  const worker = c.s.workers.at(c.caller)
  require(worker.field('state').get() !== workerState.none, 'not a TEE worker')
  return worker
}

function setState(c: C, account: Address, state: number): void {
  const field = c.s.workers.at(account).field('state')
  if (field.get() === state) return
  field.set(state)
  c.emit.WorkerStateChanged(account, state)
}

/** The state as of now: what was active is expired when its time is over, whether the sweep has been there or not. */
function stateAt(c: C, { state, expiresAtEpoch }: { state: number; expiresAtEpoch: bigint }): number {
  return state === workerState.active && expiresAtEpoch <= BigInt(c.block.epoch) ? workerState.expired : state
}

/** Whether a worker will not come back to its groups. One that is expired has an era to renew. */
function isGone(c: C, worker: { state: number; expiresAtEpoch: bigint; leavesAtEpoch: bigint }): boolean {
  const epoch = BigInt(c.block.epoch)
  switch (stateAt(c, worker)) {
    case workerState.none:
    case workerState.rejected:
      return true
    case workerState.expired:
      return worker.expiresAtEpoch + BigInt(c.params.epochsPerEra) <= epoch
    case workerState.exiting:
      return worker.leavesAtEpoch <= epoch || worker.expiresAtEpoch + BigInt(c.params.epochsPerEra) <= epoch
    default:
      return false
  }
}

function workerOf(c: C, account: Address) {
  const worker = c.s.workers.at(account).get()
  const { peerKey, addresses, attestation, measurement, modes, candidate, powersHash, groups } = worker
  const { registeredAtBlock, expiresAtEpoch } = worker
  const isKnown = worker.state !== workerState.none
  return {
    account: isKnown ? account : ZERO_ADDRESS,
    peerKey,
    addresses,
    attestation,
    measurement,
    modes,
    candidate,
    taggerKey: bytesToHex(worker.taggerKey),
    powersHash,
    registeredAtBlock,
    expiresAtEpoch,
    state: stateAt(c, worker),
    groups,
  }
}

/**
 * Refuses a second quote in an epoch: each costs every member of the committee 10 ms and a transaction. Leaving and coming
 * back is no way around it.
 */
function requireQuoteDue(c: C, account: Address): void {
  const { pendingAttestation, pendingSinceEpoch } = c.s.workers.at(account).get()
  const isFresh = pendingAttestation !== attestationKind.none && pendingSinceEpoch === BigInt(c.block.epoch)
  require(!isFresh, 'one quote an epoch: the last one was handed in in this one')
}

/** Refuses a tagger key that does not decode, or whose maker did not prove to know its secret. */
function requireTaggerKey(c: C, key: Uint8Array): void {
  if (key.length !== TAGGER_KEY_BYTES) throw c.error.BadTaggerKey(`a tagger key has ${TAGGER_KEY_BYTES} bytes`)
  c.charge(KEY_PROOF_GAS)
  try {
    decodeTaggerKey(key, registrationMessage(c.block.chainId, c.caller))
  } catch (error) {
    if (error instanceof PodrError) throw c.error.BadTaggerKey(error.message)
    throw error
  }
}

/**
 * Takes a new attestation of the caller. A simulated one is in force at once, where genesis lets it be; a quote waits for
 * the committee, whose members verify it off the chain.
 */
function attest(
  c: C,
  {
    attestation,
    quote,
    collateral,
    nonceBlock,
  }: { attestation: number; quote: Hex; collateral: Hex; nonceBlock: bigint },
): void {
  const worker = c.s.workers.at(c.caller)
  if (attestation === attestationKind.simulated) {
    if (!c.s.allowsSimulated.get()) throw c.error.SimulatedRefused()
    require(quote === '0x' && collateral === '0x', 'a simulated attestation has no quote')
    const expiresAtEpoch = BigInt(c.block.epoch + c.params.audit.attestationEpochs)
    worker.update({ attestation, measurement: ZERO_BYTES32, expiresAtEpoch, pendingQuote: ZERO_BYTES32 })
    setState(c, c.caller, workerState.active)
    return
  }
  if (attestation !== attestationKind.sgx && attestation !== attestationKind.tdx) {
    throw c.error.BadAttestation(attestation)
  }
  const quoteBytes = hexToBytes(quote)
  require(quoteBytes.length > 0 && quoteBytes.length <= QUOTE_BYTES_MAX, `a quote has 1 to ${QUOTE_BYTES_MAX} bytes`)
  require((collateral.length - 2) / 2 <= COLLATERAL_BYTES_MAX, `collateral is over ${COLLATERAL_BYTES_MAX} bytes`)
  const { number } = c.block
  if (nonceBlock >= number || nonceBlock + NONCE_BLOCKS_MAX < number) throw c.error.StaleNonce(nonceBlock, number)
  const pendingQuote = bytesToHex(keccak256(quoteBytes))
  require(pendingQuote !== worker.field('pendingQuote').get(), 'this quote waits for votes already')
  worker.update({ pendingQuote, pendingAttestation: attestation, pendingSinceEpoch: BigInt(c.block.epoch) })
  // One whose attestation still holds goes on meanwhile.
  const isServing = stateAt(c, worker.get()) === workerState.active
  if (!isServing) setState(c, c.caller, workerState.pending)
  c.emit.AttestationSubmitted(c.caller, pendingQuote)
}

/** Carries out what the quorum has said of the quote that waits. */
function decide(c: C, account: Address, verdict: { ok: boolean; measurement: Hex; expiresAtEpoch: bigint }): void {
  const worker = c.s.workers.at(account)
  const { state, pendingAttestation } = worker.get()
  worker.update({ pendingQuote: ZERO_BYTES32 })
  const epoch = BigInt(c.block.epoch)
  const accepted = verdict.ok && c.s.allowed.get(verdict.measurement) && verdict.expiresAtEpoch > epoch
  if (!accepted) {
    // A bad renewal takes nothing from an attestation that still holds.
    if (state === workerState.pending) setState(c, account, workerState.rejected)
    return
  }
  const longest = epoch + BigInt(c.params.audit.attestationEpochs)
  const expiresAtEpoch = verdict.expiresAtEpoch < longest ? verdict.expiresAtEpoch : longest
  worker.update({ attestation: pendingAttestation, measurement: verdict.measurement, expiresAtEpoch })
  setState(c, account, workerState.active)
}

function hashOf(...parts: (Hex | bigint | boolean)[]): Hex {
  const words = parts.map((part) => hexToBytes(`0x${BigInt(part).toString(16).padStart(64, '0')}`))
  return bytesToHex(keccak256(concatBytes(...words)))
}

/** Forgets a worker without groups and pays its deposit back. The last of the list takes its place. */
function leave(c: C, account: Address): void {
  const worker = c.s.workers.at(account)
  const { index, peerKey, deposit } = worker.get()
  const lastIndex = c.s.accounts.length() - 1
  const last = c.s.accounts.get(lastIndex)
  c.s.accounts.set(index, last)
  c.s.workers.at(last).update({ index })
  c.s.accounts.pop()
  c.s.byPeerKey.set(peerKey, ZERO_ADDRESS)
  worker.clear()
  c.transfer(account, deposit)
  c.emit.WorkerStateChanged(account, workerState.none)
}

/** Notes of one worker after the other what time has done to it, and lists those whose groups need another one. */
function sweep(c: C): void {
  const count = c.s.accounts.length()
  let next = c.s.sweptUpTo.get()
  for (let i = 0; i < Math.min(count, SWEPT_PER_BLOCK); i++, next++) {
    if (next >= count) next = 0
    const account = c.s.accounts.get(next)
    const worker = c.s.workers.at(account)
    const values = worker.get()
    const { attestation, measurement } = values
    const isServing = values.state === workerState.active || values.state === workerState.exiting
    const isTrusted = attestation === attestationKind.simulated || c.s.allowed.get(measurement)
    if (isServing && !isTrusted) setState(c, account, workerState.rejected)
    else setState(c, account, stateAt(c, values))
    if (values.groups > 0 && !values.isListedGone && isGone(c, worker.get())) {
      worker.update({ isListedGone: true })
      c.s.gone.push(account)
    }
  }
  if (count > 0) c.s.sweptUpTo.set(next)
}

/**
 * The register of TEE workers. A worker is never a reason to punish a miner: one that goes away loses its groups to
 * another, and until that one has tagged them they are not audited.
 */
export const teeWorkers = definition
  .genesis((c, { attestation }) => {
    c.s.allowsSimulated.set(attestation?.simulated ?? false)
    for (const measurement of attestation?.measurements ?? []) c.s.allowed.set(measurement, true)
  })
  .onBlock((c) => sweep(c))
  .fn('function register(Registration registration) payable', 0, (c, registration) => {
    const { peerKey, addresses, modes, candidate, powersHash } = registration
    const worker = c.s.workers.at(c.caller)
    require(worker.field('state').get() === workerState.none, 'already registered')
    require(c.s.byPeerKey.get(peerKey) === ZERO_ADDRESS, 'peer key belongs to another worker')
    requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
    require(modes >= 1 && modes <= 3, 'modes are 1 (marker), 2 (verifier) or 3 (both)')
    require(powersHash !== ZERO_BYTES32, 'hash of the powers is zero')
    const { workerDeposit } = c.params.audit
    if (c.value < workerDeposit) throw c.error.DepositTooLow(workerDeposit, c.value)
    const taggerKey = hexToBytes(registration.taggerKey)
    requirePeerSignature(c, { account: c.caller, peerKey, signature: registration.peerSignature })
    requireTaggerKey(c, taggerKey)
    worker.set({
      candidate,
      state: workerState.pending,
      modes,
      attestation: attestationKind.none,
      expiresAtEpoch: 0n,
      registeredAtBlock: c.block.number,
      groups: 0,
      index: c.s.accounts.length(),
      leavesAtEpoch: 0n,
      isListedGone: false,
      peerKey,
      measurement: ZERO_BYTES32,
      powersHash,
      deposit: c.value,
      addresses,
      taggerKey,
      pendingQuote: ZERO_BYTES32,
      pendingAttestation: attestationKind.none,
      pendingSinceEpoch: 0n,
    })
    c.s.accounts.push(c.caller)
    c.s.byPeerKey.set(peerKey, c.caller)
    c.emit.WorkerRegistered(c.caller, peerKey, registration.attestation)
    attest(c, registration)
  })
  .fn('function update(string addresses)', 0, (c, addresses) => {
    requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
    registered(c).update({ addresses })
    c.emit.WorkerUpdated(c.caller)
  })
  .fn(
    'function renew(uint8 attestation, bytes quote, bytes collateral, uint64 nonceBlock)',
    0,
    (c, attestation, quote, collateral, nonceBlock) => {
      require(registered(c).field('state').get() !== workerState.exiting, 'the worker is leaving')
      if (attestation !== attestationKind.simulated) requireQuoteDue(c, c.caller)
      attest(c, { attestation, quote, collateral, nonceBlock })
    },
  )
  .fn('function exit()', 0, (c) => {
    const worker = registered(c)
    const { state, groups, leavesAtEpoch } = worker.get()
    if (groups === 0) {
      requireQuoteDue(c, c.caller)
      leave(c, c.caller)
      return
    }
    // Drawn for nothing new from now on. After an era another worker takes its groups, and another exit() leaves for good.
    if (state === workerState.exiting) throw c.error.GroupsLeft(groups, leavesAtEpoch)
    worker.update({ leavesAtEpoch: BigInt(c.block.epoch + c.params.epochsPerEra) })
    setState(c, c.caller, workerState.exiting)
  })
  .fn(
    'function vote(address worker, bytes32 quoteHash, bool ok, bytes32 measurement, uint64 expiresAtEpoch)',
    0,
    (c, account, quoteHash, ok, measurement, expiresAtEpoch) => {
      require(c.ask(r2s).isMember(c.caller), 'not a member of the committee')
      const { pendingQuote, pendingSinceEpoch } = c.s.workers.at(account).get()
      const isOpen = quoteHash !== ZERO_BYTES32 && pendingQuote === quoteHash
      // Two eras: members of at most three committees vote together.
      const isYoung = BigInt(c.block.epoch) < pendingSinceEpoch + BigInt(2 * c.params.epochsPerEra)
      if (!isOpen || !isYoung) throw c.error.NothingToVote(quoteHash)
      const voted = c.s.voted.at(hashOf(account, quoteHash, pendingSinceEpoch)).at(c.caller)
      require(!voted.get(), 'this member has voted')
      voted.set(true)
      const tally = c.s.tallies.at(hashOf(account, quoteHash, pendingSinceEpoch, ok, measurement, expiresAtEpoch))
      const votes = tally.get() + 1
      tally.set(votes)
      c.emit.AttestationVoted(account, c.caller, quoteHash, ok)
      if (votes >= c.ask(r2s).quorum()) decide(c, account, { ok, measurement, expiresAtEpoch })
    },
  )
  .fn('function allow(bytes32 measurement)', 0, (c, measurement) => {
    requireGovernance(c)
    require(measurement !== ZERO_BYTES32, 'measurement is zero')
    c.s.allowed.set(measurement, true)
    c.emit.MeasurementAllowed(measurement, true)
  })
  .fn('function disallow(bytes32 measurement)', 0, (c, measurement) => {
    requireGovernance(c)
    c.s.allowed.set(measurement, false)
    c.emit.MeasurementAllowed(measurement, false)
  })
  .view('function workerOf(address account) view returns (Worker)', (c, account) => workerOf(c, account))
  .view('function workerByPeerKey(bytes32 peerKey) view returns (Worker)', (c, peerKey) =>
    workerOf(c, c.s.byPeerKey.get(peerKey)),
  )
  .view('function workerCount() view returns (uint256)', (c) => BigInt(c.s.accounts.length()))
  .view('function workers(uint256 offset, uint256 limit) view returns (Worker[])', (c, offset, limit) =>
    page(offset, limit, c.s.accounts.length()).map((i) => workerOf(c, c.s.accounts.get(i))),
  )
  .view('function isAllowed(bytes32 measurement) view returns (bool)', (c, measurement) => c.s.allowed.get(measurement))
  .view('function allowsSimulated() view returns (bool)', (c) => c.s.allowsSimulated.get())
  .view(
    'function pendingOf(address account) view returns (bytes32 quoteHash, uint8 attestation, uint64 sinceEpoch)',
    (c, account) => {
      const { pendingQuote, pendingAttestation, pendingSinceEpoch } = c.s.workers.at(account).get()
      return [pendingQuote, pendingAttestation, pendingSinceEpoch] as const
    },
  )
  .view('function creditOf(address candidate, uint64 era) view returns (uint256)', (c, candidate, era) =>
    c.s.credit.at(candidate).get(era),
  )
  /**
   * An active marker for a group, where `seed` says. Of more than `DRAW_WINDOW_COUNT` workers, one of those in a window
   * of the list.
   */
  .service('drawMarker', (c, seed: bigint): { account: Address; attestation: number } | undefined => {
    const count = c.s.accounts.length()
    if (count === 0) return undefined
    const first = count <= DRAW_WINDOW_COUNT ? 0 : Number(seed % BigInt(count))
    const markers: { account: Address; attestation: number }[] = []
    for (let i = 0; i < Math.min(count, DRAW_WINDOW_COUNT); i++) {
      const account = c.s.accounts.get((first + i) % count)
      const { state, modes, attestation, expiresAtEpoch } = c.s.workers.at(account).get()
      if ((modes & workerMode.marker) === 0) continue
      if (stateAt(c, { state, expiresAtEpoch }) === workerState.active) markers.push({ account, attestation })
    }
    return markers.length === 0 ? undefined : markers[Number((seed >> 64n) % BigInt(markers.length))]
  })
  /** Counts a worker's groups. */
  .service('engage', (c, account: Address, groups: number) => {
    const field = c.s.workers.at(account).field('groups')
    const after = field.get() + groups
    if (after < 0) throw new Error(`worker ${account} has no such groups`)
    field.set(after)
  })
  /** A worker that serves no more and still has groups, if there is one. */
  .service('nextGone', (c): Address | undefined => {
    for (let length = c.s.gone.length(); length > 0; length--) {
      const account = c.s.gone.get(length - 1)
      const worker = c.s.workers.at(account)
      const values = worker.get()
      if (values.groups > 0 && isGone(c, values)) return account
      worker.update({ isListedGone: false })
      c.s.gone.pop()
    }
    return undefined
  })
  /** By what a worker's tags are verified, and since when it has this key. */
  .service('keyOf', (c, account: Address): { key: TaggerKey; sinceBlock: bigint } | undefined => {
    const worker = c.s.workers.at(account)
    if (worker.field('state').get() === workerState.none) return undefined
    const key = trustedDecodeTaggerKey(worker.field('taggerKey').get())
    return { key, sinceBlock: worker.field('registeredAtBlock').get() }
  })
  /** Adds to the credit of the candidate that a worker is bound to: what the election goes by, beside stake and luck. */
  .service('credit', (c, account: Address, points: bigint) => {
    const candidate = c.s.workers.at(account).field('candidate').get()
    if (candidate === ZERO_ADDRESS || points === 0n) return
    const credit = c.s.credit.at(candidate).at(BigInt(c.block.era))
    credit.set(credit.get() + points)
    c.emit.Credited(candidate, account, points)
  })
  .service('creditOf', (c, candidate: Address, era: bigint) => c.s.credit.at(candidate).get(era))
