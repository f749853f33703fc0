import { join } from 'node:path'
import { equalBytes } from '@cumulus/bytes'
import type { DecidedBatch, Orderer } from '@cumulus/execution'
import { keccak256 } from '@cumulus/hash'
import type { Transaction } from '@cumulus/ledger'
import {
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  type FrameReply,
  RemoteError,
  type Session,
} from '@cumulus/network'
import { type Commit, encodePayload, transactionsIn } from '@cumulus/r2s'
import { verifyEd25519 } from '@cumulus/signature'
import { Backoff } from './backoff.ts'
import { CatchUp, rest } from './catch-up.ts'
import { Certifier } from './certifier.ts'
import { type BatchParent, type BatchRules, batchesOf } from './chain-batches.ts'
import { CommitQueue } from './commit-queue.ts'
import { ConsensusError } from './consensus-error.ts'
import { type ConsensusGauges, type ConsensusMetrics, createConsensusMetrics } from './consensus-metrics.ts'
import { doubleVoteRecord, EvidenceFile, type EvidenceRecord, equivocationRecord } from './evidence-file.ts'
import { dumpHalt } from './halt-dump.ts'
import { Members } from './members.ts'
import { OrderLoop, type OwnContents } from './order-loop.ts'
import { decodeMark } from './order-mark.ts'
import { type OrderPoint, OrderPoints } from './order-points.ts'
import { type R2sOrdererComponents, type R2sOrdererInit, r2sParamsOf } from './r2s-orderer-init.ts'
import { readSilence, SILENCE_ADVICE, writeSilence } from './silence.ts'
import { StageTimes } from './stage-times.ts'
import { SteadyClock } from './steady-clock.ts'
import { TransactionRouter } from './transaction-router.ts'
import { type FoundLog, WriteAheadLog } from './write-ahead-log.ts'

/** Between two tries to join the order: each opens links to all others. */
const FOLLOW_MS_MIN = 100
const FOLLOW_MS_MAX = 5_000
/** Execution this far behind: own blocks carry no transactions (R²S, section 2.9). */
const LAG_BLOCKS_MAX = 16
const LAG_MS_MAX = 2_000
const LAG_CERTIFICATES_MAX = 64
/** Of a member that is further behind others do not hope for blocks. */
const ACTIVE_LAG_ROUNDS_MAX = 8
/** Transactions in one own block. */
const OWN_TRANSACTIONS_MAX = 1_000

/**
 * A member of a committee that agrees on the order by R²S: what is decided becomes batches for execution, the same at all
 * members. Keeps its promises in a write-ahead log: killed at any moment, it never signs a round twice.
 */
export class R2sOrderer implements Orderer {
  readonly kind = 'r2s'
  readonly members: Members
  readonly #components: R2sOrdererComponents
  readonly #rules: BatchRules
  readonly #clock = new SteadyClock()
  readonly #wal: WriteAheadLog
  readonly #found: FoundLog
  readonly #silencedAt: number | undefined
  readonly #evidence: EvidenceFile
  readonly #metrics: ConsensusMetrics
  readonly #loop: OrderLoop
  readonly #router: TransactionRouter
  readonly #certifier: Certifier
  readonly #catchUp: CatchUp
  readonly #points: OrderPoints
  readonly #times: StageTimes
  readonly #commits = new CommitQueue()
  /** The chain block that the next batch follows: the head, or one below while the log tells what is in the chain already. */
  #parent: BatchParent
  /** Its place in the order; undefined before the first one. */
  #place: { readonly round: number; readonly index: number } | undefined
  /** The chain goes on without the order: blocks are taken from the others until this member has joined it again. */
  #isBehind: boolean
  /** First round that the core has told or will tell. */
  #firstTold: number
  #mustRotate = false
  #certified: () => void = () => {}
  #failure: Error | undefined
  #dumping: Promise<void> | undefined
  #isWorkPending = false
  #isPressed = false

  private constructor(
    components: R2sOrdererComponents,
    init: R2sOrdererInit,
    opened: {
      wal: WriteAheadLog
      found: FoundLog
      silencedAt: number | undefined
      evidence: EvidenceFile
      points: OrderPoints
      onSync: { call: (seconds: number) => void }
    },
  ) {
    const { params, members, self, committee, identity, coin, chain, mempool, log, metrics } = components
    const { era } = committee
    this.#components = components
    this.#wal = opened.wal
    this.#found = opened.found
    this.#silencedAt = opened.silencedAt
    this.#evidence = opened.evidence
    this.#points = opened.points
    this.#metrics = createConsensusMetrics(metrics, () => this.#gauges())
    this.#times = new StageTimes(this.#metrics)
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
      shunned: (member) => this.#metrics.shunned.inc({ member }),
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
      isActive: (seat) => this.members.isConnected(seat) && this.#lagOf(seat) <= ACTIVE_LAG_ROUNDS_MAX,
      changed: () => this.#updateWork(),
    })
    this.#certifier = new Certifier({
      committee,
      self,
      key: components.blsKey,
      chain,
      certificates: components.certificates,
      certified: (height) => {
        this.#times.certified(height)
        this.#updatePressure()
        this.#certified()
      },
      diverged: (error) => this.#fail(error),
      doubleVote: (evidence) => this.#keepEvidence(doubleVoteRecord(evidence, nowMs())),
      metrics: this.#metrics,
      log,
      nowMs,
    })
    this.#loop = new OrderLoop({
      config: {
        chainId: BigInt(params.chainId),
        era,
        eraAnchor: chain.genesisHash,
        committeeSize: members.length,
        member: self,
        params: r2sParamsOf(params, members.length, init),
        sign: (message) => identity.sign(message),
        verify: (author, message, signature) => verifyEd25519(signature, message, members[author]!.peerKey),
      },
      coin,
      wal: this.#wal,
      members: this.members,
      clock: this.#clock,
      hooks: {
        room: () => this.#commits.room(),
        contents: (payloadBytesMax) => this.#contents(payloadBytesMax),
        committed: (commit) => this.#committed(commit),
        accepted: ({ header }) => {
          if (header.votes.length > 0) this.#certifier.observe(header.author, header.votes)
        },
        returned: (payload, txCount) => mempool.release(transactionsIn(payload, txCount).map(keccak256)),
        behind: () => {
          this.#isBehind = true
          this.#commits.wake()
        },
        silenced: (round) => this.#fallSilent(round),
        equivocation: (evidence) => this.#keepEvidence(equivocationRecord(evidence, nowMs())),
        failed: (error) => this.#fail(error),
      },
      metrics: this.#metrics,
      times: this.#times,
      log,
    })
    this.#catchUp = new CatchUp({
      identity,
      members,
      self,
      committee,
      links: this.members,
      chain,
      certificates: components.certificates,
      senders: mempool,
      log,
    })
    const { found } = opened
    this.#firstTold = (found.kind === 'log' && found.checkpoint?.round) || 1
    const { number, timestampMs } = chain.head
    const isChainLost = found.kind === 'log' && found.height > number
    const begin = beginOf(chain, this.#points, this.#firstTold)
    this.#parent = begin?.parent ?? { number, timestampMs, round: 0 }
    this.#place = begin?.place
    this.#isBehind = isChainLost || (number > 0n && !begin)
  }

  /**
   * Opens the log of the member. Nothing is signed or sent before `decided`.
   *
   * @throws ConsensusError LOG_FAILED, OTHER_LOG
   */
  static async open(components: R2sOrdererComponents, init: R2sOrdererInit = {}): Promise<R2sOrderer> {
    const { folder, params, committee, self, identity, chain, log } = components
    const owner = { chainId: BigInt(params.chainId), era: committee.era, member: self, peerKey: identity.publicKey }
    const onSync = { call: (_seconds: number): void => {} }
    const silencedAt = await readSilence(folder)
    if (silencedAt !== undefined) log.error('this member is silent', { round: silencedAt, next: SILENCE_ADVICE })
    const { wal, found } = await WriteAheadLog.open(folder, owner, chain.head.number, {
      onSync: (seconds) => onSync.call(seconds),
      rotateBytes: init.logBytes,
    })
    if (found.kind === 'lost') log.warn('the log of the order is lost: asking the others', { reason: found.reason })
    else log.info('log of the order', { found: found.kind, bytes: wal.bytes })
    const evidence = await EvidenceFile.open(join(folder, 'order', 'evidence.jsonl'))
    const { gcDepthRounds } = params.order
    const points = await OrderPoints.open(folder, { era: committee.era, gcDepthRounds }, chain)
    return new R2sOrderer(components, init, { wal, found, silencedAt, evidence, points, onSync })
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
    // Senders are walked through; where work is pending already, one more transaction is no news.
    const stopListening = mempool.onWaiting(() => {
      if (!this.#isWorkPending) this.#updateWork()
    })
    const stopTiming = mempool.onAdded((transaction) => this.#times.arrived(transaction))
    this.#loop.start(this.#found, this.#silencedAt)
    this.#router.run({ signal: ended })
    const links = this.members.run({ signal: ended })
    this.#updateWork()
    try {
      for (;;) {
        if (this.#isBehind) yield* this.#follow(ended)
        const commit = await this.#nextCommit(ended)
        if (commit) yield* this.#batches(commit, ended)
        if (ended.aborted) return
        this.#rotate()
      }
    } finally {
      ending.abort()
      stopListening()
      stopTiming()
      this.#loop.stop()
      await links
      await this.#dumping
      await this.#wal.close()
      await this.#evidence.flush().catch(() => {})
      await this.#points.flush()
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
    return {
      kind: this.kind,
      committeeSize: members.length,
      seat: self,
      era: this.#components.committee.era,
      round: core.lastOwnRound,
      decidedRound: core.decidedRound,
      certifiedHeight: this.#certifier.certifiedHeight.toString(),
      commitMs: this.#times.commitMs,
      stagesMs: this.#times.table,
      waitingCommits: this.#commits.count,
      waitingCommitBytes: this.#commits.bytes,
      isPressed: this.#isPressed,
      isBehind: this.#isBehind,
      isInquiring: core.inquiring,
      silencedAtRound: this.#loop.silencedAt,
      silenced: this.#loop.silencedAt === undefined ? undefined : SILENCE_ADVICE,
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
      waitingCommits: this.#commits.count,
      waitingCommitBytes: this.#commits.bytes,
      equivocators: this.#evidence.records.length,
      members: members.map((_, seat) => ({
        connected: seat === self || this.members.isConnected(seat),
        lag: this.#lagOf(seat),
        waitingBytes: this.members.backlog(seat).bytes,
      })),
    }
  }

  /** Rounds that the newest block of a member is behind. */
  #lagOf(seat: number): number {
    const { dag } = this.#loop.core
    return Math.max(0, dag.highestRound - dag.newest[seat]!.round)
  }

  #received(from: number, bytes: Uint8Array): void {
    this.#metrics.receivedBytes.inc({ member: from }, bytes.length)
    this.#loop.step({ kind: 'frame', from, bytes })
  }

  #answer(op: FrameOp, frame: FrameMessage): FrameReply | Promise<FrameReply> {
    if (op === FrameOp.shareTransactions) return this.#router.receive(frame)
    if (op === FrameOp.getOrderPoint) return this.#points.answer(frame, this.#certifier.certifiedHeight)
    throw new RemoteError('UNSUPPORTED', 'not here')
  }

  // ---------------------------------------------------------------- own blocks

  #contents(payloadBytesMax: number): OwnContents {
    const { mempool, params } = this.#components
    // Each has its length before it.
    const bytes = Math.max(0, payloadBytesMax - 4 * OWN_TRANSACTIONS_MAX)
    const room = { gas: params.blockGasLimit, bytes, count: OWN_TRANSACTIONS_MAX }
    const transactions = bytes > 0 ? mempool.take(room, this.#router.mayTake) : []
    const payload = encodePayload(transactions.map(({ raw }) => raw))
    this.#times.taken(transactions)
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
    this.#commits.push(commit, nowMs)
    if (this.#commits.isOverfull) {
      this.#firstTold = this.#commits.clear()
      this.#isBehind = true
    }
    this.#metrics.rounds.inc()
    this.#metrics.blocks.inc(commit.blocks.length)
    this.#times.committed(commit, this.#components.self, this.#loop.core.lastOwnRound)
    this.#updatePressure()
  }

  /** undefined if the signal aborts, or there is something else to do. */
  async #nextCommit(signal: AbortSignal): Promise<Commit | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure
      if (signal.aborted || this.#isBehind) return undefined
      const commit = this.#commits.shift()
      if (commit) return commit
      await this.#commits.news(signal)
    }
  }

  /** What of a commit is not in the chain yet. */
  async *#batches(commit: Commit, signal: AbortSignal): AsyncGenerator<DecidedBatch> {
    const { chain, mempool, committee } = this.#components
    const place = this.#place
    if (place && commit.round < place.round) return
    // Of the round that the parent came from, the first blocks are in the chain.
    const doneCount = place?.round === commit.round ? place.index + 1 : 0
    const parent = { ...this.#parent, number: this.#parent.number - BigInt(doneCount) }
    const here = new Set<Transaction>()
    const known = (hash: Uint8Array) => {
      const transaction = mempool.get(hash)
      if (transaction) here.add(transaction)
      return transaction
    }
    const placed = batchesOf(commit, parent, this.#rules, known)
    const others = placed.slice(doneCount).flatMap(({ batch }) => batch.transactions.filter((one) => !here.has(one)))
    if (others.length > 0) await mempool.recoverSenders(others)
    for (const { batch, round, index } of placed.slice(doneCount)) {
      if (signal.aborted) return
      const { number, timestampMs } = batch
      if (number > chain.head.number) {
        const executed = this.#times.executing(commit)
        yield batch
        if (batch.transactions.length > 0) executed(number, this.#components.storeMs?.() ?? 0)
        this.#certifier.executed(chain.head)
        this.#router.executed(batch.transactions)
      } else if (!equalBytes(chain.header(number)!.consensusRoot, batch.consensusRoot!)) {
        const details = { height: number, round, index, era: committee.era }
        const message = `the order makes another block ${number} than the chain that was taken from others`
        return this.#fail(new ConsensusError('DIVERGED', message, details))
      }
      this.#parent = { number, timestampMs, round }
      this.#place = { round, index }
      if (index === placed.length - 1) {
        const previousRound = doneCount > 0 ? undefined : parent.round
        await this.#points.add({ height: number, round, index, checkpoint: commit.checkpoint }, previousRound)
      }
      this.#updateWork()
      this.#updatePressure()
    }
  }

  /** Takes blocks from the others until this member can join the order again. */
  async *#follow(signal: AbortSignal): AsyncGenerator<DecidedBatch> {
    const { chain, certificates, log } = this.#components
    log.warn('following the others', { height: chain.head.number, decidedRound: this.#loop.core.decidedRound })
    const backoff = new Backoff(FOLLOW_MS_MIN, FOLLOW_MS_MAX)
    while (!signal.aborted) {
      for await (const batch of this.#catchUp.toTip({ signal })) {
        yield batch
        backoff.reset()
        this.#certifier.adopted(certificates.highest ?? 0n)
        if (this.#failure) throw this.#failure
      }
      const point = await this.#catchUp.orderPoint({ signal })
      // What the core will not tell again must be in the chain.
      if (point && point.round + 1 >= this.#firstTold) {
        await this.#join(point)
        return
      }
      await rest(backoff.nextMs(), signal)
      if (this.#failure) throw this.#failure
    }
  }

  async #join(point: OrderPoint): Promise<void> {
    const { chain, log } = this.#components
    const { height, round, index, checkpoint } = point
    // So that this member joins again by itself, should it be stopped before it has made a block.
    await this.#points.add(point, undefined)
    this.#isBehind = false
    this.#parent = { number: height, timestampMs: chain.header(height)!.timestampMs, round }
    this.#place = { round, index }
    this.#mustRotate = true
    log.info('joined the order', { height, round, decidedRound: this.#loop.core.decidedRound })
    this.#loop.step({ kind: 'adopt', checkpoint })
  }

  #updatePressure(): void {
    const isLate = this.#commits.ageMs(this.#clock.nowMs()) > LAG_MS_MAX
    const isUncertified = this.#certifier.behind > LAG_CERTIFICATES_MAX
    const high = this.#commits.contentCount > LAG_BLOCKS_MAX || isLate || isUncertified
    if (high === this.#isPressed) return
    this.#isPressed = high
    this.#loop.step({ kind: 'pressure', high })
  }

  /** Begins the log anew where all that it told is in the chain. Nobody waits for it. */
  #rotate(): void {
    if (!this.#wal.isLong && !this.#mustRotate) return
    const isTold = this.#parent.number === this.#components.chain.head.number
    if (this.#commits.count > 0 || this.#isBehind || !isTold || !this.#loop.mayRotate) return
    this.#mustRotate = false
    this.#loop.rotate(this.#components.chain.head.number).catch((error: ConsensusError) => this.#fail(error))
  }

  #keepEvidence(record: EvidenceRecord): void {
    if (!this.#evidence.add(record)) return
    const { kind, member, place } = record
    this.#components.log.error('a member misbehaved, and the proof is kept', { kind, member, place })
    this.#metrics.evidence.inc({ kind })
  }

  #fallSilent(round: number): void {
    const { folder, log } = this.#components
    log.error('somebody else signs with the key of this member: it signs no more', { round, next: SILENCE_ADVICE })
    try {
      writeSilence(folder, round)
    } catch (cause) {
      this.#fail(new ConsensusError('LOG_FAILED', 'that this member is silent cannot be kept', { round }, { cause }))
    }
  }

  /** Stops, and keeps what is known: whoever looks into it later needs the rounds of that moment. */
  #fail(error: ConsensusError): void {
    if (this.#failure) return
    this.#failure = error
    const { folder, log } = this.#components
    log.error('ordering stopped', { error, ...error.details })
    this.#loop.stop()
    if (error.code === 'FAULT_BOUND_BROKEN' || error.code === 'DIVERGED') {
      this.#dumping = dumpHalt(folder, error, this.#loop.core, this.status(), log)
    }
    this.#commits.wake()
  }
}

/**
 * Which chain block the next batch follows, and where in the order it stands: the head, or where this member joined the order last,
 * with blocks above that it took from others. undefined: it has to join first.
 */
function beginOf(
  chain: R2sOrdererComponents['chain'],
  points: OrderPoints,
  firstTold: number,
): { parent: BatchParent; place: { round: number; index: number } } | undefined {
  const mark = chain.mark && decodeMark(chain.mark)
  const { number, timestampMs } = chain.head
  if (mark?.kind === 'ordered') {
    const { round, index } = mark
    return { parent: { number, timestampMs, round }, place: { round, index } }
  }
  const point = mark && points.last
  if (!point || point.round + 1 < firstTold) return undefined
  const { height, round, index } = point
  return { parent: { number: height, timestampMs: chain.header(height)!.timestampMs, round }, place: { round, index } }
}
