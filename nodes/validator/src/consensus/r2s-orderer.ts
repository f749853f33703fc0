import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { concatBytes } from '@cumulus/bytes'
import type { Committee, DoubleVote } from '@cumulus/certificate'
import type { CertificateStore, DecidedBatch, Mempool, Orderer } from '@cumulus/execution'
import { keccak256 } from '@cumulus/hash'
import type { Transaction } from '@cumulus/ledger'
import {
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  type FrameReply,
  type PeerIdentity,
  RemoteError,
  type Session,
} from '@cumulus/network'
import type { Params } from '@cumulus/params'
import {
  type Commit,
  defaultR2sParams,
  type Evidence,
  encodeLogRecord,
  encodePayload,
  type R2sParams,
  transactionsOf,
} from '@cumulus/r2s'
import type { Logger, Metrics } from '@cumulus/service'
import { verifyEd25519 } from '@cumulus/signature'
import type { BlsKey } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { Certifier, type ExecutedChain } from './certifier.ts'
import { type BatchRules, batchesOf } from './chain-batches.ts'
import type { CoinKeeper } from './coin-keeper.ts'
import type { ConsensusError } from './consensus-error.ts'
import { type ConsensusGauges, type ConsensusMetrics, createConsensusMetrics } from './consensus-metrics.ts'
import { EvidenceFile } from './evidence-file.ts'
import { LatencyWindow } from './latency-window.ts'
import { type MemberAddress, Members } from './members.ts'
import { OrderLoop, type OwnContents } from './order-loop.ts'
import { decodeMark, type OrderMark } from './order-mark.ts'
import { SteadyClock } from './steady-clock.ts'
import { TransactionRouter } from './transaction-router.ts'
import { type FoundLog, WriteAheadLog } from './write-ahead-log.ts'

/** A seat of the committee. */
export interface CommitteeMember extends MemberAddress {
  readonly account: Address
}

/** The chain as the orderer sees it. A `Ledger` is one. */
export interface OrderedChain extends ExecutedChain {
  readonly genesisHash: Uint8Array
  readonly mark: Uint8Array | undefined
}

export interface R2sOrdererComponents {
  readonly folder: string
  readonly params: Params
  readonly genesisMs: number
  /** Who certifies; the same seats as `members`. */
  readonly committee: Committee
  readonly members: readonly CommitteeMember[]
  /** Own seat. */
  readonly self: number
  readonly identity: PeerIdentity
  /** Of own votes. */
  readonly blsKey: BlsKey
  readonly certificates: CertificateStore
  readonly coin: CoinKeeper
  readonly chain: OrderedChain
  readonly mempool: Mempool
  readonly log: Logger
  readonly metrics: Metrics
}

export interface R2sOrdererInit {
  /** Least time between own blocks. Default: 25 ms with up to four members, else 100. */
  readonly minRoundMs?: number
  /** Longest pause while nobody has anything to say. */
  readonly idleRoundMs?: number
}

/** Decided rounds that wait for execution: above this, own blocks wait too, and the whole committee goes at the pace of execution. */
const COMMITS_MAX = 1_024
/** Execution this far behind: own blocks carry no transactions (R²S, section 2.9). */
const LAG_BLOCKS_MAX = 16
const LAG_MS_MAX = 2_000
const LAG_CERTIFICATES_MAX = 64
/** Transactions in one own block. */
const OWN_TRANSACTIONS_MAX = 1_000

interface WaitingCommit {
  readonly commit: Commit
  readonly arrivedAtMs: number
  readonly hasContent: boolean
}

/**
 * A member of a committee that agrees on the order by R²S: what is decided becomes batches for execution, the same at all
 * members. Keeps its promises in a write-ahead log: killed at any moment, it never signs a round twice.
 */
export class R2sOrderer implements Orderer {
  readonly kind = 'r2s'
  readonly members: Members
  readonly #components: R2sOrdererComponents
  readonly #rules: BatchRules
  readonly #r2sParams: R2sParams
  readonly #clock = new SteadyClock()
  readonly #wal: WriteAheadLog
  readonly #found: FoundLog
  readonly #evidence: EvidenceFile
  readonly #metrics: ConsensusMetrics
  readonly #loop: OrderLoop
  readonly #router: TransactionRouter
  readonly #certifier: Certifier
  readonly #commitTimes = new LatencyWindow()
  /** When own blocks of this run were made, by round. */
  readonly #madeAtMs = new Map<number, number>()
  readonly #commits: WaitingCommit[] = []
  #waitingContent = 0
  #mark: OrderMark | undefined
  #wake: () => void = () => {}
  #certified: () => void = () => {}
  #caughtUp: (() => void) | undefined
  #failure: Error | undefined
  #isReplaying = true
  #isWorkPending = false
  #isPressed = false

  private constructor(
    components: R2sOrdererComponents,
    init: R2sOrdererInit,
    opened: {
      wal: WriteAheadLog
      found: FoundLog
      evidence: EvidenceFile
      onSync: { call: (seconds: number) => void }
    },
  ) {
    const { params, members, self, committee, identity, coin, chain, mempool, log, metrics } = components
    const { era } = committee
    this.#components = components
    this.#wal = opened.wal
    this.#found = opened.found
    this.#evidence = opened.evidence
    this.#metrics = createConsensusMetrics(metrics, () => this.#gauges())
    opened.onSync.call = (seconds) => this.#metrics.logSyncSeconds.observe(seconds)
    this.#rules = {
      era,
      genesisMs: components.genesisMs,
      params,
      accounts: members.map(({ account }) => account),
    }
    this.members = new Members({
      identity,
      members,
      self,
      onMessage: (from, bytes) => this.#received(from, bytes),
      onConnected: (peer) => {
        this.#loop.step({ kind: 'connected', peer })
        this.#updateWork()
      },
      answer: (op, _from, frame) => this.#answer(op, frame),
      refused: (code) => this.#metrics.refused.inc({ code }),
      log,
      metrics,
    })
    const nowMs = () => this.#clock.nowMs()
    this.#router = new TransactionRouter({
      members: this.members,
      memberCount: members.length,
      self,
      mempool,
      log,
      metrics,
      nowMs,
    })
    this.#certifier = new Certifier({
      committee,
      self,
      key: components.blsKey,
      chain,
      certificates: components.certificates,
      certified: () => {
        this.#updatePressure()
        this.#certified()
      },
      diverged: (error) => void this.#fail(error),
      doubleVote: (evidence) => this.#foundDoubleVote(evidence),
      metrics: this.#metrics,
      log,
      nowMs,
    })
    this.#r2sParams = r2sParamsOf(params, members.length, init)
    this.#loop = new OrderLoop({
      config: {
        chainId: BigInt(params.chainId),
        era,
        eraAnchor: chain.genesisHash,
        committeeSize: members.length,
        member: self,
        params: this.#r2sParams,
        sign: (message) => identity.sign(message),
        verify: (author, message, signature) => verifyEd25519(signature, message, members[author]!.peerKey),
      },
      coin,
      wal: this.#wal,
      members: this.members,
      clock: this.#clock,
      hooks: {
        room: () => this.#room(),
        contents: (payloadBytesMax) => this.#contents(payloadBytesMax),
        committed: (commit) => this.#committed(commit),
        accepted: ({ header }) => {
          if (header.author === self && !this.#isReplaying) this.#madeAtMs.set(header.round, nowMs())
          if (header.votes.length > 0) this.#certifier.observe(header.author, header.votes)
        },
        returned: (block) => mempool.release(transactionsOf(block).map(keccak256)),
        behind: () => {},
        equivocation: (evidence) => this.#foundEvidence(evidence),
        failed: (error) => void this.#fail(error),
      },
      metrics: this.#metrics,
      log,
    })
    this.#mark = chain.mark && decodeMark(chain.mark)
  }

  /**
   * Opens the log of the member. Nothing is signed or sent before `decided`.
   *
   * @throws ConsensusError LOG_FAILED, OTHER_LOG
   */
  static async open(components: R2sOrdererComponents, init: R2sOrdererInit = {}): Promise<R2sOrderer> {
    const { folder, params, committee, self, chain, log } = components
    const owner = { chainId: BigInt(params.chainId), era: committee.era, member: self }
    const onSync = { call: (_seconds: number): void => {} }
    const { wal, found } = await WriteAheadLog.open(folder, owner, chain.head.number, (seconds) => onSync.call(seconds))
    if (found.kind === 'lost') log.warn('the log of the order is lost: asking the others', { reason: found.reason })
    else log.info('log of the order', { found: found.kind, bytes: wal.bytes })
    const evidence = await EvidenceFile.open(join(folder, 'order', 'evidence.jsonl'))
    return new R2sOrderer(components, init, { wal, found, evidence, onSync })
  }

  /** For the listener that members dial. */
  get handlers(): FrameHandlers {
    return this.members.handlers
  }

  /** Calls back after each certificate that was stored. */
  onCertified(listener: () => void): void {
    this.#certified = listener
  }

  /** Sees to it that a transaction of the mempool is ordered, which somebody passed on. */
  watch(transaction: Transaction): void {
    this.#router.watch(transaction)
  }

  attach(session: Session): void {
    this.members.attach(session)
  }

  async *decided({ signal }: { signal: AbortSignal }): AsyncGenerator<DecidedBatch> {
    const ending = new AbortController()
    const ended = AbortSignal.any([signal, ending.signal])
    const { mempool, coin } = this.#components
    const stopListening = mempool.onWaiting(() => this.#updateWork())
    this.#loop.start(this.#found)
    this.#isReplaying = false
    this.#router.run({ signal: ended })
    const links = this.members.run({ signal: ended })
    this.#updateWork()
    try {
      for (;;) {
        const commit = await this.#nextCommit(ended)
        if (!commit) return
        yield* this.#batches(commit, ended)
        await this.#rotate()
      }
    } finally {
      ending.abort()
      stopListening()
      this.#loop.stop()
      await links
      await this.#wal.close()
      await this.#evidence.flush().catch(() => {})
      await coin.close()
    }
  }

  /** Other members that there is a link to. */
  get connectedCount(): number {
    return this.#components.members.filter((_, seat) => this.members.isConnected(seat)).length
  }

  status(): object {
    const { members, self, coin } = this.#components
    const { core } = this.#loop
    const nowMs = this.#clock.nowMs()
    return {
      kind: this.kind,
      committeeSize: members.length,
      seat: self,
      era: this.#components.committee.era,
      round: core.lastOwnRound,
      decidedRound: core.decidedRound,
      certifiedHeight: this.#certifier.certifiedHeight.toString(),
      commitMs: this.#commitTimes.percentiles(nowMs),
      waitingCommits: this.#commits.length,
      isPressed: this.#isPressed,
      isInquiring: core.inquiring,
      silencedAtRound: this.#loop.silencedAt,
      logBytes: this.#wal.bytes,
      coin: coin.mode,
      transactions: this.#router.counts,
      members: this.#gauges().members.map((member, seat) => ({
        account: members[seat]!.account,
        isSelf: seat === self,
        ...member,
        round: core.dag.newest[seat]!.round,
      })),
      evidence: this.#evidence.records,
    }
  }

  #gauges(): ConsensusGauges {
    const { members, self } = this.#components
    const { core } = this.#loop
    return {
      round: core.lastOwnRound,
      decidedRound: core.decidedRound,
      certifiedHeight: this.#certifier.certifiedHeight,
      logBytes: this.#wal.bytes,
      waitingCommits: this.#commits.length,
      equivocators: this.#evidence.records.length,
      members: members.map((_, seat) => ({
        connected: seat === self || this.members.isConnected(seat),
        lag: Math.max(0, core.dag.highestRound - core.dag.newest[seat]!.round),
        waitingBytes: this.members.backlog(seat).bytes,
      })),
    }
  }

  // ------------------------------------------------------------------ messages

  #received(from: number, bytes: Uint8Array): void {
    this.#metrics.receivedBytes.inc({ member: from }, bytes.length)
    this.#loop.step({ kind: 'frame', from, bytes })
  }

  #answer(op: FrameOp, frame: FrameMessage): FrameReply | Promise<FrameReply> {
    if (op === FrameOp.shareTransactions) return this.#router.receive(frame)
    throw new RemoteError('UNSUPPORTED', 'not here')
  }

  // ---------------------------------------------------------------- own blocks

  /** Own blocks wait for execution that is far behind: then the committee goes at the pace of whoever executes. */
  #room(): Promise<void> | undefined {
    if (this.#commits.length <= COMMITS_MAX) return undefined
    return new Promise((resolve) => {
      this.#caughtUp = resolve
    })
  }

  #contents(payloadBytesMax: number): OwnContents {
    const { mempool, params } = this.#components
    // Each has its length before it.
    const bytes = Math.max(0, payloadBytesMax - 4 * OWN_TRANSACTIONS_MAX)
    const room = { gas: params.blockGasLimit, bytes, count: OWN_TRANSACTIONS_MAX }
    const transactions = bytes > 0 ? mempool.take(room, this.#router.mayTake) : []
    const payload = encodePayload(transactions.map(({ raw }) => raw))
    queueMicrotask(() => this.#updateWork())
    return { payload, txCount: transactions.length, votes: this.#certifier.takeVotes() }
  }

  /** Tells the core whether there is something to say: then it does not wait for the idle time. */
  #updateWork(): void {
    const pending = this.#certifier.hasVotes || this.#components.mempool.hasWaitingOf(this.#router.mayTake)
    if (pending === this.#isWorkPending) return
    this.#isWorkPending = pending
    this.#loop.step({ kind: 'work', pending })
  }

  // ---------------------------------------------------------- from order to chain

  #committed(commit: Commit): void {
    const nowMs = this.#clock.nowMs()
    const hasContent = commit.blocks.some(({ payload }) => payload.length > 0)
    this.#commits.push({ commit, arrivedAtMs: nowMs, hasContent })
    if (hasContent) this.#waitingContent++
    this.#metrics.rounds.inc()
    this.#metrics.blocks.inc(commit.blocks.length)
    for (const { header } of commit.blocks) {
      if (header.author !== this.#components.self) continue
      const madeAtMs = this.#madeAtMs.get(header.round)
      if (madeAtMs === undefined) continue
      this.#madeAtMs.delete(header.round)
      this.#commitTimes.add(nowMs, nowMs - madeAtMs)
      this.#metrics.commitSeconds.observe((nowMs - madeAtMs) / 1000)
    }
    for (const round of this.#madeAtMs.keys()) if (round <= commit.gcRound) this.#madeAtMs.delete(round)
    this.#wake()
    this.#updatePressure()
  }

  async #nextCommit(signal: AbortSignal): Promise<Commit | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure
      if (signal.aborted) return undefined
      const waiting = this.#commits.shift()
      if (waiting) {
        if (waiting.hasContent) this.#waitingContent--
        if (this.#commits.length <= COMMITS_MAX) this.#caughtUp?.()
        return waiting.commit
      }
      await new Promise<void>((resolve) => {
        const end = () => {
          signal.removeEventListener('abort', end)
          this.#wake = () => {}
          resolve()
        }
        signal.addEventListener('abort', end, { once: true })
        this.#wake = end
      })
    }
  }

  /** What of a commit is not in the chain yet. */
  async *#batches(commit: Commit, signal: AbortSignal): AsyncGenerator<DecidedBatch> {
    const { chain, mempool } = this.#components
    const mark = this.#mark
    if (mark?.kind === 'ordered' && commit.round < mark.round) return
    // Of the round that the head came from, the first blocks are in the chain.
    const doneCount = mark?.kind === 'ordered' && commit.round === mark.round ? mark.index + 1 : 0
    const { number, timestampMs } = chain.head
    const parent = { number: number - BigInt(doneCount), timestampMs }
    const placed = batchesOf(commit, parent, this.#rules, (hash) => mempool.get(hash))
    for (const { batch, era, round, index } of placed.slice(doneCount)) {
      if (signal.aborted) return
      yield batch
      this.#mark = { kind: 'ordered', era, round, index }
      this.#certifier.executed(chain.head)
      this.#updateWork()
      this.#updatePressure()
    }
  }

  #updatePressure(): void {
    const oldest = this.#commits[0]
    const isLate = oldest !== undefined && this.#clock.nowMs() - oldest.arrivedAtMs > LAG_MS_MAX
    const isUncertified = this.#certifier.behind > LAG_CERTIFICATES_MAX
    const high = this.#waitingContent > LAG_BLOCKS_MAX || isLate || isUncertified
    if (high === this.#isPressed) return
    this.#isPressed = high
    this.#loop.step({ kind: 'pressure', high })
  }

  /** Begins the log anew where all that it told is in the chain. */
  async #rotate(): Promise<void> {
    if (!this.#wal.isLong || this.#commits.length > 0 || !this.#loop.mayRotate) return
    await this.#loop.rotate(this.#components.chain.head.number)
  }

  // ------------------------------------------------------------------- misdeeds

  #foundEvidence(evidence: Evidence): void {
    const isNew = this.#evidence.add({
      kind: 'equivocation',
      member: evidence.author,
      place: String(evidence.round),
      foundAtMs: Math.floor(this.#clock.nowMs()),
      proof: {
        firstDigest: evidence.firstDigest.toHex(),
        firstSignature: evidence.firstSignature.toHex(),
        secondDigest: evidence.secondDigest.toHex(),
        secondSignature: evidence.secondSignature.toHex(),
      },
    })
    if (isNew) this.#metrics.evidence.inc({ kind: 'equivocation' })
  }

  #foundDoubleVote({ member, votes: [first, second] }: DoubleVote): void {
    const isNew = this.#evidence.add({
      kind: 'double-vote',
      member,
      place: first.height.toString(),
      foundAtMs: Math.floor(this.#clock.nowMs()),
      proof: {
        firstHash: first.headerHash.toHex(),
        firstSignature: first.signature.toHex(),
        secondHash: second.headerHash.toHex(),
        secondSignature: second.signature.toHex(),
      },
    })
    if (!isNew) return
    this.#components.log.error('a member voted for two blocks of one height', { member, height: first.height })
    this.#metrics.evidence.inc({ kind: 'double-vote' })
  }

  /** Stops, and keeps what is known: whoever looks into it later needs the rounds of that moment. */
  async #fail(error: ConsensusError): Promise<void> {
    const { log, folder } = this.#components
    log.error('ordering stopped', { error, ...error.details })
    try {
      if (error.code === 'FAULT_BOUND_BROKEN' || error.code === 'DIVERGED') {
        const dir = join(folder, 'order', `halt-${Date.now()}`)
        await mkdir(dir, { recursive: true })
        const { core } = this.#loop
        const records = [
          encodeLogRecord({ kind: 'checkpoint', checkpoint: core.checkpoint() }),
          ...core.window().map((block) => encodeLogRecord({ kind: 'block', block })),
        ]
        await writeFile(join(dir, 'window.log'), concatBytes(...records))
        const { code, message, details } = error
        await writeFile(
          join(dir, 'reason.json'),
          `${JSON.stringify({ code, message, details, ...this.status() }, plain, 2)}\n`,
        )
        log.error('what was known is kept', { dir })
      }
    } catch (cause) {
      log.error('what was known could not be kept', { error: cause })
    }
    this.#failure = error
    this.#wake()
  }
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? value.toHex() : value
}

/** Rounds of a committee on one machine cost 2 ms of CPU a member with four, and 7 with eleven. */
function r2sParamsOf({ order }: Params, size: number, init: R2sOrdererInit): R2sParams {
  return {
    ...defaultR2sParams(size),
    waveLength: order.waveLength,
    gcDepthRounds: order.gcDepthRounds,
    payloadBytesMax: order.payloadBytesMax,
    minRoundMs: init.minRoundMs ?? (size <= 4 ? 25 : 100),
    idleRoundMs: init.idleRoundMs ?? 1_000,
  }
}
